# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets against the real kernel, in both backends: learned members survive, static ones are exact."""

from __future__ import annotations

import dataclasses
import time

import pytest
from namespaces import NamespaceSystem, ReadOnlySystem, run_here, wait_for
from traffic import BACKENDS, Lab, bring, lab, learn, the_marks, the_sets

from splitway.reconcile import marks, sets
from splitway.reconcile.base import ReconcileError
from splitway.reconcile.sets import glance
from splitway.state import AddressSet

__all__ = ["lab"]
both = pytest.mark.parametrize("backend", BACKENDS)


def planned(system: NamespaceSystem, backend: str, wanted: tuple[AddressSet, ...]) -> list[str]:
    return [f"{change.action} {change.what}" for change in sets.plan(wanted, sets.read(system, wanted, backend))]


def apply(system: NamespaceSystem, backend: str, wanted: tuple[AddressSet, ...]) -> None:
    sets.apply(system, sets.plan(wanted, sets.read(system, wanted, backend)))
    assert planned(system, backend, wanted) == []


def remaining(system: NamespaceSystem, backend: str, name: str) -> dict[str, int]:
    everything = AddressSet(name, int(name[2]), 1)  # with another timeout, so that members are read
    return dict(sets.read(system, (everything,), backend).kernel[backend][name].remaining())


@both
def test_from_nothing_to_nothing(system: NamespaceSystem, read_only: ReadOnlySystem, backend: str) -> None:
    wanted = the_sets()
    assert len(planned(read_only, backend, wanted)) == (len(wanted) if backend == "ipset" else 4)
    apply(system, backend, wanted)
    assert set(sets.members(system, backend)) == {"sw4d1", "sw4d2", "sw6d1", "sw6d2"}
    apply(system, backend, ())
    assert run_here("ipset", "list", "-n") == ""
    assert run_here("nft", "list", "tables") == ""


@both
def test_learned_members_survive_a_change_of_the_timeout(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """While rules name the set; the rest of each member's time stays what it was."""
    section = the_marks(backend)
    bring(system, backend, the_sets(timeout=600), section)
    learn(backend, "sw4d1", "192.0.2.1", timeout=500)
    learn(backend, "sw4d1", "192.0.2.2", timeout=50)
    learn(backend, "sw6d1", "2001:db8:9::1")
    assert lab.way("192.0.2.1") == "wg-up-1"
    for timeout in (100, 900):
        apply(system, backend, the_sets(timeout=timeout))
        assert marks.plan(section, marks.read(system, section, backend)) == ()  # its rules are there as before
        left = remaining(system, backend, "sw4d1")
        assert 480 <= left["192.0.2.1"] <= 500
        assert 30 <= left["192.0.2.2"] <= 50
        assert lab.way("2001:db8:9::1") == "wg-up-1"


@both
def test_a_new_set_starts_with_the_members_of_another(system: NamespaceSystem, backend: str) -> None:
    apply(system, backend, (AddressSet("sw4d1", 4, 600),))
    learn(backend, "sw4d1", "192.0.2.1", "192.0.2.2", timeout=300)
    wanted = (AddressSet("sw4d1", 4, 600), AddressSet("sw4d7", 4, 600, seed_from="sw4d1"))
    apply(system, backend, wanted)
    left = remaining(system, backend, "sw4d7")
    assert set(left) == {"192.0.2.1", "192.0.2.2"}
    assert all(280 <= seconds <= 300 for seconds in left.values())
    learn(backend, "sw4d1", "192.0.2.3")
    assert planned(system, backend, wanted) == []  # only a new set is seeded
    gone = (AddressSet("sw4d8", 4, 600, seed_from="sw4d99"),)
    apply(system, backend, gone)
    assert sets.members(system, backend) == {"sw4d8": set()}


@both
def test_a_set_with_another_size_is_made_anew_with_its_members(system: NamespaceSystem, backend: str) -> None:
    if backend == "ipset":
        run_here("ipset", "create", "sw4d1", "hash:ip", "timeout", "600", "maxelem", "10")
    else:
        run_here("nft", "add table inet splitway")
        run_here("nft", "add set inet splitway sw4d1 { type ipv4_addr; flags timeout; timeout 600s; size 10; }")
    learn(backend, "sw4d1", "192.0.2.1")
    apply(system, backend, (AddressSet("sw4d1", 4, 600),))
    assert sets.members(system, backend) == {"sw4d1": {"192.0.2.1"}}


@both
def test_a_set_in_use_is_not_removed_and_the_error_names_it(system: NamespaceSystem, backend: str) -> None:
    bring(system, backend, the_sets(), the_marks(backend))
    fewer = tuple(item for item in the_sets() if item.name != "sw4d2")
    with pytest.raises(ReconcileError, match="sw4d2"):
        sets.apply(system, sets.plan(fewer, sets.read(system, fewer, backend)))


@both
def test_foreign_sets_stay(system: NamespaceSystem, backend: str) -> None:
    for name in ("sw4", "sw4d", "sw5d1", "xsw4d1", "sw4c", "sw4dd1", "swarm"):
        run_here("ipset", "create", name, "hash:ip")
    run_here("nft", "add table inet other")
    run_here("nft", "add set inet other sw4d1 { type ipv4_addr; }")
    before = run_here("ipset", "save") + run_here("nft", "list", "ruleset")
    apply(system, backend, the_sets())
    apply(system, backend, ())
    assert run_here("ipset", "save") + run_here("nft", "list", "ruleset") == before


DRIFTS = (
    ("ipset", "flush", "sw4n1"),
    ("ipset", "del", "sw4n1", "203.0.113.7"),
    ("ipset", "add", "sw6n1", "2001:db8:2::/48"),
    ("ipset", "destroy", "sw4p1"),
    ("ipset", "create", "sw4n77", "hash:net"),
    ("ipset", "create", "sw4n1t", "hash:net"),
    ("ipset", "rename", "sw6d1", "stolen"),
)


def test_each_drift_of_an_ipset_is_seen_and_repaired(system: NamespaceSystem, read_only: ReadOnlySystem) -> None:
    apply(system, "ipset", the_sets())
    for command in DRIFTS:
        run_here(*command)
        assert len(planned(read_only, "ipset", the_sets())) == 1, command
        apply(system, "ipset", the_sets())


def test_static_members_of_every_shape(system: NamespaceSystem) -> None:
    wanted = (
        AddressSet("sw4n1", 4, None, ("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32", "192.0.2.2")),
        AddressSet("sw6n1", 6, None, ("::/0", "2001:db8::/32", "::1/128", "::ffff:102:304/128", "::102:304/128")),
    )
    apply(system, "ipset", wanted)
    for name, address in (("sw4n1", "255.255.255.255"), ("sw6n1", "ffff::1"), ("sw6n1", "::ffff:1.2.3.4")):
        run_here("ipset", "test", name, address)
    grown = dataclasses.replace(wanted[0], members=(*wanted[0].members[1:], "198.51.100.0/24"))
    change = sets.plan((grown, wanted[1]), sets.read(system, wanted, "ipset"))
    assert [(item.before.split(), item.after.split()) for item in change] == [
        (["0.0.0.0/1", "128.0.0.0/1"], ["198.51.100.0/24"])
    ]
    apply(system, "ipset", (grown, wanted[1]))


@both
def test_use_gives_an_address_no_more_time(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    """It is gone after its last answer, not after its last packet."""
    bring(system, backend, the_sets(timeout=600), the_marks(backend))
    learn(backend, "sw4d1", "192.0.2.1", timeout=100)
    assert lab.way("192.0.2.1") == "wg-up-1"
    assert remaining(system, backend, "sw4d1")["192.0.2.1"] <= 100


@both
def test_renewing_takes_what_is_there_and_what_is_not(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    bring(system, backend, the_sets(timeout=600), the_marks(backend))
    learn(backend, "sw4d1", "192.0.2.1", "192.0.2.2", timeout=50)
    added = {"sw4d1": {"192.0.2.1": 300, "192.0.2.3": 1200}, "sw6d1": {"2001:db8:9::1": 4_000_000}}
    sets.renew(system, backend, added, {"sw4d1": ["192.0.2.2", "192.0.2.9"], "sw4d2": ["192.0.2.9"]})
    left = remaining(system, backend, "sw4d1")
    assert set(left) == {"192.0.2.1", "192.0.2.3"}
    assert 290 <= left["192.0.2.1"] <= 300
    assert 1190 <= left["192.0.2.3"] <= 1200
    assert remaining(system, backend, "sw6d1")["2001:db8:9::1"] > 2_000_000
    assert lab.way("192.0.2.1") == "wg-up-1"
    with pytest.raises(ReconcileError, match="sw4d9"):
        sets.renew(system, backend, {"sw4d9": {"192.0.2.1": 300}}, {})
    sets.renew(system, backend, {}, {})


def test_learning_goes_on_while_a_set_is_made_anew(system: NamespaceSystem) -> None:
    """A set's name is never without a set: dnsmasq's additions do not fail."""
    apply(system, "ipset", (AddressSet("sw4d1", 4, 600),))
    changes = sets.plan((AddressSet("sw4d1", 4, 900),), sets.read(system, (), "ipset"))
    learn("ipset", "sw4d1", "192.0.2.9")
    sets.apply(system, changes)
    learn("ipset", "sw4d1", "192.0.2.10")
    assert sets.members(system, "ipset") == {"sw4d1": {"192.0.2.9", "192.0.2.10"}}
    assert run_here("ipset", "list", "-n").split() == ["sw4d1"]


def test_an_expired_member_is_gone(system: NamespaceSystem) -> None:
    apply(system, "ipset", (AddressSet("sw4d1", 4, 600),))
    learn("ipset", "sw4d1", "192.0.2.1", timeout=1)
    wait_for(lambda: not sets.members(system, "ipset")["sw4d1"], "the end of a member's time")


def test_sizes(system: NamespaceSystem) -> None:
    """1,000 sets of 50 networks: what it takes is printed, never asserted."""
    wanted = tuple(
        AddressSet(f"sw4n{i}", 4, None, tuple(f"10.{i >> 2}.{(i & 3) * 50 + j}.0/24" for j in range(50)))
        for i in range(1000)
    )
    for what in ("from nothing", "unchanged", "one member more"):
        if what == "one member more":
            wanted = (dataclasses.replace(wanted[0], members=(*wanted[0].members, "192.0.2.0/24")), *wanted[1:])
        start = time.monotonic()
        changes = sets.plan(wanted, sets.read(system, wanted, "ipset"))
        sets.apply(system, changes)
        print(f"1,000 sets x 50, {what}: {len(changes)} changes, {time.monotonic() - start:.3f} s")
    assert planned(system, "ipset", wanted) == []


def test_a_glance_shows_what_changed_and_nothing_else(system: NamespaceSystem) -> None:
    """Without any set, with a thousand of them, which do not fit into one answer of the kernel, and one by one."""
    headers = glance.Headers()
    assert headers.read(system) == {}
    names = [f"sw4n{number}" for number in range(1000)]
    lines = [f"create {name} hash:net family inet hashsize 64\nadd {name} 192.0.2.0/24" for name in names]
    system.run("ipset", "restore", input="\n".join([*lines, "create sw4d1 hash:ip timeout 60"]) + "\n")
    before, held = headers.read(system), glance.digests(system, names)
    assert (len(before), before["sw4n7"].entries, before["sw4d1"].entries) == (1001, 1, 0)
    assert headers.read(system) == before
    assert glance.digests(system, names) == held
    run_here("ipset", "add", "sw4n7", "198.51.100.0/24")
    assert {name for name, header in headers.read(system).items() if header != before[name]} == {"sw4n7"}
    run_here("ipset", "del", "sw4n7", "192.0.2.0/24")  # another member now, and no more of them than before
    assert headers.read(system)["sw4n7"] == before["sw4n7"]
    again = glance.digests(system, names)
    assert {name for name in names if again[name] != held[name]} == {"sw4n7"}
    assert glance.digests(system, ["sw4n1000"]) == {"sw4n1000": None}
