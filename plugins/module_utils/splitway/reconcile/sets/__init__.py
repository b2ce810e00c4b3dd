# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `sets`: learned addresses (with a timeout) and static networks.

Learned members belong to the kernel: no run loses one. Static members are compared one by one.
With the backend `nftables` only learned sets are here; static networks stay in the chains (marks.py),
since every named interval set on the host slows each answer of dnsmasq down (facts.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...state import AddressSet
from ...system import System
from .. import nft_kernel
from ..base import ADD, CHANGE, REMOVE, Change
from . import ipset, nftables
from .model import IPSET, NFTABLES, Current, FullSet, KernelSet, Step


def read(system: System, desired: tuple[AddressSet, ...], backend: str) -> Current:
    """Return our sets in the kernel, of both backends. Raises ReconcileError when a tool fails."""
    # With the backend ipset, what nftables has learned is taken over.
    wanted = learned(desired) if backend == NFTABLES else None
    table = nftables.read_members(system) if wanted is None else nftables.read(system, wanted)
    empty_table = not table and nft_kernel.is_empty(system)
    return Current(backend, {IPSET: ipset.read(system), NFTABLES: table}, empty_table)


def learned(desired: tuple[AddressSet, ...]) -> tuple[AddressSet, ...]:
    """Return the sets of learned addresses."""
    return tuple(item for item in desired if item.timeout is not None)


def read_learned(system: System, backend: str) -> dict[str, KernelSet]:
    """Return the kernel's learned sets, with their members. Raises ReconcileError when a tool fails."""
    found = ipset.read(system) if backend == IPSET else nftables.read_members(system)
    return {name: kernel for name, kernel in found.items() if kernel.timeout is not None}


def members(system: System, backend: str) -> dict[str, set[str]]:
    """Return the addresses of each learned set as they are now."""
    return {name: set(kernel.remaining()) for name, kernel in read_learned(system, backend).items()}


def renew(
    system: System, backend: str, added: Mapping[str, Mapping[str, int]], removed: Mapping[str, Iterable[str]]
) -> dict[str, int]:
    """Give learned addresses (set → address → seconds) this much time from now, then take others out of their sets.

    What is there already is refreshed, what is not there any more is no error. Returns set → how many addresses a full
    set had no room for; it is in nobody else's way. Raises ReconcileError that names the set, when it does not exist.
    """
    left = dict(added)
    refused: dict[str, int] = {}
    while True:
        try:
            (ipset if backend == IPSET else nftables).renew(system, left, removed)
        except FullSet as full:
            kernel = read_learned(system, backend)[full.name]
            # An ipset may be full of what has expired and is not swept up yet.
            fits = _fitting(left[full.name], kernel, 0 if full.name in refused else kernel.room())
            if full.name in refused and len(fits) == len(left[full.name]):
                raise
            refused[full.name] = refused.get(full.name, 0) + len(left[full.name]) - len(fits)
            left[full.name] = fits
        else:
            return {name: count for name, count in refused.items() if count}


def _fitting(addresses: Mapping[str, int], kernel: KernelSet, room: int) -> dict[str, int]:
    """Return the addresses that are in a set already, and as many new ones as it has room for."""
    there = kernel.remaining()
    surplus = frozenset([address for address in addresses if address not in there][room:])
    return {address: seconds for address, seconds in addresses.items() if address not in surplus}


def plan(desired: tuple[AddressSet, ...], current: Current) -> tuple[Change, ...]:
    """Return the changes that make the kernel's sets the desired ones."""
    wanted = {item.name: item for item in (desired if current.backend == IPSET else learned(desired))}
    kernel = current.kernel[current.backend]
    changes = [change for item in wanted.values() for change in _plan_set(item, kernel, current)]
    changes += [
        Change(REMOVE, f"set {name} ({backend})", kernel_set.header, "", Step(backend, name))
        for backend, found in current.kernel.items()
        for name, kernel_set in found.items()
        if backend != current.backend or name not in wanted
    ]
    if current.empty_table and not (wanted and current.backend == NFTABLES):
        changes.append(Change(REMOVE, "table inet splitway", "(empty)", "", Step(NFTABLES, "")))
    return tuple(changes)


def _plan_set(item: AddressSet, kernel: Mapping[str, KernelSet], current: Current) -> list[Change]:
    backend = current.backend
    header = ipset.header(item) if backend == IPSET else nftables.header(item)
    static = () if item.timeout is not None else ipset.entries(item)
    found = kernel.get(item.name)
    what = f"set {item.name} ({backend}{', ' + item.comment if item.comment else ''})"
    if found is None:
        start = static if item.timeout is None else _seed(item, current)
        step = Step(backend, item.name, item, header, add=start)
        return [Change(ADD, what, "", "\n".join((header, *start)), step)]
    if found.header != header:
        keep = static if item.timeout is None else found.members
        step = Step(backend, item.name, item, header, rebuild=True, add=keep)
        return [Change(CHANGE, what, found.header, header, step)]
    missing, surplus = _difference(static, found.members) if item.timeout is None else ((), ())
    if not missing and not surplus:
        return []
    step = Step(backend, item.name, item, header, add=missing, remove=surplus)
    return [Change(CHANGE, what, "\n".join(surplus), "\n".join(missing), step)]


def _seed(item: AddressSet, current: Current) -> tuple[str, ...]:
    """Return what a new learned set starts with: itself in the other backend, else the set that it continues."""
    for name in (item.name, item.seed_from or ""):
        for found in current.kernel.values():
            if name in found and found[name].timeout is not None:
                return found[name].members
    return ()


def _difference(wanted: tuple[str, ...], found: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    here, there = frozenset(wanted), frozenset(found)
    if here == there:
        return (), ()
    return tuple(sorted(here - there)), tuple(sorted(there - here))


def makes_learned(changes: tuple[Change, ...]) -> bool:
    """Return whether a change makes a learned set that dnsmasq will have to fill."""
    return any(change.action == ADD and change.payload.desired.timeout is not None for change in changes)


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Carry out the changes. Raises ReconcileError that names the set."""
    steps = [change.payload for change in changes]
    ipset.write(system, [step for step in steps if step.backend == IPSET])
    nftables.write(system, [step for step in steps if step.backend == NFTABLES])
