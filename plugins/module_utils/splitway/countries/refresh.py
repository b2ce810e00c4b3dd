# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the sources anew. What cannot be believed changes nothing: the last good networks stay, and it is said why.

A country that lost all its networks, or more than half of its addresses, is not believed: far more often a file is
broken than a country shrinks. An operator who knows better says so (`accept`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from ..state import FAMILIES, CountryData, CountrySource
from ..system import System
from . import kept
from .errors import CountryError
from .formats import Found, read
from .kept import Country, Note
from .ranges import Range, addresses, merged, networks_of
from .sources import Obtained, Sources, named

_LEAST = 0.5  # of the addresses that a country had


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did."""

    changed: tuple[str, ...] = ()  # countries that have other networks now
    problem: str = ""  # why something older is kept; "": nothing is


@dataclass
class _Read:
    """What was read of all sources."""

    ranges: dict[tuple[str, int], list[Range]] = field(default_factory=dict)  # by country and family
    obtained: list[tuple[CountrySource, Obtained]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # why a source's last good file was read


def refresh(
    system: System,
    data: CountryData,
    wanted: Collection[str],
    now: float,
    *,
    accept: bool = False,
    taking: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Refreshed:
    """Read the sources anew for these countries; `now` in seconds since the epoch.

    With `accept` a country may lose as much as it likes, but not all. `taking` is entered while files are replaced.
    Raises CountryError when a country has no networks after that, neither new ones nor old ones.
    """
    before = kept.note(system)
    sources = Sources(system, kept.folder(system) / "sources")
    try:
        found = _read_all(sources, data, frozenset(wanted), before)
        countries = {code: _country(found, code, _origin(data), now) for code in sorted(wanted)}
        if not accept:
            _believe(system, countries)
    except CountryError as error:
        kept.write_note(system, Note(now, before.good, str(error), before.stamps))
        _require(system, wanted, str(error))
        return Refreshed(problem=str(error))
    with taking():
        changed = tuple(code for code, country in countries.items() if kept.write(system, code, country))
    for source, obtained in found.obtained:
        sources.settle(source, obtained)
    problem = "; ".join(found.problems)
    stamps = {source.location: obtained.stamp for source, obtained in found.obtained}
    kept.write_note(system, Note(now, before.good if problem else now, problem, stamps))
    return Refreshed(changed, problem)


def lacking(system: System, data: CountryData, wanted: Collection[str]) -> tuple[str, ...]:
    """Return the countries that have no networks from these sources yet."""

    def lacks(code: str) -> bool:
        try:
            return kept.country_data(system, code).origin != _origin(data)
        except CountryError:
            return True

    return tuple(code for code in sorted(wanted) if lacks(code))


def _origin(data: CountryData) -> str:
    return ", ".join(f"{named(source.location)} ({source.format})" for source in data.sources)


def _read_all(sources: Sources, data: CountryData, wanted: frozenset[str], before: Note) -> _Read:
    done = _Read()
    for source in data.sources:
        stamp = before.stamps.get(source.location, "")
        try:
            obtained = sources.newest(source, stamp)
            found = _read_one(sources, source, obtained, wanted)
        except CountryError as error:
            last = sources.last(source, stamp)
            if last is None:
                raise
            done.problems.append(f"{error}; its last good file is used")
            obtained = last
            found = _read_one(sources, source, obtained, wanted)
        done.obtained.append((source, obtained))
        for key, ranges in found.ranges.items():
            done.ranges.setdefault(key, []).extend(ranges)
    return done


def _read_one(sources: Sources, source: CountrySource, obtained: Obtained, wanted: frozenset[str]) -> Found:
    all_found = Found(wanted)
    with sources.readable(source, obtained) as files:
        for file in files:
            try:
                read(file, source.format, all_found, _name(source, file))
            except OSError as error:
                raise CountryError(f"{file} cannot be read: {error.strerror or error}") from error
    return all_found


def _name(source: CountrySource, file: Path) -> str:
    """Return what a file is called in messages: an operator knows where it comes from, not where it is kept."""
    return named(source.location) if "://" in source.location else str(file)


def _country(found: _Read, code: str, origin: str, now: float) -> Country:
    ranges = {family: merged(found.ranges.get((code, family), ())) for family in FAMILIES}
    if not any(ranges.values()):
        raise CountryError(f"{origin} does not know the country {code}")
    return Country(
        made=now,
        origin=origin,
        networks={family: networks_of(ranges[family], family) for family in FAMILIES},
        addresses={family: addresses(ranges[family]) for family in FAMILIES},
    )


def _believe(system: System, countries: dict[str, Country]) -> None:
    """Raise CountryError when a country lost too much since the last time that the same sources were read."""
    for code, country in countries.items():
        try:
            before = kept.country_data(system, code)
        except CountryError:
            continue
        for family in FAMILIES:
            had, has = before.addresses[family], country.addresses[family]
            if before.origin == country.origin and has < had * _LEAST:
                raise CountryError(
                    f"{country.origin}: the country {code} would lose {1 - has / had:.0%} of its IPv{family} "
                    "addresses; if that is right: splitway countries refresh --accept"
                )


def _require(system: System, wanted: Collection[str], problem: str) -> None:
    """Raise CountryError unless all countries have networks, be they old."""
    missing = [code for code in sorted(wanted) if not kept.exists(system, code)]
    if missing:
        raise CountryError(f"there is no data of the country {', '.join(missing)} on this host: {problem}")
