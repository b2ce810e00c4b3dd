# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists that a topology may draw on: those that ship, and those of its sources. A run reads each source once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Union

from ..topology.errors import TopologyError
from ..topology.lists import Contents, Source
from .errors import SourceError
from .formats.v2fly import Shelf
from .loading import Loaded, Places, is_url, load
from .memo import Memo
from .shipped import FOLDER, shipped, shipped_names

AT_ONCE = 8  # sources that are fetched side by side


@dataclass
class ListLibrary:
    """Gives a topology its lists, and remembers what was given (topology.lists.Library)."""

    places: Places
    memo: Optional[Memo] = None  # what other tasks of this run have read already
    folder: Path = FOLDER
    loaded: dict[str, Loaded] = field(default_factory=dict)  # by the list's name
    news: list[str] = field(default_factory=list)  # names of those that nobody else in this run has read
    digests: dict[str, str] = field(default_factory=dict)  # of all lists that were given
    _shelves: dict[str, Shelf] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """The names of the lists that ship."""
        return shipped_names(self.folder)

    def shipped(self, name: str) -> Contents:
        """Return a list that ships. Raises TopologyError."""
        try:
            entries = shipped(name, self.folder)
        except SourceError as error:
            raise TopologyError(str(error)) from error
        contents = Contents(entries.domains, entries.networks)
        self.digests[name] = _digest(contents)
        return contents

    def load(self, sources: Mapping[str, Source]) -> dict[str, Union[Contents, str]]:
        """Return, by name, what lists have from their sources, or why they have nothing."""
        distant = [source for source in dict.fromkeys(sources.values()) if any(map(is_url, source.places))]
        with ThreadPoolExecutor(AT_ONCE) as workers:
            found = dict(zip(distant, workers.map(self._outcome, distant)))
        given: dict[str, Union[Contents, str]] = {}
        for name, source in sources.items():
            if source not in found:
                found[source] = self._outcome(source)
            outcome, first = found[source]
            if isinstance(outcome, str):
                given[name] = outcome
                continue
            self.loaded[name] = outcome
            if first:
                self.news.append(name)
            contents = Contents(outcome.entries.domains, outcome.entries.networks)
            self.digests[name] = _digest(contents)
            given[name] = contents
        return given

    def _outcome(self, source: Source) -> tuple[Union[Loaded, str], bool]:
        """Return what a source holds, or what is wrong with it; and whether it was read for the first time."""

        def read() -> Union[Loaded, str]:
            try:
                return load(source, self.places, self._shelves)
            except SourceError as error:
                return str(error)

        return self.memo.once((source, self.places.folders), read) if self.memo else (read(), True)


def _digest(contents: Contents) -> str:
    text = "\n".join((*contents.domains, "", *map(str, contents.networks)))
    return hashlib.sha256(text.encode()).hexdigest()
