# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of a proxy: squid, and for SOCKS5 our own in front of it; their files and units. Pure.

Each runs from copies in a folder of its own below /run, which tell what it was started with.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ...socks5 import passwords, server
from ...state import PROXY_USERS, Listener, Proxies, Proxy
from ...system import System
from ..services import GROUP, SANDBOX
from . import squid

SQUID, SOCKS5 = "squid", "socks5"
CONFIGURATION, USERS = "squid.conf", "users"
INSTALL = """
[Install]
WantedBy=multi-user.target
"""
PRIVILEGED = 1024  # ports below want a capability

Ports = Mapping[str, int]
"""Key of a range → the port of it."""


@dataclass(frozen=True)
class Paths:
    """Where our files are."""

    configuration: Path
    runtime: Path

    def folder(self, number: int) -> Path:
        return self.configuration / str(number)

    def running(self, unit: str) -> Path:
        """Return the folder of a unit's copies."""
        return self.runtime.with_name(unit.rpartition(".")[0])


@dataclass(frozen=True)
class Daemon:
    """One program as it is to be."""

    unit: str
    proxy: str
    user: str
    text: str  # of the unit
    files: Mapping[str, str]  # name → text
    users: str  # "": it asks for no password
    folder: Path
    running: Path  # of the copies
    addresses: tuple[str, ...]
    port: int
    at_boot: bool


def paths(system: System) -> Paths:
    """Return the paths on this host."""
    return Paths(system.configuration / "proxies", system.runtime)


def unit_name(number: int, program: str) -> str:
    """Return the name of a program's unit."""
    return f"{PROXY_USERS}{number}-{program}.service"


def daemons(desired: Proxies, ports: Ports, where: Paths, addresses: tuple[str, ...]) -> tuple[Daemon, ...]:
    """Return the programs of all proxies, each squid before what is in front of it. `addresses`: the host's public."""
    return tuple(daemon for proxy in desired.proxies for daemon in _daemons(proxy, desired, ports, where, addresses))


def _daemons(
    proxy: Proxy, desired: Proxies, ports: Ports, where: Paths, addresses: tuple[str, ...]
) -> Iterator[Daemon]:
    by = {listener.protocol: listener for listener in proxy.listeners}
    http, socks5 = by.get("http"), by.get(SOCKS5)
    inside = None if proxy.inner is None else ports[proxy.inner.key]
    yield _squid(proxy, desired, http, None if http is None else ports[http.port.key], inside, where, addresses)
    if socks5 is not None and inside is not None:
        yield _socks5(proxy, socks5, ports[socks5.port.key], inside, where)


def listening(listener: Optional[Listener]) -> tuple[str, ...]:
    """Return the addresses at which a program listens: at :: it hears all others as well."""
    if listener is None:
        return ()
    return ("::",) if "::" in listener.addresses else listener.addresses


def _squid(
    proxy: Proxy,
    desired: Proxies,
    http: Optional[Listener],
    port: Optional[int],
    inside: Optional[int],
    where: Paths,
    own: tuple[str, ...],
) -> Daemon:
    unit = unit_name(proxy.number, SQUID)
    running = where.running(unit)
    text = squid.configuration(
        proxy,
        listen=listening(http),
        port=port,
        inner=inside,
        far=None if proxy.far is None else proxy.far.port,
        resolvers=desired.resolvers,
        users=str(running / USERS),
        log=desired.log,
        own=own,
    )
    start = f"/usr/sbin/squid -N -s -n splitwayproxy{proxy.number} -f {running / CONFIGURATION}"
    addresses, number = (listening(http), port) if port is not None else (("127.0.0.1",), inside or 0)
    return _daemon(proxy, unit, "HTTP", start, {CONFIGURATION: text}, where, addresses, number)


def _socks5(proxy: Proxy, listener: Listener, port: int, inside: int, where: Paths) -> Daemon:
    unit = unit_name(proxy.number, SOCKS5)
    running = where.running(unit)
    listen = listening(listener)
    users = str(running / USERS) if proxy.users else None
    settings = {"listen": list(listen), "port": port, "inner": inside, "users": users, "sources": list(proxy.sources)}
    files = {"socks5.json": json.dumps(settings) + "\n", **_sources()}
    environment = f"PYTHONPATH={running} PYTHONDONTWRITEBYTECODE=1"
    start = f"/usr/bin/env {environment} /usr/bin/python3 -s -m socks5.server {running / 'socks5.json'}"
    return _daemon(proxy, unit, "SOCKS5", start, files, where, listen, port)


def _sources() -> dict[str, str]:
    """Return the files of our SOCKS5, wherever the engine is, be it in an archive."""
    package = server.__package__ or ""
    names = ("__init__.py", *(f"{module.__name__.rpartition('.')[2]}.py" for module in (passwords, server)))
    return {f"{SOCKS5}/{name}": (pkgutil.get_data(package, name) or b"").decode() for name in names}


def _daemon(
    proxy: Proxy,
    unit: str,
    what: str,
    start: str,
    files: Mapping[str, str],
    where: Paths,
    addresses: tuple[str, ...],
    port: int,
) -> Daemon:
    folder, running, user = where.folder(proxy.number), where.running(unit), f"{PROXY_USERS}{proxy.number}"
    users = "".join(f"{entry.name}:{entry.hash}\n" for entry in proxy.users)
    named = [*files, *([USERS] if users else [])]
    low = port < PRIVILEGED
    text = _unit_text(proxy.name, what, user, start, _copies(folder, running, named), running, users, folder, low)
    text += INSTALL if proxy.at_boot else ""
    return Daemon(unit, proxy.name, user, text, files, users, folder, running, addresses, port, proxy.at_boot)


def _copies(folder: Path, running: Path, names: list[str]) -> str:
    """Return the lines that copy a program's files to where it may read them, by each folder."""
    by: dict[str, list[str]] = {}
    for name in names:
        by.setdefault(name.rpartition("/")[0], []).append(str(folder / name))
    return "".join(
        f"ExecStartPre=+/usr/bin/install -D -m 0444 -t {running / part} {' '.join(found)}\n"
        for part, found in by.items()
    )


def _unit_text(
    name: str, what: str, user: str, start: str, copies: str, running: Path, users: str, folder: Path, low: bool
) -> str:
    """Return a unit. A new password is a copy, which both programs read: nobody's connection ends."""
    reload = f"ExecReload=+/usr/bin/install -m 0444 -t {running} {folder / USERS}\n" if users else ""
    capabilities = "CAP_NET_BIND_SERVICE" if low else ""
    return f"""\
# Made by splitway
[Unit]
Description=splitway: proxy {name}, {what}
After=network.target
StartLimitIntervalSec=0

[Service]
Type=exec
RuntimeDirectory={running.name}
RuntimeDirectoryMode=0750
{copies}ExecStart={start}
{reload}Restart=always
RestartSec=1
User={user}
Group={GROUP}
AppArmorProfile=-unconfined
AmbientCapabilities={capabilities}
CapabilityBoundingSet={capabilities}
LimitNOFILE=16384
TemporaryFileSystem=/dev/shm:mode=1777
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallFilter=@system-service
{SANDBOX}"""
