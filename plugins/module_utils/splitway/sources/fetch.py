# SPDX-License-Identifier: GPL-3.0-or-later
"""What a URL holds, by way of a folder of copies: the last good one stays when the server has nothing better."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Generic, Optional, TypeVar

from .errors import SourceError
from .kept import Copy, confirm, keep, kept
from .web import USUAL, Limits, ask, shown_url

T = TypeVar("T")


@dataclass(frozen=True)
class Fetched(Generic[T]):
    """What was read from a URL's content."""

    value: T
    digest: str  # SHA-256 of the content
    warning: str = ""  # why it is an older copy's, or why it could not be kept


def fetch(
    url: str,
    folder: Path,
    read: Callable[[bytes], T],
    *,
    fresh_since: float,
    checksum: Optional[str] = None,
    limits: Limits = USUAL,
) -> Fetched[T]:
    """Return what `read` makes of a URL's content. Only content that it takes replaces the copy in the folder.

    The server is asked when it was last asked before `fresh_since` (seconds since the epoch). `checksum` is the
    content's SHA-256. Raises SourceError when neither the server nor the folder has anything usable; `read` raises it
    for what is not.
    """
    copy = kept(folder, url)
    if copy and checksum not in (None, copy.digest):
        copy = None  # of an earlier checksum: no version for today, and none to fall back on
    if copy and copy.asked >= fresh_since:
        try:
            return Fetched(read(copy.content), copy.digest)
        except SourceError:
            pass  # it was taken for what it is no longer to be: the server may have better
    try:
        now = time.time()
        answer = ask(url, copy, limits, now)
        if answer is None and copy is not None:
            value = read(copy.content)
            confirm(folder, url, now)
            return Fetched(value, copy.digest)
        return _taken(url, folder, read, answer, checksum)
    except SourceError as error:
        if copy is None:
            raise SourceError(f"{shown_url(url)}: {error}") from error
        return Fetched(
            _again(url, read, copy, error),
            copy.digest,
            warning=f"{shown_url(url)}: {error}; {_dated(copy)} stays in use",
        )


def _taken(
    url: str, folder: Path, read: Callable[[bytes], T], answer: Optional[Copy], checksum: Optional[str]
) -> Fetched[T]:
    if answer is None:
        raise SourceError("the server says that nothing is new to one who has nothing")
    if checksum not in (None, answer.digest):
        raise SourceError(f"its checksum is sha256:{answer.digest}, and sha256:{checksum} is asked for")
    value = read(answer.content)
    try:
        keep(folder, url, answer)
    except SourceError as error:  # what was fetched is good all the same
        return Fetched(value, answer.digest, warning=f"{shown_url(url)}: {error}")
    return Fetched(value, answer.digest)


def _again(url: str, read: Callable[[bytes], T], copy: Copy, error: SourceError) -> T:
    try:
        return read(copy.content)
    except SourceError as older:
        raise SourceError(f"{shown_url(url)}: {error}; {_dated(copy)} is of no use either: {older}") from error


def _dated(copy: Copy) -> str:
    return f"the copy of {time.strftime('%Y-%m-%d %H:%M', time.localtime(copy.asked))}"
