# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets a key: clients that have none, and those whose key is to be another. Pure, but for the keys themselves."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Optional

from ...module_utils.splitway.topology.keys import public_key
from .model import Before, Keys, Secret

Pair = tuple[str, str]
"""Public and private key."""


def new_pair() -> Pair:
    """Return a new key pair of X25519, the private one as `wg genkey` makes it (RFC 7748, 5)."""
    raw = bytearray(os.urandom(32))
    raw[0] &= 248
    raw[31] = (raw[31] & 127) | 64
    private = base64.b64encode(bytes(raw)).decode()
    return public_key(private), private


def new_preshared() -> str:
    """Return a new preshared key."""
    return base64.b64encode(os.urandom(32)).decode()


@dataclass(frozen=True)
class Wanted:
    """What is to be done for the clients, or the upstreams, of one gateway."""

    missing: bool = True  # those without a key get one
    rotate: Collection[str] = ()  # these get another
    again: bool = False  # also those that were given another within the grace time
    grace: int = 0  # seconds for which the key before is good
    preshared: bool = True  # whether a new key comes with a new preshared key


@dataclass(frozen=True)
class Done:
    """What was made."""

    keys: dict[str, Keys] = field(default_factory=dict)  # of those whose keys are other ones now
    made: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()  # made on the gateway before, and brought over
    rotated: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()  # were given another key already, and may still come with the one before


def make(
    given: Mapping[str, Keys],
    kept: Mapping[str, Keys],
    elsewhere: Mapping[str, Pair],
    wanted: Wanted,
    now: float,
    pair: Callable[[], Pair] = new_pair,
    preshared: Callable[[], str] = new_preshared,
) -> Done:
    """Return the keys to be kept, of those that get some.

    `given`: what the entries themselves say; `kept`: what the file of keys has, which comes before it; `elsewhere`:
    pairs that the gateway made. `now` in seconds since the epoch.
    """
    found: dict[str, Keys] = {}
    made, taken, rotated, waiting = [], [], [], []
    for name, own in given.items():
        keys = kept.get(name, own)
        if name in wanted.rotate:
            if not wanted.again and _in_grace(keys, now):
                waiting.append(name)
                continue
            old = keys if keys.public_key is not None else _from(elsewhere.get(name))
            found[name] = _rotated(old, pair(), preshared() if wanted.preshared else None, now + wanted.grace, now)
            rotated.append(name)
        elif wanted.missing and keys.public_key is None and name in elsewhere:
            found[name] = replace(_from(elsewhere[name]), preshared_key=keys.preshared_key)
            taken.append(name)
        elif wanted.missing and keys.public_key is None:
            public, private = pair()
            shared = keys.preshared_key or (Secret(preshared()) if wanted.preshared else None)
            found[name] = Keys(public, Secret(private), shared)
            made.append(name)
    return Done(found, tuple(made), tuple(taken), tuple(rotated), tuple(waiting))


def _from(pair: Optional[Pair]) -> Keys:
    return Keys() if pair is None else Keys(pair[0], Secret(pair[1]))


def _in_grace(keys: Keys, now: float) -> bool:
    if keys.previous is None:
        return False
    try:
        return now < datetime.fromisoformat(keys.previous.until.replace("Z", "+00:00")).timestamp()
    except ValueError:  # not ours; site.yml says what is wrong with it
        return False


def _rotated(old: Keys, pair: Pair, shared: Optional[str], until: float, now: float) -> Keys:
    before = None
    if old.public_key is not None and until > now:
        end = datetime.fromtimestamp(int(until), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        before = Before(old.public_key, end, old.preshared_key)
    return Keys(pair[0], Secret(pair[1]), Secret(shared) if shared else old.preshared_key, before)
