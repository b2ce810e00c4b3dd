# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of `splitway status` that tells of WebSockets and modes."""

from __future__ import annotations

from collections.abc import Iterator

from ...sizes import size
from ..figures.snapshot import Snapshot
from ..figures.transports import TransportStatus
from .tables import duration, table

SOON = 14 * 86400.0  # seconds before a certificate expires in which that is said


def transport_lines(snapshot: Snapshot) -> Iterator[str]:
    """Yield the lines for people; none on a gateway without WebSockets."""
    headings = ("UPSTREAM", "STATE", "SERVER", ">RTT", ">LOSS", ">RECONNECTS", ">RECEIVED", ">SENT", ">RESTARTS")
    rows = [
        (
            item.name,
            item.state,
            item.server,
            "-" if item.rtt is None else f"{item.rtt * 1000:.1f} ms",
            "-" if item.loss is None else f"{item.loss:.1%}",
            str(item.reconnects),
            size(item.received),
            size(item.sent),
            str(item.restarts),
        )
        for item in snapshot.transports
        if item.end == "near"
    ]
    yield from table("WEBSOCKETS", headings, rows)
    for item in snapshot.transports:
        yield from _remarks(item, snapshot.taken)
    mode = snapshot.mode
    if mode.used and mode.used != mode.operators:
        yield ""
        yield f"MODE: {mode.used}, since {mode.operators} moves no data"


def _remarks(item: TransportStatus, now: float) -> Iterator[str]:
    name = item.name if item.end == "near" else f"server {item.name}"
    if item.backup:
        yield f"  {name}: not its first server, of {item.servers}"
    if item.why:
        yield f"  {name}: {item.server}: {item.why}"
    if item.expires is not None and item.expires - now < SOON:
        left = f"expires in {duration(item.expires - now)}" if item.expires > now else "has expired"
        yield f"  {name}: its certificate {left}"
    if item.moved:
        yield f"  {name}: somebody else has the first port of its range: {', '.join(item.moved)}"
