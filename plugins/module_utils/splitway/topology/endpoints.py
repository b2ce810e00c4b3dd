# SPDX-License-Identifier: GPL-3.0-or-later
"""Where WireGuard peers and resolvers answer: host and port."""

from __future__ import annotations

import re
from typing import Any, Optional

from .domains import canonical_domain
from .errors import TopologyError, shown
from .model import Endpoint
from .networks import address
from .scalars import port as parse_port
from .scalars import text

_BRACKETS = re.compile(r"\[([^\[\]]*)\](?::(.*))?")
_IPV4_LIKE = re.compile(r"[0-9.]+")


def endpoint(value: Any, default_port: Optional[int] = None) -> Endpoint:
    """Return an endpoint, written ``host:port`` or ``[v6]:port``; the port may only be left out if it has a default."""
    form = "host or host:port" if default_port else "host:port"
    written = text(value, form)
    host, port = _split(written, form)
    if port is None and default_port is None:
        raise TopologyError(f"{shown(written)} has no port: write {form}")
    try:
        return Endpoint(_host(host), parse_port(default_port if port is None else port))
    except TopologyError as error:
        raise TopologyError(f"{shown(written)} is not {form}: {error}") from None


def resolver(value: Any) -> str:
    """Return a DNS server as dnsmasq writes it: ``address`` or ``address#port``."""
    written = text(value, "a DNS server (address or address#port)")
    host, hash_sign, port = written.partition("#")
    try:
        found = address(host)
        number = parse_port(port) if hash_sign else None
    except TopologyError as error:
        raise TopologyError(f"{shown(written)} is not a DNS server (address or address#port): {error}") from None
    if found.is_unspecified or found.is_multicast:
        raise TopologyError(f"{shown(written)} is not an address where a DNS server answers")
    return f"{found}#{number}" if number else str(found)


def literal(value: Any, what: str) -> Endpoint:
    """Return an address and a port, written ``address:port`` or ``[v6]:port``; no name."""
    form = f"{what} (address:port)"
    written = text(value, form)
    host, port = _split(written, form)
    if port is None:
        raise TopologyError(f"{shown(written)} is not {form}: it has no port")
    try:
        return Endpoint(str(address(host)), parse_port(port))
    except TopologyError as error:
        raise TopologyError(f"{shown(written)} is not {form}: {error}") from None


def host_name(value: Any) -> str:
    """Return a canonical host without a port: an address, or a name."""
    return _host(text(value, "a host"))


def _split(written: str, form: str) -> tuple[str, Optional[str]]:
    """Return (host, port) as written; an address in brackets keeps no brackets."""
    brackets = _BRACKETS.fullmatch(written)
    if brackets:
        if ":" not in brackets[1]:
            raise TopologyError(f"{shown(written)} is not {form}: only an IPv6 address stands in brackets")
        return brackets[1], brackets[2]
    host, colon, port = written.rpartition(":")
    if ":" in host:
        raise TopologyError(f"{shown(written)} is not {form}: write an IPv6 address in brackets")
    return (host, port) if colon else (written, None)


def _host(host: str) -> str:
    """Return a canonical host: an address, or a name."""
    if ":" not in host and not _IPV4_LIKE.fullmatch(host):
        if host.startswith("*"):
            raise TopologyError(f"{shown(host)} is not the name of a host")
        return canonical_domain(host)
    found = address(host)
    if found.is_unspecified or found.is_multicast:
        raise TopologyError(f"{shown(host)} is not the address of a host")
    return str(found)
