# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway keeps of countries: one file a country, replaced by one rename, and a note on the last refresh."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..state import FAMILIES, to_data
from ..system import System
from .errors import CountryError

REFRESH = "splitway countries refresh"  # what brings the data back


@dataclass(frozen=True)
class Country:
    """The networks of one country."""

    made: float  # seconds since the epoch
    origin: str  # what of: the sources, in words
    networks: Mapping[int, tuple[str, ...]]  # by family
    addresses: Mapping[int, int]  # how many, by family


@dataclass(frozen=True)
class Note:
    """What the last refresh found."""

    checked: float = 0.0  # when, in seconds since the epoch
    good: float = 0.0  # when one last found nothing wrong
    problem: str = ""  # why what was there is kept; "": nothing is wrong
    stamps: Mapping[str, str] = field(default_factory=dict)  # source → what is another when its data is


Stamp = tuple[int, int, int]

_known: dict[Path, tuple[Stamp, Country]] = {}  # by file; they are asked for several times a second


def folder(system: System) -> Path:
    """Return where the data is."""
    return system.data / "countries"


def networks(system: System, country: str, family: int) -> tuple[str, ...]:
    """Return the networks of a country as this host knows them; none where it has none in this family.

    Whoever has read them keeps them while they are gone or damaged. Raises CountryError when there is no data of the
    country.
    """
    path = _file(system, country)
    try:
        return country_data(system, country).networks[family]
    except CountryError:
        if path in _known:
            return _known[path][1].networks[family]
        if system.check_mode and system.stamp(path) is None:
            return ()
        raise


def country_data(system: System, country: str) -> Country:
    """Return what this host has of a country; it is read once. Raises CountryError."""
    path = _file(system, country)
    now = system.stamp(path)
    if now is None:
        raise CountryError(f"country {country}: there is no data of it on this host: {REFRESH} gets it")
    known = _known.get(path)
    if known is None or known[0] != now:
        known = _known[path] = now, _read(system, country)
    return known[1]


def exists(system: System, country: str) -> bool:
    """Return whether this host has networks of a country."""
    try:
        country_data(system, country)
    except CountryError:
        return False
    return True


def write(system: System, country: str, data: Country) -> bool:
    """Keep the networks of a country; return whether they are others than those that were kept."""
    before = country_data(system, country) if exists(system, country) else None
    if before is not None and (before.networks, before.origin) == (data.networks, data.origin):
        return False
    plain = {
        "made": data.made,
        "origin": data.origin,
        "addresses": {str(family): data.addresses[family] for family in FAMILIES},
        "networks": {str(family): data.networks[family] for family in FAMILIES},
    }
    system.write_file(_file(system, country), json.dumps(plain))
    return before is None or before.networks != data.networks


def _read(system: System, country: str) -> Country:
    path = _file(system, country)
    try:
        plain = json.loads(system.read_file(path) or "")
        return Country(
            made=float(plain["made"]),
            origin=str(plain["origin"]),
            networks={family: tuple(plain["networks"][str(family)]) for family in FAMILIES},
            addresses={family: int(plain["addresses"][str(family)]) for family in FAMILIES},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CountryError(f"country {country}: {path} is damaged: {REFRESH} makes it anew") from error


@contextmanager
def alone(system: System) -> Iterator[None]:
    """Hold the data: nobody else refreshes it meanwhile."""
    folder(system).mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder(system) / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def note(system: System) -> Note:
    """Return what was noted of the last refresh; an empty note where there was none, or it is damaged."""
    try:
        plain: Any = json.loads(system.read_file(folder(system) / "refresh.json") or "{}")
        return Note(**plain)
    except (ValueError, TypeError):
        return Note()


def write_note(system: System, found: Note) -> None:
    """Keep what a refresh found."""
    system.write_file(folder(system) / "refresh.json", json.dumps(to_data(found)))


def _file(system: System, country: str) -> Path:
    return folder(system) / f"{country}.json"
