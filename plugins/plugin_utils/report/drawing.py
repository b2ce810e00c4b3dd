# SPDX-License-Identifier: GPL-3.0-or-later
"""The map's geometry: where each box, tile, dot and line of the graph is. Pure; the page's template makes SVG of it.

All lengths are the drawing's own units, which the page scales to its width.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.sizes import size

from .fleet import ATTENTION, BAD, BLOCK, DIRECT, GOOD, IDLE, Gateway
from .flows import Graph, Place, Way

WIDTH = 1160.0
TOP = 34.0  # room of the headings
CROWD_X = 0.0
PLACE_X, PLACE_WIDTH = 196.0, 206.0
POLICY_X, POLICY_WIDTH = 570.0, 180.0
WAY_X, WAY_WIDTH = 940.0, 220.0
PLACE_HEIGHT, BOX_HEIGHT, GAP = 48.0, 40.0, 14.0
TILE_STEP, TILES_A_ROW = 19.0, 10
DOT_STEP, DOTS_A_ROW, DOT_ROWS = 10.5, 15, 4
THINNEST, WIDEST = 1.2, 14.0  # lines
COLOURS = 8  # of ways
LETTERS = 24  # of a label: what fits into the narrowest box

GLYPHS = {GOOD: "✓", ATTENTION: "!", BAD: "✕", IDLE: "–"}
"""So that nobody has to tell colours apart."""

NOT_URGENT = "none"


@dataclass(frozen=True)
class Box:
    """A place, a policy or a way, with its text."""

    x: float
    y: float
    width: float
    height: float
    kind: str  # place | policy | way
    label: str
    detail: str
    title: str
    tone: str = NOT_URGENT
    colour: int = -1  # of a way
    shows: str = ""  # the table that a click leads to
    wanted: str = ""  # what is looked for there


@dataclass(frozen=True)
class Tile:
    """One gateway among many, or (round) one client."""

    x: float
    y: float
    tone: str
    title: str
    wanted: str = ""


@dataclass(frozen=True)
class Line:
    """A ribbon from one box to another."""

    path: str
    width: float
    title: str
    colour: int = -1
    idle: bool = False  # nothing has gone that way


@dataclass(frozen=True)
class Crowd:
    """The clients of a place: dots where they are few, else a bar."""

    x: float
    y: float
    label: str
    detail: str
    share: Optional[float]  # of them, those that are connected; None: nobody knows
    dots: tuple[Tile, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """Everything, in the order in which it is drawn."""

    width: float
    height: float
    headings: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]
    boxes: tuple[Box, ...]
    tiles: tuple[Tile, ...]
    crowds: tuple[Crowd, ...]
    note: str
    ways: Mapping[str, int] = field(default_factory=dict)  # way → its colour


def draw(graph: Graph) -> Drawing:
    """Return the drawing of a graph."""
    each = all(len(place.gateways) == 1 for place in graph.places)
    places = [PLACE_HEIGHT if each else _tiles_height(place) for place in graph.places]
    columns = (places, [BOX_HEIGHT] * len(graph.policies), [BOX_HEIGHT] * len(graph.ways))
    height = TOP + max(_height(column) for column in columns) + 8
    tops = [_stack(column, height) for column in columns]
    colours = _colours(graph.ways)
    place_boxes = {
        place.name: _place_box(place, y, tall, each) for place, y, tall in zip(graph.places, tops[0], places)
    }
    policy_boxes = {
        name: Box(
            *(POLICY_X, y, POLICY_WIDTH, BOX_HEIGHT, "policy", fit(name), counted(clients)),
            f"{name}: {counted(clients)}",
            shows="clients",
            wanted=name,
        )
        for (name, clients), y in zip(graph.policies.items(), tops[1])
    }
    way_boxes = {way.name: _way_box(way, y, colours[way.name]) for way, y in zip(graph.ways, tops[2])}
    dots = each and max((place.clients for place in graph.places), default=0) <= DOTS_A_ROW * DOT_ROWS
    return Drawing(
        WIDTH,
        height,
        ((CROWD_X, "Clients"), (PLACE_X, "Gateways"), (POLICY_X, "Policies"), (WAY_X, "Ways out")),
        (*_chosen(graph, place_boxes, policy_boxes), *_led(graph, policy_boxes, way_boxes, colours)),
        (*place_boxes.values(), *policy_boxes.values(), *way_boxes.values()),
        () if each else tuple(tile for place in graph.places for tile in _tiles(place, place_boxes[place.name])),
        tuple(_crowd(place, place_boxes[place.name], dots) for place in graph.places),
        _note(each, dots),
        colours,
    )


def fit(text: str, letters: int = LETTERS) -> str:
    """Return a text cut to a width in letters; those of East Asia are two wide."""
    used = 0
    for index, letter in enumerate(text):
        used += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if used > letters:
            return text[: index - 1] + "…"
    return text


def counted(clients: int) -> str:
    """Return how many clients there are, in words."""
    return "1 client" if clients == 1 else f"{clients:,} clients"


def _note(each: bool, dots: bool) -> str:
    gateways = "a box is a gateway" if each else "a square is a gateway"
    clients = (
        "a dot is a client, a full one is connected" if dots else "a bar is the share of clients that is connected"
    )
    return (
        f"Here {gateways}; {clients}. A line to a policy is as wide as it has clients, a line to a way out as "
        "wide as traffic went there; dashed: a rule leads there, and nothing has gone that way."
    )


def _height(heights: Sequence[float]) -> float:
    return sum(heights) + GAP * max(0, len(heights) - 1)


def _stack(heights: Sequence[float], total: float) -> list[float]:
    """Return the tops of boxes that are in the middle of a column."""
    y = TOP + (total - TOP - 8 - _height(heights)) / 2
    found = []
    for height in heights:
        found.append(y)
        y += height + GAP
    return found


def _colours(ways: Sequence[Way]) -> dict[str, int]:
    """Return each way's colour; what is no tunnel has none."""
    tunnels = [way.name for way in ways if way.name not in (DIRECT, BLOCK)]
    return {way.name: tunnels.index(way.name) % COLOURS if way.name in tunnels else -1 for way in ways}


def _tiles_height(place: Place) -> float:
    return 30 + math.ceil(len(place.gateways) / TILES_A_ROW) * TILE_STEP


def _place_box(place: Place, y: float, height: float, each: bool) -> Box:
    if each:
        [one] = place.gateways
        return Box(
            *(PLACE_X, y, PLACE_WIDTH, height, "place", fit(one.name), fit(one.words, LETTERS + 4), _told(one)),
            *(one.tone, -1, "gateways", one.name),
        )
    tones = Counter(one.tone for one in place.gateways)
    well = f"{tones[GOOD]} of {len(place.gateways)} as they should be"
    label = f"{fit(place.name, LETTERS - 8)}: {tones[GOOD]} of {len(place.gateways)} well"
    wanted = place.gateways[0].region
    return Box(
        *(PLACE_X, y, PLACE_WIDTH, height, "place", label, "", f"{place.name}: {well}"),
        shows="gateways",
        wanted=wanted,
    )


def _told(one: Gateway) -> str:
    return "\n".join([f"{one.name}: {one.words}", *(text for _, text in one.problems[:4])])


def _tiles(place: Place, box: Box) -> list[Tile]:
    return [
        Tile(
            round(box.x + 9 + index % TILES_A_ROW * TILE_STEP, 1),
            round(box.y + 25 + index // TILES_A_ROW * TILE_STEP, 1),
            *(one.tone, _told(one), one.name),
        )
        for index, one in enumerate(place.gateways)
    ]


def _way_box(way: Way, y: float, colour: int) -> Box:
    state = f"up at {way.up} of {way.there}, " if way.there else ""
    detail = f"{state}{size(way.moved)}"
    return Box(
        *(WAY_X, y, WAY_WIDTH, BOX_HEIGHT, "way", fit(way.name, LETTERS + 2), detail, f"{way.name}: {detail}"),
        *(way.tone if way.there else NOT_URGENT, colour),
        *(("upstreams", way.name) if way.there else ("traffic", way.name)),
    )


def _crowd(place: Place, box: Box, dots: bool) -> Crowd:
    clients = [client for one in place.gateways for client in one.clients]
    shown = ()
    if dots:
        rows = math.ceil(len(clients) / DOTS_A_ROW)
        top = box.y + box.height / 2 - (rows - 1) * DOT_STEP / 2
        shown = tuple(
            Tile(
                round(CROWD_X + 6 + index % DOTS_A_ROW * DOT_STEP, 1),
                round(top + index // DOTS_A_ROW * DOT_STEP, 1),
                *(GOOD if client.connected else IDLE, f"{client.name}: {client.policy}", client.name),
            )
            for index, client in enumerate(clients)
        )
    if not clients and not any(one.installed for one in place.gateways):
        return Crowd(CROWD_X, box.y + box.height / 2, "", "clients unknown", None)
    share = place.connected / place.clients if place.clients else 0.0
    return Crowd(
        *(CROWD_X, box.y + box.height / 2, counted(place.clients), f"{place.connected:,} connected"),
        *(round(share, 3), shown),
    )


def _chosen(graph: Graph, places: Mapping[str, Box], policies: Mapping[str, Box]) -> list[Line]:
    ends = _ends(list(graph.chosen), places, policies)
    most = max(graph.chosen.values(), default=1)
    return [
        Line(
            _curve(places[place], policies[policy], *ends[place, policy]),
            _thickness(graph.chosen[place, policy] / most),
            f"{place}: {counted(graph.chosen[place, policy])} of {policy}",
        )
        for place, policy in ends
    ]


def _led(graph: Graph, policies: Mapping[str, Box], ways: Mapping[str, Box], colours: Mapping[str, int]) -> list[Line]:
    ends = _ends(list(graph.led), policies, ways)
    most = max(graph.led.values(), default=0) or 1
    return [
        Line(
            _curve(policies[policy], ways[way], *ends[policy, way]),
            _thickness(graph.led[policy, way] / most),
            f"{policy} by {way}: {size(graph.led[policy, way])}",
            colours[way],
            graph.led[policy, way] == 0,
        )
        for policy, way in ends
    ]


def _thickness(share: float) -> float:
    return round(THINNEST + (WIDEST - THINNEST) * share, 1)


def _ends(
    pairs: Sequence[tuple[str, str]], left: Mapping[str, Box], right: Mapping[str, Box]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return where each line leaves its left box and meets its right one: in the order of the boxes across."""
    leaving: dict[tuple[str, str], float] = {}
    meeting: dict[tuple[str, str], float] = {}
    for name, box in left.items():
        mine = sorted((pair for pair in pairs if pair[0] == name), key=lambda pair: right[pair[1]].y)
        leaving.update(_along(box, mine))
    for name, box in right.items():
        mine = sorted((pair for pair in pairs if pair[1] == name), key=lambda pair: left[pair[0]].y)
        meeting.update(_along(box, mine))
    return {pair: (leaving[pair], meeting[pair]) for pair in sorted(pairs)}


def _along(box: Box, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
    return {pair: box.y + box.height * (index + 1) / (len(pairs) + 1) for index, pair in enumerate(pairs)}


def _curve(left: Box, right: Box, leaves: float, meets: float) -> str:
    begin, end = left.x + left.width, right.x
    middle = (begin + end) / 2
    return f"M{begin:.1f} {leaves:.1f}C{middle:.1f} {leaves:.1f} {middle:.1f} {meets:.1f} {end:.1f} {meets:.1f}"
