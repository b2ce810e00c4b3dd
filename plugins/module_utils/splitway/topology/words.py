# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be named in a topology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional

from ..schedules import Schedule
from .model import BLOCK, DIRECT
from .scalars import reference


@dataclass(frozen=True)
class Words:
    """The parsers of everything that can be named."""

    egress: Callable[[Any], str]
    upstream: Callable[[Any], str]
    proxy: Callable[[Any], str]  # an upstream or a group
    list: Callable[[Any], str]
    policy: Callable[[Any], str]
    schedules: Mapping[str, Schedule]
    zone: str  # of schedules that name none


def words(
    upstreams: Any, groups: Any, lists: Any, policies: Any, *, schedules: Mapping[str, Schedule], zone: str
) -> Words:
    """Return the words that a topology declares, be the declarations themselves right or wrong."""
    tunnels, bundles = _declared(upstreams), _declared(groups)
    proxies = None if tunnels is None or bundles is None else tunnels | bundles
    return Words(
        egress=reference(
            "an egress (direct, block, an upstream or a group)",
            proxies if proxies is None else proxies | {DIRECT, BLOCK},
        ),
        upstream=reference("an upstream", tunnels),
        proxy=reference("an upstream or a group", proxies),
        list=reference("a list", _declared(lists)),
        policy=reference("a policy", _declared(policies)),
        schedules=schedules,
        zone=zone,
    )


def _declared(entries: Any) -> Optional[frozenset[str]]:
    """Return the names in a list of mappings or in a mapping; None if it is neither."""
    if entries is None:
        return frozenset()
    if isinstance(entries, list):  # of upstreams or groups
        entries = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    elif not isinstance(entries, dict):
        return None
    return frozenset(name for name in entries if isinstance(name, str))
