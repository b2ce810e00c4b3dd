# SPDX-License-Identifier: GPL-3.0-or-later
"""Forwarding and the counting of bytes: the kernel parameters that a gateway needs, and what they were before.

The values that we found are kept in ``<configuration>/sysctl.before.json`` (each at its first change)
and put back when the last of our routes goes, unless somebody has changed them since.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from ...system import System
from ..base import CHANGE, REMOVE, Change

FORWARDED = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
"""Family → the parameter that says whether the host forwards it."""

FORWARDING = {
    **dict.fromkeys(FORWARDED.values(), "1"),
    # Source validation looks at marks: without it the guard's rule makes any rp_filter drop the clients' replies.
    "net/ipv4/conf/all/src_valid_mark": "1",
}

ACCOUNTING = {"net/netfilter/nf_conntrack_acct": "1"}  # bytes of each flow, which the agent adds up by client
_ACCOUNTING_MODULE = "nf_conntrack"  # often not loaded before the first rule that asks for a connection's state


@dataclass(frozen=True)
class Parameters:
    """The parameters that concern us: as they are, as they should be, as they were before us."""

    now: Mapping[str, Optional[str]] = field(default_factory=dict)
    wanted: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """The payload of a Change of a parameter; a value of None puts the recorded one back."""

    key: str
    value: Optional[str]


def read(system: System, uplinks: Iterable[str]) -> Parameters:
    """Return the parameters; `uplinks` are interfaces with a default route by router advertisement.

    Such an interface would lose that route when forwarding is switched on, unless accept_ra is 2. After a reboot
    it may have no route yet, but it is on record.
    """
    before = json.loads(system.read_file(_record(system)) or "{}")
    keys = {f"net/ipv6/conf/{name}/accept_ra" for name in uplinks}
    keys.update(key for key in before if key.endswith("/accept_ra"))
    wanted = {key: "2" for key in sorted(keys) if system.sysctl(key) == "1"}
    wanted.update({**FORWARDING, **ACCOUNTING})
    now = {key: system.sysctl(key) for key in {**wanted, **before}}
    return Parameters(now, wanted, before)


def plan(parameters: Parameters) -> Iterator[Change]:
    """Yield what switches forwarding on. A family that this kernel does not have is left out.

    That a host forwarded before us is kept, too: after a reboot we may be the first that switch it on.
    """
    for key, value in parameters.wanted.items():
        now = parameters.now.get(key)
        kept = key in parameters.before or key not in FORWARDED.values()
        if (now != value or not kept) and (now is not None or key in ACCOUNTING):
            yield Change(CHANGE, f"parameter {key}", now or "", value, Setting(key, value))


def plan_removal(parameters: Parameters) -> Iterator[Change]:
    """Yield what puts the parameters back that we changed; forwarding first."""
    for key, value in sorted(parameters.before.items(), key=lambda item: item[0] not in FORWARDING):
        yield Change(REMOVE, f"parameter {key}", parameters.now.get(key) or "", value, Setting(key, None))


def apply(system: System, setting: Setting) -> None:
    """Set one parameter, and record what it was; or put it back. Raises SystemFailure."""
    record = _record(system)
    before = json.loads(system.read_file(record) or "{}")
    if setting.key in ACCOUNTING and setting.value is not None and system.sysctl(setting.key) is None:
        system.run("modprobe", _ACCOUNTING_MODULE)
    now = system.sysctl(setting.key)
    if setting.value is not None:
        if setting.key not in before and now is not None:
            system.write_file(record, json.dumps({**before, setting.key: now}, indent=1, sort_keys=True) + "\n")
        system.set_sysctl(setting.key, setting.value)
        return
    value = before.pop(setting.key, None)
    ours = {**FORWARDING, **ACCOUNTING}.get(setting.key, "2")
    if value is not None and now == ours:
        system.set_sysctl(setting.key, value)
    if before:
        system.write_file(record, json.dumps(before, indent=1, sort_keys=True) + "\n")
    else:
        system.remove_file(record)


def forwarded_nothing(system: System) -> tuple[int, ...]:
    """Return the families in which this host forwarded nothing before us."""
    before = json.loads(system.read_file(_record(system)) or "{}")
    return tuple(family for family, key in FORWARDED.items() if before.get(key, system.sysctl(key)) == "0")


def _record(system: System) -> Path:
    return system.configuration / "sysctl.before.json"
