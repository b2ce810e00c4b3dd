# SPDX-License-Identifier: GPL-3.0-or-later
"""A client's keys, and the one that it had before."""

from __future__ import annotations

from typing import Any, Callable, Optional

from .keys import public_key, wireguard_key
from .model import PreviousKey
from .reading import Claims, Fields

CLIENT_KEYS = ("private_key", "public_key", "preshared_key", "previous")
PREVIOUS_KEYS = ("public_key", "preshared_key", "until")


def read_pair(fields: Fields) -> tuple[Optional[str], Optional[str]]:
    """Return the public and the private key of a client, as far as they are given."""
    public = fields.get("public_key", wireguard_key)
    private = fields.get("private_key", wireguard_key)
    if private is not None:
        derived = public_key(private)
        if public is not None and public != derived:
            fields.report.add(f"{fields.path}.public_key", "does not belong to private_key")
        elif not fields.given("public_key"):
            public = derived
    return public, private


def read_previous(
    fields: Fields, public: Optional[str], moment: Callable[[Any], int], keys: Optional[Claims]
) -> Optional[PreviousKey]:
    """Return the key that a client had before, None when it had none; `keys`: whom each key belongs to."""
    if not fields.given("previous"):
        return None
    previous = Fields(fields.report, f"{fields.path}.previous", fields.values["previous"], PREVIOUS_KEYS)
    if previous.values and not (fields.given("public_key") or fields.given("private_key")):
        fields.report.add(previous.path, "needs a public_key or private_key beside it, which takes its place")
    old = previous.require("public_key", wireguard_key)
    preshared = previous.get("preshared_key", wireguard_key)
    until = previous.require("until", moment)
    if old is not None and old == public:
        fields.report.add(f"{previous.path}.public_key", "is the client's present key: a previous one is another")
    elif old is not None and keys is not None:
        keys.claim(f"{previous.path}.public_key", old, previous.path)
    return None if old is None or until is None else PreviousKey(old, until, preshared)
