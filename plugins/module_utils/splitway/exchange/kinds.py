# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of entries that are exchanged, and the columns of their tables: all keys that the topology knows."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..topology import clients, groups, lan_clients, lists, policies, schedules, upstreams
from ..topology.rules import RULE_KEYS

FORMATS = ("csv", "json")  # of files
SERVER = "splitway_server"
SECRETS = ("private_key", "preshared_key", "previous", "websocket")
"""Keys that are exchanged only when they are asked for; a WebSocket's mapping has its path in it."""


@dataclass(frozen=True, eq=False)
class Kind:
    """One of the operator's variables that holds entries with names."""

    name: str  # of its file, and of its variable after `splitway_`
    what: str  # one of its entries, in messages
    keys: tuple[str, ...]  # of an entry
    by_name: bool = False  # the variable is a mapping from name to entry, not a list
    items: dict[str, str] = field(default_factory=dict)  # keys whose values have a row each → their column
    rules: bool = False  # whether each of its rules has a row, whose columns are the rule's keys

    @property
    def variable(self) -> str:
        return f"splitway_{self.name}"

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns of what an entry says once, its name first."""
        rows = (*self.items, "rules") if self.rules else tuple(self.items)
        return ("name", *(key for key in self.keys if key != "name" and key not in rows))

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of its table."""
        rules = RULE_KEYS if self.rules else ()
        return (*self.own_columns, *self.items.values(), *rules)


CLIENTS = Kind("clients", "a client", clients.KEYS)
UPSTREAMS = Kind("upstreams", "an upstream", upstreams.KEYS)
GROUPS = Kind("upstream_groups", "an upstream group", groups.KEYS)
LISTS = Kind("lists", "a list", lists.LIST_KEYS, by_name=True, items={"domains": "domain", "networks": "network"})
POLICIES = Kind("policies", "a policy", policies.POLICY_KEYS, by_name=True, rules=True)
SCHEDULES = Kind("schedules", "a schedule", schedules.KEYS, by_name=True)
LAN_CLIENTS = Kind("lan_clients", "LAN clients", lan_clients.KEYS)
KINDS = (UPSTREAMS, GROUPS, LISTS, SCHEDULES, POLICIES, CLIENTS, LAN_CLIENTS)
