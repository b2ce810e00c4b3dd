# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and networks of both families."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any, Optional

from .errors import TopologyError, shown
from .model import Address, Interface, Network
from .scalars import text

_PREFIX = re.compile(r"[0-9]{1,3}")
_MAPPED = 0xFFFF  # ::ffff:0:0/96, without the 32 bits of the IPv4 address
_WIDEST_NETWORK = {4: 8, 6: 16}  # prefix lengths of peers; wider ones are slips that would swallow the Internet


def address(value: Any) -> Address:
    """Return one address, written without a prefix length."""
    written = text(value, "an address")
    found = _literal(written)
    if found is None:
        raise TopologyError(f"{shown(written)} is not an address")
    return _not_mapped(found, written)


def network(value: Any) -> Network:
    """Return a network; an address alone is a network of one."""
    written = text(value, "a network")
    found, length = _split(written, "a network")
    size = found.max_prefixlen
    length = size if length is None else length
    base = int(found) >> (size - length) << (size - length)
    if found.version == 6 and length >= 96 and base >> 32 == _MAPPED:
        meant = f"{IPv4Address(base & 0xFFFFFFFF)}/{length - 96}"
        raise TopologyError(f"{shown(written)} is an IPv4-mapped network: write {meant}")
    if base != int(found):
        meant = f"{type(found)(base)}/{length}"
        raise TopologyError(f"{shown(written)} has host bits: did you mean {meant}?")
    return IPv4Network((base, length)) if found.version == 4 else IPv6Network((base, length))


def host(value: Any) -> Address:
    """Return the address of one host; it may be written as a network of one."""
    written = text(value, "an address")
    found, length = _split(written, "an address")
    if length not in (None, found.max_prefixlen):
        raise TopologyError(f"{shown(written)} is a network: did you mean {found}/{found.max_prefixlen}?")
    return usable(_not_mapped(found, written), written)


def interface(value: Any) -> Interface:
    """Return the address of an interface with its prefix length; without one it is the longest."""
    written = text(value, "an address")
    found, length = _split(written, "an address")
    usable(_not_mapped(found, written), written)
    size = found.max_prefixlen if length is None else length
    return IPv4Interface((int(found), size)) if found.version == 4 else IPv6Interface((int(found), size))


def server_address(value: Any) -> Interface:
    """Return an address of an interface that peers connect to, the server's or an exit's; they live in its network."""
    found = interface(value)
    written = shown(value)
    if "/" not in written:
        length = 24 if found.version == 4 else 64
        raise TopologyError(f"{written} has no prefix length: write it like {found.ip}/{length}")
    if found.network.prefixlen < _WIDEST_NETWORK[found.version]:
        raise TopologyError(f"{written} is too wide: much of the Internet would be in it")
    if found.ip.is_link_local:
        raise TopologyError(f"{written} is link-local: its packets cannot be forwarded")
    problem = not_a_host(found.ip, found.network)
    if problem:
        raise TopologyError(f"{written} {problem}")
    return found


def peer_network(value: Any) -> Network:
    """Return what an exit reaches through a gateway: the address of its upstream, or a network behind it."""
    what = "an address or a network"
    written = text(value, what)
    found, length = _split(written, what)
    if length is not None and length < _WIDEST_NETWORK[found.version]:
        raise TopologyError(f"{shown(written)} is too wide: much of the Internet would be in it")
    usable(_not_mapped(found, written), written)
    if found.is_link_local:
        raise TopologyError(f"{shown(written)} is link-local: its packets cannot be forwarded")
    try:
        return network(value)
    except TopologyError as error:  # host bits: it may be copied from the upstream, where that is right
        meant = f"{found}/{found.max_prefixlen}"
        raise TopologyError(f"{error} Or {meant}, the gateway's address alone?") from None


def not_a_host(candidate: Address, of: Network) -> Optional[str]:
    """Return why an address of a network is not one of a host's, or None if it is."""
    if of.max_prefixlen - of.prefixlen <= 1:
        return None
    if candidate == of.network_address:
        # IPv6 has no network address, but routers answer to it (RFC 4291, 2.6.1).
        return f"is the network address of {of}" if of.version == 4 else f"is the routers' anycast address of {of}"
    if of.version == 4 and candidate == of.broadcast_address:
        return f"is the broadcast address of {of}"
    return None


def _split(written: str, what: str) -> tuple[Address, Optional[int]]:
    literal, slash, prefix = written.partition("/")
    found = _literal(literal)
    if found is None:
        raise TopologyError(f"{shown(written)} is not {what}")
    if not slash:
        return found, None
    if not _PREFIX.fullmatch(prefix) or int(prefix) > found.max_prefixlen:
        raise TopologyError(f"{shown(written)} is not {what}: the prefix length is 0-{found.max_prefixlen}")
    return found, int(prefix)


def _literal(literal: str) -> Optional[Address]:
    if "%" in literal:  # a scope means nothing outside the host that knows it
        return None
    try:
        return IPv6Address(literal) if ":" in literal else IPv4Address(literal)
    except ValueError:
        return None


def _not_mapped(found: Address, written: str) -> Address:
    if found.version == 6 and int(found) >> 32 == _MAPPED:
        raise TopologyError(f"{shown(written)} is an IPv4-mapped address: write {IPv4Address(int(found) & 0xFFFFFFFF)}")
    return found


def usable(found: Address, written: str) -> Address:
    """Return the address if a host can have it. 240.0.0.0/4 is nobody's, 0.0.0.0/8 means "this host"."""
    v4_never = found.version == 4 and (int(found) >> 28 == 0xF or int(found) >> 24 == 0)
    if found.is_multicast or found.is_loopback or found.is_unspecified or v4_never:
        raise TopologyError(f"{shown(written)} is not an address that a host can have")
    return found
