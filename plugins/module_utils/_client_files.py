# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module wg_client_files and its action plugin share: the options, and one run on either side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .splitway.client_files import ClientFile, ClientFileError, check, folder, text
from .splitway.client_files.folder import Keys
from .splitway.reconcile.base import Change, ReconcileError
from .splitway.system import System, SystemFailure

GATEWAY_DIRECTORY = "/etc/splitway/clients"
FAILURES = (ClientFileError, ReconcileError, SystemFailure, OSError)

OPTIONS: dict[str, Any] = {
    "clients": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "addresses": {"type": "list", "elements": "str", "required": True},
            "endpoint": {"type": "str", "required": True},
            "private_key": {"type": "str", "no_log": True},
            "preshared_key": {"type": "str", "no_log": True},
            "dns": {"type": "list", "elements": "str", "default": []},
            "mtu": {"type": "int"},
            "allowed_ips": {"type": "list", "elements": "str", "default": ["0.0.0.0/0", "::/0"]},
            "persistent_keepalive": {"type": "int", "default": 0},
            "priority": {"type": "int", "default": 1},
        },
    },
    "interface": {"type": "str", "default": "wg0"},
    "server_public_key": {"type": "str"},
    "destination": {"type": "str", "choices": ["gateway", "controller"], "default": "gateway"},
    "directory": {"type": "path"},
    "qr": {"type": "bool", "default": True},
    "purge": {"type": "bool", "default": False},
}

NOT_YET = "(made by the first real run)"


def clients_of(parameters: dict[str, Any]) -> tuple[ClientFile, ...]:
    """Return the clients of the module's parameters. Raises ClientFileError."""
    clients = tuple(
        ClientFile(**{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})
        for entry in parameters["clients"]
    )
    check(clients)
    return clients


def keys_wanted(clients: tuple[ClientFile, ...]) -> tuple[str, ...]:
    """Return the names of the clients whose private key is on the gateway only."""
    return tuple(client.name for client in clients if client.private_key is None)


def bring(
    system: System, parameters: dict[str, Any], clients: tuple[ClientFile, ...], keys: Keys, *, check_mode: bool
) -> tuple[Change, ...]:
    """Return the changes of the folder, carried out unless in check mode. Raises one of FAILURES."""
    directory = Path(parameters["directory"] or GATEWAY_DIRECTORY)
    server = parameters["server_public_key"] or keys.server
    if server is None and clients and not check_mode:
        raise ClientFileError(
            f"{parameters['interface']} has no key: bring up the server first, or give its public key"
        )
    texts = {}
    for client in clients:
        private = client.private_key or keys.clients.get(client.name)
        if private is None and not check_mode:
            raise ClientFileError(f'client "{client.name}": the gateway made no key for it; bring up the server first')
        texts[client.stem] = text(client, private or NOT_YET, server or NOT_YET)
    current = folder.read(system, directory, clients)
    changes = folder.plan(texts, current, qr=parameters["qr"], purge=parameters["purge"])
    if not check_mode:
        folder.apply(system, changes)
    return changes


def result(parameters: dict[str, Any], changes: tuple[Change, ...], *, diff: bool) -> dict[str, Any]:
    """Return what the module says: names of files, never their content."""
    shown = [change for change in changes if change.before or change.after]
    answer: dict[str, Any] = {
        "changed": bool(changes),
        "changes": [f"{change.action} {change.what}" for change in shown],
        "directory": str(parameters["directory"] or GATEWAY_DIRECTORY),
    }
    if diff and shown:
        answer["diff"] = {
            "before": "".join(f"{change.before}\n" for change in shown if change.before),
            "after": "".join(f"{change.after}\n" for change in shown if change.after),
        }
    return answer
