# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be named in a topology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from ..schedules import Schedule
from .model import BLOCK, DIRECT
from .reading import declared
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
    upstreams: Any,
    groups: Any,
    policies: Any,
    *,
    lists: Callable[[Any], str],
    schedules: Mapping[str, Schedule],
    zone: str,
) -> Words:
    """Return the words that a topology declares, be the declarations themselves right or wrong."""
    tunnels, bundles = declared(upstreams), declared(groups)
    proxies = None if tunnels is None or bundles is None else tunnels | bundles
    return Words(
        egress=reference(
            "an egress (direct, block, an upstream or a group)",
            proxies if proxies is None else proxies | {DIRECT, BLOCK},
        ),
        upstream=reference("an upstream", tunnels),
        proxy=reference("an upstream or a group", proxies),
        list=lists,
        policy=reference("a policy", declared(policies)),
        schedules=schedules,
        zone=zone,
    )
