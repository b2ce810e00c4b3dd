# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of the section `sets`."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.reconcile import sets
from splitway.reconcile.base import ADD, CHANGE, REMOVE, Change
from splitway.reconcile.sets import ipset as sets_ipset
from splitway.reconcile.sets import nftables as sets_nftables
from splitway.reconcile.sets.model import Current, KernelSet, Step
from splitway.state import AddressSet

SAVED = """\
create sw4d1 hash:ip family inet hashsize 64 maxelem 262144 timeout 600 bucketsize 12 initval 0xf62c3d99
add sw4d1 1.2.3.4 timeout 599
add sw4d1 1.2.3.5 timeout 3
create sw4c hash:ip family inet hashsize 64 maxelem 65536 skbinfo bucketsize 12 initval 0x015dc671
add sw4c 10.8.0.2 skbmark 0x6/0x3fff
create swarm hash:ip family inet hashsize 1024 maxelem 65536
create sw6n3 hash:net family inet6 hashsize 2048 maxelem 1048576
add sw6n3 2001:db8::/32
create sw4n4 hash:net family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x28e74103
"""


def test_of_an_ipset_save_only_our_sets_are_read() -> None:
    found = sets_ipset.parse(SAVED)
    assert found == {
        "sw4d1": KernelSet(
            "sw4d1",
            "hash:ip family inet maxelem 262144 timeout 600",
            ("1.2.3.4 timeout 599", "1.2.3.5 timeout 3"),
            600,
        ),
        "sw6n3": KernelSet("sw6n3", "hash:net family inet6 maxelem 1048576", ("2001:db8::/32",)),
        "sw4n4": KernelSet("sw4n4", "hash:net family inet maxelem 65536"),
    }
    assert found["sw4d1"].remaining() == {"1.2.3.4": 599, "1.2.3.5": 3}
    assert sets_ipset.parse("") == {}


names = st.builds(lambda letter, n: f"sw4{letter}{n}", st.sampled_from("dnp"), st.integers(1, 6))
members = st.lists(
    st.builds(
        lambda a, n: str(ipaddress.ip_network((a, n), strict=False)), st.integers(0, 2**32 - 1), st.integers(0, 32)
    ),
    max_size=5,
    unique=True,
).map(tuple)


@st.composite
def sections(draw: st.DrawFn) -> tuple[AddressSet, ...]:
    chosen = draw(st.lists(names, unique=True))
    seeds = st.none() | names.filter(lambda name: name[3] == "d")
    return tuple(
        AddressSet(name, 4, draw(st.sampled_from((600, 900))), seed_from=draw(seeds))
        if name[3] == "d"
        else AddressSet(name, 4, None, draw(members))
        for name in chosen
    )


def perform(kernel: dict[str, KernelSet], changes: tuple[Change, ...]) -> dict[str, KernelSet]:
    """Return what the kernel's sets become by the changes."""
    result = dict(kernel)
    for step in (change.payload for change in changes):
        assert isinstance(step, Step)
        if step.desired is None:
            del result[step.name]
            continue
        there = result.get(step.name)
        assert step.rebuild <= (there is not None)
        kept = set(there.members) - set(step.remove) if there and not step.rebuild else set()
        result[step.name] = KernelSet(step.name, step.header, tuple(sorted(kept | set(step.add))), step.desired.timeout)
    return result


def kernel_of(backend: str, wanted: tuple[AddressSet, ...], learned: tuple[str, ...]) -> dict[str, KernelSet]:
    found = {}
    for item in wanted if backend == "ipset" else sets.learned(wanted):
        header = (sets_ipset if backend == "ipset" else sets_nftables).header(item)
        own = learned if item.timeout else sets_ipset.entries(item)
        found[item.name] = KernelSet(item.name, header, tuple(sorted(own)), item.timeout)
    return found


@pytest.mark.parametrize("backend", ["ipset", "nftables"])
@given(old=sections(), new=sections())
def test_a_plan_leads_to_the_desired_sets_and_loses_no_learned_member(
    backend: str, old: tuple[AddressSet, ...], new: tuple[AddressSet, ...]
) -> None:
    kernel = kernel_of(backend, old, ("192.0.2.1 timeout 100",))
    empty: dict[str, dict[str, KernelSet]] = {"ipset": {}, "nftables": {}}
    changes = sets.plan(new, Current(backend, {**empty, backend: kernel}))
    after = perform(kernel, changes)
    assert sets.plan(new, Current(backend, {**empty, backend: after})) == ()
    assert set(after) == {item.name for item in (new if backend == "ipset" else sets.learned(new))}
    for item in sets.learned(new):
        if item.name in kernel or item.seed_from in kernel:
            assert after[item.name].members == ("192.0.2.1 timeout 100",)
    actions = [change.action for change in changes]
    assert actions == sorted(actions, key=lambda action: action == REMOVE)


def test_sets_of_the_other_backend_are_removed() -> None:
    wanted = (AddressSet("sw4d1", 4, 600),)
    kernel = kernel_of("ipset", wanted, ())
    changes = sets.plan(wanted, Current("nftables", {"ipset": kernel, "nftables": {}}))
    assert [(change.action, change.payload.backend) for change in changes] == [(ADD, "nftables"), (REMOVE, "ipset")]


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("0.0.0.0/0", ("0.0.0.0/1", "128.0.0.0/1")),
        ("8.8.8.8/32", ("8.8.8.8",)),
        ("8.8.8.8", ("8.8.8.8",)),
        ("8.8.8.0/24", ("8.8.8.0/24",)),
    ],
)
def test_networks_in_the_spelling_of_ipset(member: str, expected: tuple[str, ...]) -> None:
    assert sets_ipset.entries(AddressSet("sw4n1", 4, None, (member,))) == expected


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ({"elem": {"val": "192.0.2.1", "expires": 0}}, "192.0.2.1 timeout 1"),
        ({"elem": {"val": "192.0.2.1", "timeout": 900, "expires": 8}}, "192.0.2.1 timeout 8"),
        ({"elem": {"val": "192.0.2.1", "comment": "x"}}, "192.0.2.1"),
    ],
)
def test_elements_of_an_nft_listing(element: object, expected: str) -> None:
    item = {"name": "sw4d1", "type": "ipv4_addr", "timeout": 600, "size": 262144, "elem": [element]}
    found = sets_nftables.parse([item])["sw4d1"]
    assert found.members == (expected,)
    assert found.header == sets_nftables.header(AddressSet("sw4d1", 4, 600))


def test_a_change_of_static_members_names_only_the_difference() -> None:
    old = (AddressSet("sw4n1", 4, None, ("10.0.0.0/8", "192.0.2.0/24")),)
    new = (AddressSet("sw4n1", 4, None, ("10.0.0.0/8", "198.51.100.0/24")),)
    (change,) = sets.plan(new, Current("ipset", {"ipset": kernel_of("ipset", old, ()), "nftables": {}}))
    assert (change.action, change.before, change.after) == (CHANGE, "192.0.2.0/24", "198.51.100.0/24")
