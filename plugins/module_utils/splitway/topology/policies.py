# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_policies`: ordered rules and a default egress."""

from __future__ import annotations

from typing import Any

from .errors import Report
from .model import DIRECT, Policy
from .rates import read_rate
from .reading import Fields, named
from .rules import read_rules
from .scalars import list_name
from .words import Words

POLICY_KEYS = ("rules", "default", "rate")


def read_policies(report: Report, entries: Any, known: Words) -> tuple[tuple[str, Policy], ...]:
    """Return the policies by name."""
    policies = []
    for path, key, value in named(report, "splitway_policies", entries, list_name):
        fields = Fields(report, path, value, POLICY_KEYS)
        default = fields.get_or("default", known.egress, DIRECT)
        policies.append((key, Policy(read_rules(fields, known), default, read_rate(fields))))
    return tuple(policies)
