# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module wg_client_bundle and its action plugin share: the options, and one run on either side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ._client_files import NOT_YET
from ._client_files import OPTIONS as CLIENT_FILES
from ._module import PORT_RANGE, without_none
from .splitway.client_bundle import Bundle, contents, folder, qr_text
from .splitway.client_bundle.making import bundles_of
from .splitway.client_bundle.offers import Offers
from .splitway.client_files import ClientFileError, check, check_names
from .splitway.client_files.folder import Keys
from .splitway.ports import Ports
from .splitway.reconcile.base import Change
from .splitway.state import from_data
from .splitway.system import System

GATEWAY_DIRECTORY = "/etc/splitway/bundles"

_PORT = {
    "type": "dict",
    "required": True,
    "options": {**PORT_RANGE, "chosen": {"type": "int"}},
}
_PROXY = {
    "kind": {"type": "str", "choices": ["SOCKS5", "HTTP"], "required": True},
    "host": {"type": "str", "required": True},
    "port": _PORT,
    "asks": {"type": "bool", "default": False},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
}
_PAC = {
    "scheme": {"type": "str", "choices": ["http", "https"], "default": "http"},
    "host": {"type": "str", "required": True},
    "port": _PORT,
    "path": {"type": "str", "required": True},
}
_RELAY = {
    "program": {"type": "str", "choices": ["wstunnel", "websocat"], "required": True},
    "host": {"type": "str", "required": True},
    "port": _PORT,
    "path": {"type": "str", "required": True, "no_log": True},
    "target": {"type": "str", "required": True},
    "certificate": {"type": "bool", "default": False},
    "version": {"type": "str", "default": ""},
    "checksum": {"type": "str", "default": ""},
}
_CLIENT = {
    "name": {"type": "str", "required": True},
    "tunnel": {"type": "dict", "options": CLIENT_FILES["clients"]["options"]},
    "proxies": {"type": "list", "elements": "dict", "default": [], "options": _PROXY},
    "pacs": {"type": "list", "elements": "dict", "default": [], "options": _PAC},
}
OPTIONS: dict[str, Any] = {
    "clients": {"type": "list", "elements": "dict", "required": True, "options": _CLIENT},
    "relay": {"type": "dict", "options": _RELAY},
    "gateway": {"type": "str"},
    "address": {"type": "str"},
    "ca": {"type": "str", "default": ""},
    "interface": {"type": "str", "default": "wg0"},
    "destination": {"type": "str", "choices": ["gateway", "controller"], "default": "controller"},
    "directory": {"type": "path"},
    "qr": {"type": "bool", "default": True},
    "purge": {"type": "bool", "default": False},
}


def offers_in(parameters: dict[str, Any]) -> Offers:
    """Return the offers of the module's parameters. Raises ClientFileError."""
    given = {"clients": parameters["clients"], "relay": parameters["relay"]}
    try:
        offers: Offers = from_data(Offers, without_none(given))
    except ValueError as error:
        raise ClientFileError(str(error)) from error
    check_names(client.name for client in offers.clients)
    if offers.relay is not None and not f"{offers.relay.host}{offers.relay.path}{offers.relay.target}".isprintable():
        raise ClientFileError("relay: a value has a line break or a control character")
    check(tuple(client.tunnel for client in offers.clients if client.tunnel is not None))
    return offers


def keys_wanted(offers: Offers) -> tuple[str, ...]:
    """Return the names of the clients whose private key is on the gateway only."""
    tunnels = (client.tunnel for client in offers.clients)
    return tuple(tunnel.name for tunnel in tunnels if tunnel is not None and tunnel.private_key is None)


def bring(
    system: System, parameters: dict[str, Any], offers: Offers, keys: Keys, ports: Ports, *, check_mode: bool
) -> tuple[Change, ...]:
    """Return the changes of the folder, carried out unless in check mode. Raises one of _client_files.FAILURES."""
    directory = Path(parameters["directory"] or GATEWAY_DIRECTORY)
    bundles = bundles_of(offers, parameters["gateway"] or "the gateway", parameters["address"], parameters["ca"], ports)
    wanted = tuple(
        _wanted(bundle, parameters["interface"], keys, qr=parameters["qr"], check_mode=check_mode) for bundle in bundles
    )
    current = folder.read(system, directory, wanted)
    changes = folder.plan(wanted, current, purge=parameters["purge"])
    if not check_mode:
        folder.apply(system, current, changes)
    return changes


def _wanted(bundle: Bundle, interface: str, keys: Keys, *, qr: bool, check_mode: bool) -> folder.Wanted:
    private, server = NOT_YET, NOT_YET
    if bundle.tunnel is not None:
        private = bundle.tunnel.private_key or keys.clients.get(bundle.tunnel.name) or NOT_YET
        server = keys.server or NOT_YET
        if server == NOT_YET and not check_mode:
            raise ClientFileError(f"{interface} has no key: run site.yml first")
        if private == NOT_YET and not check_mode:
            raise ClientFileError(f'client "{bundle.name}": the gateway made no key for it; run site.yml first')
    texts = contents(bundle, private, server, qr=qr)
    return folder.Wanted(bundle.name, texts, qr_text(bundle, texts) if qr else None)
