# SPDX-License-Identifier: GPL-3.0-or-later
"""Our nftables table of the family netdev, which gives packets of rated clients their class; for both backends.

iptables can give a class by a set, too, but not to what comes in before it is queued; nothing but this does it in one
look, whatever the number of clients. nft prints rules in its own spelling and devices by their numbers: each rule
carries a digest of what we wrote and of those numbers, so that a device that was made anew is noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Optional

from ...system import System
from .. import nft
from ..base import ReconcileError
from .model import DEVICE, HANDLE, MAPS, Chain, ChainStep, EntriesStep, MapStep, Table

TABLE = "netdev splitway"
_TYPES = {name: f"{'ipv4_addr' if version == 4 else 'ipv6_addr'} : classid" for (_, version), name in MAPS.items()}


def indices(system: System, interface: str) -> tuple[Optional[int], ...]:
    """Return the kernel's numbers of the clients' interface and of our device."""
    return tuple(system.interface_index(name) if name else None for name in (interface, DEVICE))


def keys(chain: Chain, numbers: tuple[Optional[int], ...]) -> tuple[str, ...]:
    """Return what the rules of a chain are known by, as long as their devices have these numbers."""
    known = ",".join(map(str, numbers if any(DEVICE in line for line in chain.lines) else numbers[:1]))
    return tuple(hashlib.sha256(f"{chain.base}\n{line}\n{known}".encode()).hexdigest()[:12] for line in chain.lines)


def read(system: System) -> Table:
    """Return our table as it is; nothing where it is not there. Raises ReconcileError."""
    listing = _listing(system)
    maps = {item["name"]: dict(map(_entry, item.get("elem", ()))) for item in nft.objects_of(listing, "map")}
    chains: dict[str, list[str]] = {item["name"]: [] for item in nft.objects_of(listing, "chain")}
    for rule in nft.objects_of(listing, "rule"):
        chains.setdefault(rule["chain"], []).append(rule.get("comment", f"handle {rule['handle']}"))
    return Table(maps, {name: tuple(rules) for name, rules in chains.items()})


def _listing(system: System) -> list[dict[str, Any]]:
    return nft.listing(system, "list", "table", *TABLE.split())


def _entry(element: list[str]) -> tuple[str, int]:
    """Return address and class; another's class counts as none of ours."""
    address, identifier = element
    major, _, minor = identifier.partition(":")
    return address, int(minor, 16) if major == f"{HANDLE:x}" and minor else -1


def write(system: System, steps: Iterable[object]) -> None:
    """Carry out the steps on our table in one transaction. Raises ReconcileError."""
    lines: list[str] = []
    gone: list[str] = []
    for step in steps:
        if isinstance(step, MapStep):
            kind = f"add map {TABLE} {step.name} {{ type {_TYPES.get(step.name, '')}; }}"
            (lines if step.wanted else gone).append(kind if step.wanted else f"delete map {TABLE} {step.name}")
        elif isinstance(step, EntriesStep):
            lines += _entry_lines(step)
        elif isinstance(step, ChainStep):
            lines += _chain_lines(system, step)
    _run(system, [*lines, *gone])
    if gone or any(isinstance(step, ChainStep) and step.wanted is None for step in steps):
        _drop_if_empty(system)


def _chain_lines(system: System, step: ChainStep) -> list[str]:
    name = f"{TABLE} {step.name}"
    lines = [f"flush chain {name}", f"delete chain {name}"] if step.found else []
    if step.wanted is None:
        return lines
    known = keys(step.wanted, indices(system, step.interface))
    lines.append(f"add chain {name} {{ {step.wanted.base} }}")
    return lines + [f'add rule {name} {line} comment "{key}"' for line, key in zip(step.wanted.lines, known)]


def _entry_lines(step: EntriesStep) -> list[str]:
    old = ", ".join(address for address, was, _ in step.entries if was)
    new = ", ".join(f"{address} : {HANDLE:x}:{now:x}" for address, _, now in step.entries if now)
    lines = [f"delete element {TABLE} {step.name} {{ {old} }}"] if old else []
    return lines + ([f"add element {TABLE} {step.name} {{ {new} }}"] if new else [])


def _drop_if_empty(system: System) -> None:
    if not any("map" in item or "chain" in item for item in _listing(system)):
        _run(system, [f"delete table {TABLE}"])


def _run(system: System, lines: list[str]) -> None:
    try:
        nft.run(system, lines, TABLE)
    except ReconcileError as error:
        raise ReconcileError(f"rates: {error}") from error
