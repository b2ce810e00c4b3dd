# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_web`: where browsers get PAC files."""

from __future__ import annotations

import re
from posixpath import normpath
from typing import Any, Optional

from ..services import Ports
from .domains import domain
from .endpoints import host_name
from .errors import Report, TopologyError, shown
from .model import HTTP, HTTPS, Address, Server, WebServer
from .networks import address
from .reading import Fields, good
from .scalars import boolean, text
from .services import ports

KEYS = ("listen", "port", "https_port", "certificate", "key", "name", "wpad", "directory")

_PATH = re.compile(r"/[A-Za-z0-9/._@+:,=-]{1,1023}")


def read_web(report: Report, value: Any, pac: Any, server: Optional[Server]) -> WebServer:
    """Return the web server. `pac`: splitway_pac as it was written; `server`: None where no client has a tunnel."""
    fields = Fields(report, "splitway_web", value, KEYS)
    if value is not None and not pac:
        report.add("splitway_web", "there is nothing to give out: splitway_pac has no file")
    if pac and server is None:
        if not fields.given("listen"):
            report.add(f"{fields.path}.listen", "is required without splitway_server")
        if fields.given("wpad"):
            report.add(f"{fields.path}.wpad", "is of no use without splitway_server: nobody asks us for names")
    certificate, key = fields.get("certificate", _path), fields.get("key", _path)
    for one, other in (("certificate", "key"), ("key", "certificate"), ("https_port", "certificate")):
        if fields.given(one) and not fields.given(other):
            report.add(f"{fields.path}.{other}", f"is required with {one}")
    http, https = _http(fields), None
    if fields.given("certificate"):
        https = fields.get_or("https_port", ports, HTTPS)
    elif http is None:
        report.add(f"{fields.path}.certificate", "is required where port is false: nothing else would be served")
    if http is not None and https is not None and http.first <= https.last and https.first <= http.last:
        report.add(f"{fields.path}.https_port", f"{https} overlaps port ({http})")
    wpad = good(fields.entries("wpad", domain))
    if wpad and http != HTTP:
        report.add(f"{fields.path}.wpad", "browsers ask for wpad at port 80 only: give port: 80")
    return WebServer(
        listen=good(fields.entries("listen", _listen)),
        http=http,
        https=https,
        certificate=certificate,
        key=key,
        name=fields.get("name", host_name),
        wpad=wpad,
        directory=fields.get("directory", _directory),
    )


def _http(fields: Fields) -> Optional[Ports]:
    """Return the ports for HTTP; None: it is switched off."""
    if fields.values.get("port") is not None:
        try:
            switch = boolean(fields.values["port"])
        except TopologyError:
            return fields.get_or("port", ports, HTTP)
        return HTTP if switch else None
    return HTTP


def _listen(value: Any) -> Address:
    found = address(value)
    if found.is_unspecified:
        raise TopologyError(f"{shown(value)} is every address, those that the Internet reaches, too: name the clients'")
    if found.is_multicast:
        raise TopologyError(f"{shown(value)} is not the address of a host")
    return found


def _path(value: Any) -> str:
    """Return the path of a file on the gateway, safe in every file that names it."""
    written = text(value, "a path")
    if not _PATH.fullmatch(written):
        raise TopologyError(
            f"{shown(written)} is not a path on the gateway (it begins with /; letters, digits and '/._@+:,=-')"
        )
    return written


def _directory(value: Any) -> str:
    written = normpath(_path(value))
    if written.count("/") < 2:
        raise TopologyError(f"{shown(written)} is no folder for files: choose one further down")
    return written
