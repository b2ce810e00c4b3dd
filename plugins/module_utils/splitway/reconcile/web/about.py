# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of the web server: where browsers find PAC files, and what is not well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from ...pac.discovery import option_252
from ...ports import Wanted, passed_over
from ...state import PortRange, Web
from ...system import System, SystemFailure
from .. import certificates, listening
from ..base import ReconcileError
from ..listening import Socket

USUAL = {"http": 80, "https": 443}


def urls(web: Web) -> dict[str, str]:
    """Return file name → its URL: over HTTPS where there is that, since nobody can change the file on its way."""
    return {file.name: f"{_origin(web, secure=web.https is not None)}/{file.name}.pac" for file in web.files}


def discovery(web: Web) -> dict[str, str]:
    """Return DHCP server → the lines that make it tell browsers of the first file; who looks alone asks by HTTP."""
    return option_252(f"{_origin(web, secure=web.http is None)}/wpad.dat")


def _origin(web: Web, *, secure: bool) -> str:
    scheme, port = ("https", web.https) if secure else ("http", web.http)
    return f"{scheme}://{_host(web.host, scheme, port)}"


def _host(host: str, scheme: str, port: Optional[PortRange]) -> str:
    number = port.port if port is not None else USUAL[scheme]
    written = str(Socket("tcp", host, number))
    return written[: -len(f":{number}")] if number == USUAL[scheme] else written


def about(system: System, web: Web) -> dict[str, Any]:
    """Return what a module says of the server, and what it warns of."""
    return {"urls": urls(web), "dhcp": discovery(web), "warnings": [*_taken(system, web), *_certificate(system, web)]}


def _taken(system: System, web: Web) -> Iterator[str]:
    """Yield who has the ports before those that were taken."""
    for port in (web.http, web.https):
        if port is not None and port.port > port.low:
            wanted = Wanted(port, "tcp", web.listen)
            others = passed_over(wanted, port.port, listening.read(system, range(port.low, port.port)))
            if others:
                yield f"{port.key} has port {port.port}: {'; '.join(map(str, others))}"


def _certificate(system: System, web: Web) -> Iterator[str]:
    """Yield what browsers will not like of the certificate, now or soon."""
    if web.https is None:
        return
    try:
        certificate = certificates.read(system, web.certificate)
        if not certificates.covers(system, certificate, web.host):
            yield f"{web.certificate} is not for {web.host}, which browsers ask: splitway_web.name is to be its name"
        soon = certificate.warning(system.now())
    except (ReconcileError, SystemFailure) as error:
        soon = str(error)
    if soon:
        yield soon
