# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML document that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.sizes import size

from .drawing import GLYPHS, draw
from .fleet import BAD, GOOD, IDLE, Gateway, gateway_of
from .flows import graph_of
from .tables import Table, egress_bytes, tables

HERE = Path(__file__).parent
PROBLEMS = 30  # lines above the map; all are in the tables


@dataclasses.dataclass(frozen=True)
class Figure:
    """One of the large numbers at the top."""

    label: str
    value: str
    detail: str
    tone: str = ""


def report(found: Mapping[str, Any], sections: tuple[str, ...], title: str, now: float) -> str:
    """Return the report on a fleet. `found`: see `gateway_of`, by gateway; `now` in seconds since the epoch."""
    taken = datetime.fromtimestamp(now, timezone.utc)
    text = taken.isoformat(timespec="seconds")
    fleet = [gateway_of(name, one, sections, text) for name, one in sorted(found.items())]
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    shown = tables(fleet)
    problems = [(tone, one.name, words) for one in fleet for tone, words in one.problems]
    problems.sort(key=lambda problem: (problem[0] != BAD, problem[0] == IDLE))
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        title=title,
        taken=f"{taken:%Y-%m-%d %H:%M} UTC",
        figures=_figures(fleet),
        problems=problems[:PROBLEMS],
        more_problems=max(0, len(problems) - PROBLEMS),
        drawing=draw(graph_of(fleet)),
        tables=shown,
        glyphs=GLYPHS,
        style=Markup(style),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        data=Markup(_data(shown, now)),  # noqa: S704 - `_data` leaves nothing in it that HTML could read
        policy=_policy(style, script),
    )


def _policy(style: str, script: str) -> str:
    """Return the content security policy: this style, this script, and nothing from anywhere."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _data(shown: Sequence[Table], now: float) -> str:
    """Return the tables as JSON that may stand inside a script element, whatever names are in it."""
    data = {"taken": now, "glyphs": GLYPHS, "tables": [dataclasses.asdict(table) for table in shown]}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _figures(fleet: Sequence[Gateway]) -> tuple[Figure, ...]:
    tones = Counter(one.tone for one in fleet)
    states = Counter(upstream["state"] for one in fleet for upstream in one.agent.get("upstreams", ()))
    clients = sum(len(one.clients) for one in fleet)
    connected = sum(client.connected for one in fleet for client in one.clients)
    moved = egress_bytes(fleet)
    drifted = sum(bool(one.verdict.differences) for one in fleet if one.installed)
    others = len(fleet) - tones[GOOD]
    return (
        Figure(
            "gateways",
            f"{tones[GOOD]:,} of {len(fleet):,}",
            "as they should be" if not others else f"as they should be, {others:,} not",
            GOOD if not others else BAD if tones[BAD] else "attention",
        ),
        Figure(
            "upstreams",
            f"{states['up']:,} of {sum(states.values()):,}",
            "up" if not states["down"] else f"up, {states['down']:,} down",
            "attention" if states["down"] else GOOD if states else "",
        ),
        Figure("clients", f"{clients:,}", f"{connected:,} connected"),
        Figure("traffic", size(sum(moved.values())), "since the agents started"),
        Figure(
            "drift",
            f"{drifted:,}",
            "gateway differs" if drifted == 1 else "gateways differ",
            "attention" if drifted else GOOD,
        ),
    )
