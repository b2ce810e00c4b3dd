# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out the changes of rates: device, queues, classes with their queues, then what leads packets to them."""

from __future__ import annotations

import re

from ...system import System, SystemFailure
from ..base import ReconcileError
from . import table
from .live import KIND
from .model import DEVICE, HANDLE, ClassStep, DeviceStep, RootStep, Step, burst, queue, target

_QUANTUM = 1514  # bytes; classes that borrow nothing take turns by whatever it is


def make(system: System, steps: list[Step]) -> None:
    """Carry out additions and changes: a class is there before packets are led to it. Raises ReconcileError."""
    devices, roots, classes, rest = _sorted(steps)
    if devices:
        if system.interface_index(DEVICE) is None:
            _run(system, "ip", "link", "add", "name", DEVICE, "type", KIND)
        # No address of its own: nothing but what is sent there is to come out of it.
        _run(system, "ip", "link", "set", "dev", DEVICE, "addrgenmode", "none")
        _run(system, "ip", "link", "set", "dev", DEVICE, "up")
    # Without a default class: what has none passes at once.
    _tc(system, [f"qdisc replace dev {step.interface} root handle {HANDLE:x}: htb" for step in roots])
    _write_classes(system, classes)
    table.write(system, rest)


def remove(system: System, steps: list[Step]) -> None:
    """Carry out removals: first what leads packets to a class, then the class. Raises ReconcileError."""
    devices, roots, classes, rest = _sorted(steps)
    table.write(system, rest)
    _tc(system, [f"class del dev {step.interface} classid {_classid(step)}" for step in classes])
    _tc(system, [f"qdisc del dev {step.interface} root" for step in roots])
    if devices:
        _run(system, "ip", "link", "del", "dev", DEVICE)


def _sorted(steps: list[Step]) -> tuple[list[DeviceStep], list[RootStep], list[ClassStep], list[Step]]:
    return (
        [step for step in steps if isinstance(step, DeviceStep)],
        [step for step in steps if isinstance(step, RootStep)],
        [step for step in steps if isinstance(step, ClassStep)],
        [step for step in steps if not isinstance(step, (DeviceStep, RootStep, ClassStep))],
    )


def _write_classes(system: System, steps: list[ClassStep]) -> None:
    if not steps:
        return
    _tc(system, [_class_line(step) for step in steps])
    first, *others = steps
    fair = _try_fair_queue(system, first)
    _tc(system, [_leaf_line(step, fair) for step in (others if fair else steps)])


def _class_line(step: ClassStep) -> str:
    size = burst(step.rate)
    return (
        f"class replace dev {step.interface} parent {HANDLE:x}: classid {_classid(step)} "
        f"htb rate {step.rate}bps burst {size} cburst {size} quantum {_QUANTUM}"
    )


def _leaf_line(step: ClassStep, fair: bool) -> str:
    kind = _fair_queue(step) if fair else f"bfifo limit {queue(step.rate)}"
    return f"qdisc replace dev {step.interface} parent {_classid(step)} {kind}"


def _fair_queue(step: ClassStep) -> str:
    goal = target(step.rate)
    words = f"fq_codel limit 1000 target {goal}ms interval {max(100, 2 * goal)}ms"
    # 64 flows instead of 1,024: a queue then takes 5 KB of memory instead of 70, and there are two a client. The kernel
    # refuses to be told of flows once a queue is there, be it the same number.
    return words if step.leaf == "fq_codel" else f"{words} flows 64"


def _try_fair_queue(system: System, step: ClassStep) -> bool:
    """Give a class fq_codel; return whether this kernel has it, which is known by trying: it may load a module."""
    try:
        system.run("tc", *_leaf_line(step, fair=True).split())
    except SystemFailure as error:
        if re.search("kind is unknown|No such file or directory", str(error)):
            return False
        raise ReconcileError(f"rates: {error}") from error
    return True


def _classid(step: ClassStep) -> str:
    return f"{HANDLE:x}:{step.number:x}"


def _tc(system: System, lines: list[str]) -> None:
    if lines:
        _run(system, "tc", "-batch", "-", input_="\n".join(lines) + "\n")


def _run(system: System, *argv: str, input_: str = "") -> None:
    try:
        system.run(*argv, input=input_)
    except SystemFailure as error:
        raise ReconcileError(f"rates: {error}") from error
