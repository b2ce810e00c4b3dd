# SPDX-License-Identifier: GPL-3.0-or-later
"""wg-easy's tables (versions 15.0 to 15.4) as dataclasses: one interface, its clients, and what they have in common.

Columns that are not known here are not looked at; one that is needed and missing is an error.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..topology.errors import shown
from .errors import DatabaseError

HOOKS = {"pre_up": "PreUp", "post_up": "PostUp", "pre_down": "PreDown", "post_down": "PostDown"}
_COLUMNS = {
    "interfaces_table": ("name", "port", "private_key", "public_key", "ipv4_cidr", "ipv6_cidr", "mtu"),
    "user_configs_table": ("id", "default_dns", "default_allowed_ips", "host", "port"),
    "hooks_table": ("id", *HOOKS),
    "clients_table": (
        *("id", "interface_id", "name", "ipv4_address", "ipv6_address", "private_key", "public_key", "pre_shared_key"),
        *("expires_at", "allowed_ips", "server_allowed_ips", "persistent_keepalive", "mtu", "dns", "server_endpoint"),
        *("enabled", *HOOKS),
    ),
}
_OBFUSCATION = ("i1", "i2", "i3", "i4", "i5")  # of AmneziaWG; its numbers have defaults and say nothing
_MIGRATIONS = "__drizzle_migrations"
_NEWEST = 1785630544322  # the moment of the last migration of 15.4, in milliseconds
_NEVER_STARTED = "---default---"  # in the place of keys until wg-easy runs for the first time

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Interface:
    """The server's side."""

    name: str
    port: int
    private_key: str = field(repr=False)
    public_key: str
    networks: tuple[str, ...]  # IPv4, IPv6; the first address of each is the server's own
    mtu: int
    host: str  # what clients connect to; "" before wg-easy is set up
    public_port: int
    dns: tuple[str, ...]  # of clients that have none of their own
    allowed_ips: tuple[str, ...]  # likewise
    hooks: tuple[str, ...]  # names of those that are there
    firewall: bool  # whether wg-easy restricts what clients reach


@dataclass(frozen=True)
class Client:
    """One client; what is None is the interface's."""

    number: int  # its id
    name: str
    addresses: tuple[str, ...]  # IPv4, IPv6
    public_key: str
    private_key: str = field(repr=False)
    preshared_key: str = field(repr=False)
    enabled: bool
    expires_at: Optional[str]
    persistent_keepalive: int
    mtu: int
    dns: Optional[tuple[str, ...]]
    allowed_ips: Optional[tuple[str, ...]]  # what its own file leads into the tunnel
    networks: tuple[str, ...]  # behind it
    endpoint: str  # at which the server looks for it; "" is usual
    hooks: tuple[str, ...]
    firewall: tuple[str, ...]
    obfuscated: bool


@dataclass(frozen=True)
class Database:
    """What there is to know."""

    interface: Interface
    clients: tuple[Client, ...]


def read_database(content: bytes, interface: Optional[str] = None, *, accept_newer: bool = False) -> Database:
    """Return what a database says of one interface; None: the only one.

    Raises DatabaseError if it is not wg-easy's, or made by a newer version and that is not accepted.
    """
    with tempfile.NamedTemporaryFile(prefix="splitway-") as copy:
        copy.write(content)
        copy.flush()
        try:
            with closing(sqlite3.connect(f"{Path(copy.name).as_uri()}?immutable=1", uri=True)) as connection:
                connection.row_factory = sqlite3.Row
                return _read(connection, interface, accept_newer=accept_newer)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise DatabaseError(f"cannot be read: {error}") from error


def _read(connection: sqlite3.Connection, name: Optional[str], *, accept_newer: bool) -> Database:
    tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    newer = _MIGRATIONS in tables and _newest(connection) > _NEWEST
    advice = "; it is of a newer wg-easy than 15.4" if newer else ""
    for table, columns in _COLUMNS.items():
        if table not in tables:
            raise DatabaseError(f"is not of wg-easy 15: there is no {table}{advice}")
        there = {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}
        missing = [column for column in columns if column not in there]
        if missing:
            raise DatabaseError(f"is not of a known wg-easy: {table} has no {', '.join(missing)}{advice}")
    if newer and not accept_newer:
        raise DatabaseError(
            "is of a newer wg-easy than 15.4, whose tables may mean something else; accept_newer takes it as it is"
        )
    own = _interface(connection, name)
    rows = connection.execute("SELECT * FROM clients_table WHERE interface_id = ? ORDER BY id", (own.name,))
    return Database(own, tuple(_client(row) for row in rows))


def _newest(connection: sqlite3.Connection) -> int:
    rows = connection.execute(f"SELECT created_at FROM {_MIGRATIONS}").fetchall()  # noqa: S608 a constant
    return max((row[0] for row in rows if isinstance(row[0], int)), default=0)


def _interface(connection: sqlite3.Connection, name: Optional[str]) -> Interface:
    rows = {row["name"]: row for row in connection.execute("SELECT * FROM interfaces_table")}
    if name is None and len(rows) != 1:
        raise DatabaseError(f"has {len(rows)} interfaces: say which by interface ({', '.join(map(str, rows))})")
    if name is not None and name not in rows:
        raise DatabaseError(f"has no interface {shown(name)}, but {', '.join(map(str, rows))}")
    row = next(iter(rows.values())) if name is None else rows[name]
    found = _Fields(f"interfaces_table: {row['name']}", row)
    own = found.text("name")
    if found.text("private_key") == _NEVER_STARTED:
        raise DatabaseError("has no keys yet: start wg-easy once")
    settings = _Fields(f"user_configs_table: {own}", _row_of(connection, "user_configs_table", own))
    hooks = _Fields(f"hooks_table: {own}", _row_of(connection, "hooks_table", own))
    return Interface(
        name=own,
        port=found.number("port"),
        private_key=found.text("private_key"),
        public_key=found.text("public_key"),
        networks=(found.text("ipv4_cidr"), found.text("ipv6_cidr")),
        mtu=found.number("mtu"),
        host=settings.text("host").strip(),
        public_port=settings.number("port"),
        dns=settings.texts("default_dns") or (),
        allowed_ips=settings.texts("default_allowed_ips") or (),
        hooks=hooks.present(HOOKS),
        firewall=bool(found.get("firewall_enabled")),
    )


def _row_of(connection: sqlite3.Connection, table: str, interface: str) -> Row:
    row = connection.execute(f"SELECT * FROM {table} WHERE id = ?", (interface,)).fetchone()  # noqa: S608 a constant
    if row is None:
        raise DatabaseError(f"has nothing on {shown(interface)} in {table}")
    return dict(row)


def _client(row: sqlite3.Row) -> Client:
    named = f" ({shown(row['name'])})" if isinstance(row["name"], str) else ""
    found = _Fields(f"clients_table: client {row['id']}{named}", row)
    return Client(
        number=found.number("id"),
        name=found.text("name"),
        addresses=(found.text("ipv4_address"), found.text("ipv6_address")),
        public_key=found.text("public_key"),
        private_key=found.text("private_key"),
        preshared_key=found.text("pre_shared_key"),
        enabled=bool(found.number("enabled")),
        expires_at=found.get("expires_at") and found.text("expires_at"),
        persistent_keepalive=found.number("persistent_keepalive"),
        mtu=found.number("mtu"),
        dns=found.texts("dns"),
        allowed_ips=found.texts("allowed_ips"),
        networks=found.texts("server_allowed_ips") or (),
        endpoint=found.get("server_endpoint") or "",
        hooks=found.present(HOOKS),
        firewall=found.texts("firewall_ips") or (),
        obfuscated=any(found.get(column) for column in _OBFUSCATION),
    )


class _Fields:
    """A row whose values are looked at: SQLite keeps anything in any column."""

    def __init__(self, path: str, row: Any) -> None:
        self.path = path
        self.row: Row = dict(row)

    def get(self, column: str) -> Any:
        """Return what is there; None also for a column that only later versions have."""
        return self.row.get(column)

    def text(self, column: str) -> str:
        value = self.row[column]
        if not isinstance(value, str):
            raise self._wrong(column, "is not text")
        return value

    def number(self, column: str) -> int:
        value = self.row[column]
        if not isinstance(value, int):
            raise self._wrong(column, "is not a whole number")
        return value

    def texts(self, column: str) -> Optional[tuple[str, ...]]:
        """Return a list, which is kept as JSON; None where there is none."""
        value = self.get(column)
        if value is None:
            return None
        try:
            items = json.loads(value)
        except (TypeError, ValueError, RecursionError):
            items = ...
        if items is None:
            return None
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise self._wrong(column, "is not a list of texts in JSON")
        return tuple(items)

    def present(self, hooks: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(word for column, word in hooks.items() if self.get(column))

    def _wrong(self, column: str, problem: str) -> DatabaseError:
        return DatabaseError(f"{self.path}: {column} {problem}")
