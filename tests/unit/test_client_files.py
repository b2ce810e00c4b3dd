# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients' configuration files: what they say, when they are written, and that nothing shows a key."""

from __future__ import annotations

import configparser
import dataclasses
import stat
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any, Optional

import pytest

from ansible_collections.splitway.gateway.plugins.module_utils._client_files import OPTIONS, bring, clients_of, result
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.client_files import (
    ClientFile,
    ClientFileError,
    check,
    client_files,
    text,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.client_files.folder import Keys, gateway_keys
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System, SystemFailure
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.model import (
    Client,
    Endpoint,
    Policy,
    Server,
    Topology,
)

PRIVATE, PRESHARED, PUBLIC, MADE = ("A" * 42 + "A=", "B" * 42 + "A=", "C" * 42 + "A=", "D" * 42 + "A=")
KEYS = Keys(PUBLIC, {"bob": MADE})
ALICE = {
    "name": "alice",
    "addresses": ["10.8.0.2/32", "fdcc::2/128"],
    "endpoint": "vpn.example.com:51820",
    "private_key": PRIVATE,
    "preshared_key": PRESHARED,
    "dns": ["10.8.0.1"],
}
BOB = {"name": "bob", "addresses": ["10.8.0.3/32"], "endpoint": "vpn.example.com:51820"}


class LocalSystem(System):
    """This host, with a qrencode that needs none, and one that counts."""

    def __init__(self, folder: Path, programs: tuple[str, ...] = ("qrencode",)) -> None:
        super().__init__(folder / "etc", folder / "run")
        self.programs = programs
        self.drawn: list[str] = []

    def has(self, program: str) -> bool:
        return program in self.programs

    def run(self, *argv: str, input: Optional[str] = None, timeout: float = 120) -> str:
        if argv[0] != "qrencode":
            return super().run(*argv, input=input, timeout=timeout)
        self.commands.append(" ".join(argv))
        target = argv[-1].partition("=")[2]
        self.drawn.append(target)
        if target == "-":
            return f"drawing of {len(input or '')}\n"
        Path(target).write_bytes(b"\x89PNG")
        return ""


class ReadOnlySystem(LocalSystem):
    """Raises on whatever changes the host."""

    def run(self, *argv: str, **_: Any) -> str:
        raise AssertionError(argv)

    def write_file(self, path: Path, *_: Any) -> None:
        raise AssertionError(path)

    def remove_file(self, path: Path) -> None:
        raise AssertionError(path)


def parameters(folder: Path, *clients: dict[str, Any], **options: Any) -> dict[str, Any]:
    filled = [
        {name: client.get(name, option.get("default")) for name, option in OPTIONS["clients"]["options"].items()}
        for client in clients
    ]
    defaults = {name: option.get("default") for name, option in OPTIONS.items()}
    return {**defaults, "clients": filled, "directory": str(folder / "clients"), "purge": True, **options}


def run(system: System, given: dict[str, Any], *, check_mode: bool = False, keys: Keys = KEYS) -> dict[str, Any]:
    changes = bring(system, given, clients_of(given), keys, check_mode=check_mode)
    return result(given, changes, diff=True)


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "clients").iterdir() if not path.name.startswith(".")}


def test_what_a_configuration_says() -> None:
    client = ClientFile(
        "alice",
        ("10.8.0.2/32", "fdcc::2/128"),
        "[2001:db8::1]:51820",
        PRIVATE,
        PRESHARED,
        ("10.8.0.1", "fdcc::1"),
        1360,
        persistent_keepalive=25,
    )
    parsed = configparser.ConfigParser()
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(text(client, PRIVATE, PUBLIC))
    assert dict(parsed["Interface"]) == {
        "PrivateKey": PRIVATE,
        "Address": "10.8.0.2/32, fdcc::2/128",
        "DNS": "10.8.0.1, fdcc::1",
        "MTU": "1360",
    }
    assert dict(parsed["Peer"]) == {
        "PublicKey": PUBLIC,
        "PresharedKey": PRESHARED,
        "Endpoint": "[2001:db8::1]:51820",
        "AllowedIPs": "0.0.0.0/0, ::/0",
        "PersistentKeepalive": "25",
    }


def test_topology_gives_the_clients_whose_key_is_known() -> None:
    server = Server(
        "wg0",
        51820,
        (ip_interface("10.8.0.1/24"), ip_interface("fdcc::1/64")),
        None,
        Endpoint("vpn.example.com", 51820),
    )
    four = (ip_address("10.8.0.2"),)
    clients = (
        Client("given", (*four, ip_address("fdcc::2")), Policy(), private_key=PRIVATE),
        Client("made", (ip_address("10.8.0.3"),), Policy()),
        Client("secretive", (ip_address("10.8.0.4"),), Policy(), public_key=PUBLIC),
    )
    topology = Topology(server, clients=clients)
    given, made = client_files(topology)
    assert (given.name, given.addresses, given.dns) == (
        "given",
        ("10.8.0.2/32", "fdcc::2/128"),
        ("10.8.0.1", "fdcc::1"),
    )
    assert (made.name, made.private_key, made.dns) == ("made", None, ("10.8.0.1",))
    # Routed into the tunnel all the same: otherwise IPv6 leaks around it.
    assert made.allowed_ips == ("0.0.0.0/0", "::/0")
    assert client_files(dataclasses.replace(topology, server=dataclasses.replace(server, endpoint=None))) == ()


@pytest.mark.parametrize("name", ["../alice", "a/b", "", ".hidden", "a\nb", "a b", "-\0"])
def test_a_name_that_is_no_file_name(name: str) -> None:
    with pytest.raises(ClientFileError):
        check((ClientFile(name, ("10.8.0.2/32",), "vpn:1"),))


@pytest.mark.parametrize("field", ["endpoint", "preshared_key", "private_key"])
def test_a_value_cannot_smuggle_a_line(field: str) -> None:
    client = ClientFile("alice", ("10.8.0.2/32",), "vpn:1", PRIVATE, PRESHARED)
    with pytest.raises(ClientFileError) as caught:
        check((dataclasses.replace(client, **{field: "x\nPostUp = reboot"}),))
    assert "reboot" not in str(caught.value)


def test_files_are_private_and_second_run_changes_nothing(tmp_path: Path) -> None:
    system = LocalSystem(tmp_path)
    given = parameters(tmp_path, ALICE, BOB)
    assert run(system, given)["changed"]
    assert files(tmp_path) == {f"{name}.{ending}" for name in ("alice", "bob") for ending in ("conf", "png", "txt")}
    assert stat.S_IMODE((tmp_path / "clients").stat().st_mode) == 0o700
    for path in (tmp_path / "clients").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert f"PrivateKey = {MADE}" in (tmp_path / "clients" / "bob.conf").read_text()
    assert run(ReadOnlySystem(tmp_path), given) == {"changed": False, "changes": [], "directory": given["directory"]}


def test_only_what_changed_is_drawn_again(tmp_path: Path) -> None:
    run(LocalSystem(tmp_path), parameters(tmp_path, ALICE, BOB))
    system = LocalSystem(tmp_path)
    said = run(system, parameters(tmp_path, ALICE, {**BOB, "mtu": 1280}))
    assert said["changes"] == ["change bob.conf", "change bob.png", "change bob.txt"]
    assert len(system.drawn) == 2


def test_removed_clients_files_go_and_strangers_stay(tmp_path: Path) -> None:
    run(LocalSystem(tmp_path), parameters(tmp_path, ALICE, BOB))
    (tmp_path / "clients" / "notes.txt").write_text("mine")
    said = run(LocalSystem(tmp_path), parameters(tmp_path, ALICE, purge=False))
    assert not said["changed"]
    said = run(LocalSystem(tmp_path), parameters(tmp_path, ALICE))
    assert said["changes"] == ["remove bob.conf", "remove bob.png", "remove bob.txt"]
    assert files(tmp_path) == {"alice.conf", "alice.png", "alice.txt", "notes.txt"}


def test_a_strangers_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients" / "alice.conf").write_text("mine")
    with pytest.raises(ClientFileError, match=r"alice\.conf was not written by splitway"):
        run(LocalSystem(tmp_path), parameters(tmp_path, ALICE))
    assert files(tmp_path) == {"alice.conf"}


def test_drift_is_repaired(tmp_path: Path) -> None:
    given = parameters(tmp_path, ALICE, BOB)
    run(LocalSystem(tmp_path), given)
    (tmp_path / "clients" / "alice.conf").write_text("changed by hand")
    (tmp_path / "clients" / "alice.png").unlink()
    (tmp_path / "clients" / "bob.txt").chmod(0o644)
    (tmp_path / "clients").chmod(0o755)  # a shared folder is the operator's choice; the files are private all the same
    said = run(LocalSystem(tmp_path), given)
    assert said["changes"] == ["change alice.conf", "add alice.png", "change bob.txt"]
    assert stat.S_IMODE((tmp_path / "clients").stat().st_mode) == 0o755
    assert not run(ReadOnlySystem(tmp_path), given)["changed"]


def test_interrupted_in_between_is_finished_by_the_next_run(tmp_path: Path) -> None:
    class Breaking(LocalSystem):
        def run(self, *argv: str, input: Optional[str] = None, timeout: float = 120) -> str:
            if len(self.drawn) == 2:
                raise SystemFailure("no space left")
            return super().run(*argv, input=input, timeout=timeout)

    given = parameters(tmp_path, ALICE, BOB)
    with pytest.raises(SystemFailure):
        run(Breaking(tmp_path), given)
    run(LocalSystem(tmp_path), given)
    assert len(files(tmp_path)) == 6
    assert not run(ReadOnlySystem(tmp_path), given)["changed"]


def test_check_mode_on_a_fresh_gateway_writes_nothing(tmp_path: Path) -> None:
    system = ReadOnlySystem(tmp_path, programs=())
    keys = gateway_keys(system, "wg0", ("bob",))
    assert keys == Keys(None, {"bob": None})
    said = run(system, parameters(tmp_path, ALICE, BOB), check_mode=True, keys=keys)
    assert said["changes"][:1] == ["add alice.conf"]
    assert len(said["changes"]) == 6


def test_check_says_what_a_real_run_does(tmp_path: Path) -> None:
    given = parameters(tmp_path, ALICE, BOB)
    assert run(ReadOnlySystem(tmp_path), given, check_mode=True) == run(LocalSystem(tmp_path), given)


def test_nothing_shows_a_key(tmp_path: Path) -> None:
    system = LocalSystem(tmp_path)
    said = run(system, parameters(tmp_path, ALICE, BOB))
    shown = f"{said} {system.commands} {(tmp_path / 'clients' / '.splitway.json').read_text()}"
    assert not [key for key in (PRIVATE, PRESHARED, MADE) if key in shown]


def test_missing_keys_and_programs_are_named(tmp_path: Path) -> None:
    with pytest.raises(ClientFileError, match="wg0 has no key"):
        run(LocalSystem(tmp_path), parameters(tmp_path, ALICE), keys=Keys(None, {}))
    with pytest.raises(ClientFileError, match='"bob": the gateway made no key'):
        run(LocalSystem(tmp_path), parameters(tmp_path, BOB), keys=Keys(PUBLIC, {"bob": None}))
    with pytest.raises(ClientFileError, match="qrencode is not installed"):
        run(LocalSystem(tmp_path, programs=()), parameters(tmp_path, ALICE))
    assert run(LocalSystem(tmp_path, programs=()), parameters(tmp_path, ALICE, qr=False))["changed"]
    assert files(tmp_path) == {"alice.conf"}


def test_files_of_a_standby_gateway_lie_beside_those_of_the_first(tmp_path: Path) -> None:
    second = {**ALICE, "endpoint": "other.example.com:51820", "priority": 2}
    for client in (ALICE, second):
        run(LocalSystem(tmp_path), parameters(tmp_path, client, purge=False))
    assert {"alice.conf", "alice+2.conf", "alice+2.png"} < files(tmp_path)
    assert "other.example.com" in (tmp_path / "clients" / "alice+2.conf").read_text(encoding="utf-8")
    assert "other.example.com" not in (tmp_path / "clients" / "alice.conf").read_text(encoding="utf-8")
    run(LocalSystem(tmp_path), parameters(tmp_path, second))
    assert {name.partition(".")[0] for name in files(tmp_path)} == {"alice+2"}


def test_a_clients_priority_comes_from_the_topology() -> None:
    server = Server("wg0", 51820, (ip_interface("10.8.0.1/24"),), endpoint=Endpoint("vpn.example.com", 51820))
    client = Client("bob", (ip_address("10.8.0.3"),), Policy(), priority=3)
    assert [file.stem for file in client_files(Topology(server, clients=(client,)))] == ["bob+3"]
