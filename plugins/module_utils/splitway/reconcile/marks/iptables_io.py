# SPDX-License-Identifier: GPL-3.0-or-later
"""Our chains in iptables: read with one `iptables-save` a family, written with one `iptables-restore`.

`iptables -C` costs 33 ms a rule (facts.md). A restore is one transaction a table: all of it or none.
"""

from __future__ import annotations

import re

from ...system import System, SystemFailure
from ..base import ReconcileError
from .model import ChainStep, Line, Place

PREFIX = "SPLITWAY"
_SAVE = {4: "iptables-save", 6: "ip6tables-save"}
_RESTORE = {4: "iptables-restore", 6: "ip6tables-restore"}
# Connections are classified in the last: what passes before the others are there would keep, as long as it lives, an
# address that nobody translated or a resolver of its own.
_TABLES = ("nat", "filter", "mangle")
_OURS = re.compile(rf"{PREFIX}(?:-|$)")
_JUMP = re.compile(rf"-[jg] {PREFIX}(?:-|$)")


def read(system: System, family: int) -> dict[Place, tuple[Line, ...]]:
    """Return our chains of a family; none where iptables is not installed. Raises ReconcileError."""
    if not system.has(_SAVE[family]):
        return {}
    try:
        return parse(system.read(_SAVE[family]), family)
    except SystemFailure as error:
        if re.search("not supported|do you need to insmod|initialization failed", str(error)):
            return {}
        raise ReconcileError(str(error)) from error


def parse(text: str, family: int) -> dict[Place, tuple[Line, ...]]:
    """Return our chains, and of the built-in chains our jumps, each with its position in front."""
    chains: dict[Place, list[str]] = {}
    table = ""
    position: dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            table, position = line[1:], {}
        elif line.startswith(":"):
            name, policy = line[1:].split(" ")[:2]
            if _OURS.match(name):
                chains[Place(family, table, name)] = []
            elif policy != "-":
                position[name] = 0
        elif line.startswith("-A "):
            _, name, rule = line.split(" ", 2)
            if name in position:
                position[name] += 1
                if _JUMP.search(rule):
                    chains.setdefault(Place(family, table, name), []).append(f"{position[name]} {rule}")
            elif _OURS.match(name):
                chains[Place(family, table, name)].append(rule)
    return {place: tuple(Line(rule, rule) for rule in rules) for place, rules in chains.items()}


def write(system: System, steps: list[ChainStep]) -> None:
    """Carry out the steps, one restore a family; what goes, goes in the opposite order.

    Raises ReconcileError that names the line.
    """
    for family, program in _RESTORE.items():
        lines: list[str] = []
        for table, wanted in (*((table, True) for table in _TABLES), *((table, False) for table in reversed(_TABLES))):
            here = [step for step in steps if step.place[:2] == (family, table) and bool(step.wanted) is wanted]
            if here:
                lines += [f"*{table}", *_table(here), "COMMIT"]
        if lines:
            _restore(system, program, lines)


def _table(steps: list[ChainStep]) -> list[str]:
    jumps = [step for step in steps if not _OURS.match(step.place.chain)]
    own = [step for step in steps if _OURS.match(step.place.chain)]
    gone = [step.place.chain for step in own if not step.wanted]
    # With --noflush a declared chain is made, or emptied if it is there.
    lines = [f":{step.place.chain} - [0:0]" for step in own if step.wanted]
    lines += [f"-A {step.place.chain} {line.text}" for step in own for line in step.wanted]
    for step in jumps:
        lines += [f"-D {step.place.chain} {line.text.split(' ', 1)[1]}" for line in step.found]
        for line in step.wanted:
            position, rule = line.text.split(" ", 1)
            lines.append(f"-I {step.place.chain} {position} {rule}")
    return lines + [f"-F {chain}" for chain in gone] + [f"-X {chain}" for chain in gone]


def _restore(system: System, program: str, lines: list[str]) -> None:
    try:
        system.run(program, "--noflush", "-w", "10", input="\n".join(lines) + "\n")
    except SystemFailure as error:
        match = re.search(r"line:? (\d+)", str(error))
        line = lines[int(match.group(1)) - 1] if match and int(match.group(1)) <= len(lines) else ""
        raise ReconcileError(f"{program} {line}: {error}") from error
