# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's tables: columns, and rows of plain values, which the page formats, sorts and filters. Pure."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .fleet import ATTENTION, BAD, DIRECT, GOOD, IDLE, Gateway, seconds

TEXT, NUMBER, BYTES, TIME, AGO, MILLISECONDS, PERCENT, STATE, SHARE, LINES = (
    *("text", "number", "bytes", "time", "ago", "milliseconds", "percent", "state", "share", "lines"),
)
"""How a column's values are shown. STATE: a tone and a word; SHARE: a bar, 0 … 1; LINES: a list of texts."""

WAYS = 5  # ways out that have a column of their own among the clients; the others share one
EACH_SET = 2000  # rows of sets; where there would be more, a list is one row for the whole fleet
AUDIT = 500  # records: the newest of the fleet
CHANGES = 12  # lines of one difference, or of one record


@dataclass(frozen=True)
class Column:
    """One column."""

    label: str
    kind: str = TEXT


@dataclass(frozen=True)
class Table:
    """One table: a row has a value for each column."""

    id: str
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]


def tables(fleet: Sequence[Gateway]) -> tuple[Table, ...]:
    """Return all tables, in the order in which they are shown."""
    return (
        gateways(fleet),
        upstreams(fleet),
        clients(fleet),
        traffic(fleet),
        sets(fleet),
        drift(fleet),
        audit(fleet),
    )


def gateways(fleet: Sequence[Gateway]) -> Table:
    """Return the table of gateways."""
    columns = (
        *(Column("Gateway"), Column("Region"), Column("State", STATE), Column("Agent", STATE)),
        *(Column("Clients", NUMBER), Column("Connected", NUMBER), Column("Upstreams"), Column("Moved", BYTES)),
        *(Column("Healed", NUMBER), Column("Generation"), Column("Applied", TIME), Column("Remarks", LINES)),
    )
    rows = tuple(
        (
            one.name,
            one.region,
            (one.tone, one.words),
            _agent(one),
            len(one.clients),
            sum(client.connected for client in one.clients),
            _up(one),
            sum(sum(client.moved.values()) for client in one.clients),
            sum((one.agent.get("drift") or {}).get("healed", {}).values()),
            str(one.agent.get("generation", ""))[:12],
            seconds(one.verdict.applied),
            [text for _, text in one.problems][:CHANGES],
        )
        for one in fleet
    )
    note = "Moved: bytes of clients' connections, and Healed: changes brought back, both since the agent started."
    return _unless_empty(Table("gateways", "Gateways", note, columns, rows), "Region")


def upstreams(fleet: Sequence[Gateway]) -> Table:
    """Return the table of upstreams."""
    columns = (
        *(Column("Gateway"), Column("Upstream"), Column("Interface"), Column("State", STATE), Column("For", AGO)),
        *(Column("Latency", MILLISECONDS), Column("Loss", PERCENT), Column("Handshake", AGO)),
        *(Column("Received", BYTES), Column("Sent", BYTES), Column("Restarts", NUMBER), Column("MTU", NUMBER)),
        *(Column("Carried by"), Column("Remarks", LINES)),
    )
    tones = {"up": GOOD, "down": BAD}
    rows = tuple(
        (
            *(one.name, up["name"], up["interface"], (tones.get(up["state"], IDLE), up["state"])),
            *(up["since"], up["latency"], up["loss"], up["handshake"], up["received"], up["sent"]),
            *(up["restarts"], up["mtu"], "WebSocket" if up["way"] == "websocket" else "UDP", _remarks(up)),
        )
        for one in fleet
        for up in one.agent.get("upstreams", ())
    )
    return Table("upstreams", "Upstreams", "By the agents' probes through each tunnel.", columns, rows)


def clients(fleet: Sequence[Gateway]) -> Table:
    """Return the table of clients, with their traffic by way."""
    total = egress_bytes(fleet)
    # `direct` first, then what carries most.
    ways = sorted(total, key=lambda way: (way != DIRECT, -total[way], way))
    own, rest = (ways, []) if len(ways) <= WAYS + 1 else (ways[:WAYS], ways[WAYS:])
    timed = any(one.expires is not None for gateway in fleet for one in gateway.clients)
    columns = (
        *(Column("Client"), Column("Gateway"), Column("Policy"), Column("Address"), Column("Last seen", AGO)),
        *((Column("Time is up", TIME),) if timed else ()),
        *(Column("Received", BYTES), Column("Sent", BYTES), *(Column(f"By {way}", BYTES) for way in own)),
        *((Column(f"By {len(rest)} others", BYTES),) if rest else ()),
    )
    rows = tuple(
        (
            *(one.name, one.gateway, one.policy, one.addresses[0] if one.addresses else "", one.seen),
            *((one.expires,) if timed else ()),
            *(one.received, one.sent, *(one.moved.get(way, 0) for way in own)),
            *((sum(one.moved.get(way, 0) for way in rest),) if rest else ()),
        )
        for gateway in fleet
        for one in gateway.clients
    )
    note = (
        "Received from and sent to a client: all that passed wg0. By a way out: its connections, both directions, "
        "since the agent started."
    )
    return Table("clients", "Clients", note, columns, rows)


def traffic(fleet: Sequence[Gateway]) -> Table:
    """Return the table of what left by each egress."""
    total = egress_bytes(fleet)
    everything = sum(total.values()) or 1
    using = Counter(way for one in fleet for client in one.clients for way, count in client.moved.items() if count)
    carrying = Counter(way for one in fleet for way in {way for client in one.clients for way in client.moved})
    columns = (
        *(Column("Egress"), Column("Moved", BYTES), Column("Share", SHARE), Column("Clients", NUMBER)),
        Column("Gateways", NUMBER),
    )
    rows = tuple(
        (way, count, round(count / everything, 4), using[way], carrying[way])
        for way, count in sorted(total.items(), key=lambda item: (-item[1], item[0]))
    )
    return Table("traffic", "Traffic by egress", "Clients' connections, both directions.", columns, rows)


def sets(fleet: Sequence[Gateway]) -> Table:
    """Return the table of sets: each of each gateway, or by list where those would be too many to read."""
    found = [(one, item) for one in fleet for item in one.agent.get("sets", ())]
    if len(found) > EACH_SET:
        return _sets_by_list(found)
    columns = (
        *(Column("Gateway"), Column("Holds"), Column("Family"), Column("Kind"), Column("Entries", NUMBER)),
        *(Column("Last added", AGO), Column("Failed additions", NUMBER), Column("Set")),
    )
    rows = tuple(
        (
            *(one.name, item["comment"] or item["name"], f"IPv{item['family']}", _kind(item), item["entries"]),
            *(item["added"], _failed(one, item) if item["learned"] else None, item["name"]),
        )
        for one, item in found
    )
    return Table("sets", "Sets", "The kernel's sets of addresses, by what they hold.", columns, rows)


def _sets_by_list(found: Sequence[tuple[Gateway, Mapping[str, Any]]]) -> Table:
    by_list: dict[tuple[str, str, str], list[tuple[Gateway, Mapping[str, Any]]]] = {}
    for one, item in found:
        by_list.setdefault((item["comment"] or item["name"], f"IPv{item['family']}", _kind(item)), []).append(
            (one, item)
        )
    columns = (
        *(Column("Holds"), Column("Family"), Column("Kind"), Column("Gateways", NUMBER)),
        *(Column("Entries, fewest", NUMBER), Column("Entries, most", NUMBER), Column("Most at")),
        Column("Failed additions", NUMBER),
    )
    rows = []
    for key, items in sorted(by_list.items()):
        most = max(items, key=lambda pair: pair[1]["entries"])
        sizes = [item["entries"] for _, item in items]
        failed = sum(_failed(one, item) for one, item in items)
        rows.append((*key, len({one.name for one, _ in items}), min(sizes), max(sizes), most[0].name, failed))
    note = "The kernel's sets of addresses, by what they hold, over all gateways."
    return Table("sets", "Sets", note, columns, tuple(rows))


def drift(fleet: Sequence[Gateway]) -> Table:
    """Return the table of what differs from the inventory or from the generation."""
    columns = (Column("Gateway"), Column("Check"), Column("Since", TIME), Column("Changes", NUMBER))
    rows = tuple(
        (one.name, found.check, seconds(found.since), len(found.what), _cut(found.what))
        for one in fleet
        for found in one.verdict.differences
    )
    note = "What a run of site.yml would change, or what kept a gateway from being looked at."
    return Table("drift", "Drift", note, (*columns, Column("What", LINES)), rows)


def audit(fleet: Sequence[Gateway]) -> Table:
    """Return the table of the audit's last records."""
    columns = (
        *(Column("Time", TIME), Column("Gateway"), Column("Who"), Column("Section"), Column("Changes")),
        *(Column("Concerns", LINES), Column("Why"), Column("What", LINES)),
    )
    rows = [
        (
            *(seconds(record.get("time", "")), one.name, record.get("who") or "", record.get("section", "")),
            ", ".join(f"{count} {action}" for action, count in record.get("counts", {}).items()),
            _cut([f"{kind}: {', '.join(names[:6])}" for kind, names in record.get("objects", {}).items()]),
            " ".join(filter(None, (record.get("why"), "FAILED: " + record["failure"] if "failure" in record else ""))),
            _cut(record.get("changes", ()), 3),
        )
        for one in fleet
        for record in one.audit
    ]
    rows.sort(key=lambda row: -(row[0] or 0))
    note = "The last records, the newest first; splitway audit on a gateway has all of them."
    return Table("audit", "Audit", note, columns, tuple(rows[:AUDIT]))


def egress_bytes(fleet: Iterable[Gateway]) -> Counter[str]:
    """Return the bytes that left by each way."""
    found: Counter[str] = Counter()
    for one in fleet:
        for client in one.clients:
            found.update(client.moved)
    return found


def _agent(one: Gateway) -> tuple[str, str]:
    if one.agent:
        return (ATTENTION, "cannot heal") if (one.agent.get("drift") or {}).get("failures") else (GOOD, "runs")
    return (IDLE, "unknown") if one.tone == IDLE or one.words == "unreachable" else (BAD, "does not answer")


def _up(one: Gateway) -> str:
    upstreams = one.agent.get("upstreams", ())
    return f"{sum(up['state'] == 'up' for up in upstreams)} of {len(upstreams)} up" if upstreams else ""


def _remarks(up: Mapping[str, Any]) -> list[str]:
    found = [up["why"]] if up.get("why") else []
    if up.get("full_size") is False:
        found.append("packets of its MTU do not come back")
    if up.get("fallen_back"):
        found.append("on its WebSocket since UDP does not work")
    if up.get("silent"):
        found.append(f"never answered: {', '.join(up['silent'])}")
    return found


def _kind(item: Mapping[str, Any]) -> str:
    return "learned" if item["learned"] else "static"


def _failed(one: Gateway, item: Mapping[str, Any]) -> int:
    return int((one.agent.get("failed_additions") or {}).get(item["name"], 0))


def _cut(lines: Sequence[str], most: int = CHANGES) -> list[str]:
    more = len(lines) - most
    return [*lines[:most], *([f"… {more} more"] if more > 0 else [])]


def _unless_empty(table: Table, label: str) -> Table:
    """Return the table without its column of this label, if that has no value in any row."""
    index = [column.label for column in table.columns].index(label)
    if any(row[index] for row in table.rows):
        return table
    columns = table.columns[:index] + table.columns[index + 1 :]
    return dataclasses.replace(table, columns=columns, rows=tuple(row[:index] + row[index + 1 :] for row in table.rows))
