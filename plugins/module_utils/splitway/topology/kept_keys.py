# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_keys`: what playbooks/keys.yml writes. It comes before what entries of the topology say themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .client_keys import CLIENT_KEYS
from .errors import Report
from .plain import key_path
from .reading import Fields, as_mapping

KEYS = ("clients", "upstreams", "gateways")
GATEWAY_KEYS = ("public_key", "preshared_key", "previous")  # of a gateway, as its exit knows it

KeptKeys = Mapping[str, Fields]
"""Name → its keys."""


def read_kept_keys(report: Report, value: Any) -> dict[str, KeptKeys]:
    """Return kind → name → its keys; names that are nobody's here are of others that share the file."""
    fields = Fields(report, "splitway_keys", value, KEYS)
    return {
        kind: {
            str(name): Fields(report, key_path(path, name), entry, GATEWAY_KEYS if kind == "gateways" else CLIENT_KEYS)
            for path in (f"splitway_keys.{kind}",)
            for name, entry in as_mapping(report, path, fields.values.get(kind)).items()
        }
        for kind in KEYS
    }
