# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's events are taken for."""

from __future__ import annotations

from namespaces import NamespaceSystem, run_here

from splitway.agent.healing import watch
from splitway.reconcile import nft
from splitway.state import State

RULESET = """
table inet splitway {
  set sw4d1 { type ipv4_addr; flags timeout,dynamic; timeout 60s; elements = { 192.0.2.1, 192.0.2.2 }; }
  map clients4 { type ipv4_addr : verdict; elements = { 10.8.0.2 : drop }; }
}
table inet other { set sw4d1 { type ipv4_addr; elements = { 192.0.2.1 }; }; }
"""


def test_elements_that_go_concern_their_set_alone(system: NamespaceSystem) -> None:
    """To look at the rules of 1,000 clients takes a third of a second, and addresses are refreshed all the time."""
    del system  # it lends its namespace
    run_here("nft", RULESET)
    events = watch.Events()
    heard = []
    for command in (
        "delete element inet splitway sw4d1 { 192.0.2.1 }",
        "flush set inet splitway sw4d1",
        "delete element inet splitway clients4 { 10.8.0.2 }",
        "add element inet splitway clients4 { 10.8.0.3 : accept }",
        "delete element inet other sw4d1 { 192.0.2.1 }",
        "add element inet splitway sw4d1 { 192.0.2.3 }",
        "delete set inet splitway sw4d1",
    ):
        run_here("nft", command)
        heard.append(set(events.read(watch.ours(State()))))
    events.close()
    assert heard == [{"sets"}, {"sets"}, {"marks"}, {"marks"}, set(), set(), {"sets", "marks"}]


def test_a_change_that_nobody_was_told_of_is_noticed_by_the_next(system: NamespaceSystem) -> None:
    run_here("nft", RULESET)
    deaf = watch.Events()
    deaf.heard = nft.generation(system)
    run_here("nft", "add table inet other2")
    assert deaf.read(watch.ours(State())) == set()
    assert deaf.heard == nft.generation(system)
    deaf.heard = (deaf.heard or 0) - 1  # as if the last one had been lost
    run_here("nft", "add table inet other3")
    assert deaf.read(watch.ours(State())) == {"sets", "marks"}
    deaf.close()
