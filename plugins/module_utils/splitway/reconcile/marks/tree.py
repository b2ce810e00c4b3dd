# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree of iptables chains that finds the rule of a mark in a few steps, whatever the number of rules.

iptables has no verdict maps. A flat list of 200 policies halves the forwarding rate (facts.md); with at
most 16 branches a node, any of 8,191 numbers is at most 64 comparisons away.
"""

from __future__ import annotations

from collections.abc import Mapping

_BRANCHES = 16
_BITS = 4  # log2 of it


def tree(name: str, leaves: Mapping[int, str], mask: int, rest: str) -> dict[str, list[str]]:
    """Return the chains of a tree, the root under `name`.

    `leaves`: for each mark inside `mask` the complete rule, which must itself compare the whole mark.
    `rest`: the rule that ends every node, for a mark that has no leaf.
    """
    chains: dict[str, list[str]] = {}
    _node(chains, name, name, sorted(leaves.items()), mask, rest)
    return chains


def _node(
    chains: dict[str, list[str]], root: str, name: str, leaves: list[tuple[int, str]], mask: int, rest: str
) -> None:
    lines = chains[name] = []
    if len(leaves) <= _BRANCHES:
        lines += [rule for _, rule in leaves]
    else:
        shift = _split(leaves[0][0], leaves[-1][0], mask)
        groups: dict[int, list[tuple[int, str]]] = {}
        for mark, rule in leaves:
            groups.setdefault(mark >> shift, []).append((mark, rule))
        part = mask >> shift << shift
        for prefix, group in groups.items():
            if len(group) == 1:
                lines.append(group[0][1])
                continue
            child = f"{root}-{prefix << shift:x}-{shift}"
            lines.append(f"-m mark --mark {prefix << shift:#x}/{part:#x} -g {child}")
            _node(chains, root, child, group, mask, rest)
    lines.append(rest)


def _split(first: int, last: int, mask: int) -> int:
    """Return the shift of the highest digit in which the marks differ; digits count from the mask's lowest bit."""
    lowest = (mask & -mask).bit_length() - 1
    differing = (first ^ last).bit_length() - 1 - lowest
    return lowest + differing // _BITS * _BITS


def leaf(mark: int, mask: int, target: str, before: str = "") -> str:
    """Return a rule that compares the whole masked mark, in iptables-save's spelling."""
    return f"{before}-m mark --mark {mark:#x}/{mask:#x} {target}"
