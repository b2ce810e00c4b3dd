# SPDX-License-Identifier: GPL-3.0-or-later
"""A section joined with what was there beside it, for a module that does not purge."""

from __future__ import annotations

import dataclasses
from typing import Any

from .state import (
    AddressSet,
    Device,
    Egress,
    Group,
    MarkPolicy,
    PacFile,
    Peer,
    Program,
    RatedClient,
    Record,
    Table,
    TransportClient,
    TransportServer,
    Watch,
)


def join(old: Any, new: Any) -> Any:
    """Return `new` and what `old` has beside it: by identity in tuples, field by field in sections."""
    if isinstance(new, tuple):
        named = {_identity(item) for item in new}
        return (*new, *(item for item in old or () if _identity(item) not in named))
    if isinstance(new, dict):
        return {**(old or {}), **new}
    if old is not None and dataclasses.is_dataclass(new):
        parts = {field.name: _joined_field(old, new, field.name) for field in dataclasses.fields(new)}
        return dataclasses.replace(new, **parts)  # type: ignore[type-var]
    return new


def _joined_field(old: Any, new: Any, name: str) -> Any:
    value = getattr(new, name)
    if (name in _PLAIN_FIELDS and not _identified(value)) or not (
        isinstance(value, (tuple, dict)) or dataclasses.is_dataclass(value)
    ):
        return value
    return join(getattr(old, name), value)


def _identified(value: Any) -> bool:
    return isinstance(value, tuple) and any(type(item) in _IDENTITIES for item in value)


# Tuples that are one value, not a collection of objects of ours.
_PLAIN_FIELDS = frozenset(("addresses", "listen", "modes", "servers", "tls"))

_IDENTITIES: dict[type, str] = {
    AddressSet: "name",
    Device: "interface",
    Egress: "number",
    Group: "number",
    MarkPolicy: "number",
    PacFile: "name",
    Peer: "name",
    Program: "name",
    RatedClient: "name",
    Record: "name",
    Table: "number",
    TransportClient: "upstream",
    TransportServer: "name",
    Watch: "upstream",
}


def _identity(item: Any) -> Any:
    """Return what makes an item of a section the same item; else all of it (rules, lines)."""
    field = _IDENTITIES.get(type(item))
    return item if field is None else getattr(item, field)
