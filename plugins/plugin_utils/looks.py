# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what a gateway says of itself what splitway_info says? One that says anything else must not cost the others. Pure.

What is not described here is not looked at by anybody, or may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Callable, Optional

Shape = Callable[[Any, str], Optional[str]]
"""Takes a value and its path; returns the path of what does not fit, None if all does."""

_NO_TEXT = re.compile("[\ud800-\udfff]")  # JSON can write halves of letters, which no file can have
LARGEST = 2**64  # of a counter; what is not a number, or infinite, is none of these either
LATEST = 253402300800  # seconds since the epoch: the year 10000, which no clock shows


def sound(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was found of a gateway; if it is not what it should be, that it could not be looked at."""
    wrong = _LOOK(found.get("look"), "")
    if wrong is None:
        return {**found, "failure": _NO_TEXT.sub("\ufffd", str(found.get("failure") or ""))}
    problem = f"what the gateway says of itself cannot be read: {wrong[1:] or 'all of it'}"
    return {**found, "look": {}, "failure": problem}


def _a(fits: Callable[[Any], bool]) -> Shape:
    return lambda value, path: None if fits(value) else path


def _or_none(shape: Shape) -> Shape:
    return lambda value, path: None if value is None else shape(value, path)


def _list(shape: Shape) -> Shape:
    def misfit(value: Any, path: str) -> Optional[str]:
        if not isinstance(value, (list, tuple)):
            return path
        found = (shape(item, f"{path}[{index}]") for index, item in enumerate(value))
        return next((wrong for wrong in found if wrong is not None), None)

    return misfit


def _each(shape: Shape) -> Shape:
    def misfit(value: Any, path: str) -> Optional[str]:
        if not isinstance(value, Mapping):
            return path
        found = (_TEXT(key, path) or shape(item, f"{path}.{key}") for key, item in value.items())
        return next((wrong for wrong in found if wrong is not None), None)

    return misfit


def _with(**shapes: Shape) -> Shape:
    """Return the shape of a mapping that has these keys, and may have others; one that is missing is nobody's fault."""

    def misfit(value: Any, path: str) -> Optional[str]:
        if not isinstance(value, Mapping):
            return path
        found = (shape(value[key], f"{path}.{key}") for key, shape in shapes.items() if key in value)
        return next((wrong for wrong in found if wrong is not None), None)

    return misfit


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LARGEST


_ANYTHING: Shape = _a(lambda _: True)
_TEXT = _a(lambda value: isinstance(value, str) and not _NO_TEXT.search(value))
_NUMBER = _a(_is_number)
_TIME = _or_none(_a(lambda value: _is_number(value) and 0 <= value < LATEST))
_TEXTS, _NUMBERS = _list(_TEXT), _each(_NUMBER)
_MAYBE_TEXT, _MAYBE_NUMBER = _or_none(_TEXT), _or_none(_NUMBER)

_UPSTREAM = _with(
    **dict.fromkeys(("name", "interface", "state", "way"), _TEXT),
    **dict.fromkeys(("received", "sent", "restarts"), _NUMBER),
    **dict.fromkeys(("since", "handshake"), _TIME),
    **dict.fromkeys(("latency", "loss", "mtu"), _MAYBE_NUMBER),
    why=_MAYBE_TEXT,
    silent=_or_none(_TEXTS),
)
_CLIENT = _with(name=_TEXT, addresses=_TEXTS, seen=_TIME, expires=_TIME, received=_NUMBER, sent=_NUMBER, bytes=_NUMBERS)
_SET = _with(name=_TEXT, comment=_TEXT, family=_NUMBER, entries=_NUMBER, added=_TIME)
_AGENT = _with(
    taken=_TIME,
    upstreams=_list(_UPSTREAM),
    groups=_list(_with(name=_TEXT, ways=_each(_ANYTHING))),
    clients=_list(_CLIENT),
    sets=_list(_SET),
    failed_additions=_or_none(_NUMBERS),
    drift=_or_none(_with(healed=_NUMBERS, failures=_each(_TEXT))),
)
_RECORD = _with(
    **dict.fromkeys(("time", "section", "failure"), _TEXT),
    **dict.fromkeys(("who", "why"), _MAYBE_TEXT),
    counts=_NUMBERS,
    objects=_each(_TEXTS),
    changes=_TEXTS,
)
_LOOK = _or_none(
    _with(
        **dict.fromkeys(("digest", "problem", "applied", "msg"), _MAYBE_TEXT),
        drift=_each(_or_none(_TEXTS)),
        since=_or_none(_each(_TEXT)),
        upstreams=_or_none(_each(_with())),
        unconfirmed=_or_none(_with()),
        audit=_or_none(_list(_RECORD)),
        figures=_or_none(
            _with(
                agent=_or_none(_AGENT),
                agent_problem=_MAYBE_TEXT,
                policies=_or_none(_each(_TEXTS)),
                clients=_or_none(_each(_TEXT)),
            )
        ),
    )
)
