# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host keeps beside its generation: the agent's choices and findings, and the ports that our daemons took.

Every run honours it (present.py). What depends on the moment is in the runtime folder, which a reboot empties. A
damaged file is as none: whoever wrote it finds the same out again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Optional, TypeVar

from .choices import Choice
from .mtus import Found
from .state import from_data, to_data
from .system import System
from .transports import Carried

K = TypeVar("K")
T = TypeVar("T")


class KeptMapping(Generic[K, T]):
    """A mapping in a file of its own; no file while it is empty."""

    def __init__(self, system: System, path: Path, key: Callable[[str], K], kind: type[T]) -> None:
        self._system, self._path, self._key, self._kind = system, path, key, kind

    def read(self) -> dict[K, T]:
        """Return what is kept; nothing when the file is damaged."""
        try:
            found: Any = json.loads(self._system.read_file(self._path) or "{}")
            return {self._key(name): from_data(self._kind, item) for name, item in found.items()}
        except (ValueError, AttributeError):  # no JSON, another type; no mapping
            return {}

    def write(self, items: Mapping[K, T]) -> None:
        """Keep these and no others."""
        if items:
            data = {str(key): to_data(item) for key, item in items.items()}
            self._system.write_file(self._path, json.dumps(data, sort_keys=True))
        else:
            self.forget()

    def add(self, items: Mapping[K, T]) -> None:
        """Keep these beside those that were kept before."""
        known = self.read()
        if {**known, **items} != known:
            self.write({**known, **items})

    def remove(self, key: K) -> None:
        """Keep this one no longer."""
        self.write({other: item for other, item in self.read().items() if other != key})

    def forget(self) -> None:
        """Keep nothing."""
        self._system.remove_file(self._path)


class Kept:
    """What one host keeps."""

    def __init__(self, system: System) -> None:
        self.choices = KeptMapping(system, system.runtime / "choices.json", int, Choice)
        self.carried = KeptMapping(system, system.runtime / "transports.json", str, Carried)
        self.mtus = KeptMapping(system, system.data / "mtus.json", str, Found)
        self.ports = KeptMapping(system, system.data / "ports.json", str, int)
        self.holders = KeptMapping(system, system.data / "holders.json", str, str)
        self._system = system
        self._mode = system.runtime / "mode"

    def fallen_to(self) -> Optional[str]:
        """Return the mode that the agent fell back to, None when it did not."""
        return (self._system.read_file(self._mode) or "").strip() or None

    def fall_to(self, mode: Optional[str]) -> None:
        """Keep the mode that the agent falls back to; None: the operator's own is in force again."""
        if mode is None:
            self._system.remove_file(self._mode)
        else:
            self._system.write_file(self._mode, f"{mode}\n")

    def forget(self) -> None:
        """Keep nothing."""
        for mapping in (self.choices, self.carried, self.mtus, self.ports, self.holders):
            mapping.forget()
        self.fall_to(None)
