# SPDX-License-Identifier: GPL-3.0-or-later
"""Countries by their codes."""

from __future__ import annotations

import re
from typing import Any

from .errors import TopologyError, shown
from .scalars import text

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
