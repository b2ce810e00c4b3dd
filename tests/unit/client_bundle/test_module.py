# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's arguments become bundles, and nothing that it says holds a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import pytest

from ansible_collections.splitway.gateway.plugins.module_utils._client_bundle import (
    OPTIONS,
    bring,
    keys_wanted,
    offers_in,
)
from ansible_collections.splitway.gateway.plugins.module_utils._client_files import result
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.client_files import ClientFileError
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.client_files.folder import Keys
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System
from ansible_collections.splitway.gateway.tests.unit.client_bundle.samples import PRIVATE, PUBLIC

MADE = "D" * 42 + "A="
TUNNEL = {"addresses": ["10.8.0.2/32"], "endpoint": "vpn.example.com:51820", "dns": ["10.8.0.1"]}
PORT = {"key": "transport/server", "low": 443, "high": 453, "chosen": None}
RELAY = {
    "program": "wstunnel",
    "host": "vpn.example.com",
    "port": PORT,
    "path": "s3cret-path",
    "target": "127.0.0.1:51820",
    "certificate": False,
    "version": "",
    "checksum": "",
}
PROXY = {"kind": "HTTP", "host": "10.8.0.1", "port": PORT, "asks": True, "user": "alice", "password": "pass-word"}
ALICE = {
    "name": "alice",
    "tunnel": {**TUNNEL, "name": "alice", "private_key": PRIVATE, "preshared_key": None, "mtu": None},
    "proxies": [PROXY],
    "pacs": [],
}
BOB = {"name": "bob", "tunnel": {**TUNNEL, "name": "bob", "private_key": None}, "proxies": [], "pacs": []}
KEYS = Keys(PUBLIC, {"bob": MADE})


class LocalSystem(System):
    """This host, with a qrencode that needs none."""

    def has(self, program: str) -> bool:
        return program == "qrencode"

    def read(self, *argv: str, input: Optional[str] = None, timeout: float = 60) -> str:
        assert argv[0] == "qrencode", (input, timeout)
        return "<svg></svg>"


def parameters(folder: Path, **options: Any) -> dict[str, Any]:
    defaults = {name: option.get("default") for name, option in OPTIONS.items()}
    given = {"clients": [ALICE, BOB], "relay": RELAY, "address": "203.0.113.7", "directory": str(folder / "bundles")}
    return {**defaults, **given, **options}


def run(given: dict[str, Any], *, check_mode: bool = False, keys: Keys = KEYS) -> dict[str, Any]:
    ports = {"transport/server": 444}
    changes = bring(LocalSystem(), given, offers_in(given), keys, ports, check_mode=check_mode)
    return result(given, changes, diff=True)


def test_keys_and_ports_of_the_gateway_are_in_the_files(tmp_path: Path) -> None:
    said = run(parameters(tmp_path))
    folder = tmp_path / "bundles"
    assert f"PrivateKey = {PRIVATE}\n" in (folder / "alice" / "alice.conf").read_text()
    assert f"PrivateKey = {MADE}\n" in (folder / "bob" / "bob-ws.conf").read_text()
    assert f"PublicKey = {PUBLIC}\n" in (folder / "bob" / "bob.conf").read_text()
    assert "wss://203.0.113.7:444" in (folder / "bob" / "websocket.sh").read_text()
    assert "10.8.0.1:444" in (folder / "alice" / "start-here.html").read_text()
    shown = str(said)
    assert not [secret for secret in (PRIVATE, MADE, "s3cret-path", "pass-word") if secret in shown]
    assert not run(parameters(tmp_path))["changed"]


def test_check_mode_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    said = run(parameters(tmp_path), check_mode=True, keys=Keys(None, {"bob": None}))
    assert not (tmp_path / "bundles").exists()
    assert said == run(parameters(tmp_path))


def test_a_gateway_without_keys_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ClientFileError, match=r"wg0 has no key: run site\.yml"):
        run(parameters(tmp_path), keys=Keys(None, {}))
    with pytest.raises(ClientFileError, match=r'"bob": the gateway made no key'):
        run(parameters(tmp_path), keys=Keys(PUBLIC, {"bob": None}))


def test_only_keys_that_are_missing_are_asked_for(tmp_path: Path) -> None:
    assert keys_wanted(offers_in(parameters(tmp_path))) == ("bob",)


def test_the_gateways_ca_lies_beside_the_script(tmp_path: Path) -> None:
    run(parameters(tmp_path, ca="-----BEGIN CERTIFICATE-----\n"))
    assert (tmp_path / "bundles" / "bob" / "gateway-ca.crt").read_text().startswith("-----BEGIN")
    assert "SSL_CERT_FILE=gateway-ca.crt" in (tmp_path / "bundles" / "bob" / "websocket.sh").read_text()


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    evil = {**BOB, "name": "../bob", "tunnel": {**BOB["tunnel"], "name": "../bob"}}
    with pytest.raises(ClientFileError, match="cannot have this name"):
        offers_in(parameters(tmp_path, clients=[evil]))
    with pytest.raises(ClientFileError, match="cannot have this name"):
        offers_in(parameters(tmp_path, clients=[{**evil, "tunnel": None}]))


@pytest.mark.parametrize("key", ["host", "path", "target"])
def test_a_value_cannot_smuggle_a_line_into_a_script(tmp_path: Path, key: str) -> None:
    with pytest.raises(ClientFileError, match="relay: a value has a line break"):
        offers_in(parameters(tmp_path, relay={**RELAY, key: "x\nreboot"}))
