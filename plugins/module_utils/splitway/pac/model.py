# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of a PAC file."""

from __future__ import annotations

from dataclasses import dataclass

DIRECT, PROXY, BLOCKED = "d", "p", "b"
ANSWERS = (DIRECT, PROXY, BLOCKED)
"""A browser asks the destination itself, or the proxies, or is refused."""


@dataclass(frozen=True)
class Tables:
    """What a PAC file knows of destinations.

    A class is an index into `answers`; an answer has a letter of ANSWERS for each span of ports.
    """

    answers: tuple[str, ...] = (DIRECT,)
    rest: int = 0  # the class of names that are not listed
    names: tuple[str, ...] = ()  # by class: domains, packed; each with all below it, the longest that matches counts
    depth: int = 0  # the most labels that a listed domain has
    v4: tuple[str, ...] = ()  # "digits=class" where a range of addresses begins, in order; the first begins at zero
    v6: tuple[str, ...] = ()
    spans: tuple[int, ...] = (0,)  # where a span of ports begins; a port that is not known is 0
