# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of the clients' configuration files and QR codes, on a gateway or a controller.

The same three functions as a reconciler. A manifest in the folder says which files are ours, and from
which configuration a QR code was made; nothing else in the folder is changed or removed. Nothing that
is returned holds a key: Changes name files.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from ..reconcile.base import ADD, CHANGE, REMOVE, Change
from ..reconcile.wireguard.keypairs import client_private_key, interface_path, stored_public
from ..system import System, SystemFailure
from . import ClientFile, ClientFileError

MANIFEST = ".splitway.json"
PICTURE, DRAWING, CONFIGURATION = ".png", ".txt", ".conf"

Made = dict[str, str]  # file name → digest of the configuration from which it was made, "" when begun


@dataclass(frozen=True)
class Keys:
    """The keys that only the gateway has. None: not made yet."""

    server: Optional[str]
    clients: dict[str, Optional[str]]


def gateway_keys(system: System, interface: str, names: tuple[str, ...]) -> Keys:
    """Return the public key of the clients' interface and the private keys made for these clients."""
    server = None
    if system.has("wg"):
        try:
            server = system.read("wg", "show", interface, "public-key").strip()
        except SystemFailure:  # the interface is not there (yet)
            server = stored_public(system, interface_path(system, interface))
    clients = {name: client_private_key(system, name) for name in names}
    return Keys(None if server == "(none)" else server, clients)


@dataclass(frozen=True)
class Current:
    """What is in the folder, of what is ours or has a name that ours would have."""

    directory: Path
    made: Made = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)  # configuration files that are there
    private: frozenset[str] = frozenset()  # names of files that are there and 0600
    present: frozenset[str] = frozenset()  # names of all files that are there


@dataclass(frozen=True)
class Write:
    """Part of a Change: a configuration file gets this text."""

    path: Path
    text: str


@dataclass(frozen=True)
class Draw:
    """Part of a Change: a QR code is made of this text."""

    path: Path
    text: str


@dataclass(frozen=True)
class Remove:
    """Part of a Change: a file goes."""

    path: Path


@dataclass(frozen=True)
class Remember:
    """Part of a Change: the manifest says this."""

    path: Path
    made: Made


def read(system: System, directory: Path, clients: tuple[ClientFile, ...]) -> Current:
    """Return what is in the folder. Raises ClientFileError when the manifest is damaged, and OSError."""
    present = frozenset(system.list_files(directory))
    made = _manifest(system, directory)
    names = [f"{client.stem}{ending}" for client in clients for ending in (CONFIGURATION, PICTURE, DRAWING)]
    there = [name for name in names if name in present]
    texts = {name: system.read_file(directory / name) or "" for name in there if name.endswith(CONFIGURATION)}
    private = frozenset(name for name in there if _mode(directory / name) == 0o600)
    return Current(directory, made, texts, private, present)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _manifest(system: System, directory: Path) -> Made:
    text = system.read_file(directory / MANIFEST)
    try:
        data = json.loads(text) if text else {}
    except ValueError:
        data = None
    if not isinstance(data, dict) or any("/" in str(name) for name in data):
        raise ClientFileError(f"{directory / MANIFEST} is damaged: remove it and the files that are no longer wanted")
    return {str(name): str(digest) for name, digest in data.items()}


def plan(texts: dict[str, str], current: Current, *, qr: bool, purge: bool) -> tuple[Change, ...]:
    """Return the changes to the folder. `texts`: configuration by client.

    Raises ClientFileError when a file of somebody else has the name of one of ours.
    """
    wanted = _wanted(texts, qr=qr)
    stale = sorted(set(current.made) - set(wanted))
    after = {**wanted, **({} if purge else {name: current.made[name] for name in stale})}
    changes: list[Change] = []
    for name in wanted:
        changes += _plan_file(name, texts[name.rpartition(".")[0]], wanted[name], current)
    if purge:
        there = [name for name in stale if name in current.present]
        changes += [Change(REMOVE, name, name, "", Remove(current.directory / name)) for name in there]
    if after == current.made:
        return tuple(changes)
    # First, so that a file that was begun when we are interrupted is known to be ours.
    begun = {**current.made, **{name: "" for name in wanted if current.made.get(name) != wanted[name]}}
    manifest = current.directory / MANIFEST
    first = [Change(CHANGE, "list of the files", payload=Remember(manifest, begun))] * (begun != current.made)
    return (*first, *changes, Change(CHANGE, "list of the files", payload=Remember(manifest, after)))


def _wanted(texts: dict[str, str], *, qr: bool) -> Made:
    endings = (CONFIGURATION, PICTURE, DRAWING) if qr else (CONFIGURATION,)
    return {
        f"{name}{ending}": hashlib.sha256(text.encode()).hexdigest()
        for name, text in texts.items()
        for ending in endings
    }


def _plan_file(name: str, text: str, digest: str, current: Current) -> list[Change]:
    path = current.directory / name
    drawn = not name.endswith(CONFIGURATION)
    same = current.made.get(name) == digest if drawn else current.texts.get(name) == text
    if name in current.present and name not in current.made and (drawn or not same):
        raise ClientFileError(f"{path} was not written by splitway: move it away")
    if same and name in current.private:
        return []
    action = CHANGE if name in current.present else ADD
    payload = Draw(path, text) if drawn else Write(path, text)
    return [Change(action, name, name if action == CHANGE else "", f"{name} (new content)", payload)]


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Carry out the changes. Raises ClientFileError, SystemFailure and OSError."""
    parts = [change.payload for change in changes]
    if any(isinstance(part, Draw) for part in parts) and not system.has("qrencode"):
        raise ClientFileError("qrencode is not installed: install it, or do without QR codes (qr: false)")
    for part in parts:
        if isinstance(part, Write):
            system.write_file(part.path, part.text)
        elif isinstance(part, Draw):
            _draw(system, part.path, part.text)
        elif isinstance(part, Remove):
            system.remove_file(part.path)
        elif isinstance(part, Remember):
            system.write_file(part.path, json.dumps(part.made, indent=0, sort_keys=True) + "\n")


def _draw(system: System, path: Path, text: str) -> None:
    """Make a QR code; the text, which holds keys, goes in by stdin."""
    if path.suffix == DRAWING:
        system.write_file(path, system.run("qrencode", "--type=UTF8", "--output=-", input=text))
        return
    # qrencode would make its file with the caller's umask, in a folder that others may read: it finds one of 0600.
    temporary = path.with_name(f".{path.name}.new")
    os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    system.run("qrencode", "--type=PNG", f"--output={temporary}", input=text)
    os.replace(temporary, path)
