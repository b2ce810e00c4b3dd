# SPDX-License-Identifier: GPL-3.0-or-later
"""Where browsers find PAC files, as people give it to them."""

from __future__ import annotations

from typing import Any, Optional

from ...pac.discovery import option_252
from ...state import PortRange, Web
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


def about(web: Web) -> dict[str, Any]:
    """Return what a module says of the server."""
    return {"urls": urls(web), "dhcp": discovery(web)}
