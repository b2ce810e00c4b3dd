# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo requests of a size: as long as they are to be, and known again when only their beginning comes back."""

from __future__ import annotations

import socket

import pytest

from splitway.agent.upstreams.echo import Identity, parse, request

IDENTITY = Identity(0x1234, 0xFEDC)
REPLY = {socket.AF_INET: b"\x00", socket.AF_INET6: b"\x81"}


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_large_request_is_known_by_what_comes_back_of_it(family: int) -> None:
    header = bytes((0x45,)) + bytes(19) if family == socket.AF_INET else b""  # which raw sockets of IPv4 show, too
    small, large = (request(family, IDENTITY, length) for length in (0, 1392))
    assert len(large) == 8 + 1392
    for came_back in (large, large[: len(small)]):
        heard = parse(family, header + REPLY[family] + came_back[1:])
        assert heard is not None
        assert (heard.identity, heard.refused) == (IDENTITY, False)
    assert parse(family, header + REPLY[family] + large[1:20]) is None
