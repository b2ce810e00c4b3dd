# SPDX-License-Identifier: GPL-3.0-or-later
"""Is what is, what should be? Judged of one gateway after another, from what a look at it found. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .looks import sound

SAME, DIFFERENT, UNREACHABLE, FAILED = "same", "different", "unreachable", "failed"

REACHED, LOOKED, FILE, CONFIRMED, GENERATION, PACKETS = (
    *("reachable", "looked at", "file", "confirmed", "generation", "large packets"),
)
"""The checks beside those of the sections, in the order in which they are made."""

BESIDE = (REACHED, LOOKED, FILE, CONFIRMED, GENERATION, PACKETS)

SAID = 20  # changes of a section that people are told; files have them all

NARROW = "large transfers hang. Leave the upstream's mtu out (auto), or write a smaller one"


@dataclass(frozen=True)
class Difference:
    """One check that found something."""

    check: str  # one of the above, or a section
    what: tuple[str, ...]  # what would have to change, or what is wrong
    since: str  # ISO 8601, UTC


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one gateway."""

    gateway: str
    status: str  # SAME | DIFFERENT | UNREACHABLE | FAILED
    message: str  # for people
    checks: tuple[str, ...] = ()  # those that were made, with and without a difference
    differences: tuple[Difference, ...] = ()
    applied: str = ""  # when the generation that the gateway has was published; "": there is none


def judge(gateway: str, found: Mapping[str, Any], sections: tuple[str, ...], now: str) -> Verdict:
    """Return the verdict on a gateway.

    `found`: `look`, what splitway_info returned; `digest`, that of the inventory's generation; `failure`, what failed
    instead, if anything did. `now`: when it was looked, ISO 8601.
    """
    found = sound(found)
    look: Mapping[str, Any] = found.get("look") or {}
    failure = str(found.get("failure") or "")
    if look.get("unreachable"):
        why = str(look.get("msg") or "no answer").replace("Task failed: ", "", 1)
        unreachable = Difference(REACHED, (why,), now)
        return Verdict(gateway, UNREACHABLE, f"{gateway}: unreachable: {why}", (REACHED,), (unreachable,))
    looked = "drift" in look
    checks: tuple[str, ...] = (REACHED, LOOKED)
    differences = [Difference(LOOKED, (failure,), now)] if failure else []
    if looked:
        checks += (
            FILE,
            CONFIRMED,
            *(() if failure else (GENERATION,)),
            *sections,
            *((PACKETS,) if look.get("upstreams") else ()),
        )
        differences += _on_file(look, now)
        differences += _unconfirmed(look, now)
        differences += [] if failure else _of_generation(look, str(found.get("digest", "")), now)
        differences += _drift(look, sections, now)
        differences += _narrow(look, now)
    said = f"as it should be; {look.get('counts', {})}"
    return Verdict(
        gateway,
        FAILED if failure else DIFFERENT if differences else SAME,
        "\n".join(f"{gateway}: {line}" for line in (_lines(differences) if differences else [said])),
        checks,
        tuple(differences),
        str(look.get("applied") or ""),
    )


def _on_file(look: Mapping[str, Any], now: str) -> list[Difference]:
    """Return what is wrong with the generation's file, while the generation before it is used."""
    return [Difference(FILE, (str(look["problem"]),), now)] if look.get("problem") else []


def _unconfirmed(look: Mapping[str, Any], now: str) -> list[Difference]:
    """Return that a run is not confirmed, and that the generation may not stay therefore."""
    waiting: Mapping[str, Any] = look.get("unconfirmed") or {}
    if not waiting:
        return []
    what = f"run {waiting['run']} of {waiting['who']} is not confirmed: its generation goes in {waiting['left']} s"
    return [Difference(CONFIRMED, (what,), str(look.get("applied") or now))]


def _of_generation(look: Mapping[str, Any], digest: str, now: str) -> list[Difference]:
    if not look.get("installed"):
        return [Difference(GENERATION, ("site.yml has never run on this host",), now)]
    if look.get("digest") == digest:
        return []
    # The inventory is another since some time after that: nobody has looked in between.
    return [Difference(GENERATION, ("not the generation of this inventory (run site.yml)",), str(look["applied"]))]


def _drift(look: Mapping[str, Any], sections: tuple[str, ...], now: str) -> list[Difference]:
    drift: Mapping[str, Any] = look["drift"]
    since: Mapping[str, str] = look.get("since") or {}
    found = [(section, drift[section]) for section in sections if drift.get(section)]
    return [Difference(section, tuple(map(str, what)), str(since.get(section, now))) for section, what in found]


def _narrow(look: Mapping[str, Any], now: str) -> list[Difference]:
    upstreams: Mapping[str, Any] = look.get("upstreams") or {}
    narrow = [name for name, upstream in sorted(upstreams.items()) if upstream.get("full_size") is False]
    return [
        Difference(
            PACKETS,
            (f"packets as large as its MTU do not come back through {name}, small ones do: {NARROW}",),
            now,
        )
        for name in narrow
    ]


def _cut(what: Sequence[str]) -> list[str]:
    more = len(what) - SAID
    return [*what[:SAID], *([f"… {more} more"] if more > 0 else [])]


def _lines(differences: Sequence[Difference]) -> list[str]:
    """Return the lines for people: the drift of all sections is one of them."""
    beside = [one for one in differences if one.check in BESIDE]
    drift = [one for one in differences if one not in beside]
    lines = [text for one in beside for text in one.what]
    if drift:
        since = f" (since {', '.join(f'{one.check} {one.since}' for one in drift)})"
        lines.append("Drift: " + json.dumps({one.check: _cut(one.what) for one in drift}, ensure_ascii=False) + since)
    return lines
