# SPDX-License-Identifier: GPL-3.0-or-later
"""`websocket` of an upstream, of the server and of an exit: the two ends of WebSockets.

A path is a secret: no message shows one, nor a URL that could have a password in it.
"""

from __future__ import annotations

import re
from typing import Any, Optional
from urllib.parse import urlsplit

from ..services import Ports
from .domains import canonical_domain
from .endpoints import endpoint, literal
from .errors import TopologyError, shown
from .model import Address, Endpoint, Websocket, WebsocketServer
from .networks import address
from .reading import Fields, good
from .scalars import boolean, choice, number, text
from .services import ports

UDP, AUTO = "udp", "auto"
WSTUNNEL, WEBSOCAT = PROGRAMS = ("wstunnel", "websocat")
TRANSPORTS = (UDP, *PROGRAMS, AUTO)

KEYS = (
    "servers",
    "server",
    "path",
    "program",
    "verify",
    "ca",
    "server_name",
    "certificate",
    "key",
    "minimum_idle",
    "ping",
    "target",
    "ports",
)
SERVER_KEYS = ("program", "listen", "port", "path", "certificate", "key", "client_ca")
EXIT_KEYS = (*SERVER_KEYS, "proxies")

HTTPS = 443
# What is the same in a URL, a regular expression's string, a file of variables and nginx's configuration.
_PATH = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]{11,127}")
_FILE = re.compile(r"/[^\x00-\x1f\x7f\"'\\$;{}]*[^\x00-\x1f\x7f\"'\\$;{}/]")


def read_transport(fields: Fields, where: Optional[Endpoint]) -> tuple[str, Optional[Websocket]]:
    """Return an upstream's transport and the near end of its WebSocket, if it has one."""
    transport = UDP
    if fields.given("transport"):  # a wrong one, reported, is taken for one that a WebSocket goes with
        transport = fields.get_or("transport", choice("a transport", TRANSPORTS), AUTO)
    path, report = f"{fields.path}.websocket", fields.report
    if not fields.given("websocket"):
        if transport != UDP:
            report.add(path, f"is required with transport {transport}")
        return transport, None
    if transport == UDP:
        report.add(path, f"is of no use with transport {UDP}: say transport: {AUTO}, {WSTUNNEL} or {WEBSOCAT}")
    found = _read_near_end(Fields(report, path, fields.values["websocket"], KEYS), transport, where)
    return transport, found


def _read_near_end(fields: Fields, transport: str, where: Optional[Endpoint]) -> Optional[Websocket]:
    program = _program(fields, transport)
    servers = _servers(fields)
    verify = fields.get_or("verify", boolean, default=True)
    if not verify and fields.given("ca"):
        fields.report.add(f"{fields.path}.ca", "is of no use with verify: false")
    certificate, key = _pair(fields, "certificate", "key")
    if program == WEBSOCAT:
        for name in ("certificate", "key", "minimum_idle"):
            if fields.given(name):
                fields.report.add(f"{fields.path}.{name}", f"is of no use with {WEBSOCAT}: only {WSTUNNEL} knows it")
    secret = _secret(fields, optional=certificate is not None and program == WSTUNNEL)
    found = Websocket(
        servers=servers,
        path=secret or "",
        program=program,
        verify=verify,
        ca=fields.get("ca", file),
        server_name=fields.get("server_name", _server_name),
        certificate=certificate,
        key=key,
        minimum_idle=fields.get_or("minimum_idle", number("a number of connections", 0, 100), Websocket.minimum_idle),
        ping=fields.get_or("ping", number("a number of seconds, or 0 for none", 0, 3600), Websocket.ping),
        target=fields.get_or("target", _target, f"127.0.0.1:{where.port}" if where else Websocket.target),
        ports=fields.get_or("ports", ports, Websocket.ports),
    )
    return found if servers else None


def read_websocket_server(fields: Fields, known: tuple[str, ...]) -> Optional[WebsocketServer]:
    """Return the far end of WebSockets that `websocket` of the server or of an exit describes, if there is one."""
    if not fields.given("websocket"):
        return None
    inner = Fields(fields.report, f"{fields.path}.websocket", fields.values["websocket"], known)
    program = inner.get_or("program", choice("a program", PROGRAMS), WSTUNNEL)
    if program == WEBSOCAT and inner.given("client_ca"):
        inner.report.add(f"{inner.path}.client_ca", f"is of no use with {WEBSOCAT}, whose clients have no certificate")
    client_ca = inner.get("client_ca", file)
    secret = _secret(inner, optional=program == WSTUNNEL and client_ca is not None)
    certificate, key = inner.require("certificate", file), inner.require("key", file)
    listen = _listen(inner)
    ranged: Ports = inner.get_or("port", ports, WebsocketServer.ports)
    proxies = "proxies" in known and inner.get_or("proxies", boolean, default=False)
    if certificate is None or key is None:
        return None
    return WebsocketServer(secret or "", certificate, key, program, listen, ranged, client_ca, proxies)


def _program(fields: Fields, transport: str) -> str:
    named = fields.get("program", choice("a program", PROGRAMS))
    if transport not in PROGRAMS:
        return named or WSTUNNEL
    if named not in (None, transport):
        fields.report.add(f"{fields.path}.program", f'"{named}" contradicts transport {transport}')
    return transport


def _secret(fields: Fields, *, optional: bool) -> Optional[str]:
    """Return the path. A client's certificate may stand for it: wstunnel then takes its common name."""
    return fields.get("path", secret_path) if optional else fields.require("path", secret_path)


def _servers(fields: Fields) -> tuple[str, ...]:
    """Return the servers' URLs, the first and its backups."""
    if fields.given("server"):
        if fields.given("servers"):
            fields.report.add(f"{fields.path}.server", "stands beside servers: give one of them")
        only = fields.get("server", server_url)
        return () if only is None else (only,)
    found = fields.require_entries("servers", server_url)
    first: dict[str, int] = {}
    for index, url in enumerate(found):
        if url is not None and first.setdefault(url, index) != index:
            fields.report.add(f"{fields.path}.servers[{index}]", f'"{url}" is servers[{first[url]}] already')
    return good(found)


def server_url(value: Any) -> str:
    """Return the URL of a server, `wss://host:port`; whatever else a URL may have is refused."""
    written = text(value, "the URL of a server (wss://host:port)")
    if "@" in written:
        raise TopologyError("a user and a password have no place in the URL of a server (wss://host:port)")
    try:
        if not written.isprintable():  # urlsplit leaves line breaks and tabs out
            raise ValueError
        parts = urlsplit(written)
    except ValueError:
        raise TopologyError(f"{_safe(written)} is not the URL of a server (wss://host:port)") from None
    if parts.scheme != "wss":
        why = ": without TLS everyone on the way sees the path" if parts.scheme == "ws" else ""
        raise TopologyError(f"{_safe(written)} does not begin with wss://{why}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "?" in written or "#" in written:
        raise TopologyError(f"wss://{shown(parts.netloc)[1:-1]}/… has more than a host and a port: the rest is `path`")
    where = endpoint(parts.netloc, HTTPS)
    return f"wss://{where}"


def _safe(written: str) -> str:
    """Return what a message shows of a URL: nothing behind its host."""
    scheme, separator, rest = written.partition("://")
    return shown(f"{scheme}{separator}{re.split('[/?#]', rest)[0]}") if separator else shown(written.partition("/")[0])


def secret_path(value: Any) -> str:
    """Return a path, which is a secret between a server and its clients. No message shows it."""
    if isinstance(value, str) and _PATH.fullmatch(value):
        return value
    raise TopologyError("is not a path: 12 to 128 letters, digits, '-', '_', '.' and '~', the first no '.'")


def file(value: Any) -> str:
    """Return the path of a file on the host, of characters that mean nothing in the files that name it."""
    written = text(value, "a file")
    if not _FILE.fullmatch(written):
        raise TopologyError(f"{shown(written)} is not a file (a path that begins with /, without quotes and the like)")
    return written


def _pair(fields: Fields, one: str, other: str) -> tuple[Optional[str], Optional[str]]:
    """Return two files of which neither is of use alone."""
    for present, absent in ((one, other), (other, one)):
        if fields.given(present) and not fields.given(absent):
            fields.report.add(f"{fields.path}.{absent}", f"is required with {present}")
    return fields.get(one, file), fields.get(other, file)


def _server_name(value: Any) -> str:
    return canonical_domain(text(value, "a domain name"))


def _target(value: Any) -> str:
    """Return what a server forwards to. A server that refuses other targets knows addresses, no names."""
    if isinstance(value, str) and value.startswith("localhost:"):
        raise TopologyError(f'{shown(value)} is not a target: write "127.0.0.1:{value.partition(":")[2]}"')
    found = literal(value, "a target")
    if address(found.host).is_unspecified or address(found.host).is_multicast:
        raise TopologyError(f"{shown(value)} is not a target: nobody answers there")
    return str(found)


def _listen(fields: Fields) -> tuple[str, ...]:
    """Return the addresses at which a server listens."""
    if not fields.given("listen"):
        return WebsocketServer.listen
    found = fields.require_entries("listen", _listen_address)
    for index, entry in enumerate(found):
        every = next(
            (one for one in found if one and entry and one.is_unspecified and one.version == entry.version), entry
        )
        if entry is not None and every != entry:
            fields.report.add(f"{fields.path}.listen[{index}]", f'"{entry}" is one of those that "{every}" stands for')
    return tuple(map(str, good(found)))


def _listen_address(value: Any) -> Address:
    found = address(value)
    if found.is_multicast or found.is_link_local:
        raise TopologyError(f"{shown(value)} is not an address to listen at")
    return found
