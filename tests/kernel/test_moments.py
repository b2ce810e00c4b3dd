# SPDX-License-Identifier: GPL-3.0-or-later
"""From one hour to the next, and to other networks of a country: by a clock that the test sets, judged by packets."""

from __future__ import annotations

import contextlib
from datetime import datetime, timezone
from typing import Any

import pytest
from namespaces import NamespaceSystem
from test_groups import Gateway, goes_on
from test_groups import topology as groups
from test_switch import connected, sending
from traffic import BACKENDS, CLIENTS, Lab, captured, lab

from splitway.agent.healing.generation import Generation
from splitway.agent.moments import Moments
from splitway.applying import drift
from splitway.countries import kept
from splitway.present import present
from splitway.reconcile.sections import RECONCILERS
from splitway.store import Store

__all__ = ["lab"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)
ONE, TWO, _ = CLIENTS[4]
ONE6 = CLIENTS[6][0]
WEB, WEB6, OTHER = "198.51.100.1", "2001:db8:99::1", "203.0.113.1"
MONDAY = datetime(2026, 11, 23, tzinfo=timezone.utc).timestamp()
HOUR = 3600.0


class Clock:
    """The host's clock, set by hand."""

    def __init__(self, system: NamespaceSystem, at: float) -> None:
        self.at = at
        system.now = lambda: self.at  # type: ignore[method-assign]


def topology(backend: str, *rules: dict[str, Any], default: str = "us") -> dict[str, Any]:
    variables = groups(backend)
    variables["splitway_clients"][0] = {
        "name": "alice",
        "addresses": [ONE, ONE6],
        "rules": [*rules],
        "default": default,
    }
    return variables


def look(moments: Moments) -> bool:
    """Look at the clock as the agent does; return whether there was something to go over to."""
    if not moments.differs():
        return False
    moments.go_over()
    return True


def in_order(store: Store) -> bool:
    return not any(drift(store, store.generation(), ("sets", "marks")).values())


def test_an_hour_begins_and_ends(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    clock = Clock(system, MONDAY + 8 * HOUR)
    office = {"schedule": {"days": "mon-fri", "hours": "09:00-17:00"}, "egress": "eu"}
    gateway = Gateway(system, lab, topology(backend, office))
    moments = Moments(gateway.store, Generation(gateway.store))
    uplink = lab.exits["uplink"]
    with connected(lab, (WEB, ONE, "wg-up-1"), (WEB6, ONE6, "wg-up-1"), (WEB, TWO, "wg-up-1")) as (mine, mine6, bobs):
        clock.at = MONDAY + 9 * HOUR - 1
        assert not look(moments)
        clock.at += 1
        assert not in_order(gateway.store)  # until the agent has looked
        with captured(uplink, "uplink") as leaked, sending(lab, (ONE, WEB), (ONE6, WEB6)):
            assert look(moments)
        assert in_order(gateway.store)
        assert [goes_on(entry) for entry in (mine, mine6, bobs)] == [False, False, True]
        assert (lab.way(WEB), lab.way(WEB6), lab.way(WEB, TWO)) == ("wg-up-2", "wg-up-2", "wg-up-1")
        assert not look(moments)
        gateway.run(topology(backend, office))  # a run in these hours changes nothing
        assert lab.way(WEB) == "wg-up-2"
    with connected(lab, (WEB, ONE, "wg-up-2")) as (young,):
        clock.at = MONDAY + 17 * HOUR
        assert look(moments)
        assert not goes_on(young)
    assert lab.way(WEB) == "wg-up-1"
    assert leaked == []


def test_a_run_that_begins_in_another_hour_leaves_no_flow_behind(
    system: NamespaceSystem, lab: Lab, backend: str
) -> None:
    """The run brings this hour's chains before the agent looks; the flows of the hour before end all the same."""
    clock = Clock(system, MONDAY + 8 * HOUR)
    office = {"schedule": {"hours": "09:00-17:00"}, "egress": "eu"}
    gateway = Gateway(system, lab, topology(backend, office))
    moments = Moments(gateway.store, Generation(gateway.store))
    assert not look(moments)
    with connected(lab, (WEB, ONE, "wg-up-1")) as (mine,):
        clock.at = MONDAY + 9 * HOUR
        gateway.run(topology(backend, office))
        assert lab.way(WEB) == "wg-up-2"
        assert look(moments)
        assert not goes_on(mine)


def test_a_run_in_another_hour_with_other_rules_leaves_no_flow_behind(
    system: NamespaceSystem, lab: Lab, backend: str
) -> None:
    """Nobody looked when the hour began, and what it is to be then, the run makes it for all hours."""
    clock = Clock(system, MONDAY + 8 * HOUR)
    gateway = Gateway(system, lab, topology(backend, {"schedule": {"hours": "09:00-17:00"}, "egress": "eu"}))
    assert not look(Moments(gateway.store, Generation(gateway.store)))
    with connected(lab, (WEB, ONE, "wg-up-1"), (WEB, TWO, "wg-up-1")) as (mine, bobs):
        clock.at = MONDAY + 9 * HOUR
        gateway.run(topology(backend, {"protocol": "tcp", "egress": "eu"}))
        assert [goes_on(entry) for entry in (mine, bobs)] == [False, True]


def test_an_agent_that_was_away_when_an_hour_began_ends_what_began_before(
    system: NamespaceSystem, lab: Lab, backend: str
) -> None:
    """Its rules are brought at its start, by the clock; the flows are those of the last moment that it looked at."""
    clock = Clock(system, MONDAY + 8 * HOUR)
    office = {"schedule": {"hours": "09:00-17:00"}, "egress": "eu"}
    gateway = Gateway(system, lab, topology(backend, office))
    assert not look(Moments(gateway.store, Generation(gateway.store)))
    with connected(lab, (WEB, ONE, "wg-up-1"), (WEB, TWO, "wg-up-1")) as (mine, bobs):
        clock.at = MONDAY + 9 * HOUR + 600
        for section in ("sets", "marks"):
            reconciler = RECONCILERS[section]
            reconciler.apply(system, reconciler.changes(system, present(gateway.store, gateway.state)))
        with connected(lab, (WEB, ONE, "wg-up-2")) as (young,):
            moments = Moments(gateway.store, Generation(gateway.store))
            assert look(moments)
            assert [goes_on(entry) for entry in (mine, bobs, young)] == [False, True, True]
            assert not look(moments)
            assert not look(Moments(gateway.store, Generation(gateway.store)))


def test_a_country_has_other_networks(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    Clock(system, MONDAY)

    def keep(*networks: str) -> None:
        data = {4: tuple(entry for entry in networks if ":" not in entry), 6: tuple(e for e in networks if ":" in e)}
        kept.write(system, "de", kept.Country(MONDAY, "the test", data, {4: 1, 6: 1}))

    keep("198.51.100.0/24", "2001:db8:99::/48")
    gateway = Gateway(system, lab, topology(backend, {"country": "de", "egress": "eu"}))
    moments = Moments(gateway.store, Generation(gateway.store))
    assert not look(moments)
    uplink = lab.exits["uplink"]
    ways = ((WEB, ONE, "wg-up-2"), (WEB6, ONE6, "wg-up-2"), (OTHER, ONE, "wg-up-1"))
    with connected(lab, *ways) as (web, web6, other), captured(uplink, "uplink") as leaked:
        keep("203.0.113.0/24", "198.51.100.0/25")
        with sending(lab, (ONE, WEB), (ONE6, WEB6), (ONE, OTHER)):
            assert look(moments)
        assert [goes_on(entry) for entry in (web, web6, other)] == [True, False, False]
        assert (lab.way(WEB), lab.way(WEB6), lab.way(OTHER)) == ("wg-up-2", "wg-up-1", "wg-up-2")
        assert in_order(gateway.store)
        assert not look(moments)
    assert leaked == []


def test_a_country_without_data_stops_the_run_and_names_it(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    Clock(system, MONDAY)
    with contextlib.suppress(FileNotFoundError):
        (kept.folder(system) / "de.json").unlink()
    with pytest.raises(Exception, match="country de"):
        Gateway(system, lab, topology(backend, {"country": "de", "egress": "eu"}))
