# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys as playbooks/keys.yml keeps them: public ones to be read by everybody, the others sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional, Union


class KeysError(Exception):
    """Keys cannot be made, read or kept; the message says what to do, and never has a secret."""


@dataclass(frozen=True)
class Secret:
    """A secret that was made or found now, and is to be sealed before it is written."""

    value: str = field(repr=False)


@dataclass(frozen=True)
class Sealed:
    """A secret as it stands in the file: text of Ansible's Vault, a template, or what is open there."""

    text: str = field(repr=False)
    vaulted: bool = False


Hidden = Union[Secret, Sealed]


@dataclass(frozen=True)
class Before:
    """The key that a client had before."""

    public_key: str
    until: str  # ISO 8601, of UTC
    preshared_key: Optional[Hidden] = None


@dataclass(frozen=True)
class Keys:
    """The keys of a client, of an upstream, or of a gateway as its exit knows it."""

    public_key: Optional[str] = None
    private_key: Optional[Hidden] = None
    preshared_key: Optional[Hidden] = None
    previous: Optional[Before] = None


Kept = Mapping[str, Mapping[str, Keys]]
"""Kind (clients, upstreams, gateways) → name → keys."""

KINDS = ("clients", "upstreams", "gateways")
