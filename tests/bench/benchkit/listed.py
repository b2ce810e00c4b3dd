# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of names: real ones (v2fly's, found through SPLITWAY_TEST_DATA) as far as they go, made-up ones beyond."""

from __future__ import annotations

import os
import random
import string
from collections.abc import Iterator
from pathlib import Path

DATA = Path(os.environ.get("SPLITWAY_TEST_DATA", "/nonexistent")) / "v2fly-domain-list-community" / "data"
LISTS = 20  # what is not real lies in so many lists


def listed(count: int, rnd: random.Random) -> dict[str, list[str]]:
    """Return list → names: `count` different names in all; real lists share some of them."""
    found: dict[str, list[str]] = {}
    taken: set[str] = set()
    for where, name in _real(rnd):
        if len(taken) == count:
            break
        taken.add(name)
        found.setdefault(where, []).append(name)
    while len(taken) < count:
        name = _made_up(rnd)
        if name not in taken:
            taken.add(name)
            found.setdefault(f"made-up-{len(taken) % LISTS}", []).append(name)
    return found


def _real(rnd: random.Random) -> Iterator[tuple[str, str]]:
    """Yield (list, name) list by list, the lists in any order, without what they include from others."""
    files = sorted(DATA.iterdir()) if DATA.is_dir() else []
    for path in rnd.sample(files, len(files)):
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = line.partition("#")[0].split()
            kind, _, name = entry[0].rpartition(":") if entry else ("", "", "")
            if name and kind in ("", "domain", "full"):
                yield path.name.lower(), name


def _made_up(rnd: random.Random) -> str:
    """Return a name of two labels, as long as those of real lists."""
    label = "".join(rnd.choices(string.ascii_lowercase, k=rnd.randint(6, 16)))
    return f"{label}.{rnd.choice(('com', 'net', 'org', 'example', 'tv', 'app'))}"
