# SPDX-License-Identifier: GPL-3.0-or-later
"""wg-easy's clients with their keys, and the server that they know: from `wg0.json`, or the database of version 15."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..topology.errors import shown
from ..wg_easy import MIGRATE, Assigning, DatabaseError, read_database, variables
from ..wg_easy.names import clean_name
from .brought import Brought, Server
from .documents import Document, read_document
from .entries import Entry, Refused, Steps
from .kinds import CLIENTS

FILE = "wg0.json"
DATABASES = "*.db"
CLIENT_KEYS = {
    "privateKey": "private_key",
    "publicKey": "public_key",
    "preSharedKey": "preshared_key",
    "enabled": "enabled",
}
SERVER_PREFIX = "/24"  # wg-easy's networks have this length: WG_DEFAULT_ADDRESS is like 10.8.0.x


def read_wg_easy(file: str, content: bytes, refused: Refused, notes: list[str]) -> Brought:
    """Return the clients, and the server as wg-easy has it."""
    if file == FILE:
        return _from_document(file, content, refused, notes)
    try:
        found = variables(read_database(content), MIGRATE, Assigning())
    except DatabaseError as error:
        refused.file(file, 0, str(error))
        return Brought(files={CLIENTS: {file}})
    notes += [f"{file}: {note}" for note in found.notes]
    clients = [
        Entry(client.value["name"], client.value, file, client.number, _placing_row(client.number))
        for client in found.clients
    ]
    return Brought({CLIENTS: clients}, {CLIENTS: {file}}, Server(found.server, file))


def _placing_row(number: int) -> Any:
    """Return the place of everything in a client: its id stands for the line, which a database has not."""
    return lambda steps: (number, steps)


def _from_document(file: str, content: bytes, refused: Refused, notes: list[str]) -> Brought:
    document = read_document(file, content, refused)
    if document is None:
        return Brought(files={CLIENTS: {file}})
    parts = {key: (begin, value) for key, begin, value in document.parts(document.begin())}
    begin, clients = parts.get("clients", (0, None))
    if not isinstance(clients, dict):
        refused.file(file, 1, "is not there: is this wg-easy's file?", where="clients")
        return Brought(files={CLIENTS: {file}})
    at, server = parts.get("server", (0, None))
    lines = {"addresses": document.line(document.find(at, ("address",)))}
    lines["private_key"] = document.line(document.find(at, ("privateKey",)))
    entries = list(_clients(file, document, begin, notes))
    return Brought({CLIENTS: entries}, {CLIENTS: {file}}, Server(_server(server), file, lines))


def _clients(file: str, document: Document, position: int, notes: list[str]) -> Iterator[Entry]:
    for _, begin, value in document.parts(position):
        line = document.line(begin)
        if not isinstance(value, dict):
            yield Entry(None, value, file, line, _placing(document, begin))
            continue
        given = value.get("name")
        name = clean_name(given) if isinstance(given, str) else given
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
