# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `web`: PAC files and the server that gives them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ..pac import Tables
from .ports import PortRange

PUBLISHED = "/var/lib/splitway-web"
"""The folder of what is given out."""


@dataclass(frozen=True)
class PacServer:
    """A proxy as a PAC file names it."""

    kind: str  # PROXY | SOCKS5
    host: str  # a name or an address, as browsers reach it
    port: PortRange


@dataclass(frozen=True)
class PacFile:
    """One PAC file."""

    name: str  # without .pac
    tables: Tables
    servers: tuple[PacServer, ...] = ()  # in the order in which browsers try them
    fail_open: bool = False  # browsers that reach none of them ask the destination themselves


@dataclass(frozen=True)
class Web:
    """What browsers are told, and where they ask for it. The first file is also proxy.pac and wpad.dat."""

    listen: tuple[str, ...]  # addresses
    http: Optional[PortRange] = None
    https: Optional[PortRange] = None
    certificate: str = ""  # files on the gateway, for https
    key: str = ""
    host: str = ""  # the name or address in the URLs that browsers are given
    files: tuple[PacFile, ...] = ()
    directory: Optional[str] = None  # where copies of the files are written
    modes: tuple[str, ...] = ("combined",)  # the operator's, then those that the agent may fall back to
