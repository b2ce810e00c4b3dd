# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the programs are on a host, and what `roles/programs` is told to bring them. Pure."""

from __future__ import annotations

from typing import Any, Optional

from ..topology.model import ProgramSource, WebsocketServer
from .releases import ARCHITECTURES, checksum, url
from .versions import newest_flag, shown

FOLDER = "/usr/local/lib/splitway/programs"
EXIT_FOLDER = "/usr/local/lib/splitway/exit-programs"
"""Where a gateway and an exit have a folder for each version of a program, so that a run that is rolled back finds the
last one. A host may be both."""


def place(source: ProgramSource, folder: str = FOLDER) -> str:
    """Return a program's path on the host; one that comes from a file is named by that file's checksum."""
    if source.path is not None:
        return source.path
    digest = (source.checksum or "")[:12]
    label = digest if source.url or source.source else source.version
    return f"{folder}/{source.name}-{label}/{source.name}"


def delivery(source: ProgramSource, folder: str = FOLDER) -> dict[str, Any]:
    """Return what the role is told of a program.

    `downloads`: the kernel's word for an architecture, or "any" → URL and SHA-256; a checksum that nobody knows is "".
    """
    flag, first = newest_flag(source.name)
    return {
        "name": source.name,
        "path": place(source, folder),
        "ours": source.path is None,
        "source": source.source or "",
        "checksum": source.checksum or "",
        "downloads": _downloads(source),
        "first_version": shown(first),
        "newest_flag": flag,
    }


def packages(server: Optional[WebsocketServer]) -> tuple[str, ...]:
    """Return Debian's packages that a host with WebSockets needs; `server`: the far end that it has itself."""
    front = server is not None and server.program != "wstunnel"
    return ("ca-certificates", "openssl", *(("nginx",) if front else ()))


def _downloads(source: ProgramSource) -> dict[str, dict[str, str]]:
    given = source.checksum or ""
    if source.url:
        return {"any": {"url": source.url, "checksum": given}}
    version = source.version
    if source.path or source.source or version is None:
        return {}
    return {
        machine: {"url": url(version, word), "checksum": given or checksum(version, word)}
        for machine, word in ARCHITECTURES.items()
    }
