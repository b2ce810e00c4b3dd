# SPDX-License-Identifier: GPL-3.0-or-later
"""What the steps of an open run have brought into the kernel: kept, a file a section, for its commit or roll back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Optional

from .sealed import part
from .state import SECTIONS
from .system import System


@dataclass(frozen=True)
class Staged:
    """One section as a step has brought it."""

    backend: Optional[str]  # most sections have none of their own
    removals: bool  # the commit has something of it to remove
    text: str  # as a generation has it


class Staging:
    """The sections that a run has staged on one gateway."""

    def __init__(self, system: System) -> None:
        self._system, self._folder = system, system.runtime / "staged"

    def stage(self, section: str, value: Any, backend: Optional[str], removals: bool) -> None:
        """Keep a section for the commit."""
        about = json.dumps({"backend": backend, "removals": removals})
        self._system.write_file(self._folder / f"{section}.json", f"{about}\n{part(value)}")

    def section(self, section: str) -> Optional[Staged]:
        """Return a section, None when it is not staged."""
        text = self._system.read_file(self._folder / f"{section}.json")
        if text is None:
            return None
        about, _, value = text.partition("\n")
        return Staged(**json.loads(about), text=value)

    def removing(self) -> tuple[str, ...]:
        """Return the sections that left something for the commit to remove."""
        found = {section: self.section(section) for section in SECTIONS}
        return tuple(section for section, staged in found.items() if staged is not None and staged.removals)

    def forget(self) -> None:
        """Keep nothing."""
        for path in sorted(self._folder.glob("*.json")):
            self._system.remove_file(path)
