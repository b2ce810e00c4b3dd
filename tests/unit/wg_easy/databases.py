# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases as wg-easy 15 writes them, made from what its versions' tables are known to be (docs/decisions/0032)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ansible_collections.splitway.gateway.tests.unit.topology.samples import key

TEXT, NUMBER = "text", "integer"
FIRST, NEWEST = (15, 0), (15, 4)
HOOKS = {"pre_up": TEXT, "post_up": TEXT, "pre_down": TEXT, "post_down": TEXT}
_HEADERS = {f"i{number}": TEXT for number in range(1, 6)}
_NUMBERS = {"j_c": NUMBER, "j_min": NUMBER, "j_max": NUMBER}
_STAMPS = {"created_at": TEXT, "updated_at": TEXT}

# (version, table) → the columns that are new in it
COLUMNS: dict[tuple[tuple[int, int], str], dict[str, str]] = {
    (FIRST, "users_table"): {"id": NUMBER, "username": TEXT, "password": TEXT, "name": TEXT, "role": NUMBER},
    (FIRST, "interfaces_table"): {
        "name": TEXT,
        "device": TEXT,
        "port": NUMBER,
        "private_key": TEXT,
        "public_key": TEXT,
        "ipv4_cidr": TEXT,
        "ipv6_cidr": TEXT,
        "mtu": NUMBER,
        "enabled": NUMBER,
        **_STAMPS,
    },
    (FIRST, "hooks_table"): {"id": TEXT, **HOOKS, **_STAMPS},
    (FIRST, "user_configs_table"): {
        "id": TEXT,
        "default_mtu": NUMBER,
        "default_persistent_keepalive": NUMBER,
        "default_dns": TEXT,
        "default_allowed_ips": TEXT,
        "host": TEXT,
        "port": NUMBER,
        **_STAMPS,
    },
    (FIRST, "clients_table"): {
        "id": NUMBER,
        "user_id": NUMBER,
        "interface_id": TEXT,
        "name": TEXT,
        "ipv4_address": TEXT,
        "ipv6_address": TEXT,
        **HOOKS,
        "private_key": TEXT,
        "public_key": TEXT,
        "pre_shared_key": TEXT,
        "expires_at": TEXT,
        "allowed_ips": TEXT,
        "server_allowed_ips": TEXT,
        "persistent_keepalive": NUMBER,
        "mtu": NUMBER,
        "dns": TEXT,
        "server_endpoint": TEXT,
        "enabled": NUMBER,
        **_STAMPS,
    },
    (FIRST, "one_time_links_table"): {"id": NUMBER, "one_time_link": TEXT, "expires_at": TEXT, **_STAMPS},
    (FIRST, "general_table"): {"id": NUMBER, "setup_step": NUMBER, "session_password": TEXT, **_STAMPS},
    ((15, 2), "clients_table"): {**_NUMBERS, **_HEADERS},
    ((15, 2), "interfaces_table"): {
        **_NUMBERS,
        **{f"s{number}": NUMBER for number in range(1, 5)},
        **{f"h{number}": TEXT for number in range(1, 5)},
        **_HEADERS,
    },
    ((15, 3), "clients_table"): {"firewall_ips": TEXT},
    ((15, 3), "interfaces_table"): {"firewall_enabled": NUMBER},
    ((15, 4), "interfaces_table"): {"routing_table": TEXT},
}
# When the last migration of a version was made, in milliseconds.
MIGRATIONS = {(15, 0): 1748427001203, (15, 2): 1761298328460, (15, 3): 1771352889394, (15, 4): 1785630544322}


def client(number: int, name: str, **values: Any) -> dict[str, Any]:
    """Return a client as wg-easy makes one; lists become JSON."""
    return {
        "id": number,
        "user_id": 1,
        "interface_id": "wg0",
        "name": name,
        "ipv4_address": f"10.8.0.{number + 1}",
        "ipv6_address": f"fdcc:ad94:bacf:61a4::cafe:{number + 1:x}",
        **dict.fromkeys(HOOKS, ""),
        "private_key": key(f"private {number}"),
        "public_key": public(number),
        "pre_shared_key": key(f"shared {number}"),
        "server_allowed_ips": [],
        "persistent_keepalive": 0,
        "mtu": 1420,
        "enabled": 1,
        **values,
    }


def public(number: int) -> str:
    """Return the public key of a client."""
    from splitway.topology.keys import public_key

    return public_key(key(f"private {number}"))


def write(path: Path, *clients: Mapping[str, Any], version: tuple[int, int] = NEWEST, **interface: Any) -> Path:
    """Write a database of a version with some clients; `interface` has other values of its columns."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF")
        for (since, table), columns in COLUMNS.items():
            if since == FIRST:
                text = ", ".join(f"{name} {kind}" for name, kind in columns.items())
                connection.execute(f"CREATE TABLE {table} ({text})")
            elif since <= version:
                for name, kind in columns.items():
                    connection.execute(f"ALTER TABLE {table} ADD {name} {kind}")
        connection.execute("CREATE TABLE __drizzle_migrations (id SERIAL PRIMARY KEY, hash text, created_at numeric)")
        for since, moment in MIGRATIONS.items():
            if since <= version:
                insert(connection, "__drizzle_migrations", {"hash": "00", "created_at": moment})
        row = {
            "name": "wg0",
            "device": "eth0",
            "port": 51820,
            "private_key": key("wg-easy"),
            "public_key": "…",
            "ipv4_cidr": "10.8.0.0/24",
            "ipv6_cidr": "fdcc:ad94:bacf:61a4::cafe:0/112",
            "mtu": 1420,
            "enabled": 1,
        }
        settings = {"host": "vpn.example.net", "port": 51820, **_of(interface, "user_configs_table")}
        insert(connection, "interfaces_table", {**row, **_of(interface, "interfaces_table", version)})
        lists = {"default_dns": ["1.1.1.1"], "default_allowed_ips": ["0.0.0.0/0", "::/0"]}
        insert(connection, "user_configs_table", {"id": row["name"], **lists, **settings})
        insert(
            connection, "hooks_table", {"id": row["name"], **dict.fromkeys(HOOKS, ""), **_of(interface, "hooks_table")}
        )
        for values in clients:
            insert(connection, "clients_table", values)
        connection.commit()
    return path


def _of(values: Mapping[str, Any], table: str, version: tuple[int, int] = FIRST) -> dict[str, Any]:
    """Return those of some values that are columns of a table; `port` is the interface's."""
    known = [name for (since, other), names in COLUMNS.items() if other == table and since <= version for name in names]
    return {
        name: value
        for name, value in values.items()
        if name in known and (name, table) != ("port", "user_configs_table")
    }


def insert(connection: sqlite3.Connection, table: str, values: Mapping[str, Any]) -> None:
    """Add a row; lists become JSON."""
    row = {name: json.dumps(value) if isinstance(value, list) else value for name, value in values.items()}
    places = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))  # noqa: S608
