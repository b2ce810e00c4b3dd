# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of the agent's files on a gateway: its two units, its program, its logs' rotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...system import System
from ..dns.text import PINNED, paths
from ..services import FOLDER, GROUP, SANDBOX

GUARD = "splitway-guard.service"
AGENT = "splitway.service"


@dataclass(frozen=True)
class Places:
    """Where the agent's files are on this host."""

    library: Path  # a folder a version
    current: Path  # the link to the one in use
    started: Path  # a copy of that link, made when the agent starts
    started_unit: Path  # and of its unit
    program: Path
    rotation: Path
    pinned: Path  # the folder where our dnsmasq reads the addresses of pinned names


def places(system: System) -> Places:
    """Return the places on this host."""
    library = system.root / "usr/lib/splitway"
    return Places(
        library=library,
        current=library / "current",
        started=system.runtime / "engine",
        started_unit=system.runtime / AGENT,
        program=system.root / "usr/local/sbin/splitway",
        pinned=paths(system).pinned,
        rotation=system.root / "etc/logrotate.d/splitway",
    )


def program_text(where: Places) -> str:
    """Return the program `splitway`.

    -I: neither the caller's environment nor its folder has a say in what is imported. The link is followed
    once: what is imported later is of the same version, whatever a run of site.yml has made current meanwhile.
    """
    return f"""\
#!/usr/bin/python3 -I
# Made by splitway
import os
import sys

sys.path.insert(0, os.path.realpath("{where.current}"))
from splitway.agent.cli import main

sys.exit(main())
"""


def rotation_text(system: System) -> str:
    """Return logrotate's configuration for the audit. Its writers open it for each line: nobody has to be told."""
    return f"""\
# Made by splitway
{system.log}/audit.jsonl {{
    weekly
    maxsize 10M
    rotate 8
    compress
    delaycompress
    missingok
    notifempty
}}
"""


# What both units may do. /proc/sys/net, /run and our folders are written by the reconcilers, unit files by them, too;
# that is why ProtectKernelTunables is refined and not left out. Units that are started do not inherit any of it.
_SANDBOX = f"""\
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW
UMask=0077
ReadWritePaths=/run /proc/sys/net -/etc/splitway -/etc/systemd/system -/etc/logrotate.d
ReadWritePaths=-/usr/lib/splitway -/usr/local/sbin -/var/lib/splitway -/var/log/splitway
ProtectHome=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_UNIX
RemoveIPC=yes
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
{SANDBOX}"""


def guard_text(where: Places) -> str:
    """Return the unit that brings floors, sets and chains in before any network is there.

    It comes after what loads other firewalls, since those may flush all there is. It orders nothing behind
    itself but network-pre.target, and whatever it cannot do ends in time: it cannot stop a boot.
    """
    return f"""\
# Made by splitway
[Unit]
Description=splitway: no way out but those of the policies, before there is a network
DefaultDependencies=no
RequiresMountsFor=/etc/splitway {where.library} {where.program}
After=local-fs.target systemd-sysctl.service systemd-modules-load.service
After=nftables.service netfilter-persistent.service ufw.service
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={where.program} restore --early
TimeoutStartSec=30
{_SANDBOX}
[Install]
WantedBy=sysinit.target
"""


MEMORY = "MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072"
"""mallopt(3): one heap; what is large lies outside of it and is given back at once. 20 of 69 MB (measured)."""


def agent_text(where: Places, folders: Sequence[str] = ()) -> str:
    """Return the agent's unit. `folders`: what it writes beside what every agent does.

    Not after network-online.target: a tunnel whose endpoint has no address yet keeps nothing else waiting. No
    start limit: an agent that gave up would heal nothing until somebody looks. KillMode=mixed: what it has
    just started to change is not cut off in the middle. The group is that of our dnsmasq's folder. However it
    ends, what it pinned is served no longer: nobody tries these addresses. Of memory: each thread would have a heap of
    its own, and megabytes that were read once would stay in one (MEMORY).
    """
    return f"""\
# Made by splitway
[Unit]
Description=splitway: looks after this gateway
After=network.target {GUARD}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStartPre=/usr/bin/cp --no-dereference --no-target-directory --remove-destination {where.current} {where.started}
ExecStartPre=/usr/bin/cp --remove-destination {FOLDER / AGENT} {where.started_unit}
ExecStart={where.program} run
ExecStopPost=/usr/bin/rm -f {where.pinned}/{PINNED}
Environment={MEMORY}
Restart=always
RestartSec=2
WatchdogSec=30
LimitNOFILE=65536
TimeoutStartSec=180
TimeoutStopSec=15
KillMode=mixed
RuntimeDirectory=splitway
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
StateDirectory=splitway
StateDirectoryMode=0700
LogsDirectory=splitway
SupplementaryGroups={GROUP}
PrivateTmp=yes
PrivateDevices=yes
{"".join(f"ReadWritePaths=-{folder}{chr(10)}" for folder in folders)}\
{_SANDBOX}
[Install]
WantedBy=multi-user.target
"""
