# SPDX-License-Identifier: GPL-3.0-or-later
"""Learned sets as named sets of our nftables table; dnsmasq fills them (`nftset=`)."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Union

from ...state import AddressSet
from ...system import System
from .. import nft
from ..base import ReconcileError
from .model import LEARNED_SIZE, OWNED, FullSet, KernelSet, Step

_TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}


def header(item: AddressSet) -> str:
    """Return the body of the nft set for a desired learned set."""
    return _header(_TYPES[item.family], item.timeout, LEARNED_SIZE)


def _header(kind: str, timeout: Any, size: Any) -> str:
    # The JSON listing names only the flag `timeout`, never `dynamic` (nft 1.0.6).
    return f"type {kind}; flags timeout,dynamic; timeout {timeout}s; size {size};"


def read(system: System, desired: tuple[AddressSet, ...] = ()) -> dict[str, KernelSet]:
    """Return our sets by name. Raises ReconcileError.

    Their members come only where the desired sets need them: for a seed, or for a set that is made anew.
    """
    found = parse(nft.read_sets(system, members=False))
    for item in desired:
        there = found.get(item.name)
        if there.header != header(item) if there else item.seed_from in found:
            return read_members(system)
    return found


def read_members(system: System) -> dict[str, KernelSet]:
    """Return our sets by name, with their members. Raises ReconcileError."""
    return parse(nft.read_sets(system, members=True))


def parse(listing: list[dict[str, Any]]) -> dict[str, KernelSet]:
    """Return our sets of a JSON listing."""
    found = {}
    for item in listing:
        if OWNED.fullmatch(item["name"]):
            kept = tuple(map(_member, item.get("elem", ())))
            text = _header(str(item["type"]), item.get("timeout"), item.get("size"))
            # A set without timeouts is none of ours; a timeout of 0 keeps its members learned ones.
            found[item["name"]] = KernelSet(item["name"], text, kept, int(item.get("timeout") or 0))
    return found


def _member(element: Union[str, dict[str, Any]]) -> str:
    if isinstance(element, str):
        return element
    if "expires" not in element["elem"]:
        return str(element["elem"]["val"])
    # A rest below a second is listed as 0, which nft would take for "never".
    return f"{element['elem']['val']} timeout {max(1, int(element['elem']['expires']))}"


def write(system: System, steps: list[Step]) -> None:
    """Carry out the steps in one transaction. Raises ReconcileError that names the set."""
    if not steps:
        return
    lines: list[str] = []
    rebuilt = [step.name for step in steps if step.rebuild]
    rules = nft.users(system, rebuilt) if rebuilt else {}
    fresh = read_members(system) if rebuilt else {}
    for step in steps:
        lines += _lines(step, fresh)
    # A set cannot be changed, nor deleted while a rule names it. The chains that do are emptied, and get the same
    # rules back, as nft itself lists them, in the same transaction: no packet meets an empty chain.
    flushes = [f"flush chain {nft.TABLE} {chain}" for chain in rules]
    nft.run(system, [*flushes, *lines, *(f"table {nft.TABLE} {{\n{block}}}" for block in rules.values())])
    if any(step.desired is None for step in steps):
        nft.drop_empty_table(system)


def renew(system: System, added: Mapping[str, Mapping[str, int]], removed: Mapping[str, Iterable[str]]) -> None:
    """Give learned addresses this many seconds, and take others out, in one transaction.

    Raises ReconcileError; FullSet with nothing done.

    Adding again refreshes nothing, and deleting what is not there fails: all are added, deleted, and added anew,
    which no packet sees half of.
    """
    lines = []
    for name, addresses in [*added.items(), *removed.items()]:
        plain = ", ".join(addresses)
        if plain:
            lines += [f"{action} element {nft.TABLE} {name} {{ {plain} }}" for action in ("add", "delete")]
    for name, times in added.items():
        timed = ", ".join(f"{address} timeout {left}s expires {left}s" for address, left in times.items())
        if timed:
            lines.append(f"add element {nft.TABLE} {name} {{ {timed} }}")
    try:
        nft.run(system, lines)
    except ReconcileError as error:
        full = re.match(rf"nft add element {nft.TABLE} (\S+) .*{os.strerror(errno.ENFILE)}", str(error))
        if full is None:
            raise
        raise FullSet(full[1]) from error


def _lines(step: Step, fresh: dict[str, KernelSet]) -> list[str]:
    if step.desired is None:
        return [f"delete set {nft.TABLE} {step.name}"] if step.name else []
    lines = [f"add set {nft.TABLE} {step.name} {{ {step.header} }}"]
    members = step.add
    if step.rebuild:
        lines.insert(0, f"delete set {nft.TABLE} {step.name}")
        members = fresh[step.name].members if step.name in fresh else members  # what was learned since the plan, too
    if members:
        elements = ", ".join(_element(member, step.desired.timeout or 0) for member in members)
        lines.append(f"add element {nft.TABLE} {step.name} {{ {elements} }}")
    return lines


def _element(member: str, timeout: int) -> str:
    address, _, seconds = member.partition(" timeout ")
    if not seconds:
        return address
    # The kernel refuses a rest that is longer than the element's timeout ("Numerical result out of range").
    own = f" timeout {seconds}s" if int(seconds) > timeout else ""
    return f"{address}{own} expires {seconds}s"
