# SPDX-License-Identifier: GPL-3.0-or-later
"""The MTUs of tunnels: how large by which path, what a state with them is, and when which one is believed."""

from __future__ import annotations

import dataclasses

import pytest

from splitway import mtus
from splitway.agent.upstreams import fit
from splitway.agent.upstreams.path import Path
from splitway.agent.upstreams.sizes import Passed
from splitway.mtus import Found, largest, with_mtus
from splitway.state import Device, FamilyMarks, Marks, Peer, State, TunnelMtu

EXIT = "us.example.com:51820"
WAY = Path("192.0.2.1 → 198.51.100.1", 4, 1500)
FOUND = Found(1328, EXIT, WAY.ends, 1000.0)


@pytest.mark.parametrize(
    ("path", "family", "mtu"),
    [
        (1500, 4, 1440),
        (1500, 6, 1420),
        (1492, 4, 1432),  # PPPoE
        (1492, 6, 1408),  # 1412, but an exit with 1420 pads that to 1420
        (1400, 4, 1328),
        (1400, 6, 1312),
        (9000, 4, 1440),  # a wide link of ours says nothing of the path behind it
        (1340, 4, 1280),
        (1300, 6, 1280),  # with less an interface has no IPv6
    ],
)
def test_what_a_path_takes(path: int, family: int, mtu: int) -> None:
    assert largest(path, family) == mtu


def state(from_path: bool = True, endpoint: str = EXIT) -> State:
    peer = Peer("us", None, ("0.0.0.0/0",), endpoint=endpoint)
    devices = tuple(
        Device(name, f"wg-up-{number}", None, (), (peer,), mtu=1420, mtu_from_path=from_path)
        for number, name in ((1, "us"), (2, "eu"))
    )
    tunnels = tuple(TunnelMtu(device.interface, 1420, endpoint if from_path else "") for device in devices)
    marks = Marks("wg0", "wg-up-", 0x3FFF, (), FamilyMarks(), FamilyMarks(), tunnel_mtus=tunnels)
    return State(upstreams=devices, marks=marks)


def mtus_in(state_: State) -> tuple[list[int], list[int]]:
    assert state_.marks is not None
    return [device.mtu or 0 for device in state_.upstreams], [tunnel.mtu for tunnel in state_.marks.tunnel_mtus]


def test_what_was_found_is_in_the_tunnel_and_in_the_clamp() -> None:
    assert mtus_in(with_mtus(state(), {"wg-up-1": FOUND})) == ([1328, 1420], [1328, 1420])


def test_each_section_tells_by_itself_whether_the_path_counts() -> None:
    marks = dataclasses.replace(state(), upstreams=())
    assert mtus_in(with_mtus(marks, {"wg-up-1": FOUND})) == ([], [1328, 1420])


@pytest.mark.parametrize(
    ("left", "found"),
    [
        (state(from_path=False), FOUND),  # the operator wrote a number
        (state(endpoint="other.example.com:51820"), FOUND),
        (state(), dataclasses.replace(FOUND, mtu=576)),
        (state(), dataclasses.replace(FOUND, mtu=9000)),
    ],
)
def test_what_does_not_concern_a_state_counts_for_nothing(left: State, found: Found) -> None:
    assert with_mtus(left, {"wg-up-1": found}) == left


def test_a_new_path_is_begun_with_as_wide_as_it_may_be() -> None:
    assert fit.begin(None, EXIT, WAY, 2000.0) == Found(1440, EXIT, WAY.ends, 2000.0)
    for other in (WAY._replace(ends="192.0.2.1 → 198.51.100.2"), WAY._replace(ends="10.0.0.1 → 198.51.100.1")):
        assert fit.begin(FOUND, EXIT, other, 2000.0).mtu == 1440
    assert fit.begin(FOUND, "other.example.com:51820", WAY, 2000.0).mtu == 1440


def test_narrower_is_believed_at_once_and_wider_after_a_day() -> None:
    assert fit.begin(FOUND, EXIT, WAY, 2000.0) is FOUND
    assert fit.begin(FOUND, EXIT, WAY._replace(mtu=1365), 2000.0).mtu == 1296
    assert fit.begin(FOUND, EXIT, WAY, FOUND.at + fit.AGAIN).mtu == 1440


def test_what_came_back_of_all_sizes() -> None:
    tried = Found(1440, EXIT, WAY.ends, 1000.0)
    assert {1216, 1280, 1328, 1440} < {*fit.candidates(1440)} <= {*range(1441)}
    assert fit.narrowed(tried, Passed(("192.0.2.1",), 1328), 2000.0) == dataclasses.replace(tried, mtu=1328, at=2000.0)
    assert fit.narrowed(tried, Passed(("192.0.2.1",), 1216), 2000.0) is None


def test_a_tunnel_begins_with_what_ethernet_carries_by_either_family() -> None:
    assert min(largest(1500, family) for family in (4, 6)) == mtus.START
