# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of our dnsmasq's two configuration files and of its unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ...state import Dns
from ...system import System
from ..base import ReconcileError
from ..services import GROUP, SANDBOX

UNIT = "splitway-dnsmasq.service"

OWN_NAME, OWN_ADDRESS = "splitway.invalid", "192.0.2.53"
"""What only ours answer, by themselves, and so are told from other resolvers: no name ends in invalid (RFC 6761)."""

FORWARDER, FORWARDER_PORT = "127.0.0.83", 5383
"""Where our forwarder listens; not where other resolvers and systemd's do."""

PINNED = "names"  # the file with the addresses of pinned names

LONGEST_LINE = 1024  # bytes; dnsmasq 2.90 takes 1024 and cuts at 1025 (measured)

_SETS = ("ipset=", "nftset=")
_MANY_NAMES = (*_SETS, "server=/")  # lines that may have several names

PIN_SINCE = (2, 88)  # the first version whose hostsdir forgets what has left a file, and that keeps their order
FILTER_SINCE = (2, 90)  # the first version that knows filter-rr and max-tcp-connections


@dataclass(frozen=True)
class Paths:
    """Where our dnsmasq's files are."""

    options: Path
    names: Path
    runtime: Path  # its own folder below /run: systemd makes it and gives it to dnsmasq's user

    @property
    def started_options(self) -> Path:
        return self.runtime / self.options.name

    @property
    def started_names(self) -> Path:
        return self.runtime / self.names.name

    @property
    def pinned(self) -> Path:
        """Where the agent tells dnsmasq the addresses of pinned names; dnsmasq's user reads it."""
        return self.runtime.with_name(f"{self.runtime.name.partition('-')[0]}-pinned")

    @property
    def pid(self) -> Path:
        return self.runtime / "pid"


def paths(system: System) -> Paths:
    """Return the paths on this host."""
    folder = system.configuration / "dnsmasq"
    runtime = system.runtime.with_name(f"{system.runtime.name}-dnsmasq")
    return Paths(folder / "dnsmasq.conf", folder / "names.conf", runtime)


def options_text(
    desired: Dns,
    version: Optional[tuple[int, int]],
    resolvers: Optional[Path] = None,
    pinned: Path = Path("/run/splitway-pinned"),
) -> str:
    """Return dnsmasq.conf. `version` is the installed one; None (not installed yet) is a current one.

    `resolvers`: the file with those to ask where the operator names none; None: /etc/resolv.conf. `pinned`: the folder
    where the agent tells the addresses of pinned names.

    Raises ReconcileError when it cannot leave records out of answers, or pin names, and is to.
    """
    if desired.filtered and version is not None and version < FILTER_SINCE:
        raise ReconcileError(
            f"dnsmasq {version[0]}.{version[1]} cannot leave {', '.join(desired.filtered)} out of answers, which "
            f"{FILTER_SINCE[0]}.{FILTER_SINCE[1]} can: install that, or give filter_https: false in splitway_dns_guard "
            "(addresses in such answers never reach a set) and filter_aaaa: false in splitway_dns"
        )
    if desired.pinned_ttl is not None and version is not None and version < PIN_SINCE:
        raise ReconcileError(
            f"dnsmasq {version[0]}.{version[1]} cannot change the addresses of pinned names while it runs, which "
            f"{PIN_SINCE[0]}.{PIN_SINCE[1]} can: install that, or take pin from the lists"
        )
    lines = [
        "# Made by splitway",
        *(f"interface={interface}" for interface in (desired.interface, *desired.lan)),
        # dnsmasq adds lo by itself; the host's own resolver may live there.
        "except-interface=lo",
        # The interface comes last and may go and come back: bind-interfaces would not start, or not follow.
        "bind-dynamic",
        "domain-needed",
        "bogus-priv",
        # The host's resolver may ask us: then do not ask it.
        "dns-loop-detect",
        f"address=/{OWN_NAME}/{OWN_ADDRESS}",
        *(f"local=/{name}/" for name in desired.absent),
        *(f"host-record={record.name},{address}" for record in desired.records for address in record.addresses),
        # max-cache-ttl alone still tells the client the answer's own ttl.
        f"max-ttl={desired.max_ttl}",
        f"max-cache-ttl={desired.max_ttl}",
        f"cache-size={desired.cache_size}",
        # 150 by default: hundreds of clients that start at once would be refused.
        "dns-forward-max=2000",
    ]
    if desired.pinned_ttl is not None:
        # The best first, whoever asks; changes in the folder are seen at once (inotify), without a restart.
        lines += [f"hostsdir={pinned}", "no-round-robin", f"local-ttl={desired.pinned_ttl}"]
    if desired.filtered:
        lines.append(f"filter-rr={','.join(desired.filtered)}")
    if version is None or version >= FILTER_SINCE:
        # 20 by default: as many idle ones of one client keep everybody else's waiting for 150 s (measured).
        lines.append("max-tcp-connections=200")
    servers = (f"{FORWARDER}#{FORWARDER_PORT}",) if desired.tls else desired.servers
    if servers:
        lines += ["no-resolv", *(f"server={server}" for server in servers)]
    elif resolvers is not None:
        lines.append(f"resolv-file={resolvers}")
    return "".join(f"{line}\n" for line in lines)


def names_text(desired: Dns) -> str:
    """Return names.conf, sorted: the order of its lines means nothing. Raises ReconcileError for a line too long.

    Names with the same sets share lines when these are many. For each answer that is not in its cache dnsmasq walks
    through all names, and each line has sets of its own in its memory: with 100,000 names on five lists each it took
    49 MB and 1.4 ms an answer, so 10 MB and 0.9 ms. Names on one list have a line each: shared lines are walked to and
    fro, which took 1.1 ms and not 0.9 (measured).
    """
    for line in desired.lines:
        size = len(line.encode())
        if size > LONGEST_LINE:
            raise ReconcileError(
                f"dnsmasq cuts lines at {LONGEST_LINE} bytes, this one has {size}: {line[:100]}…; "
                "let its name be on fewer lists"
            )
    groups: dict[tuple[str, str], list[str]] = {}
    lines = []
    for line in sorted(desired.lines):
        head, _, sets = line.rpartition("/")
        option, _, domain = head.partition("/")
        if option in _SETS and sets.count(",") > 1:  # more than one list's two
            groups.setdefault((option, sets), []).append(domain)
        else:
            lines.append(line)
    for (option, sets), domains in groups.items():
        lines += _joined(f"{option}/", domains, f"/{sets}")
    for forward in desired.forwards:
        # Without a server the names are asked nowhere: they do not exist.
        for server in forward.servers or ("",):
            lines += _joined("server=/", forward.domains, f"/{server}")
    return "".join(f"{line}\n" for line in lines)


def _joined(start: str, domains: Sequence[str], end: str) -> Iterator[str]:
    """Yield lines of as many domains as fit."""
    room = LONGEST_LINE - len(start) - len(end)
    taken: list[str] = []
    size = -1
    for domain in domains:
        if taken and size + 1 + len(domain) > room:
            yield start + "/".join(taken) + end
            taken, size = [], -1
        taken.append(domain)
        size += 1 + len(domain)
    yield start + "/".join(taken) + end


def single_names(text: str) -> Iterator[str]:
    """Yield the lines of a file with one name each, as people compare them."""
    for line in text.splitlines():
        if line.startswith(_MANY_NAMES):
            option, *domains, sets = line.split("/")
            yield from (f"{option}/{domain}/{sets}" for domain in domains)
        else:
            yield line


def binds(desired: Dns) -> bool:
    """Return whether dnsmasq asks through tunnels."""
    return any("@" in server for forward in desired.forwards for server in forward.servers)


def unit_text(where: Paths, *, bound: bool = False, pins: bool = False) -> str:
    """Return the unit. `bound`: whether dnsmasq asks through tunnels; `pins`: whether names are pinned.

    dnsmasq is started from a copy of its files in its own folder below /run, made at each start by
    whoever starts it. What a running dnsmasq was started with is therefore known, always; and its user
    needs no way into our configuration folder. The agent reads it by its group: it is root without the right to
    read what is not its own.

    Type=forking: the first process ends when the sockets are bound and the files are read, so
    ``systemctl restart`` returns when it answers, and fails when it cannot. It starts as its own user,
    so that it needs neither SETUID nor DAC_OVERRIDE; NET_ADMIN fills the sets. Without NET_RAW it does not start when
    it is to ask through an interface (measured: "process is missing required capability NET_RAW").

    LimitNOFILE: dnsmasq keeps room for a third as many sockets to its own resolvers and looks at each twice for every
    question; with 1,000 of them an answer from the cache takes an eighth longer (measured). Questions share sockets.
    """
    capabilities = f"CAP_NET_ADMIN CAP_NET_BIND_SERVICE{' CAP_NET_RAW' if bound else ''}"
    folder = f"\nExecStartPre=+/usr/bin/install -d -m 0755 {where.pinned}" if pins else ""
    return f"""\
# Made by splitway
[Unit]
Description=splitway: names for clients
Documentation=man:dnsmasq(8)
After=network.target
StartLimitIntervalSec=0

[Service]
Type=forking
PIDFile={where.pid}
RuntimeDirectory={where.runtime.name}
RuntimeDirectoryMode=0750
ExecStartPre=+/usr/bin/install -D -m 0644 -t {where.runtime} {where.options} {where.names}{folder}
ExecStart=/usr/sbin/dnsmasq --conf-file={where.started_options} --conf-file={where.started_names} --pid-file={where.pid}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
LimitNOFILE=256
User=dnsmasq
Group={GROUP}
AmbientCapabilities={capabilities}
CapabilityBoundingSet={capabilities}
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
SystemCallFilter=@system-service
{SANDBOX}"""
