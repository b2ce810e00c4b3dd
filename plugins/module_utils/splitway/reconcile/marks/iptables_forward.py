# SPDX-License-Identifier: GPL-3.0-or-later
"""The forward guard and masquerading in iptables: by which interface each mark may leave."""

from __future__ import annotations

from ...state import Marks, classified_bit, mark_of
from . import iptables_host
from .iptables_io import PREFIX
from .lan import iptables_entrance
from .model import direct_numbers, unmasqueraded
from .segments import IPTABLES_CLAMP, iptables_jumps
from .sources import iptables_from, iptables_to, lan_of
from .tree import leaf, tree

GUARD = f"{PREFIX}-GUARD"
LEAVE = (
    f"{PREFIX}-LEAVE"  # the root of a tree: 16 characters at most, for a node's name adds 12, and iptables allows 28
)
FORWARD, DIRECT_GUARD, TUNNELS = f"{PREFIX}-FORWARD", f"{PREFIX}-DIRECT", f"{PREFIX}-TUNNELS"
TO_CLIENTS, REPLIES = f"{PREFIX}-TO-CLIENTS", f"{PREFIX}-REPLIES"
INPUT = f"{PREFIX}-INPUT"
NAT, LAN_NAT = f"{PREFIX}-NAT", f"{PREFIX}-NAT-LAN"
_STRAY = "-m conntrack --ctstate INVALID,NEW -j DROP"
# New connections of others than clients, but for those that a rule of theirs leads on.
_UNASKED = "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"


def mangle(marks: Marks, version: int) -> dict[str, list[str]]:
    """Return the chains of the forward and the input hook: egress → its interface; every other pair is dropped."""
    mask, tunnels = marks.mask, f"{marks.tunnels}+"
    leaves = {
        mark: leaf(mark, mask, "-j RETURN", f"-o {egress.interface} ")
        for mark, egress in ((mark_of(egress.number, mask), egress) for egress in marks.egresses)
        if egress.interface is not None
    }
    for mark in (mark_of(number, mask) for number in direct_numbers(marks)):
        leaves[mark] = leaf(mark, mask, f"-g {DIRECT_GUARD}")
    chains = tree(LEAVE, leaves, mask, "-j DROP")
    entrance = iptables_entrance(marks, version)
    jumps = [f"-i {tunnels} -j {INPUT}", *entrance.pop("INPUT", [])]
    chains["INPUT"] = [f"{position} {jump}" for position, jump in enumerate(jumps, 1)]
    chains.update(entrance)
    chains["FORWARD"] = [f"1 -j {FORWARD}"]
    chains[GUARD] = [f"-o {tunnels} {IPTABLES_CLAMP}", f"-g {LEAVE}"]
    chains[DIRECT_GUARD] = [f"-o {tunnels} -j DROP", IPTABLES_CLAMP]
    bit = classified_bit(mask)
    chains[FORWARD] = [
        *(f"{match} -g {GUARD}" for match in iptables_from(marks, version)),
        f"-i {tunnels} -g {TUNNELS}",
        *(f"{match} -g {TO_CLIENTS}" for match in iptables_to(marks, version)),
        # A reply to a client that finds no way to it (wg0 lost its addresses) would go out where it came in.
        f"-m connmark --mark {bit:#x}/{bit:#x} -j DROP",
        *([_UNASKED] if version in marks.guard.refuse_others else []),
    ]
    chains[TO_CLIENTS] = [*([_UNASKED] if marks.guard.protect_clients else []), IPTABLES_CLAMP]
    chains[TUNNELS] = [*(f"{match} -g {REPLIES}" for match in iptables_to(marks, version)), "-j DROP"]
    chains[REPLIES] = [_STRAY, IPTABLES_CLAMP, *iptables_jumps(marks)]
    # An exit does not begin conversations with the gateway, and the gateway does not answer, on its uplink and with
    # its tunnel's address, to what belongs to no connection any more.
    chains[INPUT] = [_STRAY, *iptables_jumps(marks)]
    return chains


def nat(marks: Marks, version: int) -> dict[str, list[str]]:
    """Return the chains of masquerading."""
    mask, bit, lan = marks.mask, classified_bit(marks.mask), lan_of(marks, version)
    kept = [leaf(mark, mask, "-j RETURN") for mark in unmasqueraded(marks)]
    rest = [*kept, "-j MASQUERADE"]
    chains = {
        "POSTROUTING": [f"1 -m connmark --mark {bit:#x}/{bit:#x} -j {NAT}"],
        NAT: [
            *iptables_host.masquerading(marks, version),
            f"-o {marks.interface} -j RETURN",
            *(f"-d {entry.network} -g {LAN_NAT}" for entry in lan),
            *rest,
        ],
    }
    if lan:
        # The gateway is their router: from LAN to LAN nothing changes.
        chains[LAN_NAT] = [*(f"-s {entry.network} -j RETURN" for entry in lan), *rest]
    return chains
