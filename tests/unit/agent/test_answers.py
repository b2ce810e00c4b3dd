# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers from the wire: what is read from a packet, and that nothing in it can do harm."""

from __future__ import annotations

import socket
import struct

import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.agent.names.answers import Answer, parse, parse_message

ANSWER = """id 7
opcode QUERY
rcode NOERROR
flags QR RD RA
;QUESTION
wWw.Video.example. IN A
;ANSWER
www.video.example. 300 IN CNAME edge.cdn.example.net.
edge.cdn.example.net. 60 IN A 198.51.100.1
edge.cdn.example.net. 60 IN AAAA 2001:db8::1
edge.cdn.example.net. 60 IN A 198.51.100.1
;ADDITIONAL
elsewhere.example. 60 IN A 198.51.100.9
"""
READ = ("www.video.example", ("198.51.100.1", "2001:db8::1"))


def wire(text: str = ANSWER) -> bytes:
    return dns.message.from_text(text).to_wire()


def tcp(*messages: bytes) -> bytes:
    framed = b"".join(struct.pack("!H", len(message)) + message for message in messages)
    return struct.pack("!HHIIBBHHH", 53, 40000, 1, 1, 8 << 4, 0x18, 512, 0, 0) + bytes(12) + framed


def udp(message: bytes) -> bytes:
    return struct.pack("!HHHH", 53, 40000, 8 + len(message), 0) + message


def packet(body: bytes, protocol: int, client: str = "10.8.0.2") -> bytes:
    if ":" in client:
        addresses = socket.inet_pton(socket.AF_INET6, "fdcc::1") + socket.inet_pton(socket.AF_INET6, client)
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + addresses + body
    options = bytes(4)
    addresses = socket.inet_aton("10.8.0.1") + socket.inet_aton(client)
    return struct.pack("!BBHHHBBH", 0x46, 0, 24 + len(body), 0, 0, 64, protocol, 0) + addresses + options + body


@pytest.mark.parametrize("client", ["10.8.0.2", "fdcc::2"])
def test_all_addresses_belong_to_the_name_that_was_asked_for(client: str) -> None:
    assert parse(packet(udp(wire()), 17, client)) == [Answer(client, *READ)]
    assert parse(packet(tcp(wire()), 6, client)) == [Answer(client, *READ)]


def test_a_segment_with_several_answers_and_the_beginning_of_another() -> None:
    other = wire(ANSWER.replace("wWw.Video", "mail"))
    whole = packet(tcp(wire(), other, wire()), 6)
    assert [answer.name for answer in parse(whole[:-1])] == ["www.video.example", "mail.example"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("flags QR", "flags"),  # a question
        ("NOERROR", "NXDOMAIN"),
        ("flags QR", "flags QR TC"),
        ("IN A 198.51.100.1", "IN TXT nothing"),
        ("QUERY", "NOTIFY"),
    ],
)
def test_what_is_no_answer_with_addresses(old: str, new: str) -> None:
    text = ANSWER.replace(old, new)
    if "TXT" in new:
        text = text.replace("IN AAAA 2001:db8::1", "IN TXT nothing")
    assert parse_message(wire(text)) is None


@given(st.binary(max_size=300))
def test_garbage_is_no_answer(data: bytes) -> None:
    for answer in parse(data):
        assert answer.addresses


@given(st.data())
def test_a_damaged_answer_never_raises(data: st.DataObject) -> None:
    """Also names that point to themselves, lengths beyond the end, and counts that lie."""
    framing = data.draw(st.sampled_from([(udp, 17), (tcp, 6)]))
    whole = bytearray(packet(framing[0](wire()), framing[1], data.draw(st.sampled_from(["10.8.0.2", "fdcc::2"]))))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for answer in parse(bytes(whole[: data.draw(st.integers(0, len(whole)))])):
        assert answer.name == answer.name.lower()
        assert answer.addresses
