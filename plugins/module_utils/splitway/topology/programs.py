# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_programs`: how the programs that carry WebSockets come to a host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Optional, Union
from urllib.parse import urlsplit

from ..relay.releases import RELEASE, pinned
from ..relay.versions import newest_flag
from .errors import Report, TopologyError, shown
from .model import ProgramSource, Server, Upstream, Websocket, WebsocketServer
from .reading import Fields
from .scalars import text
from .websocket import PROGRAMS, WEBSOCAT, WSTUNNEL, file

KEYS = ("version", "url", "checksum", "path", "source")
WAYS = ("path", "source", "url", "version")

_VERSION = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})")
_CHECKSUM = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")


def needed_programs(upstreams: tuple[Upstream, ...], server: Optional[Server]) -> dict[str, str]:
    """Return the programs that a gateway needs, each with what uses it."""
    ends: list[tuple[str, Union[Websocket, WebsocketServer, None]]] = [
        (f'the upstream "{upstream.name}"', upstream.websocket) for upstream in upstreams
    ]
    ends.append(("splitway_server.websocket", server.websocket if server else None))
    return {end.program: who for who, end in reversed(ends) if end is not None}


def read_programs(report: Report, value: Any, needed: Mapping[str, str]) -> tuple[ProgramSource, ...]:
    """Return how the needed programs (program → what uses it) come to the host; all that is written is checked.

    wstunnel has a release of its own; of websocat the operator must say where it is.
    """
    outer = Fields(report, "splitway_programs", value, PROGRAMS)
    found = []
    for name in PROGRAMS:
        if outer.given(name):
            found.append(_read(Fields(report, f"{outer.path}.{name}", outer.values[name], KEYS), name))
        elif name == WSTUNNEL:
            found.append(ProgramSource(name, version=RELEASE))
        elif name in needed:
            report.add(
                f"{outer.path}.{name}",
                f"is required: {needed[name]} uses it (give its path, a source on the controller, or url and checksum)",
            )
    return tuple(source for source in found if source.name in needed)


def _read(fields: Fields, name: str) -> ProgramSource:
    version = fields.get("version", _version)
    url = fields.get("url", _url)
    checksum = fields.get("checksum", _checksum)
    path = fields.get("path", file)
    source = fields.get("source", _local)
    given = [way for way in WAYS if fields.given(way) and not (way == "version" and fields.given("url"))]
    if not given and name == WSTUNNEL:
        version = RELEASE
    elif not given:
        fields.report.add(fields.path, "says nothing: give path, source, or url and checksum")
    for other in given[1:]:
        fields.report.add(f"{fields.path}.{other}", f"stands beside {given[0]}: give one of them")
    _check_checksum(fields, name, given[0] if given else "version", version)
    if version is not None:
        _check_version(fields, name, version)
    return ProgramSource(name, version, url, checksum, path, source)


def _check_checksum(fields: Fields, name: str, way: str, version: Optional[str]) -> None:
    path = f"{fields.path}.checksum"
    if way == "path":
        if fields.given("checksum"):
            fields.report.add(path, f"is of no use with {way}")
    elif fields.given("checksum") or way == "source":
        return
    elif way == "url":
        fields.report.add(path, "is required with url: nothing is fetched that cannot be checked")
    elif name == WSTUNNEL and version is not None and not pinned(version):
        fields.report.add(path, f"is required: of {name} only {RELEASE} has a known one")


def _check_version(fields: Fields, name: str, version: str) -> None:
    if name == WEBSOCAT and not fields.given("url"):
        fields.report.add(f"{fields.path}.version", f"is not enough for {name}: give url and checksum, path or source")
    flag, first = newest_flag(name)
    if tuple(map(int, version.split("."))) < first:
        needed = ".".join(map(str, first))
        fields.report.add(f"{fields.path}.version", f"{name} {version} has no {flag}: from {needed} on it has")


def _version(value: Any) -> str:
    found = _VERSION.fullmatch(text(value, "a version"))
    if found is None:
        raise TopologyError(f'{shown(value)} is not a version (like "{RELEASE}")')
    return ".".join(str(int(part)) for part in found.groups())


def _checksum(value: Any) -> str:
    found = _CHECKSUM.fullmatch(text(value, "a checksum"))
    if found is None:
        raise TopologyError(f"{shown(value)} is not a checksum (sha256: and 64 hexadecimal digits)")
    return found[1].lower()


def _url(value: Any) -> str:
    written = text(value, "a URL")
    refused = TopologyError("is not a URL (https://…, of printable ASCII without spaces)")
    if not written.isascii() or not written.isprintable() or " " in written:
        raise refused
    try:
        parts = urlsplit(written)
    except ValueError:
        raise refused from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise refused
    return written


def _local(value: Any) -> str:
    """Return a file on the controller; a relative one is sought as Ansible seeks it."""
    written = text(value, "a file")
    if not written or not written.isprintable():
        raise TopologyError(f"{shown(value)} is not a file on the controller")
    return written
