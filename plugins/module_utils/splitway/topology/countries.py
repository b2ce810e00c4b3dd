# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_countries`: where data of countries comes from; and the countries by their codes."""

from __future__ import annotations

import re
from typing import Any, Optional
from urllib.parse import urlsplit

from .errors import Report, TopologyError, shown
from .model import CountrySettings, CountrySource
from .reading import Fields
from .scalars import choice, duration, text

KEYS = ("source", "format", "checksum", "refresh", "where")
FORMATS = ("tor", "rir", "maxmind", "csv")
DEBIAN = "tor-geoipdb"
PLACES = ("gateway", "controller")
SHORTEST_REFRESH, LONGEST_REFRESH = 3600, 90 * 86400  # seconds

# ISO 3166-1 alpha-2, as of 2026.
_ISO = """
ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt bv bw by bz
ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg eh er es et fi fj fk fm fo fr
ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it
je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly
ma mc md me mf mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om
pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw
sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz
ua ug um us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
"""
# Codes that ISO has not given to a country, but which data of addresses have: Kosovo, and addresses that their
# registry gave to Europe or to Asia and the Pacific rather than to one country.
BESIDE_ISO = ("ap", "eu", "xk")
COUNTRIES = frozenset((*_ISO.split(), *BESIDE_ISO))

# What people write instead.
_SLIPS = {
    "an": "cw",
    "bu": "mm",
    "chn": "cn",
    "cs": "rs",
    "deu": "de",
    "el": "gr",
    "en": "gb",
    "fra": "fr",
    "fx": "fr",
    "gbr": "gb",
    "irn": "ir",
    "jpn": "jp",
    "kor": "kr",
    "ks": "xk",
    "prc": "cn",
    "rus": "ru",
    "su": "ru",
    "tp": "tl",
    "uk": "gb",
    "usa": "us",
    "yu": "rs",
    "zr": "cd",
}
_SHA256 = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
_TWO_LETTERS = re.compile(r"[A-Za-z]{2}")


def country(value: Any) -> str:
    """Return a country's code in lower case; Norway's is a boolean to YAML unless it is in quotes."""
    word = text(value, "a country's code")
    code = word.lower()
    if code in COUNTRIES:
        return code
    meant = f"; did you mean {shown(_SLIPS[code])}?" if code in _SLIPS else ""
    if _TWO_LETTERS.fullmatch(word):
        raise TopologyError(f"{shown(word)} is no country's code (ISO 3166-1){meant}")
    raise TopologyError(f"{shown(word)} is not a country's code (two letters, ISO 3166-1, like cn){meant}")


def read_countries(report: Report, value: Any) -> CountrySettings:
    """Return where data of countries comes from; it is looked at when a rule in use names a country."""
    fields = Fields(report, "splitway_countries", value, KEYS)
    kind = fields.get("format", choice("a format", FORMATS))
    locations = _locations(fields)
    checksum = fields.get_or("checksum", _checksum, "")
    if checksum and len(locations) > 1:
        report.add(f"{fields.path}.checksum", "is of no use for several sources")
    where = fields.get_or("where", choice("a place", PLACES), CountrySettings.where)
    if where == "controller" and fields.given("refresh"):
        report.add(f"{fields.path}.refresh", "is of no use on the controller: each run reads the data there")
    sources = []
    for path, location in locations:
        found = kind or _format_of(location)
        if found is None:
            report.add(path, f"{shown(location)} does not say its format: add format ({' or '.join(FORMATS)})")
        else:
            sources.append(CountrySource(location, found, checksum))
    return CountrySettings(
        sources=tuple(sources),
        refresh=fields.get_or("refresh", duration(SHORTEST_REFRESH, LONGEST_REFRESH), CountrySettings.refresh),
        where=where,
    )


def _locations(fields: Fields) -> list[tuple[str, str]]:
    """Return (path, location) of one source, of each of a list, or of the usual one."""
    path = f"{fields.path}.source"
    if not isinstance(fields.values.get("source"), list):
        return [(path, fields.get_or("source", location, DEBIAN))]
    found = fields.require_entries("source", location)
    return [(f"{path}[{index}]", entry) for index, entry in enumerate(found) if entry is not None]


def location(value: Any) -> str:
    """Return where a file is: a path or a URL; or Debian's package by its name."""
    word = text(value, "a source")
    if word == DEBIAN or (word.startswith("/") and word.isprintable()):
        return word
    if word.startswith(("https://", "http://")) and word.isascii() and word.isprintable() and " " not in word:
        try:
            if urlsplit(word).hostname:
                return word
        except ValueError:
            pass
    raise TopologyError(f"{shown(word)} is not a source ({DEBIAN}, a path that begins with /, or a URL)")


def _format_of(location: str) -> Optional[str]:
    """Return the format that a source's name tells, None when it tells none."""
    name = location.rpartition("/")[2].lower()
    if location == DEBIAN or name in ("geoip", "geoip6"):
        return "tor"
    if name.startswith("delegated-"):
        return "rir"
    for ending, kind in ((".mmdb", "maxmind"), (".csv", "csv"), (".csv.gz", "csv")):
        if name.endswith(ending):
            return kind
    return None


def _checksum(value: Any) -> str:
    """Return a SHA-256 in hexadecimal."""
    word = text(value, "a checksum")
    found = _SHA256.fullmatch(word)
    if not found:
        raise TopologyError(f"{shown(word)} is not a checksum (sha256: and 64 hexadecimal digits)")
    return found[1].lower()
