# SPDX-License-Identifier: GPL-3.0-or-later
"""Our nftables chains and entries as the kernel has them, comparable with those that are wanted."""

from __future__ import annotations

from ...system import System
from .. import nft_kernel
from .model import Line, Place, Ruleset
from .nftables import LOOKUPS


def read(system: System) -> Ruleset:
    """Return our chains and entries as they are; nothing where our table is not there. Raises ReconcileError.

    A rule is known by its comment alone; one without a comment is none of ours, and is named by its handle.
    """
    bases = nft_kernel.chains(system)
    if not bases:
        return Ruleset()
    chains = {name: [Line(base, base)] if base else [] for name, base in bases.items()}
    for rule in nft_kernel.rules(system):
        key = rule.comment or f"handle {rule.handle}"
        if rule.chain in chains:  # else it was made this moment
            chains[rule.chain].append(Line(key, f"(rule {key})"))
    maps = {version: nft_kernel.verdict_map(system, name) for version, name in LOOKUPS.items()}
    there = {version: found for version, found in maps.items() if found is not None}
    return Ruleset(
        {Place(0, "splitway", name): tuple(lines) for name, lines in chains.items()},
        {version: found.kind for version, found in there.items()},
        {version: found.entries for version, found in there.items()},
    )
