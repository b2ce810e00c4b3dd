# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a WebSocket, as plain data. Times are seconds since the epoch, durations seconds, sizes bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from ...transports import CarriedBy


@dataclass(frozen=True)
class TransportStatus:
    """One WebSocket of this host: its near end for an upstream, or its far end."""

    name: str  # the upstream's; of a far end its own
    end: str  # near | far
    program: str  # wstunnel | websocat
    state: str  # up | down | standby: not in use | unknown
    server: str  # near: the URL in use, far: the port
    backup: bool = False  # another than the first server is in use
    servers: int = 1  # how many there are
    why: str = ""  # what is wrong with the server
    connections: int = 0
    reconnects: int = 0  # since the agent started, as are the next four
    restarts: int = 0
    changes: int = 0  # of the server
    received: int = 0  # bytes
    sent: int = 0  # bytes
    rtt: Optional[float] = None  # seconds, of the connection that carries
    loss: Optional[float] = None  # share of its segments that were sent again, 0 … 1
    expires: Optional[float] = None  # when the server's certificate does, seconds since the epoch; None: not known
    moved: tuple[str, ...] = ()  # ports that are not the first of their range: "wireguard 41001"


@dataclass(frozen=True)
class ModeStatus:
    """What the gateway is for its clients now."""

    used: str = ""  # proxy | wireguard | combined; "": nothing is known
    operators: str = ""  # what it would be if that moved data
    changes: int = 0  # since the agent started


@dataclass(frozen=True)
class Carriage:
    """How packets travel, and what the gateway is."""

    carried: CarriedBy = field(default_factory=dict)
    way_changes: Mapping[str, int] = field(default_factory=dict)  # by upstream, since the agent started
    transports: tuple[TransportStatus, ...] = ()
    mode: ModeStatus = field(default_factory=ModeStatus)
