# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files come from: Debian's package tor-geoipdb, a file on this host, an address that is fetched.

What was fetched is kept as it came: another country needs no fetching, and a source that fails has its last good
file. It changes places with that only when it has been read (`settle`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ..sources.errors import SourceError
from ..sources.kept import Copy
from ..sources.web import Limits, ask, shown_url
from ..state import CountrySource
from ..system import System, SystemFailure
from .errors import CountryError

DEBIAN = "tor-geoipdb"
"""Debian's package. It depends on tor, a service that nobody asked for: so it is unpacked, not installed."""

LIMITS = Limits(silence=30, seconds=300, size=256 << 20)  # databases of cities have 60 MB and more

_INSTALLED = Path("usr/share/tor")
_FILES = ("geoip", "geoip6")


@dataclass(frozen=True)
class Obtained:
    """The files of a source."""

    files: tuple[Path, ...]
    stamp: str  # another when their content is
    fresh: bool = False  # fetched just now, and not in its place yet


class Sources:
    """The sources of a host; what is fetched is kept in a folder of its own."""

    def __init__(self, system: System, kept: Path) -> None:
        self._system = system
        self._kept = kept

    def newest(self, source: CountrySource, stamp: str) -> Obtained:
        """Return a source's files as they are now; `stamp` is that of what is kept. Raises CountryError."""
        if source.location == DEBIAN:
            found = self._installed() or self._from_archive(stamp)
        elif source.location.startswith("/"):
            found = _on_host((Path(source.location),))
        else:
            found = self._fetched(source.location, stamp)
        if source.checksum:
            _check(found.files, source.checksum)
        return found

    def last(self, source: CountrySource, stamp: str) -> Optional[Obtained]:
        """Return what is kept of a source that is fetched, None when nothing is."""
        place = self._place(source.location)
        return Obtained((place,), stamp) if place.exists() else None

    def settle(self, source: CountrySource, obtained: Obtained) -> None:
        """Keep what was fetched, now that it has been read."""
        if obtained.fresh:
            obtained.files[0].rename(self._place(source.location))

    @contextmanager
    def readable(self, source: CountrySource, obtained: Obtained) -> Iterator[tuple[Path, ...]]:
        """Yield the files that are to be read: of the archive's package those that are in it. Raises CountryError."""
        if source.location != DEBIAN or len(obtained.files) > 1:
            yield obtained.files
            return
        folder = self._kept / "unpacked"
        self._system.remove_folder(folder)
        try:
            self._system.run("dpkg-deb", "--extract", str(obtained.files[0]), str(folder))
            yield tuple(folder / _INSTALLED / name for name in _FILES)
        except SystemFailure as error:
            raise CountryError(str(error)) from error
        finally:
            self._system.remove_folder(folder)

    def _installed(self) -> Optional[Obtained]:
        """Return the package's files where somebody has installed it."""
        files = tuple(self._system.root / _INSTALLED / name for name in _FILES)
        return _on_host(files) if all(file.exists() for file in files) else None

    def _from_archive(self, stamp: str) -> Obtained:
        """Return the package of Debian's archive, which apt fetches and checks."""
        place = self._place(DEBIAN)
        try:
            version = self._candidate()
            if version == stamp and place.exists():
                return Obtained((place,), stamp)
            folder = self._kept / "archive"
            self._system.remove_folder(folder)
            folder.mkdir(mode=0o700, parents=True)
            self._system.run("env", f"--chdir={folder}", *_apt("download", DEBIAN))
            [package] = folder.glob("*.deb")
            fresh = package.rename(_new(place))
            self._system.remove_folder(folder)
        except (SystemFailure, ValueError) as error:
            raise CountryError(f"Debian's package {DEBIAN} cannot be fetched: {error}") from error
        return Obtained((fresh,), version, fresh=True)

    def _candidate(self) -> str:
        """Return what the archive has, as far as apt knows; a host that knows nothing of it asks."""
        try:
            return self._system.read(*_apt("download", "--print-uris", DEBIAN))
        except SystemFailure:
            self._system.run(*_apt("update"))
            return self._system.read(*_apt("download", "--print-uris", DEBIAN))

    def _fetched(self, url: str, stamp: str) -> Obtained:
        place = self._place(url)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            answer = ask(url, _version(stamp) if place.exists() else None, LIMITS, time.time())
        except SourceError as error:
            raise CountryError(f"{shown_url(url)}: {error}") from error
        if answer is None:
            return Obtained((place,), stamp)
        fresh = _new(place)
        fresh.write_bytes(answer.content)
        return Obtained((fresh,), answer.etag or answer.modified, fresh=True)

    def _place(self, location: str) -> Path:
        return self._kept / hashlib.sha256(location.encode()).hexdigest()[:16]


def _apt(*words: str) -> tuple[str, ...]:
    # It fetches as another user, whom a confined unit cannot become.
    return ("apt-get", "-qq", "-o", "APT::Sandbox::User=root", *words)


def _version(stamp: str) -> Optional[Copy]:
    """Return how the server knows again what is kept, None when it does not."""
    etag = '"' in stamp
    return Copy(b"", etag=stamp if etag else "", modified="" if etag else stamp) if stamp else None


def is_as_it_was(source: CountrySource, stamp: str) -> bool:
    """Return whether a file on this host is the one that was read; what is fetched is not asked for."""
    if not source.location.startswith("/"):
        return True
    try:
        return _on_host((Path(source.location),)).stamp == stamp
    except CountryError:
        return False


def named(location: str) -> str:
    """Return a source as messages show it: what may be a secret in a URL is not told."""
    return shown_url(location) if "://" in location else location


def _new(place: Path) -> Path:
    return place.with_suffix(".new")


def _on_host(files: tuple[Path, ...]) -> Obtained:
    try:
        statuses = [file.stat() for file in files]
    except OSError as error:
        raise CountryError(f"{error.filename} cannot be read: {error.strerror}") from error
    return Obtained(files, " ".join(f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}" for status in statuses))


def _check(files: tuple[Path, ...], checksum: str) -> None:
    """Raise CountryError unless a file has this SHA-256."""
    for file in files:
        digest = hashlib.sha256()
        with file.open("rb") as stream:
            for piece in iter(lambda: stream.read(1 << 20), b""):
                digest.update(piece)
        if digest.hexdigest() != checksum:
            raise CountryError(f"{file} has another checksum: sha256:{digest.hexdigest()}")
