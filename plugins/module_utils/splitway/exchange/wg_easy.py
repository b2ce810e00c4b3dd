# SPDX-License-Identifier: GPL-3.0-or-later
"""wg-easy's `wg0.json` (its versions before 15): its clients with their keys, and the server that they know."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from ..topology.errors import shown
from .documents import Document, read_document
from .entries import Entry, Refused, Steps

FILE = "wg0.json"
CLIENT_KEYS = {
    "privateKey": "private_key",
    "publicKey": "public_key",
    "preSharedKey": "preshared_key",
    "enabled": "enabled",
}
SERVER_PREFIX = "/24"  # wg-easy's networks have this length: WG_DEFAULT_ADDRESS is like 10.8.0.x

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def read_wg_easy(
    content: bytes, refused: Refused, notes: list[str], file: str = FILE
) -> tuple[list[Entry], dict[str, Any]]:
    """Return the clients, and `splitway_server` as wg-easy has it ({} without one)."""
    document = read_document(file, content, refused)
    if document is None:
        return [], {}
    parts = {key: (begin, value) for key, begin, value in document.parts(document.begin())}
    begin, clients = parts.get("clients", (0, None))
    if not isinstance(clients, dict):
        refused.file(file, 1, "is not there: is this wg-easy's file?", where="clients")
        return [], {}
    return list(_clients(file, document, begin, notes)), _server(parts.get("server", (0, None))[1])


def _clients(file: str, document: Document, position: int, notes: list[str]) -> Iterator[Entry]:
    for _, begin, value in document.parts(position):
        line = document.line(begin)
        if not isinstance(value, dict):
            yield Entry(None, value, file, line, _placing(document, begin))
            continue
        given = value.get("name")
        name = _name(given) if isinstance(given, str) else given
        if name != given:
            notes.append(f"{file}:{line}: {shown(given)} is called {shown(name)}")
        client = {"name": name, "addresses": [value["address"]] if value.get("address") else None}
        # An empty key is none.
        client.update({key: value.get(theirs) or None for theirs, key in CLIENT_KEYS.items() if theirs != "enabled"})
        if value.get("enabled") is False:
            client["enabled"] = False
        yield Entry(name, client, file, line, _placing(document, begin))


def _placing(document: Document, begin: int) -> Any:
    theirs = {key: word for word, key in CLIENT_KEYS.items()} | {"addresses": "address", "name": "name"}

    def place(steps: Steps) -> tuple[int, Steps]:
        word = theirs.get(str(steps[0])) if steps else None
        return document.line(document.find(begin, (word,) if word else ())), (word,) if word else steps

    return place


def _server(value: Any) -> dict[str, Any]:
    """Return the server that the clients know: its key is in each of their files."""
    if not isinstance(value, dict) or not isinstance(value.get("address"), str):
        return {}
    server: dict[str, Any] = {"addresses": [f"{value['address']}{SERVER_PREFIX}"]}
    if value.get("privateKey"):
        server["private_key"] = value["privateKey"]
    return server


def _name(given: str) -> str:
    """Return a name without accents, and with a hyphen for each run of what a name cannot have."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", given) if not unicodedata.combining(c))
    return _NOT_IN_NAMES.sub("-", letters).strip("-.")[:63]
