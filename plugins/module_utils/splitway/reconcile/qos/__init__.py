# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `qos`: how fast clients with a rate may receive and send.

Down, the clients' interface queues: an HTB class a client. Up, what these clients send passes through an ifb device
with the same classes before anything else of the host sees it. Which class a packet has is one look into a map of our
nftables table, which counts for nothing how many clients there are; a packet of a client without a rate is in no map,
and in no class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Optional

from ...state import Qos
from ...system import System
from ..base import ADD, CHANGE, REMOVE, Change, ReconcileError, additions, removals
from . import live, table, write
from .model import (
    DEVICE,
    HANDLE,
    ChainStep,
    Class,
    ClassStep,
    DeviceStep,
    EntriesStep,
    MapStep,
    Root,
    RootStep,
    Table,
    Wanted,
    as_written,
    queue,
    wanted_of,
)

_UNITS = (("gbit", 10**9), ("mbit", 10**6), ("kbit", 10**3))


@dataclass(frozen=True)
class Current:
    """What the kernel has of ours, and what is in our way."""

    roots: Mapping[str, Root] = field(default_factory=dict)  # by interface: ours, and those where ours are to be
    classes: Mapping[str, Mapping[int, Class]] = field(default_factory=dict)  # interface → number; under roots of ours
    device: Optional[str] = None  # the kind of the interface that has our device's name; "": it is ours, and down
    indices: tuple[Optional[int], ...] = ()  # the kernel's numbers of the clients' interface and of our device
    table: Table = field(default_factory=Table)


def read(system: System, desired: Optional[Qos]) -> Current:
    """Return our queues, classes and table as they are. Raises ReconcileError."""
    interface = desired.interface if desired is not None else ""
    roots, classes = live.read(system, (interface, DEVICE))
    return Current(
        roots=roots,
        classes=classes,
        device=live.device(system),
        indices=table.indices(system, interface),
        table=table.read(system),
    )


def plan(desired: Optional[Qos], current: Current) -> tuple[Change, ...]:
    """Return the changes that give the clients their rates; None: nothing of ours stays.

    While an adopted interface is away there is nothing to do: its queue comes with it.

    Raises ReconcileError when somebody else's queue or interface is where ours has to be.
    """
    if desired is not None and desired.adopted and current.indices[:1] == (None,):
        return ()
    wanted = wanted_of(desired)
    _check(wanted, current)
    changes = (
        *_device(wanted, current),
        *_roots(wanted, current),
        *_classes(wanted, current),
        *_maps(wanted, current.table),
        *_entries(wanted, current.table),
        *_chains(wanted, current, desired.interface if desired is not None else ""),
    )
    return additions(changes) + removals(changes[::-1])


def _check(wanted: Wanted, current: Current) -> None:
    if DEVICE in wanted.classes and current.device not in (None, "", live.KIND):
        raise ReconcileError(f"the interface {DEVICE} is somebody else's ({current.device}): rename or remove it")
    for interface in wanted.classes:
        root = current.roots.get(interface)
        if root is not None and root.handle and not root.ours:
            raise ReconcileError(
                f"{interface} has somebody else's queue ({root.kind} {root.handle:x}:), where rates need their own: "
                f"remove it (tc qdisc del dev {interface} root), or the rates"
            )


def _device(wanted: Wanted, current: Current) -> Iterator[Change]:
    there = current.device == live.KIND
    if DEVICE in wanted.classes and not there:
        yield Change(ADD, f"interface {DEVICE}", after=f"interface {DEVICE}", payload=DeviceStep(True))
    elif DEVICE not in wanted.classes and current.device in (live.KIND, ""):
        yield Change(REMOVE, f"interface {DEVICE}", before=f"interface {DEVICE}", payload=DeviceStep(False))


def _roots(wanted: Wanted, current: Current) -> Iterator[Change]:
    for interface in wanted.classes:
        if not _has_root(current, interface):
            text = f"queue of {interface}"
            yield Change(ADD, text, after=f"{text}: htb {HANDLE:x}:", payload=RootStep(interface, True))
    for interface, root in current.roots.items():
        if root.ours and interface not in wanted.classes and interface != DEVICE:  # it goes with its device
            text = f"queue of {interface}"
            yield Change(REMOVE, text, before=f"{text}: htb {HANDLE:x}:", payload=RootStep(interface, False))


def _has_root(current: Current, interface: str) -> bool:
    root = current.roots.get(interface)
    return root is not None and root.ours


def _classes(wanted: Wanted, current: Current) -> Iterator[Change]:
    for interface, classes in wanted.classes.items():
        direction = "up" if interface == DEVICE else "down"
        found = current.classes.get(interface, {}) if _has_root(current, interface) else {}
        for number, (client, rate) in classes.items():
            there = found.get(number)
            if there is None or there.rate != rate or not _fits(there, rate):
                what = f"{direction} rate of client {client}"
                before = "" if there is None else f"{what}: {_spelled(there.rate)}"
                leaf = there.leaf.kind if there is not None and there.leaf is not None else ""
                step = ClassStep(interface, number, rate, there is None, leaf)
                yield Change(CHANGE if there else ADD, what, before, f"{what}: {_spelled(rate)}", step)
        for number, there in found.items():
            if number not in classes:
                what = f"{direction} class {HANDLE:x}:{number:x}"
                yield Change(REMOVE, what, f"{what}: {_spelled(there.rate)}", "", ClassStep(interface, number, 0))


def _fits(there: Class, rate: int) -> bool:
    """Return whether a class's queue is one of the two that we give: fq_codel where the kernel has it."""
    return there.leaf is not None and (there.leaf.kind == "fq_codel" or there.leaf == ("bfifo", queue(rate)))


def _spelled(rate: int) -> str:
    """Return a class's rate as an operator writes it."""
    bits = as_written(rate)
    unit, size = next((entry for entry in _UNITS if bits >= entry[1]), _UNITS[-1])
    return f"{bits / size:.6g}{unit}"


def _maps(wanted: Wanted, found: Table) -> Iterator[Change]:
    for name in wanted.maps:
        if name not in found.maps:
            yield Change(ADD, f"map {name}", after=f"map {name}", payload=MapStep(name, True))
    for name in found.maps:
        if name not in wanted.maps:
            yield Change(REMOVE, f"map {name}", before=f"map {name}", payload=MapStep(name, False))


def _entries(wanted: Wanted, found: Table) -> Iterator[Change]:
    for name, want in wanted.maps.items():  # entries of a map that goes, go with it
        have = found.maps.get(name, {})
        added = [(address, 0, number) for address, number in want.items() if address not in have]
        moved = [(address, have[address], now) for address, now in want.items() if have.get(address, now) != now]
        gone = [(address, number, 0) for address, number in have.items() if address not in want]
        for action, entries in ((ADD, added), (CHANGE, moved), (REMOVE, gone)):
            if entries:
                yield _change_of_entries(action, name, tuple(entries))


def _change_of_entries(action: str, name: str, entries: tuple[tuple[str, int, int], ...]) -> Change:
    more = f" and {len(entries) - 3} more" if entries[3:] else ""
    what = f"classes of {', '.join(address for address, _, _ in entries[:3])}{more} ({name})"
    before = "\n".join(f"{address} {was:x}" for address, was, _ in entries if was)
    after = "\n".join(f"{address} {now:x}" for address, _, now in entries if now)
    return Change(action, what, before, after, EntriesStep(name, entries))


def _chains(wanted: Wanted, current: Current, interface: str) -> Iterator[Change]:
    found = current.table.chains
    for name, chain in wanted.chains.items():
        if found.get(name) != table.keys(chain, current.indices):
            text = "\n".join((chain.base, *chain.lines))
            step = ChainStep(name, name in found, chain, interface)
            yield Change(CHANGE if name in found else ADD, f"chain netdev {name}", "", text, step)
    for name in found:
        if name not in wanted.chains:
            what = f"chain netdev {name}"
            yield Change(REMOVE, what, what, "", ChainStep(name, True, None))


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Carry out the changes. Raises ReconcileError that names what the kernel refused."""
    write.make(system, [change.payload for change in additions(changes)])
    write.remove(system, [change.payload for change in removals(changes)])
