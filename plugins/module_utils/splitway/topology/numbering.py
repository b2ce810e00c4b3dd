# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a topology needs a number of its own beside `direct` and `block`: a mark, a table, or both."""

from __future__ import annotations

from .model import DIRECT, Topology


def member_name(group: str, upstream: str) -> str:
    """Return the name of the egress that flows of a group have on one of its members."""
    return f"{group}/{upstream}"


def bound_name(upstream: str) -> str:
    """Return the name of the table for programs that are bound to an upstream whose own table may let packets on."""
    return f"{upstream}/"


def number_owners(topology: Topology) -> tuple[str, ...]:
    """Return the names of all owners of a number, upstreams first: their numbers name interfaces."""
    upstreams = (upstream.name for upstream in topology.upstreams)
    groups = (group.name for group in topology.groups)
    members = (member_name(group.name, member.upstream) for group in topology.groups for member in group.members)
    bound = (bound_name(upstream.name) for upstream in topology.upstreams if upstream.on_down == DIRECT)
    return (*upstreams, *groups, *members, *bound)


def counted(topology: Topology) -> str:
    """Return how many there are, in words."""
    upstreams = f"{len(topology.upstreams)} upstreams"
    rest = len(number_owners(topology)) - len(topology.upstreams)
    return f"{upstreams} and {rest} numbers of groups, members and fallbacks" if rest else upstreams
