# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on a fleet: what its tables say, where the map's parts are, and that no name gets out of its place."""

from __future__ import annotations

import html.parser
import itertools
import json
import math
import re
from collections import Counter
from typing import Any

import pytest

from ansible_collections.splitway.gateway.plugins.plugin_utils.report.drawing import Box, Drawing, draw, fit
from ansible_collections.splitway.gateway.plugins.plugin_utils.report.fleet import Gateway, gateway_of
from ansible_collections.splitway.gateway.plugins.plugin_utils.report.flows import Graph, graph_of
from ansible_collections.splitway.gateway.plugins.plugin_utils.report.page import report
from ansible_collections.splitway.gateway.plugins.plugin_utils.report.tables import tables
from ansible_collections.splitway.gateway.plugins.plugin_utils.verdicts import judge
from ansible_collections.splitway.gateway.tests.unit.fleet.simulated import NOW, SECTIONS, fleet
from splitway.findings import iso

EVIL = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"&\u2028"


def gateways(found: dict[str, Any]) -> list[Gateway]:
    return [gateway_of(name, one, SECTIONS, iso(NOW)) for name, one in found.items()]


def rows(found: dict[str, Any], table: str) -> list[dict[str, Any]]:
    """Return a table's rows by its columns' labels."""
    [shown] = [one for one in tables(gateways(found)) if one.id == table]
    labels = [column.label for column in shown.columns]
    return [dict(zip(labels, row)) for row in shown.rows]


def test_the_states_of_gateways_say_what_is_the_matter() -> None:
    states = {row["Gateway"]: row["State"] for row in rows(fleet(12, 24), "gateways")}
    assert states["gw01"] == ("good", "as it should be")
    assert states["gw02"] == ("attention", "needs a look")  # an upstream is down
    assert states["gw05"] == ("attention", "needs a look")  # not the generation of the inventory
    assert states["gw07"] == ("attention", "needs a look")  # drift
    assert states["gw08"] == ("bad", "needs help")  # a group is blocked
    assert states["gw10"] == ("bad", "needs help")  # no agent
    assert states["gw11"] == ("idle", "site.yml has never run")
    assert states["gw12"] == ("bad", "unreachable")


def test_remarks_name_the_cause() -> None:
    remarks = {row["Gateway"]: row["Remarks"] for row in rows(fleet(12, 24), "gateways")}
    assert remarks["gw01"] == []
    assert remarks["gw02"] == ["upstream eu is down: none of 2 targets answered"]
    assert "generation: not the generation of this inventory (run site.yml)" in remarks["gw05"]
    assert "routes cannot be healed: table 102 is another's" in remarks["gw07"]
    assert remarks["gw10"] == ["the agent does not run on this host: systemctl start splitway"]
    assert remarks["gw12"] == ["ssh: connect to host 192.0.2.99 port 22: Connection timed out"]


def test_an_agent_of_another_version_is_no_obstacle() -> None:
    found = fleet(2, 4, faults=False)
    agent = found["gw1"]["look"]["figures"]["agent"]
    for kind in ("upstreams", "groups", "clients", "sets"):
        agent[kind] = [{"name": item["name"], "of tomorrow": 1} for item in agent[kind]]
    assert len(rows(found, "upstreams")) == 8
    assert "of tomorrow" not in report(found, SECTIONS, "Gateways", NOW)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("figures.agent.upstreams", "none"),
        ("figures.agent.upstreams[1].name", ["us"]),
        ("figures.agent.upstreams[0].latency", math.nan),
        ("figures.agent.clients[0].bytes.us", "many"),
        ("figures.agent.clients[0].received", 10**400),
        ("figures.agent.clients[0].seen", 1e300),
        ("figures.policies.policy family[0]", None),
        ("audit[0].objects", 7),
        ("drift", ["dns"]),
        ("since.dns", "\ud800"),
    ],
)
def test_a_gateway_that_says_nonsense_is_named_and_costs_the_others_nothing(place: str, value: Any) -> None:
    found = json.loads(json.dumps(fleet(3, 30, faults=False)))  # gateways of their own, that share nothing
    *path, last = [int(part) if part.isdigit() else part for part in re.split(r"[.\[\]]+", place.rstrip("]"))]
    at = found["gw1"]["look"]
    for part in path:
        at = at[part]
    at[last] = value
    states = {row["Gateway"]: (row["State"], row["Remarks"]) for row in rows(found, "gateways")}
    problem = f"what the gateway says of itself cannot be read: {place}"
    assert states["gw1"] == (("bad", "cannot be looked at"), [problem])
    assert states["gw2"] == states["gw3"] == (("good", "as it should be"), [])
    assert "NaN" not in report(found, SECTIONS, "Gateways", NOW)
    assert judge("gw1", found["gw1"], SECTIONS, "").status == "failed"


def test_what_failed_on_a_gateway_can_be_written() -> None:
    found = fleet(1, 1, faults=False)
    found["gw1"].update(look={}, failure="half a letter: \ud83d")
    assert "half a letter: \ufffd" in report(found, SECTIONS, "Gateways", NOW)


def test_a_host_that_was_never_set_up_says_what_is_wrong_with_its_inventory() -> None:
    found = fleet(12, 24)
    found["gw11"]["failure"] = "splitway_retention: never"
    [row] = [row for row in rows(found, "gateways") if row["Gateway"] == "gw11"]
    assert row["State"] == ("idle", "site.yml has never run")
    assert row["Remarks"] == ["splitway_retention: never", "site.yml has never run on this host"]


def test_every_client_has_a_row_also_where_no_agent_tells_of_it() -> None:
    found = fleet(12, 120, faults=False)
    assert len(rows(found, "clients")) == 120
    found["gw03"]["look"]["figures"].update(agent=None, agent_problem="it does not run")
    silent = [row for row in rows(found, "clients") if row["Gateway"] == "gw03"]
    assert len(silent) == 10
    assert {row["Last seen"] for row in silent} == {None}


def test_traffic_by_client_and_by_egress_add_up() -> None:
    found = fleet(5, 50, faults=False)
    by_egress = {row["Egress"]: row["Moved"] for row in rows(found, "traffic")}
    clients = rows(found, "clients")
    for way, count in by_egress.items():
        assert sum(row[f"By {way}"] for row in clients) == count
    assert sum(row["Share"] for row in rows(found, "traffic")) == pytest.approx(1, abs=0.001)


def test_many_ways_share_a_column() -> None:
    found = fleet(1, 3, faults=False)
    for client in found["gw1"]["look"]["figures"]["agent"]["clients"]:
        client["bytes"] = {f"exit-{number}": 10 - number for number in range(9)}
    for row in rows(found, "clients"):
        assert (row["By exit-0"], row["By exit-4"], row["By 4 others"]) == (10, 6, 5 + 4 + 3 + 2)


def test_drift_says_since_when() -> None:
    found = {row["Check"]: row["Since"] for row in rows(fleet(5, 10), "drift") if row["Gateway"] == "gw3"}
    assert found == {"routes": NOW - 7200, "dns": NOW}


def test_the_audit_has_the_newest_records_of_the_fleet_first() -> None:
    found = rows(fleet(100, 100), "audit")
    assert len(found) == 500
    times = [row["Time"] for row in found]
    assert times == sorted(times, reverse=True)


def test_sets_are_by_list_where_each_would_be_too_many() -> None:
    assert {row["Gateway"] for row in rows(fleet(5, 5, faults=False), "sets")} == {f"gw{n}" for n in range(1, 6)}
    [row] = [
        row
        for row in rows(fleet(100, 100, faults=False), "sets")
        if (row["Holds"], row["Family"], row["Kind"]) == ("list netflix", "IPv4", "learned")
    ]
    assert row["Gateways"] == 100
    assert row["Entries, fewest"] < row["Entries, most"]


def overlaps(one: Box, other: Box) -> bool:
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


@pytest.mark.parametrize(("number", "clients"), [(1, 0), (5, 60), (14, 3000), (15, 60), (100, 5000), (400, 400)])
def test_nothing_in_the_map_overlaps_or_is_outside(number: int, clients: int) -> None:
    drawing: Drawing = draw(graph_of(gateways(fleet(number, clients, faults=number > 3))))
    assert [pair for pair in itertools.combinations(drawing.boxes, 2) if overlaps(*pair)] == []
    for box in drawing.boxes:
        assert box.x >= 0
        assert box.x + box.width <= drawing.width
        assert box.y + box.height <= drawing.height
    assert drawing.height < 1400, "it is still read on one screen or two"
    places = [box for box in drawing.boxes if box.kind == "place"]
    for tile in drawing.tiles:
        assert any(
            place.x <= tile.x and tile.x + 15 <= place.x + place.width and tile.y + 15 <= place.y + place.height
            for place in places
            if place.y <= tile.y
        )


def test_the_map_has_every_gateway_once_alone_or_in_its_region() -> None:
    few, many = (draw(graph_of(gateways(fleet(number, 300)))) for number in (14, 100))
    assert sum(box.kind == "place" for box in few.boxes) == 14
    assert few.tiles == ()
    assert sum(box.kind == "place" for box in many.boxes) == 4
    assert len({tile.wanted for tile in many.tiles}) == len(many.tiles) == 100


def test_the_graph_counts_every_client_and_every_byte_once() -> None:
    fleet_ = gateways(fleet(30, 900))
    graph: Graph = graph_of(fleet_)
    clients = [client for one in fleet_ for client in one.clients]
    assert sum(graph.policies.values()) == sum(graph.chosen.values()) == len(clients)
    moved = sum(sum(client.moved.values()) for client in clients)
    assert sum(graph.led.values()) == sum(way.moved for way in graph.ways) == moved


def test_a_group_is_drawn_where_it_leads_now() -> None:
    found = fleet(1, 20, faults=False)
    figures = found["gw1"]["look"]["figures"]
    figures["agent"]["groups"][0].update(ways={}, direct=True)
    [one] = gateways(found)
    assert one.policies["work"] == ("direct",)


def test_small_places_and_ways_share_one() -> None:
    found = fleet(40, 40, faults=False)
    for number, one in enumerate(found.values()):
        one["region"] = f"region {number}"
        figures = one["look"]["figures"]
        figures["policies"] = {f"policy p{number}": ["direct"]}
        figures["clients"] = dict.fromkeys(figures["clients"], f"policy p{number}")
    graph = graph_of(gateways(found))
    assert [place.name for place in graph.places][-1] == "35 other regions" or "35 other regions" in {
        place.name for place in graph.places
    }
    assert len(graph.places) == 6
    assert graph.policies["29 other policies"] == 29


def test_a_label_is_cut_to_what_fits() -> None:
    assert fit("short") == "short"
    assert fit("a" * 30, 10) == "a" * 9 + "…"
    assert fit("网关" * 10, 10) == "网关网关…"


class Elements(html.parser.HTMLParser):
    """What elements a document has, and what is in its data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.data = ""
        self._in_data = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        self._in_data = ("id", "data") in attrs

    def handle_endtag(self, tag: str) -> None:
        self._in_data = self._in_data and tag != "script"

    def handle_data(self, data: str) -> None:
        self.data += data if self._in_data else ""


def evil(found: dict[str, Any]) -> dict[str, Any]:
    """Give everything that has a name, and everything that says something, a hostile one."""
    text = json.dumps(found, ensure_ascii=False)
    for word in ("alice-phone-0-0", "list netflix", "policy family", "none of 2 targets answered", "amsterdam"):
        kind = "policy " if word.startswith("policy ") else ""
        assert word in text, word
        text = text.replace(word, kind + json.dumps(EVIL, ensure_ascii=False)[1:-1])
    named: dict[str, Any] = json.loads(text)
    return {f"{EVIL}{name}": one for name, one in named.items()}


@pytest.mark.parametrize("number", [5, 20])
def test_no_name_gets_out_of_its_place(number: int) -> None:
    found = fleet(number, 60)
    plain = Elements(report(found, SECTIONS, "Gateways", NOW))
    hostile = Elements(report(evil(found), SECTIONS, EVIL, NOW))
    assert hostile.tags["script"] == plain.tags["script"] == 2
    assert "img" not in hostile.tags
    assert not any(name.startswith("on") or name in ("src", "style") for name, _ in hostile.attributes)
    shown = {table["id"]: table["rows"] for table in json.loads(hostile.data)["tables"]}
    assert sum(row[0] == EVIL for row in shown["clients"]) == 1
    assert all(row[0].startswith(EVIL) for row in shown["gateways"])


def test_the_file_asks_for_nothing_and_runs_only_what_is_in_it() -> None:
    text = report(fleet(100, 5000), SECTIONS, "Gateways", NOW)
    document = Elements(text)
    links = {value for name, value in document.attributes if name in ("href", "src", "xlink:href")}
    assert {link for link in links if not link.startswith("#")} == {"data:,"}  # no icon
    [policy] = [value for _, value in document.attributes if value.startswith("default-src")]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(text.encode()) < 1_000_000
