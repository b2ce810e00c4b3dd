# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `qos`: rates of clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class RatedClient:
    """How fast one client may receive and send, all its addresses together. None: as fast as it can."""

    name: str
    number: int  # of its class: stable on this host, 1 … 65534
    addresses: tuple[str, ...]
    down: Optional[int] = None  # bits per second, towards the client
    up: Optional[int] = None  # bits per second


@dataclass(frozen=True)
class Qos:
    """The clients that have a rate."""

    interface: str  # the clients' interface
    clients: tuple[RatedClient, ...] = ()
    adopted: bool = False  # the interface is somebody else's, and there when he likes
