# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a socket: for messages about a port that is taken."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
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
        for link in _links(process / "fd"):
            inode = links.get(link)
            if inode is not None and inode not in found:
                with suppress(OSError):  # it has ended
                    found[inode] = Holder((process / "comm").read_text(encoding="utf-8").strip(), process.name)
    return found


def _links(folder: Path) -> Iterator[str]:
    """Yield what the descriptors of a process are; none when it has ended, or is not ours to look at."""
    with suppress(OSError):
        for descriptor in os.listdir(folder):
            with suppress(OSError):  # it is closed again, as that of this very listing is when the process is ours
                yield os.readlink(folder / descriptor)
