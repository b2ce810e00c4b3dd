# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets which key, and the file that keeps them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.plugins.plugin_utils.keys.file import outline, read, text_of
from ansible_collections.splitway.gateway.plugins.plugin_utils.keys.making import (
    Wanted,
    make,
    new_pair,
    new_preshared,
)
from ansible_collections.splitway.gateway.plugins.plugin_utils.keys.model import (
    KINDS,
    Before,
    Keys,
    KeysError,
    Sealed,
    Secret,
)
from splitway.reconcile.wireguard import keypairs
from splitway.topology.keys import public_key, wireguard_key

NOW = 1_800_000_000.0
OPEN = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=20)
VAULTED = st.lists(st.text("0123456789", min_size=1, max_size=9), min_size=1, max_size=3).map(
    lambda lines: Sealed("\n".join(["$ANSIBLE_VAULT;1.1;AES256", *lines]) + "\n", vaulted=True)
)
SEALED = st.none() | VAULTED | OPEN.map(Sealed)
KEYS = st.builds(Keys, st.none() | OPEN, SEALED, SEALED, st.none() | st.builds(Before, OPEN, OPEN, SEALED))
KEPT = st.dictionaries(st.sampled_from(KINDS), st.dictionaries(OPEN, KEYS, min_size=1))


@given(KEPT)
def test_what_is_written_is_read_again(kept: Any) -> None:
    text = text_of(kept)
    assert read(text, "file") == kept
    assert text_of(read(text, "file")) == text


@given(KEPT)
def test_a_diff_has_no_secret(kept: Any) -> None:
    other = {
        kind: {
            name: Keys(
                keys.public_key,
                keys.private_key and Secret("another"),
                keys.preshared_key and Secret("another"),
                keys.previous and Before(keys.previous.public_key, keys.previous.until),
            )
            for name, keys in entries.items()
        }
        for kind, entries in kept.items()
    }
    assert outline(kept) == outline(other)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "no YAML"),
        ("- 1", "a list or a text"),
        ("splitway_clients: []", "splitway_clients: the file is for splitway_keys alone"),
        ("splitway_keys: {servers: {}}", "has clients, upstreams, gateways, and nothing else"),
        ("splitway_keys: {clients: [alice]}", "splitway_keys.clients is no mapping"),
        ("splitway_keys: {clients: {alice: secret}}", "splitway_keys.clients.alice is no mapping"),
        ("splitway_keys: !vault {}", "no YAML"),
    ],
)
def test_a_file_that_is_none_of_keys(text: str, problem: str) -> None:
    with pytest.raises(KeysError) as raised:
        read(text, "file.yml")
    assert problem in str(raised.value)
    assert "file.yml" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_new_file_is_yaml_for_anybody() -> None:
    assert yaml.safe_load(text_of({})) == {"splitway_keys": {}}


def test_keys_are_wireguards() -> None:
    pairs = [new_pair() for _ in range(20)]
    for public, private in pairs:
        assert wireguard_key(private) == keypairs.canonical(private, "")
        assert public_key(private) == public
    assert len({*pairs, *(new_preshared() for _ in range(20))}) == 40


def pair() -> tuple[str, str]:
    return "NEW", "new"


def made(keys: Keys, wanted: Wanted, **elsewhere: tuple[str, str]) -> Any:
    done = make({"alice": keys, "bob": Keys("BOB")}, {}, elsewhere, wanted, NOW, pair, lambda: "shared")
    assert "bob" not in done.keys
    return done


def test_who_has_none_gets_one() -> None:
    done = made(Keys(), Wanted())
    assert (done.keys, done.made) == ({"alice": Keys("NEW", Secret("new"), Secret("shared"))}, ("alice",))
    assert not made(Keys("OLD"), Wanted()).keys
    assert not made(Keys(), Wanted(missing=False)).keys
    own = Keys(None, None, Secret("hers"))
    assert made(own, Wanted()).keys["alice"].preshared_key == Secret("hers")


def test_what_the_gateway_made_is_kept() -> None:
    done = made(Keys(), Wanted(), alice=("OLD", "old"))
    assert (done.keys, done.taken) == ({"alice": Keys("OLD", Secret("old"))}, ("alice",))
    done = made(Keys(), Wanted(rotate=("alice",), grace=60), alice=("OLD", "old"))
    assert done.keys["alice"].previous == Before("OLD", "2027-01-15T08:01:00Z")


@given(st.integers(0, 10**8))
def test_another_key(grace: int) -> None:
    old = Keys("OLD", Secret("old"), Sealed("sealed"))
    done = made(old, Wanted(rotate=("alice",), grace=grace))
    keys = done.keys["alice"]
    assert (keys.public_key, keys.private_key, keys.preshared_key) == ("NEW", Secret("new"), Secret("shared"))
    if not grace:
        assert keys.previous is None
        return
    assert keys.previous is not None
    assert (keys.previous.public_key, keys.previous.preshared_key) == ("OLD", Sealed("sealed"))
    until = datetime.strptime(keys.previous.until, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert until.timestamp() == NOW + grace
    again = Wanted(rotate=("alice",), grace=grace)
    assert made(keys, again).waiting == ("alice",)
    assert not made(keys, again).keys
    assert made(keys, Wanted(rotate=("alice",), again=True)).rotated == ("alice",)


def test_a_preshared_key_stays_where_two_ends_know_it() -> None:
    keys = made(Keys("OLD", None, Sealed("both's")), Wanted(rotate=("alice",), preshared=False)).keys["alice"]
    assert keys.preshared_key == Sealed("both's")
