# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a socket: for messages about a port that is taken."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple, Optional, Union


class Holder(NamedTuple):
    """A process that has a socket open."""

    program: str
    process: str  # its number


def holder_of(inode: Union[int, str]) -> Optional[Holder]:
    """Return the process that holds the socket of this inode, None when it is hidden from us or gone."""
    return holders_of((int(inode),)).get(int(inode))


def holders_of(inodes: Collection[int]) -> dict[int, Holder]:
    """Return inode → the process that holds that socket, as far as we can see it: the first of several."""
    found: dict[int, Holder] = {}
    links = {f"socket:[{inode}]": inode for inode in inodes}
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)) if links else ():
        try:
            for descriptor in (process / "fd").iterdir():
                inode = links.get(os.readlink(descriptor))
                if inode is not None and inode not in found:
                    found[inode] = Holder((process / "comm").read_text(encoding="utf-8").strip(), process.name)
        except OSError:  # it ended while we looked, or is not ours to look at
            pass
    return found
