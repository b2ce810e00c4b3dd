# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is a peer at a moment, and which of a client's two keys has its addresses."""

from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.agent.clients import holder
from splitway.clients import Holders, ended, expired, in_grace, with_clients
from splitway.state import Device, Peer, PreviousKey, State

NOW = 1_800_000_000
NETWORKS = ("10.8.0.2/32", "fd08::2/128")


def state(peer: Peer) -> State:
    bob = Peer("bob", "BOB", ("10.8.0.3/32",))
    return State(server=Device("server", "wg0", None, ("10.8.0.1/24",), (peer, bob)))


def peers(peer: Peer, now: float, holders: Optional[Holders] = None) -> dict[str, tuple[str, ...]]:
    """Return the networks of each key but bob's, who is always there."""
    server = with_clients(state(peer), holders or {}, now).server
    assert server is not None
    found = {entry.public_key or "": entry.allowed_ips for entry in server.peers}
    assert found.pop("BOB") == ("10.8.0.3/32",)
    return found


def test_a_client_is_a_peer_until_its_time_is_up() -> None:
    alice = Peer("alice", "NEW", NETWORKS, expires=NOW)
    assert peers(alice, NOW - 0.001) == {"NEW": NETWORKS}
    assert peers(alice, NOW) == {}


def test_two_keys_share_addresses_that_one_has() -> None:
    alice = Peer("alice", "NEW", NETWORKS, previous=PreviousKey("OLD", NOW))
    assert peers(alice, NOW - 1) == {"NEW": (), "OLD": NETWORKS}
    assert peers(alice, NOW - 1, {"alice": "NEW"}) == {"NEW": NETWORKS, "OLD": ()}
    assert peers(alice, NOW - 1, {"alice": "of a rotation before"}) == {"NEW": (), "OLD": NETWORKS}
    assert peers(alice, NOW) == peers(alice, NOW, {"alice": "OLD"}) == {"NEW": NETWORKS}


def test_nothing_changes_where_nothing_is_timed() -> None:
    plain = state(Peer("alice", "NEW", NETWORKS))
    assert with_clients(plain, {}, NOW) is plain


TIMES = st.none() | st.integers(NOW - 3, NOW + 3)


@given(TIMES, TIMES, st.integers(NOW - 4, NOW + 4), st.sampled_from([{}, {"alice": "NEW"}, {"alice": "OLD"}]))
def test_each_address_has_one_key_or_none(
    expires: Optional[int], until: Optional[int], now: int, holders: Holders
) -> None:
    previous = None if until is None else PreviousKey("OLD", until)
    alice = Peer("alice", "NEW", NETWORKS, expires=expires, previous=previous)
    found = peers(alice, now, holders)
    assert sorted(map(bool, found.values())) == ([] if expired(alice, now) else [False, True][2 - len(found) :])
    assert len(found) == (0 if expired(alice, now) else 2 if in_grace(alice, now) else 1)
    assert ended(state(alice).server, now) == {
        name
        for name, key in (("alice", "NEW"), ("alice (previous key)", "OLD"))
        if key not in found and not (key == "OLD" and previous is None)
    }


@pytest.mark.parametrize(
    ("now", "before", "seen", "expected"),
    [
        (None, {}, {}, None),  # nobody has shaken hands: the previous key has them
        (None, {}, {"OLD": 5}, None),
        (None, {}, {"OLD": 5, "NEW": 6}, "NEW"),
        ("NEW", {"OLD": 5, "NEW": 6}, {"OLD": 7, "NEW": 6}, None),
        ("NEW", {"OLD": 5, "NEW": 6}, {}, "NEW"),  # the interface was made anew
        ("NEW", {}, {"OLD": 0, "NEW": 0}, "NEW"),
        (None, {"OLD": 5, "NEW": 0}, {"OLD": 5, "NEW": 5}, "NEW"),  # in the same second, and later
        ("NEW", {"OLD": 4, "NEW": 5}, {"OLD": 5, "NEW": 5}, None),
        ("NEW", {"OLD": 5, "NEW": 5}, {"OLD": 5, "NEW": 5}, "NEW"),
        (None, {}, {"OLD": 5, "NEW": 5}, None),  # not to be known
        ("another", {}, {"OLD": 5, "NEW": 0}, None),
        (None, {"OLD": 900, "NEW": 0}, {"OLD": 900, "NEW": 300}, "NEW"),  # somebody has set the clock back
        ("NEW", {"OLD": 900, "NEW": 300}, {"OLD": 900, "NEW": 300}, "NEW"),
        ("NEW", {"OLD": 5, "NEW": 6}, {"OLD": 8, "NEW": 7}, None),
    ],
)
def test_who_shook_hands_last(
    now: Optional[str], before: dict[str, int], seen: dict[str, int], expected: Optional[str]
) -> None:
    alice = Peer("alice", "NEW", NETWORKS, previous=PreviousKey("OLD", NOW))
    assert holder(alice, now, before, seen) == expected
