# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of files: entries that know their lines, and what was refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Callable, Union

Steps = tuple[Union[str, int], ...]
"""The way to a value inside an entry: ("rules", 3, "domain")."""

_STEP = re.compile(r'\.?([A-Za-z0-9_-]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]')


class ExchangeError(ValueError):
    """Nothing can be imported; the message says why and what to do."""


@dataclass(frozen=True)
class Refusal:
    """What was not taken, where it stands and why."""

    file: str
    line: int
    where: str  # the column, or the way to the value inside the entry; "" is all of it
    problem: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(filter(None, (place, self.where, self.problem)))


@dataclass
class Refused:
    """Collects what is refused while files are read."""

    lines: list[Refusal] = field(default_factory=list)
    files: set[str] = field(default_factory=set)  # that cannot be taken in part: what they mean is open

    def line(self, file: str, line: int, where: str, problem: str) -> None:
        self.lines.append(Refusal(file, line, where, problem))

    def file(self, file: str, line: int, problem: str, where: str = "") -> None:
        """Refuse a file as a whole, for what is in one line."""
        self.line(file, line, where, problem)
        self.files.add(file)


@dataclass(frozen=True)
class Entry:
    """One client, upstream, group, list or policy, as a file has it."""

    name: Any
    value: Any  # as the variable has it: of a kind that is a list, with its name
    file: str
    line: int
    place: Callable[[Steps], tuple[int, Steps]]
    """Returns the line of what is at some steps, and the steps that are left inside that line."""

    wrong: bool = False  # a line of it is refused already, so that it is not what was meant

    def refuse(self, steps: Steps, problem: str) -> Refusal:
        line, rest = self.place(steps)
        return Refusal(self.file, line, written(rest), problem)

    def without(self, gone: Collection[tuple[str, Union[str, int]]]) -> Entry:
        """Return the entry without some items of its lists, given as (key, index)."""
        left = {
            key: [index for index in range(len(items)) if (key, index) not in gone]
            for key, items in self.value.items()
            if isinstance(items, list)
        }
        value = {
            key: [items[index] for index in left[key]] if key in left else items for key, items in self.value.items()
        }

        def place(steps: Steps) -> tuple[int, Steps]:
            key, index = (*steps, None, None)[:2]
            if key in left and isinstance(index, int) and index < len(left[str(key)]):
                steps = (str(key), left[str(key)][index], *steps[2:])
            return self.place(steps)

        return dataclasses.replace(self, value=value, place=place)


def steps_of(path: str) -> Steps:
    """Return the steps of the rest of a message's path, `.rules[3].domain`."""
    return tuple(int(index) if index else name or quoted for name, index, quoted in _STEP.findall(path))


def written(steps: Steps) -> str:
    """Return steps as messages write them."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
