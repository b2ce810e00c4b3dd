# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists from elsewhere, by name only: nothing is fetched to say whether files and variables are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

from ..sources.shipped import shipped_names
from ..topology.lists import Contents, Source


class UnreadLists:
    """A library (topology.lists.Library) whose books stay closed."""

    def __init__(self) -> None:
        self.names = shipped_names()

    def shipped(self, name: str) -> Contents:  # noqa: ARG002  # whichever it is
        """Return nothing, of any list."""
        return Contents()

    def load(self, sources: Mapping[str, Source]) -> Mapping[str, Union[Contents, str]]:
        """Return nothing for each list."""
        return {name: Contents() for name in sources}
