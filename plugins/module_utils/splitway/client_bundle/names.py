# SPDX-License-Identifier: GPL-3.0-or-later
"""How the files of a bundle are called. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..client_files import suffix

_LONGEST = 12  # letters: wg-quick makes the interface's name of the file's, which has 15 at most, "-ws" included


@dataclass(frozen=True)
class Names:
    """The names of one bundle's files, in the bundle's folder."""

    tunnel: str
    carried: str
    script: str = "websocket.sh"
    batch: str = "websocket.cmd"
    picture: str = "qr-code.svg"
    page: str = "start-here.html"


def names_of(client: str, priority: int = 1) -> Names:
    """Return the names of a client's files; `priority`: of their gateway among those of the client."""
    standby = suffix(priority)
    short = client[: _LONGEST - len(standby)] + standby
    return Names(tunnel=f"{short}.conf", carried=f"{short}-ws.conf")
