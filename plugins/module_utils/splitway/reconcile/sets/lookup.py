# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a learned set holds one address now: one question to the kernel, not a listing.

A listing of 5,000 sets takes half a second (ipset) or several (nft), a question 8 to 15 µs. Static networks
are no matter of the kernel's: they are in the state.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable, Optional, Union

from ...system import System, SystemFailure
from ..netlink import ACK, ERROR, NESTED, NETWORK_ORDER, REQUEST, attribute, failure_of, message, messages
from .model import IPSET

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Lookup = Callable[[str, str], Optional[bool]]
"""Set name, address → whether it is in; None: there is no such set."""

# linux/netfilter/ipset/ip_set.h
_IPSET = 6 << 8
_IPSET_TEST = _IPSET | 11
_PROTOCOL, _SET_NAME, _DATA = 1, 2, 7
_IP = 1
_ADDRESS = {4: 1, 6: 2}
_PROTOCOL_VERSION = 6
_NOT_IN_SET = 4103  # IPSET_ERR_EXIST

# linux/netfilter/nf_tables.h
_NFTABLES = 10 << 8
_GET_SET, _GET_ELEMENT = _NFTABLES | 10, _NFTABLES | 13
_INET = 1
_TABLE, _NAME, _ELEMENTS = 1, 2, 3
_ITEM, _KEY, _VALUE = 1, 1, 1
_OUR_TABLE = b"splitway\0"


@contextmanager
def lookup(system: System, backend: str) -> Iterator[Lookup]:
    """Yield a function that asks the kernel. In the body SystemFailure is raised when the kernel refuses."""
    with system.netfilter() as channel:
        ask = _ask_ipset if backend == IPSET else _ask_nftables

        def answer(name: str, address: str) -> Optional[bool]:
            try:
                return ask(channel, name, ipaddress.ip_address(address))
            except OSError as error:
                raise SystemFailure(f"asking the set {name}: {error.strerror}") from error

        yield answer


def _ask_ipset(channel: socket.socket, name: str, address: Address) -> Optional[bool]:
    kind = _ADDRESS[address.version] | NETWORK_ORDER
    data = attribute(_IP | NESTED, attribute(kind, address.packed))
    request = attribute(_PROTOCOL, bytes([_PROTOCOL_VERSION])) + attribute(_SET_NAME, name.encode() + b"\0")
    number = _ask(channel, _IPSET_TEST, REQUEST | ACK, 0, request + attribute(_DATA | NESTED, data))
    if number == errno.ENOENT:
        return None
    if number not in (0, _NOT_IN_SET):
        raise OSError(number, errno.errorcode.get(number, str(number)))
    return number == 0


def _ask_nftables(channel: socket.socket, name: str, address: Address) -> Optional[bool]:
    key = attribute(_KEY | NESTED, attribute(_VALUE, address.packed))
    request = attribute(_TABLE, _OUR_TABLE) + attribute(_NAME, name.encode() + b"\0")
    elements = attribute(_ELEMENTS | NESTED, attribute(_ITEM | NESTED, key))
    number = _ask(channel, _GET_ELEMENT, REQUEST, _INET, request + elements)
    if number == errno.ENOENT:  # of the element, or of the set
        number = _ask(channel, _GET_SET, REQUEST, _INET, request)
        if number in (0, errno.ENOENT):
            return False if number == 0 else None
    if number != 0:
        raise OSError(number, errno.errorcode.get(number, str(number)))
    return True


def _ask(channel: socket.socket, kind: int, flags: int, family: int, body: bytes) -> int:
    """Return the errno of the kernel's answer, 0 when it is what was asked for."""
    channel.send(message(kind, flags, family, body))
    for answered, _flags, content in messages(channel.recv(1 << 16)):
        return (failure_of(content).errno or 0) if answered == ERROR else 0
    return errno.EPROTO
