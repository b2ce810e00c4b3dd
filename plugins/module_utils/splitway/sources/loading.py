# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources of one list → its entries."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional
from urllib.parse import quote, urljoin, urlsplit

from ..topology.lists import Source
from .entries import Entries
from .errors import SourceError
from .fetch import fetch
from .files import content, find, sibling
from .formats import READERS, V2FLY, recognise, v2fly
from .text import decoded
from .web import USUAL, Limits, shown_url


@dataclass(frozen=True)
class Loaded:
    """What a list's sources hold."""

    entries: Entries
    formats: tuple[str, ...]  # of each source
    warnings: tuple[str, ...] = ()  # an older copy is in use


@dataclass(frozen=True)
class Places:
    """Where sources are looked for, and where what was fetched is kept."""

    folders: tuple[Path, ...]
    copies: Path
    started: float  # seconds since the epoch: when this run began
    limits: Limits = USUAL


def load(source: Source, places: Places, shelves: dict[str, v2fly.Shelf]) -> Loaded:
    """Return what the sources hold together. `shelves` keeps what was read of folders. Raises SourceError."""
    warnings: list[str] = []
    parts, formats = [], []
    for place in source.places:
        if is_url(place):
            format_, entries = _from_web(place, source, places, warnings)
        else:
            format_, entries = _from_file(place, source, places, shelves)
        formats.append(format_)
        parts.append(entries)
    return Loaded(_together(parts), tuple(formats), tuple(dict.fromkeys(warnings)))


def is_url(place: str) -> bool:
    return "://" in place


def _from_file(place: str, source: Source, places: Places, shelves: dict[str, v2fly.Shelf]) -> tuple[str, Entries]:
    path = find(place, places.folders)
    found = content(path, places.limits.size)
    if source.checksum not in (None, hashlib.sha256(found).hexdigest()):
        actual = hashlib.sha256(found).hexdigest()
        raise SourceError(f"{place}: its checksum is sha256:{actual}, and sha256:{source.checksum} is asked for")

    def open_list(name: str) -> v2fly.Text:
        beside = sibling(path, name)
        return v2fly.Text(_beside(place, beside.name), decoded(content(beside, places.limits.size)))

    shelf = shelves.setdefault(f"{path.parent} {path.suffix}", v2fly.Shelf(open_list))
    try:
        return _read(found, place, source, shelf)
    except SourceError as error:
        raise SourceError(_placed(place, error)) from error


def _from_web(url: str, source: Source, places: Places, warnings: list[str]) -> tuple[str, Entries]:
    fresh_since = places.started - source.refresh

    def open_list(name: str) -> v2fly.Text:
        suffix = Path(urlsplit(url).path).suffix
        problem: Optional[SourceError] = None
        for candidate in dict.fromkeys((name, f"{name}{suffix}")):
            beside = urljoin(url, quote(candidate, safe="!@"))
            try:
                fetched = fetch(beside, places.copies, decoded, fresh_since=fresh_since, limits=places.limits)
            except SourceError as error:
                problem = problem or error
                continue
            warnings.extend(filter(None, [fetched.warning]))
            return v2fly.Text(shown_url(beside), fetched.value)
        raise problem or SourceError(f"{name} is nowhere")

    def read(found: bytes) -> tuple[str, Entries]:
        return _read(found, shown_url(url), source, v2fly.Shelf(open_list))

    fetched = fetch(url, places.copies, read, fresh_since=fresh_since, checksum=source.checksum, limits=places.limits)
    warnings.extend(filter(None, [fetched.warning]))
    return fetched.value


def _read(found: bytes, origin: str, source: Source, shelf: v2fly.Shelf) -> tuple[str, Entries]:
    """Return the format and the entries of a source's content. Raises SourceError when it is of no use."""
    text = decoded(found)
    format_ = source.format or (V2FLY if source.attributes else recognise(text, origin))
    if format_ == V2FLY:
        entries = v2fly.read(text, origin, shelf, v2fly.filter_of(source.attributes))
    else:
        entries = READERS[format_](text).of(origin)
    _check(entries, format_, source)
    return format_, entries


def _check(entries: Entries, format_: str, source: Source) -> None:
    """Raise SourceError for a text that is no list of its format, or one that leaves nothing."""
    good, mistakes = len(entries.domains) + len(entries.networks), entries.mistakes
    if len(mistakes) > good:
        raise SourceError(
            f"it is no list of the format {format_} (mistakes: {len(mistakes)}, entries: {good}); "
            f"{mistakes[0].place}: {mistakes[0].problem}"
        )
    if not good:
        left_out = ", ".join(f"{count} {kind}" for kind, count in entries.counted().items())
        chosen = " with these attributes" if source.attributes else ""
        raise SourceError(f"it has no name and no network{chosen}" + (f" (left out: {left_out})" if left_out else ""))


def _together(parts: Sequence[Entries]) -> Entries:
    if len(parts) == 1:
        return parts[0]
    return Entries(
        domains=tuple(dict.fromkeys(name for part in parts for name in part.domains)),
        networks=tuple(dict.fromkeys(network for part in parts for network in part.networks)),
        widened=sum(part.widened for part in parts),
        skipped=tuple(entry for part in parts for entry in part.skipped),
    )


def _beside(place: str, name: str) -> str:
    """Return how a file beside a source is called, as its operator would write it."""
    folder, slash, _name = place.rpartition("/")
    return f"{folder}{slash}{name}"


def _placed(place: str, error: SourceError) -> str:
    """Return a problem with the file it is about in front, unless a chain of includes names it already."""
    return str(error) if str(error).startswith(place) else f"{place}: {error}"
