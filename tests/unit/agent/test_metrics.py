# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of a snapshot, as Prometheus gets them; and that alerts and dashboard ask for nothing else."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

pytest.importorskip("prometheus_client")
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from splitway.agent.figures import metrics
from splitway.agent.figures.metrics import Exporter, SnapshotCollector
from splitway.agent.figures.snapshot import SetStatus, Snapshot, Sources, take
from splitway.state import State

sys.path.insert(0, str(Path(__file__).parent))
from snapshots import NOW, snapshot

MONITORING = Path(__file__).parents[3] / "monitoring"
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")


def exposed(found: Optional[Snapshot]) -> str:
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(lambda: found))
    return generate_latest(registry).decode()


def samples(found: Optional[Snapshot]) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the samples by name and label values, those in the order of their labels' names."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(exposed(found))
        for sample in family.samples
    }


def test_the_numbers_of_a_busy_gateway() -> None:
    found = samples(snapshot())
    expected = {
        ("splitway_agent_info", ("0123456789ab", "fedcba987654")): 1,
        ("splitway_agent_start_time_seconds", ()): NOW - 90061,
        ("splitway_last_apply_timestamp_seconds", ()): NOW - 7200,
        ("splitway_generation_damaged", ()): 0,
        ("splitway_clients", ("enabled",)): 2,
        ("splitway_clients", ("active",)): 2,
        ("splitway_upstreams", ("enabled",)): 2,
        ("splitway_upstreams", ("active",)): 1,
        ("splitway_rules", ("domain",)): 412,
        ("splitway_upstream_up", ("us",)): 1,
        ("splitway_upstream_up", ("eu",)): 0,
        ("splitway_upstream_latency_seconds", ("us",)): 0.0312,
        ("splitway_upstream_loss_ratio", ("eu",)): 1,
        ("splitway_upstream_handshake_age_seconds", ("us",)): 61,
        ("splitway_upstream_silent_targets", ("eu",)): 1,
        ("splitway_upstream_received_bytes_total", ("us",)): 5_000_000_000,
        ("splitway_upstream_restarts_total", ("us",)): 1,
        ("splitway_upstream_mtu_bytes", ("us",)): 1412,
        ("splitway_upstream_full_size", ("us",)): 0,
        ("splitway_failovers_total", ("video",)): 3,
        ("splitway_group_way_weight", ("us", "video")): 1,
        ("splitway_group_way_weight", ("direct", "eu")): 1,
        ("splitway_client_bytes_total", ("client-1", "direct")): 1001,
        ("splitway_egress_bytes_total", ("us",)): 5_000_000,
        ("splitway_clients_omitted", ()): 0,
        ("splitway_flow_events_lost_total", ()): 1,
        ("splitway_connections", ()): 250_000,
        ("splitway_connections_limit", ()): 262_144,
        ("splitway_connections_refused_total", ()): 7,
        ("splitway_lost_total", ("answers",)): 3,
        ("splitway_set_entries", ("4", "list video", "sw4d1")): 812,
        ("splitway_set_last_addition_age_seconds", ("4", "list video", "sw4d1")): 30,
        ("splitway_entries", ("static",)): 12,
        ("splitway_failed_additions_total", ("sw4d1",)): 4,
        ("splitway_failed_additions_total", ("sw6d1",)): 0,
        ("splitway_healed_changes_total", ("routes",)): 2,
        ("splitway_healed_changes_total", ("marks",)): 0,
        ("splitway_refilled_addresses_total", ()): 17,
        ("splitway_drift", ("dns",)): 1,
        ("splitway_drift", ("sets",)): 0,
        ("splitway_upstream_fallen_back", ("us",)): 1,
        ("splitway_upstream_by_websocket", ("eu",)): 0,
        ("splitway_upstream_way_changes_total", ("us",)): 3,
        ("splitway_mode_fallen_back", ()): 1,
        ("splitway_transport_up", ("us",)): 1,
        ("splitway_transport_up", ("eu",)): 0,
        ("splitway_transport_backup", ("us",)): 1,
        ("splitway_transport_reconnects_total", ("us",)): 2,
        ("splitway_transport_round_trip_seconds", ("us",)): 0.0412,
        ("splitway_transport_port_moved", ("near", "us")): 1,
        ("splitway_transport_port_moved", ("far", "gateway")): 0,
        ("splitway_dns_up", ()): 1,
        ("splitway_dns_queries_total", ("hit",)): 4000,
        ("splitway_dns_latency_seconds", ()): 0.0004,
        ("splitway_dns_cache_evictions_total", ()): 3,
        ("splitway_dns_server_failures_total", ("192.0.2.53#53",)): 2,
    }
    assert {key: found.get(key) for key in expected} == expected
    # What is not known has no number.
    absent = [
        ("splitway_upstream_latency_seconds", ("eu",)),
        ("splitway_upstream_handshake_age_seconds", ("eu",)),
        ("splitway_set_last_addition_age_seconds", ("6", "list video", "sw6d1")),
    ]
    assert not [key for key in absent if key in found]


def test_a_gateway_without_anything_and_an_agent_that_has_not_looked_yet() -> None:
    empty = samples(take(Sources(State(), NOW, "", None), NOW, 5.0))
    assert empty["splitway_dns_up", ()] == 0
    assert ("splitway_last_apply_timestamp_seconds", ()) not in empty
    assert exposed(None) == ""


def test_the_number_of_series_is_bounded() -> None:
    many = snapshot(3 * metrics.MOST_CLIENTS)
    sets = tuple(SetStatus(f"sw4d{number}", f"list {number}", 4, True, 2, NOW) for number in range(5000))
    began = time.process_time()
    found = samples(dataclasses.replace(many, sets=sets))
    print(f"{len(found)} series in {time.process_time() - began:.2f} s, their parsing included")
    clients = {labels[0] for name, labels in found if name == "splitway_client_bytes_total"}
    assert len(clients) == metrics.MOST_CLIENTS
    assert found["splitway_clients_omitted", ()] == 2 * metrics.MOST_CLIENTS
    assert found["splitway_egress_bytes_total", ("us",)] == 3 * metrics.MOST_CLIENTS * 2_500_000, "sums are whole"
    assert found["splitway_entries", ("learned",)] == 10_000
    assert len(found) < 2 * metrics.MOST_CLIENTS + 3 * metrics.MOST_SETS + 200


def test_labels_of_all_scripts_and_signs() -> None:
    odd = dataclasses.replace(snapshot(1).clients[0], name='客户 "\\\n')
    found = samples(dataclasses.replace(snapshot(1), clients=(odd,)))
    assert found["splitway_client_bytes_total", ('客户 "\\\n', "us")] == 2_500_000


@needs_promtool
def test_names_are_as_prometheus_wants_them() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=exposed(snapshot()), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    with socket.socket(family) as channel:
        channel.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return int(channel.getsockname()[1])


def fetched(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_served_where_the_operator_wants_it(family: socket.AddressFamily) -> None:
    address = f"{'[::1]' if family == socket.AF_INET6 else '127.0.0.1'}:{free_port(family)}"
    for _ in range(2):
        exporter = Exporter(address, snapshot)
        assert "splitway_upstream_up" in fetched(address)
        exporter.close()
    with pytest.raises(OSError, match="refused"):
        fetched(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.1"])
def test_an_address_that_is_not_to_be_had(address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match=r"in use|assign"):
        Exporter(f"{address}:{other.getsockname()[1]}", snapshot)


def exported() -> set[str]:
    """Return the names of all samples that there can be."""
    whole = {name for name, _ in samples(snapshot())}
    assert {
        family.name for family in text_string_to_metric_families(exposed(snapshot())) if not family.samples
    } == set()
    return whole


def expressions(value: Any) -> Iterator[str]:
    """Yield the queries of a dashboard."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in ("expr", "query", "definition") and isinstance(item, str):
                yield item
            yield from expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item)


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bsplitway_\w+", text))


def test_the_dashboard_asks_for_nothing_that_is_not_there() -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    queries = list(expressions(dashboard))
    asked = set().union(*map(names_in, queries))
    assert asked - exported() == set()
    assert len(asked) > 20
    text = json.dumps(dashboard)
    assert set(re.findall(r'"uid": "([^"]*)"', text)) <= {"${datasource}", dashboard["uid"]}
    assert {"splitway_client_bytes_total", "splitway_upstream_up", "splitway_drift"} <= asked
    panels = [panel["gridPos"] for panel in dashboard["panels"]]
    places = {(x, y) for p in panels for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])}
    assert len(places) == sum(p["w"] * p["h"] for p in panels), "no panel lies on another"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(panels)


@needs_promtool
def test_the_dashboards_queries_are_promql(tmp_path: Path) -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    rules = [
        {
            "record": f"query:{number}",
            "expr": re.sub(r"\$__rate_interval|\$__range", "5m", query).replace("$gateway", ".+"),
        }
        for number, query in enumerate(queries)
    ]
    written = tmp_path / "rules.json"
    written.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(written)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alerts_ask_for_nothing_that_is_not_there() -> None:
    asked = names_in((MONITORING / "alerts.yaml").read_text())
    assert asked
    assert asked - exported() == set()


def test_the_reference_names_each_metric_and_each_alert() -> None:
    text = (MONITORING.parent / "docs" / "monitoring.md").read_text()
    table, alerts = text.partition("### Metrics")[2].split("### Alerts")
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert {f"splitway_{name}" for row in rows for name in re.findall(r"`(\w+)`", row)} == exported()
    named = set(re.findall(r"\bSplitway\w+", alerts))
    assert named == set(re.findall(r"alert: (\w+)", (MONITORING / "alerts.yaml").read_text()))


@needs_promtool
@pytest.mark.parametrize("command", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts_test.yaml")])
def test_the_alerts(command: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *command], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tested = set(re.findall(r"alertname: (\w+)", (MONITORING / "alerts_test.yaml").read_text()))
    assert tested == set(re.findall(r"alert: (\w+)", (MONITORING / "alerts.yaml").read_text())), "each alert has a test"
