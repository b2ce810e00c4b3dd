# SPDX-License-Identifier: GPL-3.0-or-later
"""The forward guard and masquerading in nftables: by which interface each mark may leave."""

from __future__ import annotations

from ...state import Marks, classified_bit, mark_of
from . import nftables_clients
from .model import direct_numbers, unmasqueraded
from .nftables_clients import BASE
from .segments import NFTABLES_CLAMP, nftables_chains, nftables_jumps

_STRAY = "ct state invalid,new drop"


def chains(marks: Marks) -> dict[str, list[str]]:
    """Return the chains of the forward, the input and the NAT hooks."""
    return {**_guard(marks), **nftables_chains(marks), **_nat(marks), **nftables_clients.chains(marks)}


def _guard(marks: Marks) -> dict[str, list[str]]:
    """Return the chains of the forward hook: egress → its interface; every other pair is dropped."""
    tunnels, bit = f'"{marks.tunnels}*"', classified_bit(marks.mask)
    rules = {
        egress.number: [f'oifname != "{egress.interface}" drop', NFTABLES_CLAMP]
        for egress in marks.egresses
        if egress.interface
    }
    rules.update((number, [f"oifname {tunnels} drop", NFTABLES_CLAMP]) for number in direct_numbers(marks))
    chains = {f"leave_{number}": lines for number, lines in rules.items()}
    pairs = ", ".join(f"{mark_of(number, marks.mask):#x} : goto leave_{number}" for number in sorted(rules))
    chains["forward"] = [
        BASE.format("filter", "forward", -150),
        f'iifname "{marks.interface}" goto from_clients',
        f"iifname {tunnels} goto from_tunnels",
        # A reply to a client that finds no way to it (wg0 lost its addresses) would go out where it came in.
        f'oifname != "{marks.interface}" meta mark & {bit:#x} == {bit:#x} drop',
        *_others(marks),
        f'oifname "{marks.interface}" {NFTABLES_CLAMP}',
    ]
    chains["from_clients"] = [*nftables_clients.first(marks), f"meta mark & {marks.mask:#x} vmap {{ {pairs} }}", "drop"]
    chains["from_tunnels"] = [f'oifname != "{marks.interface}" drop', _STRAY, NFTABLES_CLAMP, *nftables_jumps(marks)]
    # An exit does not begin conversations with the gateway, and the gateway does not answer, on its uplink and with
    # its tunnel's address, to what belongs to no connection any more.
    chains["input"] = [
        BASE.format("filter", "input", -150),
        f"iifname {tunnels} {_STRAY}",
        *nftables_clients.entrance(marks),
        *nftables_jumps(marks),
    ]
    return chains


def _others(marks: Marks) -> list[str]:
    """Return what drops new connections of others than clients, but for those that a rule of theirs leads on (DNAT)."""
    unasked = "ct state invalid,new,untracked ct status & dnat == 0 drop"
    lines = [f'oifname "{marks.interface}" {unasked}'] if marks.guard.protect_clients else []
    elsewhere = f'oifname != "{marks.interface}" meta nfproto'
    return [*lines, *(f"{elsewhere} ipv{version} {unasked}" for version in marks.guard.refuse_others)]


def _nat(marks: Marks) -> dict[str, list[str]]:
    bit = classified_bit(marks.mask)
    kept = [f"meta mark & {marks.mask:#x} == {mark:#x} return" for mark in unmasqueraded(marks)]
    return {
        # Before Docker's and others' NAT, which is at 100.
        "postrouting": [BASE.format("nat", "postrouting", 90), f"meta mark & {bit:#x} == {bit:#x} goto masquerading"],
        "masquerading": [f'oifname "{marks.interface}" return', *kept, "masquerade"],
    }
