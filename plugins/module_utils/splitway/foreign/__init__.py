# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of others that stop a gateway's packets: found before anything is changed, and said with the remedy.

An accept of ours does not overrule a drop in another chain, and nothing of others is changed. So Docker's policy DROP
in FORWARD, or ufw's, would leave a gateway on which everything is right and nothing works.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ..state import State
from ..system import System, SystemFailure
from . import iptables, nft
from .advice import advice
from .model import DROP, UNKNOWN, Base, Packet
from .passages import passages
from .walk import ends, may_drop, sure_drop

__all__ = ["Finding", "findings", "judged", "rulesets"]

_VARIANTS = ("nft", "legacy")  # of iptables: a host may have rules in both
_SAVE = {4: "iptables", 6: "ip6tables"}


@dataclass(frozen=True)
class Finding:
    """What becomes of one kind of packet."""

    sure: bool  # else it may be dropped, by what is not known here
    where: str  # the table, the chain, and what of it decides
    purposes: tuple[str, ...]
    remedies: tuple[str, ...]  # commands

    def __str__(self) -> str:
        verb = "drops" if self.sure else "may drop"
        purposes = ", ".join(self.purposes)
        return f"{self.where}; this {verb} packets {purposes}. Let them pass: {' && '.join(self.remedies)}"


def findings(system: System, state: State) -> tuple[Finding, ...]:
    """Return what others' rules do to the packets that this state is for. Changes nothing. Raises SystemFailure."""
    return judged(tuple(rulesets(system)), tuple(passages(state, uplinks(system))))


def judged(bases: tuple[Base, ...], packets: tuple[Packet, ...]) -> tuple[Finding, ...]:
    """Return the findings, the sure ones first; what one rule does to several packets is one finding; pure."""
    found: dict[tuple[bool, str], tuple[dict[str, None], dict[str, None]]] = {}
    for base in bases:
        for packet in packets:
            reached = ends(base, packet)
            if not may_drop(reached):
                continue
            sure = sure_drop(reached)
            decisive = sorted(end.where for end in reached if end.verdict in (DROP, UNKNOWN))
            purposes, remedies = found.setdefault((not sure, "; ".join(decisive)), ({}, {}))
            purposes[f"{packet.purpose} (IPv{packet.family})"] = None
            remedies.update(dict.fromkeys(advice(base, packet)))
    return tuple(
        Finding(not unsure, where, tuple(purposes), tuple(remedies))
        for (unsure, where), (purposes, remedies) in sorted(found.items())
    )


def rulesets(system: System) -> Iterator[Base]:
    """Yield the chains of others that the kernel calls for what comes in, goes out or is forwarded."""
    told = False
    usual = _usual_variant(system)
    for family, program in _SAVE.items():
        for variant in _VARIANTS:
            name = f"{program}-{variant}"
            if system.has(f"{name}-save"):
                try:
                    text = system.read(f"{name}-save")
                except SystemFailure:  # this kernel does not have this variant, and so no rules in it
                    continue
                told = told or variant == "nft"
                yield from iptables.parse(text, family, program if variant == usual else name)
    if system.has("nft"):
        for place in _nft_tables(system):
            yield from nft.parse(system.read("nft", "-j", "list", "table", *place), told)


def _nft_tables(system: System) -> list[tuple[str, str]]:
    """Return family and name of the tables but ours, which may hold hundred thousands of networks."""
    try:
        listed = json.loads(system.read("nft", "-j", "list", "tables"))["nftables"]
    except SystemFailure:  # this kernel does not have nftables
        return []
    tables = [(item["table"]["family"], item["table"]["name"]) for item in listed if "table" in item]
    return [table for table in tables if table != nft.OURS]


def _usual_variant(system: System) -> str:
    """Return which variant the plain name `iptables` stands for."""
    return "legacy" if system.has("iptables") and "legacy" in system.read("iptables", "-V") else "nft"


def uplinks(system: System) -> dict[int, str]:
    """Return family → the interface of the default route; a family without one is left out."""
    found: dict[int, str] = {}
    for family in (4, 6):
        try:
            routes = json.loads(system.read("ip", f"-{family}", "-j", "route", "show", "default") or "[]")
        except SystemFailure:  # a kernel without this family
            continue
        for route in routes:
            hops = [route, *route.get("nexthops", [])]
            found.setdefault(family, next((hop["dev"] for hop in hops if "dev" in hop), ""))
    return {family: interface for family, interface in found.items() if interface}
