# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_dns_guard`: what is done about clients that would ask other resolvers than the gateway."""

from __future__ import annotations

import dataclasses
from typing import Any

from .errors import Report
from .model import DnsGuard
from .reading import Fields
from .scalars import boolean

KEYS = tuple(field.name for field in dataclasses.fields(DnsGuard))


def read_dns_guard(report: Report, value: Any) -> DnsGuard:
    """Return the switches of the DNS guard."""
    fields = Fields(report, "splitway_dns_guard", value, KEYS)
    return DnsGuard(**{key: fields.get_or(key, boolean, default=getattr(DnsGuard, key)) for key in KEYS})
