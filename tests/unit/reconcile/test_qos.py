# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of the section `qos`, on a pretended kernel."""

from __future__ import annotations

import dataclasses
from typing import Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.reconcile import qos
from splitway.reconcile.base import ADD, CHANGE, REMOVE, Change, ReconcileError
from splitway.reconcile.qos import Current, table
from splitway.reconcile.qos.model import (
    DEVICE,
    HANDLE,
    ChainStep,
    Class,
    ClassStep,
    DeviceStep,
    EntriesStep,
    Leaf,
    MapStep,
    Root,
    RootStep,
    Step,
    Table,
    as_written,
    on_the_wire,
    queue,
)
from splitway.state import Qos, RatedClient
from splitway.system import System, SystemFailure

INDICES = {"wg0": 7, "wg1": 8, DEVICE: 9}
OURS = Root("htb", HANDLE)
NOTHING = Current(roots={"wg0": Root("noqueue", 0), "wg1": Root("noqueue", 0)})


def client(number: int, down: Optional[int] = None, up: Optional[int] = None) -> RatedClient:
    return RatedClient(f"client{number}", number, (f"10.8.0.{number}", f"fd08::{number:x}"), down, up)


MBIT = 1_000_000
rates = st.none() | st.sampled_from((8_000, MBIT, 1_500_000, 10_000 * MBIT))
clients = st.builds(client, st.integers(1, 30), rates, rates).filter(lambda one: one.down or one.up)
sections = st.none() | st.builds(
    Qos, st.sampled_from(("wg0", "wg1")), st.lists(clients, max_size=6, unique_by=lambda one: one.number).map(tuple)
)


class Kernel:
    """A kernel that refuses what the real one would."""

    def __init__(self, current: Current, *, fair: bool) -> None:
        self.current, self.fair = current, fair
        self.roots, self.device = dict(current.roots), current.device
        self.classes = {name: dict(own) for name, own in current.classes.items()}
        self.maps = {name: dict(own) for name, own in current.table.maps.items()}
        self.chains = dict(current.table.chains)

    def take(self, step: Step) -> None:
        if isinstance(step, DeviceStep):
            self.device = "ifb" if step.wanted else None
            self.roots.pop(DEVICE, None)
            self.classes.pop(DEVICE, None)
        elif isinstance(step, RootStep):
            assert step.interface != DEVICE or self.device == "ifb"
            self.roots[step.interface] = OURS if step.wanted else Root("noqueue", 0)
            self.classes.pop(step.interface, None)
            if step.wanted:
                self.classes[step.interface] = {}
        elif isinstance(step, ClassStep):
            self.take_class(step)
        else:
            self.take_table(step)

    def take_class(self, step: ClassStep) -> None:
        own = self.classes[step.interface]
        assert (step.number in own) != step.new
        if step.rate:
            own[step.number] = Class(step.rate, Leaf("fq_codel") if self.fair else Leaf("bfifo", queue(step.rate)))
            return
        way = "up" if step.interface == DEVICE else "down"
        led = {number for name, entries in self.maps.items() if name.startswith(way) for number in entries.values()}
        assert step.number not in led, "packets are led to a class that goes"
        del own[step.number]

    def take_table(self, step: Union[MapStep, EntriesStep, ChainStep]) -> None:
        if isinstance(step, MapStep):
            self.maps.pop(step.name, None)
            if step.wanted:
                self.maps[step.name] = {}
        elif isinstance(step, EntriesStep):
            for address, was, now in step.entries:
                assert self.maps[step.name].pop(address, 0) == was
                if now:
                    self.maps[step.name][address] = now
        else:
            assert (step.name in self.chains) == step.found
            self.chains.pop(step.name, None)
            if step.wanted is not None:
                numbers = (INDICES[step.interface], INDICES[DEVICE] if self.device else None)
                self.chains[step.name] = table.keys(step.wanted, numbers)


def perform(current: Current, changes: tuple[Change, ...], *, fair: bool = False) -> Current:
    """Return what the kernel becomes by the changes."""
    kernel = Kernel(current, fair=fair)
    for change in changes:
        kernel.take(change.payload)
    return Current(kernel.roots, kernel.classes, kernel.device, current.indices, Table(kernel.maps, kernel.chains))


def seen(kernel: Current, desired: Optional[Qos]) -> Current:
    """Return the kernel as `read` shows it to this section."""
    numbers = (INDICES[desired.interface] if desired else None, INDICES[DEVICE] if kernel.device else None)
    return dataclasses.replace(kernel, indices=numbers)


def brought(old: Current, desired: Optional[Qos]) -> Current:
    return perform(old, qos.plan(desired, seen(old, desired)))


@given(old=sections, new=sections)
def test_a_plan_leads_to_the_desired_rates(old: Optional[Qos], new: Optional[Qos]) -> None:
    before = brought(NOTHING, old)
    changes = qos.plan(new, seen(before, new))
    after = perform(before, changes)
    assert qos.plan(new, seen(after, new)) == ()
    actions = [change.action for change in changes]
    assert actions == sorted(actions, key=lambda action: action == REMOVE)
    rated = {(one.name, way, rate) for one in (new.clients if new else ()) for way, rate in _ways(one) if rate}
    made = {
        (f"client{number}", "up" if interface == DEVICE else "down", as_written(own.rate))
        for interface, classes in after.classes.items()
        for number, own in classes.items()
    }
    assert made == rated


def _ways(one: RatedClient) -> tuple[tuple[str, Optional[int]], ...]:
    return (("down", one.down), ("up", one.up))


@given(old=sections)
def test_nothing_of_ours_stays_without_rates(old: Optional[Qos]) -> None:
    assert brought(brought(NOTHING, old), None) == NOTHING


@given(new=sections)
def test_either_queue_of_a_class_will_do(new: Optional[Qos]) -> None:
    kernel = perform(NOTHING, qos.plan(new, seen(NOTHING, new)), fair=True)
    assert qos.plan(new, seen(kernel, new)) == ()


def test_a_client_whose_rate_changes_is_all_that_changes() -> None:
    many = tuple(client(number, MBIT, MBIT) for number in range(1, 201))
    kernel = brought(NOTHING, Qos("wg0", many))
    other = Qos("wg0", (*many[:100], client(101, 2 * MBIT, MBIT), *many[101:]))
    (change,) = qos.plan(other, seen(kernel, other))
    assert (change.action, change.what) == (CHANGE, "down rate of client client101")
    assert (change.before, change.after) == (f"{change.what}: 1mbit", f"{change.what}: 2mbit")
    fewer = Qos("wg0", many[:-1])
    gone = qos.plan(fewer, seen(kernel, fewer))
    assert {change.action for change in gone} == {REMOVE}
    assert len(gone) == 6, "two classes, two addresses in two directions"


def test_only_what_is_rated_is_there() -> None:
    down = brought(NOTHING, Qos("wg0", (client(1, down=MBIT),)))
    assert (down.device, list(down.classes), list(down.table.chains)) == (None, ["wg0"], ["down"])
    up = brought(NOTHING, Qos("wg0", (client(1, up=MBIT),)))
    assert (up.device, list(up.classes), list(up.table.chains)) == ("ifb", [DEVICE], ["up"])
    assert up.roots["wg0"] == Root("noqueue", 0)


@pytest.mark.parametrize("root", [Root("cake", 0x8001), Root("htb", 1), Root("mq", 0x8002)])
def test_somebody_elses_queue_is_in_the_way_of_down_only(root: Root) -> None:
    kernel = Current(roots={"wg0": root})
    wanted = Qos("wg0", (client(1, down=MBIT),))
    with pytest.raises(ReconcileError, match=rf"wg0 has somebody else's queue \({root.kind} {root.handle:x}:\)"):
        qos.plan(wanted, seen(kernel, wanted))
    assert qos.plan(None, kernel) == ()
    up = Qos("wg0", (client(1, up=MBIT),))
    assert qos.plan(up, seen(kernel, up))


@pytest.mark.parametrize("kind", ["noqueue", "pfifo_fast", "fq_codel", "mq"])
def test_the_kernels_own_default_is_nobodys(kind: str) -> None:
    wanted = Qos("wg0", (client(1, down=MBIT),))
    assert qos.plan(wanted, seen(Current(roots={"wg0": Root(kind, 0)}), wanted))


def test_somebody_elses_interface_is_in_the_way() -> None:
    wanted = Qos("wg0", (client(1, up=MBIT),))
    with pytest.raises(ReconcileError, match=f"the interface {DEVICE} is somebody else's \\(dummy\\)"):
        qos.plan(wanted, Current(device="dummy"))
    assert qos.plan(None, Current(device="dummy")) == ()


@pytest.mark.parametrize(
    ("drift", "action"),
    [
        ({"classes": {"wg0": {1: Class(1, Leaf("bfifo", queue(1)))}}}, CHANGE),
        ({"classes": {"wg0": {1: Class(on_the_wire(MBIT))}}}, CHANGE),
        ({"classes": {"wg0": {1: Class(on_the_wire(MBIT), Leaf("bfifo", 1))}}}, CHANGE),
        ({"classes": {"wg0": {}}}, ADD),
        ({"classes": {}, "roots": {"wg0": Root("noqueue", 0)}}, ADD),
        ({"table": Table()}, ADD),
        ({"indices": (17, None)}, CHANGE),  # wg0 was made anew
    ],
)
def test_what_somebody_changed_is_seen(drift: dict[str, object], action: str) -> None:
    wanted = Qos("wg0", (client(1, down=MBIT),))
    kernel = seen(brought(NOTHING, wanted), wanted)
    changes = qos.plan(wanted, dataclasses.replace(kernel, **drift))  # type: ignore[arg-type]
    assert {change.action for change in changes} == {action}


class Host(System):
    """A host whose kernel has fq_codel, or has not; it refuses what the real one would."""

    def __init__(self, *, fair: bool) -> None:
        super().__init__()
        self.fair = fair
        self.leaves: dict[str, str] = {}  # class → kind of queue

    def run(self, *argv: str, input: Optional[str] = None, timeout: float = 120) -> str:
        del timeout
        for line in (input or " ".join(argv[1:])).splitlines() if argv[0] == "tc" else ():
            words = line.split()
            if words[:2] == ["qdisc", "replace"] and words[4] == "parent":
                if words[6] == "fq_codel" and not self.fair:
                    raise SystemFailure("tc: Error: Specified qdisc kind is unknown.")
                if words[6] == self.leaves.get(words[5]) == "fq_codel" and "flows" in words:
                    raise SystemFailure("tc: RTNETLINK answers: Invalid argument")
                self.leaves[words[5]] = words[6]
        return ""

    def interface_index(self, interface: str) -> Optional[int]:
        return INDICES[interface]


@pytest.mark.parametrize("fair", [True, False])
def test_every_class_gets_the_best_queue_that_there_is(fair: bool) -> None:
    host = Host(fair=fair)
    first = Qos("wg0", (client(1, MBIT), client(2, MBIT), client(3, MBIT)))
    made = seen(NOTHING, first)
    qos.apply(host, qos.plan(first, made))
    kind = "fq_codel" if fair else "bfifo"
    assert host.leaves == {f"5377:{number}": kind for number in (1, 2, 3)}
    other = Qos("wg0", (client(1, 2 * MBIT), client(2, 3 * MBIT), client(3, MBIT)))
    kernel = seen(perform(made, qos.plan(first, made), fair=fair), other)
    changes = qos.plan(other, kernel)
    assert len(changes) == 2
    qos.apply(host, changes)
    assert set(host.leaves.values()) == {kind}
