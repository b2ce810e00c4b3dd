# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of the clients' bundles, on a controller or a gateway: NAME/… and NAME.zip for each client.

A manifest says which files are ours, what they were when we wrote them, and from what each bundle was made;
nothing else is changed or removed. What is returned names bundles and holds no key.
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Optional

from ..client_files import ClientFileError
from ..reconcile.base import ADD, CHANGE, REMOVE, Change
from ..system import System
from .names import Names
from .page import QR_CODE

MANIFEST = ".splitway.json"
KEPT_OUT_OF_GIT = ".gitignore"
_DATE = (1980, 1, 1, 0, 0, 0)  # of all that is in an archive: the same content is the same archive


@dataclass(frozen=True)
class Wanted:
    """One bundle as it is to be."""

    name: str
    texts: dict[str, str]  # by file name; in the page QR_CODE stands for the picture
    qr: Optional[str] = None  # what the picture says; None: there is none

    @property
    def source(self) -> str:
        """A digest of all that the bundle is made from."""
        return _digest(json.dumps([self.texts, self.qr], sort_keys=True).encode())

    @property
    def paths(self) -> tuple[str, ...]:
        """The bundle's files, as paths below the folder."""
        picture = () if self.qr is None else (Names.picture,)
        return (*(f"{self.name}/{file}" for file in (*self.texts, *picture)), archive_of(self.name))


@dataclass(frozen=True)
class Manifest:
    """What we wrote: from what, by client, and with which content, by path. "": begun."""

    sources: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def of(self, client: str) -> tuple[str, ...]:
        """Return the paths of one client's files."""
        mine = (f"{client}/", archive_of(client))
        return tuple(path for path in self.files if path.startswith(mine[0]) or path == mine[1])


@dataclass(frozen=True)
class Current:
    """What is in the folder, of what is ours or has a name that ours would have."""

    directory: Path
    manifest: Manifest = field(default_factory=Manifest)
    digests: dict[str, str] = field(default_factory=dict)  # by path, of files that are there
    private: frozenset[str] = frozenset()  # paths of files that are 0600


@dataclass(frozen=True)
class Make:
    """Part of a Change: a bundle is written."""

    wanted: Wanted


@dataclass(frozen=True)
class Drop:
    """Part of a Change: the bundle of this client goes."""

    name: str


def archive_of(client: str) -> str:
    return f"{client}.zip"


def read(system: System, directory: Path, wanted: tuple[Wanted, ...]) -> Current:
    """Return what is in the folder. Raises ClientFileError when the manifest is damaged, and OSError."""
    manifest = _manifest(system, directory)
    digests, private = {}, set()
    for path in {*manifest.files, *(path for bundle in wanted for path in bundle.paths)}:
        place = directory / path
        if not place.is_file():
            continue
        digests[path] = _digest(place.read_bytes())
        if stat.S_IMODE(place.stat().st_mode) == 0o600:
            private.add(path)
    return Current(directory, manifest, digests, frozenset(private))


def _manifest(system: System, directory: Path) -> Manifest:
    written = system.read_file(directory / MANIFEST)
    if written is None:
        return Manifest()
    try:
        data = json.loads(written)
        found = Manifest(_texts(data["sources"]), _texts(data["files"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        found = None
    if found is None or not all(map(_is_ours, found.files)):
        raise ClientFileError(f"{directory / MANIFEST} is damaged: remove it and the files that are no longer wanted")
    return found


def _texts(data: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in data.items()}


def _is_ours(path: str) -> bool:
    """Return whether a path of a manifest lies in the folder, or in one of a client in it."""
    parts = PurePosixPath(path).parts
    return 1 <= len(parts) <= 2 and not path.startswith("/") and ".." not in parts


def plan(wanted: tuple[Wanted, ...], current: Current, *, purge: bool) -> tuple[Change, ...]:
    """Return the changes to the folder, one a bundle.

    Raises ClientFileError when a file of somebody else has the name of one of ours, or two bundles would share one.
    """
    _check(wanted)
    changes = [change for bundle in wanted for change in _plan_one(bundle, current)]
    kept = {bundle.name for bundle in wanted}
    gone = sorted(set(current.manifest.sources) - kept) if purge else []
    return (*changes, *(Change(REMOVE, f"{name}.zip", f"{name}/, {name}.zip", "", Drop(name)) for name in gone))


def _check(wanted: tuple[Wanted, ...]) -> None:
    names = {bundle.name.lower() for bundle in wanted}
    for bundle in wanted:
        if archive_of(bundle.name.lower()) in names:
            raise ClientFileError(
                f'client "{bundle.name}": its archive would have the name of the folder of the client '
                f'"{archive_of(bundle.name)}"'
            )


def _plan_one(bundle: Wanted, current: Current) -> list[Change]:
    manifest = current.manifest
    strange = [path for path in bundle.paths if path in current.digests and path not in manifest.files]
    if strange:
        raise ClientFileError(f"{current.directory / strange[0]} was not written by splitway: move it away")
    same = manifest.sources.get(bundle.name) == bundle.source and set(manifest.of(bundle.name)) == set(bundle.paths)
    unspoilt = all(
        path in current.private and current.digests.get(path) == manifest.files.get(path) for path in bundle.paths
    )
    if same and unspoilt:
        return []
    action = CHANGE if bundle.name in manifest.sources else ADD
    shown = f"{bundle.name}/, {archive_of(bundle.name)}"
    before = shown if action == CHANGE else ""
    return [Change(action, archive_of(bundle.name), before, f"{shown} (new content)", Make(bundle))]


def apply(system: System, current: Current, changes: tuple[Change, ...]) -> None:
    """Carry out the changes. Raises ClientFileError, SystemFailure and OSError."""
    if not changes:
        return
    made = [change.payload.wanted for change in changes if isinstance(change.payload, Make)]
    dropped = [change.payload.name for change in changes if isinstance(change.payload, Drop)]
    if any(bundle.qr is not None for bundle in made) and not system.has("qrencode"):
        raise ClientFileError("qrencode is not installed: install it, or do without QR codes (qr: false)")
    manifest = _with(current.manifest, {path: "" for bundle in made for path in bundle.paths})
    # First, so that a file that was begun when we are interrupted is known to be ours.
    _remember(system, current.directory, _with(manifest, {}, sources={bundle.name: "" for bundle in made}))
    for bundle in made:
        stale = set(manifest.of(bundle.name)) - set(bundle.paths)
        written = _make(system, current.directory, bundle)
        _remove(system, current.directory, stale)
        manifest = _with(manifest, written, without=stale, sources={bundle.name: bundle.source})
    for name in dropped:
        stale = set(manifest.of(name))
        _remove(system, current.directory, stale)
        sources = {client: source for client, source in manifest.sources.items() if client != name}
        manifest = Manifest(sources, _with(manifest, {}, without=stale).files)
    _remember(system, current.directory, manifest)


def _with(
    manifest: Manifest,
    files: Mapping[str, str],
    *,
    without: Iterable[str] = (),
    sources: Optional[Mapping[str, str]] = None,
) -> Manifest:
    left_out = set(without)
    kept = {path: digest for path, digest in manifest.files.items() if path not in left_out}
    return Manifest({**manifest.sources, **(sources or {})}, {**kept, **files})


def _remember(system: System, directory: Path, manifest: Manifest) -> None:
    # The folder may lie beside an inventory that is kept in git, where a client's key has no place.
    if not (directory / KEPT_OUT_OF_GIT).exists():
        system.write_file(directory / KEPT_OUT_OF_GIT, "*\n")
    data = {"sources": manifest.sources, "files": manifest.files}
    system.write_file(directory / MANIFEST, json.dumps(data, indent=0, sort_keys=True) + "\n")


def _make(system: System, directory: Path, bundle: Wanted) -> dict[str, str]:
    """Write a bundle; return the digests of its files, by path."""
    picture = "" if bundle.qr is None else _draw(system, bundle.qr)
    texts = {name: text.replace(QR_CODE, picture) for name, text in bundle.texts.items()}
    if picture:
        texts[Names.picture] = picture
    found = {f"{bundle.name}/{name}": text.encode() for name, text in texts.items()}
    found[archive_of(bundle.name)] = _archive(found)
    for path, content in found.items():
        system.write_file(directory / path, content)
    return {path: _digest(content) for path, content in found.items()}


def _draw(system: System, text: str) -> str:
    """Return a QR code as SVG that can stand in a page; the text, which holds keys, goes in by stdin."""
    drawn = system.read("qrencode", "--type=SVG", "--inline", "--svg-path", "--output=-", input=text)
    return drawn[drawn.index("<svg") :].strip()  # before it is a comment with its maker's address


def _archive(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content)
    return stream.getvalue()


def _remove(system: System, directory: Path, paths: Iterable[str]) -> None:
    """Remove files, and the folders of clients in which nothing is left."""
    for path in sorted(paths):
        system.remove_file(directory / path)
        folder = (directory / path).parent
        if folder != directory and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
