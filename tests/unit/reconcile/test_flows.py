# SPDX-License-Identifier: GPL-3.0-or-later
"""Which flows a change of the rules ends."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from splitway.reconcile import flows
from splitway.reconcile.flows import guarded
from splitway.reconcile.flows.conntrack import Flow
from splitway.state import (
    AddressSet,
    ClientGuard,
    Egress,
    FamilyMarks,
    LanNetwork,
    MarkPolicy,
    MarkRule,
    Marks,
    Way,
    mark_of,
)

MASK = 0x3FFF
SETS = (AddressSet("sw4d1", 4, 600), AddressSet("sw4n1", 4, None, ("198.51.100.0/24",)), AddressSet("sw4s", 4, None))
LEARNED = {"sw4d1": {"192.0.2.1"}}
EGRESSES = (Egress(0, "direct"), Egress(101, "us", "wg-up-1"), Egress(102, "eu", "wg-up-2"))


def section(rule_egress: int, default: int, clients: tuple[str, ...] = ("10.8.0.2",), mask: int = MASK) -> Marks:
    policy = MarkPolicy(1, "", (MarkRule(("sw4d1", "sw4n1"), rule_egress),), default)
    family = FamilyMarks(dict.fromkeys(clients, 1), (policy,), "sw4s")
    return Marks("wg0", "wg-up-", mask, EGRESSES, family, FamilyMarks())


def flow(destination: str, mark: int, source: str = "10.8.0.2") -> Flow:
    return Flow(4, 17, source, destination, 1, 2, mark, f"{source}{destination}".encode())


def ended(old: Marks, new: Marks, *some: Flow) -> list[str]:
    return [change.payload.destination for change in flows.plan(old, SETS, new, SETS, LEARNED, some)]


US, EU, HERE = mark_of(101, MASK), mark_of(102, MASK), mark_of(0, MASK)


def test_only_a_changed_verdict_ends_a_flow() -> None:
    old, new = section(101, 0), section(102, 0)
    some = (flow("192.0.2.1", US), flow("198.51.100.9", US), flow("203.0.113.1", HERE))
    assert ended(old, old, *some) == []
    assert ended(old, new, *some) == ["192.0.2.1", "198.51.100.9"]


def test_a_flow_whose_address_has_expired_stays_whatever_else_changes() -> None:
    """203.0.113.1 was learned when the flow began, and is no more; the rules on it have not changed."""
    assert ended(section(101, 0), section(102, 0), flow("203.0.113.1", US)) == []


def test_a_flow_ends_with_its_egress() -> None:
    """Its address has expired, too; else the next upstream with the number 101 would inherit it."""
    gone = dataclasses.replace(section(102, 0), egresses=(EGRESSES[0], EGRESSES[2]))
    assert ended(section(101, 0), gone, flow("203.0.113.1", US), flow("203.0.113.1", HERE)) == ["203.0.113.1"]


def test_clients_that_are_kept_apart_from_now_on() -> None:
    """On a LAN or not; and when hosts on a LAN become clients later."""
    apart, lan = ClientGuard(isolate=True), (LanNetwork("eth1", "10.99.0.0/24", 1),)
    old = dataclasses.replace(section(101, 0, ("10.8.0.2", "10.8.0.3")), lan=lan)
    new = dataclasses.replace(old, guard=apart)
    some = (flow("10.8.0.3", HERE), flow("10.99.0.9", HERE), flow("10.98.0.9", HERE))

    def refused(before: Marks, after: Marks) -> list[str]:
        return [change.payload.destination for change in guarded.plan(before, after, SETS, some)]

    assert refused(old, new) == ["10.8.0.3", "10.99.0.9"]
    assert refused(new, new) == refused(old, old) == []
    assert "10.99.0.9" in refused(dataclasses.replace(new, lan=()), new)


def test_a_flow_that_is_there_already_stays() -> None:
    assert ended(section(101, 0), section(102, 0), flow("192.0.2.1", EU), flow("192.0.2.1", 0xAB0000 | EU)) == []


def test_clients_that_went_and_came() -> None:
    with_two = section(101, 0, ("10.8.0.2", "10.8.0.3"))
    of_three = flow("203.0.113.1", US, "10.8.0.3")
    assert ended(with_two, section(101, 0), of_three, flow("203.0.113.1", HERE)) == ["203.0.113.1"]
    assert ended(section(101, 0), with_two, of_three) == ["203.0.113.1"]
    assert ended(section(101, 0), section(101, 0), of_three) == []  # a stranger's


def test_flows_that_are_not_classified_are_left_alone() -> None:
    assert ended(section(101, 0), section(102, 0), flow("192.0.2.1", 0), flow("192.0.2.1", 0x65)) == []


def test_another_mask_moves_all_flows() -> None:
    old, new = section(101, 0), section(101, 0, mask=0x3FFF0000)
    assert ended(old, new, flow("192.0.2.1", US), flow("203.0.113.1", HERE)) == ["192.0.2.1", "203.0.113.1"]


def grouped(default: int, *chosen: int, may_use: tuple[int, ...] = (111, 112)) -> Marks:
    """Return rules that lead to `default`, with a group 110 whose new flows get what is chosen."""
    members = (Egress(111, "group/us", "wg-up-1"), Egress(112, "group/eu", "wg-up-2"))
    ways = tuple(Way(number) for number in chosen)
    return dataclasses.replace(
        section(101, default), egresses=(*EGRESSES, Egress(110, "group", ways=ways, may_use=may_use), *members)
    )


def on(*numbers: int) -> list[Flow]:
    """Return a flow on each egress, which no list holds; its port is the number."""
    return [dataclasses.replace(flow("203.0.113.1", mark_of(n, MASK)), source_port=n) for n in numbers]


def left(old: Marks, new: Marks, *numbers: int) -> list[int]:
    gone = [change.payload.source_port for change in flows.plan(old, SETS, new, SETS, LEARNED, on(*numbers))]
    return [number for number in numbers if number not in gone]


def test_a_flow_stays_on_its_member_whichever_is_chosen() -> None:
    for chosen in ((111,), (112,), (111, 112), (110,)):
        assert left(grouped(110, 111), grouped(110, *chosen), 111, 112) == [111, 112]


def test_a_flow_that_comes_to_a_group_must_be_on_a_member_that_is_chosen() -> None:
    assert left(grouped(102, 111), grouped(110, 112), 102, 111, 112, 0) == [112]
    assert left(grouped(110, 111), grouped(102, 111), 102, 111, 112) == [102]


def test_a_flow_ends_with_its_member_and_with_its_fallback() -> None:
    before = grouped(110, 102, may_use=(111, 112, 102))
    after = grouped(110, 111, may_use=(111,))
    after = dataclasses.replace(after, egresses=after.egresses[:-1])
    # 101 is on a list's egress whose address has expired: it was none of the group's.
    assert left(before, after, 101, 102, 111, 112) == [101, 111]


egresses = st.sampled_from((0, 101, 102))


@given(egresses, egresses, egresses, egresses, st.sampled_from((US, EU, HERE)), st.booleans())
def test_after_the_deletions_no_flow_contradicts_a_changed_rule(
    a: int, b: int, c: int, d: int, mark: int, listed: bool
) -> None:
    old, new = section(a, b), section(c, d)
    one = flow("192.0.2.1" if listed else "203.0.113.1", mark)
    was, now = (a, c) if listed else (b, d)
    assert bool(ended(old, new, one)) == (was != now and mark != mark_of(now, MASK))
    assert flows.plan(old, SETS, dataclasses.replace(new), SETS, LEARNED, ()) == ()


def strayed(marks: Marks, *numbers: int) -> list[int]:
    return [change.payload.source_port for change in flows.strays(marks, SETS, LEARNED, on(*numbers))]


def test_a_flow_strays_that_its_verdict_never_sends_where_it_is() -> None:
    assert strayed(grouped(110, 111), 0, 101, 110, 111, 112) == [0, 101]
    assert strayed(grouped(102, 111), 0, 102, 110, 111, 112) == [0, 110, 111, 112]


def test_a_fallback_that_others_use_as_well_is_right_while_it_is_in_force() -> None:
    numbers = (111, 112, 101)  # a list leads to 101
    assert strayed(grouped(110, 101, may_use=numbers), *numbers) == []
    assert strayed(grouped(110, 111, may_use=numbers), *numbers) == [101]
    numbers = (111, 112, 102)
    assert strayed(grouped(110, 111, may_use=numbers), *numbers) == []
