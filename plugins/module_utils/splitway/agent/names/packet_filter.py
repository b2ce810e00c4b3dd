# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packets a packet socket gets: a program that the kernel runs over each (classic BPF)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Optional, Union

# linux/bpf_common.h
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_LOAD_HALF_AT_X, _LOAD_IP_HEADER_INTO_X = 0x48, 0xB1
_AND, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x54, 0x15, 0x45, 0x06

_PACKET_TYPE = 0xFFFFF004  # linux/filter.h: SKF_AD_OFF + SKF_AD_PKTTYPE
_OUTGOING = 4  # linux/if_packet.h
_UDP, _TCP = 17, 6
_FRAGMENT = 0x3FFF  # IPv4: more fragments, or not the first

_NEXT = ""  # in place of a label: the next instruction


@dataclass(frozen=True)
class _Line:
    code: int
    operand: int
    then: str = _NEXT
    otherwise: str = _NEXT
    label: str = ""


def answers_from(addresses: Optional[Sequence[Union[IPv4Address, IPv6Address]]], port: int) -> bytes:
    """Return the filter of UDP and TCP packets that leave from this port of these addresses; they pass whole.

    None: of any address.

    The first byte is the IP header's: a socket of kind SOCK_DGRAM, on whatever kind of interface.
    """
    lines = [
        _Line(_LOAD_WORD, _PACKET_TYPE),
        _Line(_IF_EQUAL, _OUTGOING, otherwise="drop"),
        _Line(_LOAD_BYTE, 0),
        _Line(_AND, 0xF0),
        _Line(_IF_EQUAL, 0x40, then="4"),
        _Line(_IF_EQUAL, 0x60, then="6", otherwise="drop"),
        _Line(_LOAD_BYTE, 9, label="4"),
        *_one_of((_UDP, _TCP), "whole"),
        _Line(_LOAD_HALF, 6, label="whole"),
        _Line(_IF_ANY_BIT, _FRAGMENT, then="drop"),
        *([] if addresses is None else _sources_4([int(address) for address in addresses if address.version == 4])),
        _Line(_LOAD_IP_HEADER_INTO_X, 0, label="port 4"),
        _Line(_LOAD_HALF_AT_X, 0),
        _Line(_IF_EQUAL, port, then="take", otherwise="drop"),
        _Line(_LOAD_BYTE, 6, label="6"),
        *_one_of((_UDP, _TCP), "port 6" if addresses is None else "source 6 0"),
        *([] if addresses is None else _sources_6([address.packed for address in addresses if address.version == 6])),
        _Line(_LOAD_HALF, 40, label="port 6"),
        _Line(_IF_EQUAL, port, then="take", otherwise="drop"),
        _Line(_RETURN, 0, label="drop"),
        _Line(_RETURN, 0xFFFF, label="take"),
    ]
    places = {line.label: index for index, line in enumerate(lines)}
    return b"".join(_encode(line, index, places) for index, line in enumerate(lines))


def _one_of(values: Sequence[int], then: str) -> list[_Line]:
    """Return lines that go on at a label when what was loaded is one of the values, and drop the packet when not."""
    return [*(_Line(_IF_EQUAL, value, then=then) for value in values), _Line(_RETURN, 0)]


def _sources_4(addresses: Sequence[int]) -> list[_Line]:
    return [_Line(_LOAD_WORD, 12), *_one_of(addresses, "port 4")]


def _sources_6(addresses: Sequence[bytes]) -> list[_Line]:
    lines = []
    for number, address in enumerate(addresses):
        for index, word in enumerate(struct.unpack("!IIII", address)):
            lines.append(_Line(_LOAD_WORD, 8 + 4 * index, label=f"source 6 {number}" if index == 0 else ""))
            then = "port 6" if index == 3 else _NEXT
            lines.append(_Line(_IF_EQUAL, word, then=then, otherwise=f"source 6 {number + 1}"))
    return [*lines, _Line(_RETURN, 0, label=f"source 6 {len(addresses)}")]


def _encode(line: _Line, index: int, places: dict[str, int]) -> bytes:
    """Return a `struct sock_filter`; jumps count from the next line on."""
    then, otherwise = (0 if label == _NEXT else places[label] - index - 1 for label in (line.then, line.otherwise))
    return struct.pack("HBBI", line.code, then, otherwise, line.operand)
