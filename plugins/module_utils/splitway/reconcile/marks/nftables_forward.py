# SPDX-License-Identifier: GPL-3.0-or-later
"""The forward guard and masquerading in nftables: by which interface each mark may leave."""

from __future__ import annotations

from ...state import Marks, classified_bit, mark_of
from . import nftables_clients, nftables_host
from .lan import nftables_entrance
from .model import direct_numbers, unmasqueraded
from .nftables_clients import BASE
from .segments import NFTABLES_CLAMP, nftables_chains, nftables_jumps
from .sources import ip, nftables_from, nftables_to

_STRAY = "ct state invalid,new drop"
# New connections of others than clients, but for those that a rule of theirs leads on.
_UNASKED = "ct state invalid,new,untracked ct status & dnat == 0 drop"


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
    pairs = leave_pairs(marks)
    chains["forward"] = [
        BASE.format("filter", "forward", -150),
        *(f"{match} goto from_clients" for match in nftables_from(marks)),
        f"iifname {tunnels} goto from_tunnels",
        *(f"{match} goto to_clients" for match in nftables_to(marks)),
        # A reply to a client that finds no way to it (wg0 lost its addresses) would go out where it came in.
        f"ct mark & {bit:#x} == {bit:#x} drop",
        *(f"meta nfproto ipv{version} {_UNASKED}" for version in marks.guard.refuse_others),
    ]
    chains["to_clients"] = [*([_UNASKED] if marks.guard.protect_clients else []), NFTABLES_CLAMP]
    chains["from_clients"] = [*nftables_clients.first(marks), f"meta mark & {marks.mask:#x} vmap {{ {pairs} }}", "drop"]
    chains["from_tunnels"] = [*(f"{match} goto replies" for match in nftables_to(marks)), "drop"]
    chains["replies"] = [_STRAY, NFTABLES_CLAMP, *nftables_jumps(marks)]
    # An exit does not begin conversations with the gateway, and the gateway does not answer, on its uplink and with
    # its tunnel's address, to what belongs to no connection any more.
    chains["input"] = [
        BASE.format("filter", "input", -150),
        f"iifname {tunnels} {_STRAY}",
        *nftables_entrance(marks),
        *nftables_clients.entrance(marks),
        *nftables_jumps(marks),
    ]
    return chains


def leave_pairs(marks: Marks) -> str:
    """Return the entries of a map: mark of an egress that leads somewhere → chain that checks its interface."""
    numbers = sorted({*(egress.number for egress in marks.egresses if egress.interface), *direct_numbers(marks)})
    return ", ".join(f"{mark_of(number, marks.mask):#x} : goto leave_{number}" for number in numbers)


def _nat(marks: Marks) -> dict[str, list[str]]:
    bit = classified_bit(marks.mask)
    kept = [f"meta mark & {marks.mask:#x} == {mark:#x} return" for mark in unmasqueraded(marks)]
    rest = [*kept, "masquerade"]
    to_lan = (f"{ip(entry.network)} daddr {entry.network} goto masquerading_lan" for entry in marks.lan)
    chains = {
        # Before Docker's and others' NAT, which is at 100.
        "postrouting": [BASE.format("nat", "postrouting", 90), f"ct mark & {bit:#x} == {bit:#x} goto masquerading"],
        "masquerading": [
            *nftables_host.masquerading(marks),
            f'oifname "{marks.interface}" return',
            *to_lan,
            *rest,
        ],
    }
    if marks.lan:
        # The gateway is their router: from LAN to LAN nothing changes.
        from_lan = (f"{ip(entry.network)} saddr {entry.network} return" for entry in marks.lan)
        chains["masquerading_lan"] = [*from_lan, *rest]
    return chains
