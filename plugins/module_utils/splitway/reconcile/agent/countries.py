# SPDX-License-Identifier: GPL-3.0-or-later
"""The units that read the data of countries anew; they are there only while a rule names a country."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Optional

from ...state import CountryData
from ...system import System
from ..base import ADD, CHANGE, REMOVE, Change
from ..services import SANDBOX
from .text import Places

SERVICE = "splitway-countries.service"
TIMER = "splitway-countries.timer"


@dataclass(frozen=True)
class Current:
    """The units as they are."""

    units: Mapping[str, str] = field(default_factory=dict)  # those that are there, with their texts
    waiting: bool = False  # whether the timer runs, now and after a boot


@dataclass(frozen=True)
class Waiting:
    """Part of a Change: the units get these texts and the timer runs; without texts there are none any more."""

    units: Mapping[str, str]


def read(system: System) -> Current:
    """Return the units and the timer. Raises SystemFailure."""
    texts = {name: system.units.read(name) for name in (SERVICE, TIMER)}
    there = {name: text for name, text in texts.items() if text is not None}
    return Current(there, TIMER in there and system.units.active(TIMER) and system.units.enabled(TIMER))


def plan(desired: Optional[CountryData], where: Places, current: Current) -> Iterator[Change]:
    """Yield the one change that there may be."""
    wanted = {} if desired is None else {SERVICE: service_text(where), TIMER: timer_text(desired.refresh)}
    before, after = ("\n".join(units[name] for name in sorted(units)) for units in (current.units, wanted))
    if current.units != wanted:
        action = CHANGE if before and after else REMOVE if before else ADD
        yield Change(action, f"unit {TIMER}", before, after, Waiting(wanted))
    elif wanted and not current.waiting:
        yield Change(CHANGE, f"unit {TIMER}", "stopped", "waiting", Waiting(wanted))


def apply(system: System, part: Waiting) -> None:
    """Carry out the change. Raises SystemFailure."""
    for name, text in part.units.items():
        system.units.write(name, text)
    if part.units:
        system.units.enable(TIMER)
        system.units.restart(TIMER)
        return
    for name in (TIMER, SERVICE):
        if system.units.read(name) is not None:
            system.units.stop(name)
            system.units.disable(name)
            system.units.remove(name)


def service_text(where: Places) -> str:
    """Return the unit that reads the data of countries anew, of which the agent takes notice.

    Beside the agent, which would else keep the memory that reading tens of megabytes takes. What it may do is what
    apt-get needs to fetch a package, and to read a file that an operator put anywhere.
    """
    return f"""\
# Made by splitway
[Unit]
Description=splitway: reads the data of countries anew
After=network.target

[Service]
Type=oneshot
ExecStart={where.program} countries refresh
Nice=10
TimeoutStartSec=1800
StateDirectory=splitway
StateDirectoryMode=0700
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER
UMask=0077
ReadWritePaths=-/var/lib/apt -/var/cache/apt
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
{SANDBOX}"""


def timer_text(refresh: int) -> str:
    """Return the timer of it; `refresh` in seconds. A fleet does not ask a source all at once."""
    return f"""\
# Made by splitway
[Unit]
Description=splitway: reads the data of countries anew

[Timer]
OnBootSec=5min
OnUnitActiveSec={refresh}
RandomizedDelaySec={refresh // 10}

[Install]
WantedBy=timers.target
"""
