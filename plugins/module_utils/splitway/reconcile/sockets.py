# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a socket: for messages about a port that is taken."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Optional, Union


class Holder(NamedTuple):
    """A process that has a socket open."""

    program: str
    process: str  # its number


def holder_of(inode: Union[int, str]) -> Optional[Holder]:
    """Return the process that holds the socket of this inode, None when it is hidden from us or gone."""
    holders = (_if_holder(process, f"socket:[{inode}]") for process in Path("/proc").glob("[0-9]*"))
    return next(filter(None, holders), None)


def _if_holder(process: Path, link: str) -> Optional[Holder]:
    try:
        if any(os.readlink(descriptor) == link for descriptor in (process / "fd").iterdir()):
            return Holder((process / "comm").read_text(encoding="utf-8").strip(), process.name)
    except OSError:  # it ended while we looked, or is not ours to look at
        pass
    return None
