# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_proxies`: SOCKS5 and HTTP proxies, who may use them, and where their connections come out.

None is open: whoever is not on the gateway itself needs a password, or comes from a network that is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Optional

from ..modes import PROXY
from ..services import Ports
from .errors import Report, TopologyError, shown
from .model import Address, Network, Proxy, ProxyListener, ProxyUser, Upstream
from .networks import address, network
from .reading import Claims, Fields, good, mappings
from .scalars import name, text
from .services import ports
from .words import Words

KEYS = ("name", "socks5", "http", "users", "sources", "policy", "upstream")
LISTENER_KEYS = ("listen", "port")
USER_KEYS = ("name", "password")

USUAL = {"socks5": Ports(1080, 1080), "http": Ports(8080, 8080)}
"""Protocol → its port."""

LONGEST_PASSWORD = 255  # bytes: SOCKS5 sends the length in one (RFC 1929)
NARROWEST = {4: 8, 6: 16}  # prefix lengths; wider sources hold strangers

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,62}")


def read_proxies(
    report: Report, entries: Any, known: Words, upstreams: Sequence[Upstream], *, tunnels: bool
) -> tuple[Proxy, ...]:
    """Return the proxies. `tunnels`: whether the gateway has any that a policy could lead to."""
    reader = ProxyReader(report, known, upstreams, tunnels=tunnels)
    found = [
        reader.read(Fields(report, path, entry, KEYS)) for path, entry in mappings(report, "splitway_proxies", entries)
    ]
    return tuple(proxy for proxy in found if proxy is not None)


class ProxyReader:
    """Reads the proxies of one topology and knows what they must not have in common."""

    def __init__(self, report: Report, known: Words, upstreams: Sequence[Upstream], *, tunnels: bool) -> None:
        self.report = report
        self.tunnels = tunnels
        self.known = known
        self.upstreams = {upstream.name: upstream for upstream in upstreams}
        self.names = Claims(report, "is already the name of")
        self.taken: list[tuple[str, Address, int]] = []  # path, address, port

    def read(self, fields: Fields) -> Optional[Proxy]:
        """Return a proxy; None if it is wrong."""
        found = fields.require("name", name)
        if found is not None:
            self.names.claim(f"{fields.path}.name", found.lower(), fields.path, f'"{found}"')
        listeners = tuple(self._listeners(fields))
        users = _read_users(fields)
        sources = fields.entries("sources", network)
        self._check_closed(fields, listeners, sources)
        policy, upstream = fields.get("policy", self.known.policy), fields.get("upstream", self.known.upstream)
        if fields.given("policy") == fields.given("upstream"):
            problem = "has a policy and an upstream: its connections take one way" if policy else "needs one of the two"
            self.report.add(fields.path, f"{problem} (policy: by its rules; upstream: at the far end of its WebSocket)")
        if policy is not None and not self.tunnels:
            self.report.add(
                f"{fields.path}.policy", f'splitway_mode "{PROXY}" has no tunnels to lead to: give it an upstream'
            )
        carrier = self.upstreams.get(upstream or "")
        if carrier is not None and carrier.websocket is None:
            self.report.add(
                f"{fields.path}.upstream",
                f'"{carrier.name}" has no websocket: only through one are the proxies of its exit reached',
            )
        return None if found is None else Proxy(found, listeners, users, good(sources), policy, upstream)

    def _listeners(self, fields: Fields) -> Iterator[ProxyListener]:
        """Yield where the proxy listens."""
        if not any(fields.given(protocol) for protocol in USUAL):
            self.report.add(fields.path, "needs socks5, http, or both")
        for protocol, usual in USUAL.items():
            if not fields.given(protocol):
                continue
            path = f"{fields.path}.{protocol}"
            own = Fields(self.report, path, fields.values[protocol], LISTENER_KEYS)
            if not isinstance(fields.values[protocol], dict):
                continue  # said already
            found = ProxyListener(
                protocol, good(own.require_entries("listen", _listen)), own.get_or("port", ports, usual)
            )
            self._check_free(path, found)
            yield found

    def _check_free(self, path: str, listener: ProxyListener) -> None:
        """Report a port that another proxy of this gateway has there. Of ranges the host takes what is free."""
        if listener.ports.first != listener.ports.last:
            return
        for own in listener.listen:
            for other_path, other, port in self.taken:
                same = own == other or own.is_unspecified or other.is_unspecified
                if port == listener.ports.first and same:
                    self.report.add(f"{path}.port", f"{port} is that of {other_path} already, at {other}")
                    break
        self.taken += [(path, own, listener.ports.first) for own in listener.listen]

    def _check_closed(
        self, fields: Fields, listeners: Sequence[ProxyListener], sources: Sequence[Optional[Network]]
    ) -> None:
        """Report a proxy that anybody could use."""
        if fields.given("users") and fields.values["users"] != []:
            return
        beyond = next((own for entry in listeners for own in entry.listen if not own.is_loopback), None)
        if beyond is None:
            return
        if not fields.given("sources") or fields.values["sources"] == []:
            self.report.add(
                fields.path,
                f"anybody who reaches {beyond} could use it: give it users, or sources, or let it listen "
                "on 127.0.0.1 or ::1 only",
            )
        for index, source in enumerate(sources):
            if source is not None and source.prefixlen < NARROWEST[source.version]:
                self.report.add(
                    f"{fields.path}.sources[{index}]",
                    f'"{source}" holds half the world, which could use it: give it users, or narrower sources',
                )


def _listen(value: Any) -> Address:
    found = address(value)
    if found.is_multicast or (found.is_link_local and found.version == 6):
        raise TopologyError(f"{shown(value)} is not an address at which a proxy can listen")
    return found


def _read_users(fields: Fields) -> tuple[ProxyUser, ...]:
    """Return who may use the proxy."""
    users, names = [], Claims(fields.report, "is already the name of")
    for path, entry in mappings(fields.report, f"{fields.path}.users", fields.values.get("users")):
        own = Fields(fields.report, path, entry, USER_KEYS)
        found, secret = own.require("name", user_name), own.require("password", password)
        if found is not None:
            names.claim(f"{path}.name", found, path, f'"{found}"')
        if found is not None and secret is not None:
            users.append(ProxyUser(found, secret))
    return tuple(users)


def user_name(value: Any) -> str:
    """Return the name of a proxy's user; HTTP ends it at a colon."""
    word = text(value, "a user's name")
    if not _USER.fullmatch(word):
        raise TopologyError(
            f"{shown(word)} is not a user's name (letters, digits and '.', '@', '+', '-', '_', at most 63)"
        )
    return word


def password(value: Any) -> str:
    """Return a password: any characters but those that end lines and texts. It is in no message."""
    if not isinstance(value, str):
        raise TopologyError("is not text: YAML reads it as something else, put it in quotes")
    if not value:
        raise TopologyError("is empty")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise TopologyError("has a character that nobody can type (a line's end, a tab, …)")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise TopologyError("has half a character (a lone surrogate)") from None
    if size > LONGEST_PASSWORD:
        raise TopologyError(f"has {size} bytes: SOCKS5 takes {LONGEST_PASSWORD} at most")
    return value
