# SPDX-License-Identifier: GPL-3.0-or-later
"""wg-easy's tables as variables of a gateway: all kinds of clients, all its versions, and what is not one of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.topology.samples import key
from ansible_collections.splitway.gateway.tests.unit.wg_easy.databases import MIGRATIONS, client, insert, public, write
from splitway.compiler import compile_state
from splitway.topology import parse
from splitway.topology.scalars import name as valid_name
from splitway.wg_easy import ADOPT, MIGRATE, Assigning, DatabaseError, Variables, read_database, snapshot, variables
from splitway.wg_easy.names import own_names


def read(path: Path, mode: str = MIGRATE, assigning: Assigning | None = None, **keywords: Any) -> Variables:
    return variables(read_database(snapshot(path)), mode, assigning or Assigning(), **keywords)


@pytest.mark.parametrize("version", MIGRATIONS)
def test_everything_moves_with_migrate(tmp_path: Path, version: tuple[int, int]) -> None:
    path = write(tmp_path / "db", client(1, "alice", persistent_keepalive=15), version=version, port=443, mtu=1380)
    found = read(path)
    assert found.server == {
        "private_key": key("wg-easy"),
        "interface": "wg0",
        "listen_port": 443,
        "addresses": ["10.8.0.1/24", "fdcc:ad94:bacf:61a4::cafe:1/112"],
        "mtu": 1380,
        "endpoint": "vpn.example.net:51820",
    }
    assert [entry.value for entry in found.clients] == [
        {
            "name": "alice",
            "addresses": ["10.8.0.2", "fdcc:ad94:bacf:61a4::cafe:2"],
            "public_key": public(1),
            "private_key": key("private 1"),
            "preshared_key": key("shared 1"),
            "persistent_keepalive": 15,
        }
    ]


def test_adopt_says_no_secret_and_nothing_that_is_wg_easys_to_say(tmp_path: Path) -> None:
    found = read(write(tmp_path / "db", client(1, "alice", mtu=1300, post_up="reboot")), ADOPT)
    assert found.server == {
        "adopt": True,
        "interface": "wg0",
        "listen_port": 51820,
        "addresses": ["10.8.0.1/24", "fdcc:ad94:bacf:61a4::cafe:1/112"],
        "endpoint": "vpn.example.net:51820",
    }
    assert found.clients[0].value.keys() == {"name", "addresses", "public_key"}
    assert found.notes == ()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}),
        ({"enabled": 0}, {"enabled": False}),
        ({"expires_at": "2026-12-31T00:00:00.000Z"}, {"expires": "2026-12-31T00:00:00Z"}),
        ({"expires_at": "2026-12-31T01:30:00+02:00"}, {"expires": "2026-12-30T23:30:00Z"}),
        ({"expires_at": "2026-12-31"}, {"expires": "2026-12-31T00:00:00Z"}),
        ({"expires_at": "soon"}, {}),
    ],
)
def test_clients_end_when_wg_easy_ends_them(tmp_path: Path, values: dict[str, Any], expected: dict[str, Any]) -> None:
    value = read(write(tmp_path / "db", client(1, "a", **values)), ADOPT).clients[0].value
    assert {key: value[key] for key in ("enabled", "expires") if key in value} == expected


@pytest.mark.parametrize("mode", [ADOPT, MIGRATE])
def test_what_comes_of_a_database_is_a_topology(tmp_path: Path, mode: str) -> None:
    path = write(
        tmp_path / "db",
        client(1, "Alice #work", expires_at="2099-12-31T00:00:00.000Z"),
        client(2, "bob", enabled=0),
        client(3, "bob", expires_at="soon", server_allowed_ips=["192.168.5.0/24"], pre_shared_key=""),
    )
    found = read(path, mode, Assigning({"work": "office"}))
    topology = parse(
        {
            "splitway_server": found.server,
            "splitway_clients": [entry.value for entry in found.clients],
            "splitway_policies": {"office": {}},
        }
    )
    assert topology.server.adopt is (mode == ADOPT)
    server = compile_state(topology, {}).server
    assert server is not None
    peers = {peer.public_key: (peer.preshared_key, peer.allowed_ips) for peer in server.peers if peer.public_key}
    shared = key("shared 1") if mode == MIGRATE else None
    assert peers == {
        public(1): (shared, ("10.8.0.2/32", "fdcc:ad94:bacf:61a4::cafe:2/128")),
        public(3): (None, ("10.8.0.4/32", "fdcc:ad94:bacf:61a4::cafe:4/128")),
    }
    enabled = {entry.name: entry for entry in topology.clients if entry.public_key}
    assert enabled.keys() == {"Alice", "bob-3"}
    assert (enabled["Alice"].policy, enabled["Alice"].expires) == ("office", 4102358400)
    assert enabled["bob-3"].expires is None


def test_what_has_no_place_is_said_by_name(tmp_path: Path) -> None:
    path = write(
        tmp_path / "db",
        client(1, "plain"),
        client(2, "router", server_allowed_ips=["192.168.5.0/24"], server_endpoint="198.51.100.7:1"),
        client(3, "late", expires_at="soon", mtu=1280),
        client(4, "half", allowed_ips=["10.8.0.0/24"], i1="<b 0x00>"),
        client(5, "Über me", post_up="curl x | sh", firewall_ips=["10.0.0.1"]),
        post_up="iptables -A FORWARD",
        firewall_enabled=1,
    )
    notes = list(read(path).notes)
    assert [note.split(": ")[0] for note in notes] == [
        '"Über me" is called Uber-me',
        *("router", "late", "half", "late", "router", "Uber-me", "half", "Uber-me", "wg0"),
    ]
    assert "PostUp: hooks are not taken, and never run" in notes[-1]
    assert not any("curl" in note for note in notes)
    assert [note.split(": ")[0] for note in read(path, ADOPT).notes[1:]] == ["router", "late", "half"]


def test_ipv6_is_left_out_of_a_wg_easy_that_does_none(tmp_path: Path) -> None:
    found = read(write(tmp_path / "db", client(1, "a")), ipv6=False)
    assert (found.server["addresses"], found.clients[0].value["addresses"]) == (["10.8.0.1/24"], ["10.8.0.2"])


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [("2001:db8::1", "[2001:db8::1]:51820"), ("[2001:db8::1]", "[2001:db8::1]:51820"), ("", None)],
)
def test_the_endpoint_is_what_clients_have(tmp_path: Path, host: str, endpoint: str | None) -> None:
    assert read(write(tmp_path / "db", host=host)).server.get("endpoint") == endpoint


def test_policies_come_by_tag_by_name_and_for_all_others(tmp_path: Path) -> None:
    given_names = [
        "Phone #Work",
        "#work",
        "kids tablet",
        "KIDS pc #work now",
        "TV #1",
        "bob #work#family",
        "x #family #work",
    ]
    path = write(tmp_path / "db", *(client(number, name) for number, name in enumerate(given_names, 1)))
    assigning = Assigning({"work": "office", "#family": "home"}, {"kids *": "children", "*1": "one"}, "rest")
    found = [(entry.value["name"], entry.value["policy"]) for entry in read(path, ADOPT, assigning).clients]
    assert found == [
        ("Phone", "office"),
        ("client-2", "office"),
        ("kids-tablet", "children"),
        ("KIDS-pc-now", "office"),
        ("TV-1", "one"),
        ("bob-work-family", "rest"),
        ("x", "home"),
    ]
    assert "policy" not in read(path, ADOPT).clients[0].value


@settings(max_examples=200)
@given(st.lists(st.text(max_size=80), max_size=12), st.text(max_size=5))
def test_names_are_valid_unlike_and_stay_when_a_client_is_added(texts: list[str], added: str) -> None:
    found = own_names(enumerate(texts, 1))
    assert len({name.lower() for name in found.values()}) == len(texts)
    assert all(valid_name(name) for name in found.values())
    more = own_names(enumerate([*texts, added], 1))
    assert {number: more[number] for number in found} == found


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("DROP TABLE hooks_table", "is not of wg-easy 15: there is no hooks_table"),
        ("ALTER TABLE clients_table RENAME public_key TO key", "clients_table has no public_key"),
        ("UPDATE interfaces_table SET private_key = '---default---'", "has no keys yet: start wg-easy once"),
        ("UPDATE clients_table SET dns = '{'", r'client 1 \("a"\): dns is not a list of texts in JSON'),
        ("UPDATE clients_table SET name = x'00'", "name is not text"),
        ("UPDATE interfaces_table SET ipv4_cidr = 'ten'", '"ten" is not a network'),
        ("DELETE FROM interfaces_table", "has 0 interfaces"),
        ("DELETE FROM user_configs_table", 'has nothing on "wg0" in user_configs_table'),
        (
            "INSERT INTO __drizzle_migrations VALUES (NULL, '', 1900000000000)",
            "is of a newer wg-easy than 15.4, .*accept_newer",
        ),
    ],
)
def test_what_is_not_wg_easys_is_named(tmp_path: Path, change: str, problem: str) -> None:
    path = write(tmp_path / "db", client(1, "a"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
    with pytest.raises(DatabaseError, match=problem):
        read(path)


def test_a_newer_database_is_taken_when_it_is_said_and_has_what_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "db", client(1, "a"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO __drizzle_migrations VALUES (NULL, '', 1900000000000)")
        connection.execute("ALTER TABLE clients_table ADD colour text")
        connection.commit()
    database = read_database(path.read_bytes(), accept_newer=True)
    assert [entry.name for entry in database.clients] == ["a"]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE clients_table DROP COLUMN mtu")
        connection.commit()
    with pytest.raises(DatabaseError, match="clients_table has no mtu; it is of a newer wg-easy"):
        read_database(path.read_bytes(), accept_newer=True)


def test_of_several_interfaces_one_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "db", client(1, "a"), client(2, "b", interface_id="wg1"))
    with closing(sqlite3.connect(path)) as connection:
        insert(connection, "interfaces_table", {"name": "wg1", "private_key": key("x")})
        connection.commit()
    with pytest.raises(DatabaseError, match="has 2 interfaces: say which"):
        read_database(path.read_bytes())
    assert [entry.name for entry in read_database(path.read_bytes(), "wg0").clients] == ["a"]
    with pytest.raises(DatabaseError, match='has no interface "wg7", but wg0, wg1'):
        read_database(path.read_bytes(), "wg7")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with some of everything."""
    path = tmp_path_factory.mktemp("whole") / "db"
    return write(path, *(client(number, f"c{number}", expires_at="2099-12-31") for number in range(1, 20)), post_up="x")


@settings(max_examples=100)
@given(places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=4, max_size=4)), max_size=6))
def test_a_database_with_any_bytes_in_it_is_read_or_named(whole: Path, places: list[tuple[float, bytes]]) -> None:
    content = bytearray(whole.read_bytes())
    for place, new in places:
        begin = int(place * len(content))
        content[begin : begin + 4] = new
    path = whole.with_name("any")
    path.write_bytes(content)
    try:
        read(path)
    except DatabaseError as error:
        assert str(error)


COLUMNS_OF_CLIENTS = sorted(client(1, "a").keys() - {"id", "interface_id"})
VALUES = st.none() | st.text(st.characters(exclude_categories=["Cs"])) | st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=100)
@given(column=st.sampled_from(COLUMNS_OF_CLIENTS), value=VALUES | st.binary() | st.floats())
def test_any_values_of_a_client_are_taken_or_named(whole: Path, column: str, value: Any) -> None:
    path = whole.with_name("values")
    path.write_bytes(whole.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"UPDATE clients_table SET {column} = ? WHERE id = 7", (value,))  # noqa: S608
        connection.commit()
    try:
        read(path)
    except DatabaseError as error:
        assert "client 7" in str(error)
