# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run is to bring: given whole to its rehearsal, from which the run's steps take their sections.

So a topology of megabytes goes to the gateway once, packed, and not at all when it is the published one. What is
kept lives in the runtime folder, in a file a run that goes with the run.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Collection
from pathlib import Path

from .sealed import parts_of, sealed, state_of, unsealed
from .state import SECTIONS, State
from .store import Store, StoreError

LONGEST = 3600  # seconds that a run without a transaction (check mode) is taken to last

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]+")


def packed(state: State) -> str:
    """Return a state as text that an argument carries: a third of its JSON."""
    return base64.b64encode(zlib.compress(sealed(parts_of(state)).encode())).decode()


def keep(store: Store, identifier: str, package: str) -> State:
    """Keep for a run what was packed, or, given "", the generation; return it. Raises StoreError."""
    text = _unpacked(package) if package else sealed(parts_of(store.generation()))
    state = _state(text, SECTIONS)
    _forget_abandoned(store)
    store.system.write_file(_file(store, identifier), text)
    return state


def kept(store: Store, identifier: str, sections: Collection[str]) -> State:
    """Return what was kept for a run, of its sections these. Raises StoreError when nothing was."""
    text = store.system.read_file(_file(store, identifier))
    if text is None:
        raise StoreError(f"the transaction {identifier} had no rehearsal (state: rehearse), or it is ended")
    return _state(text, sections)


def forget(store: Store, identifier: str) -> None:
    """Remove what was kept for a run, and the folders that were made for it alone."""
    path = _file(store, identifier)
    store.system.remove_file(path)
    for folder in (path.parent, store.system.runtime):
        try:
            folder.rmdir()
        except OSError:  # not there, or in use by others
            return


def _unpacked(package: str) -> str:
    try:
        return zlib.decompress(base64.b64decode(package, validate=True)).decode()
    except (binascii.Error, zlib.error, UnicodeDecodeError) as error:
        raise StoreError(f"desired: not what splitway_compile packed: {error}") from error


def _state(text: str, sections: Collection[str]) -> State:
    try:
        return state_of(unsealed(text), sections)
    except ValueError as error:
        raise StoreError(f"what the run is to bring cannot be read: {error}") from error


def _forget_abandoned(store: Store) -> None:
    """Remove what runs left that never came to their end. A transaction's goes with it; check mode has none."""
    old = store.system.now() - LONGEST
    for path in _folder(store).glob("*.json"):
        if path.stat().st_mtime < old:
            store.system.remove_file(path)


def _file(store: Store, identifier: str) -> Path:
    if not _IDENTIFIER.fullmatch(identifier):
        raise StoreError(f'transaction: "{identifier}" is not an id: letters, digits, - and _')
    return _folder(store) / f"{identifier}.json"


def _folder(store: Store) -> Path:
    return store.system.runtime / "rehearsed"
