# SPDX-License-Identifier: GPL-3.0-or-later
"""The forward guard and masquerading in iptables: by which interface each mark may leave."""

from __future__ import annotations

from ...state import Marks, classified_bit, mark_of
from .iptables_io import PREFIX
from .model import direct_numbers, unmasqueraded
from .segments import IPTABLES_CLAMP, iptables_jumps
from .tree import leaf, tree

GUARD = f"{PREFIX}-GUARD"
LEAVE = (
    f"{PREFIX}-LEAVE"  # the root of a tree: 16 characters at most, for a node's name adds 12, and iptables allows 28
)
FORWARD, DIRECT_GUARD, TUNNELS = f"{PREFIX}-FORWARD", f"{PREFIX}-DIRECT", f"{PREFIX}-TUNNELS"
INPUT = f"{PREFIX}-INPUT"
NAT = f"{PREFIX}-NAT"
_STRAY = "-m conntrack --ctstate INVALID,NEW -j DROP"


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
    chains["INPUT"] = [f"1 -i {tunnels} -j {INPUT}"]
    chains["FORWARD"] = [f"1 -j {FORWARD}"]
    chains[GUARD] = [f"-o {tunnels} {IPTABLES_CLAMP}", f"-g {LEAVE}"]
    chains[DIRECT_GUARD] = [f"-o {tunnels} -j DROP", IPTABLES_CLAMP]
    bit = classified_bit(mask)
    chains[FORWARD] = [
        f"-i {marks.interface} -g {GUARD}",
        f"-i {tunnels} -g {TUNNELS}",
        # A reply to a client that finds no way to it (wg0 lost its addresses) would go out where it came in.
        f"! -o {marks.interface} -m mark --mark {bit:#x}/{bit:#x} -j DROP",
        *_others(marks, version),
        f"-o {marks.interface} {IPTABLES_CLAMP}",
    ]
    chains[TUNNELS] = [f"! -o {marks.interface} -j DROP", _STRAY, IPTABLES_CLAMP, *iptables_jumps(marks)]
    # An exit does not begin conversations with the gateway, and the gateway does not answer, on its uplink and with
    # its tunnel's address, to what belongs to no connection any more.
    chains[INPUT] = [_STRAY, *iptables_jumps(marks)]
    return chains


def _others(marks: Marks, version: int) -> list[str]:
    """Return what drops new connections of others than clients, but for those that a rule of theirs leads on (DNAT)."""
    protects, refuses = marks.guard.protect_clients, version in marks.guard.refuse_others
    if not protects and not refuses:
        return []
    where = "" if protects and refuses else f"{'! ' if refuses else ''}-o {marks.interface} "
    return [f"{where}-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"]


def nat(marks: Marks) -> dict[str, list[str]]:
    """Return the chains of masquerading."""
    mask, bit = marks.mask, classified_bit(marks.mask)
    kept = [leaf(mark, mask, "-j RETURN") for mark in unmasqueraded(marks)]
    return {
        "POSTROUTING": [f"1 -m mark --mark {bit:#x}/{bit:#x} -j {NAT}"],
        NAT: [f"-o {marks.interface} -j RETURN", *kept, "-j MASQUERADE"],
    }
