# SPDX-License-Identifier: GPL-3.0-or-later
"""The MTU of the tunnels that follow their path: found by the agent, honoured by every run.

The state says what such a tunnel begins with; how wide the path to its exit is only the gateway can find out. Whoever
reconciles brings the state *with what was found* into the kernel, as with choices (choices.py). What was found for one
endpoint says nothing of another one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from .state import Device, State, TunnelMtu

SMALLEST = 1280
"""Bytes. An interface with less has no IPv6 (RFC 8200, 5)."""

WIDEST = 1500
"""Bytes of a packet on Ethernet. A wider link of ours says nothing of the path behind it."""

_OVERHEAD = {4: 60, 6: 80}
"""Bytes around a packet in the tunnel, by IP version: the header of IP (20 or 40), of UDP (8), and of WireGuard's data
message (32)."""

START = 1420
"""Bytes that WireGuard gives an interface of which nothing is known, exits for one: what Ethernet carries by either
family."""

PADDING = 16
"""WireGuard pads a packet to a multiple of this, but not beyond the MTU of its own end."""


@dataclass(frozen=True)
class Found:
    """What was found for one tunnel."""

    mtu: int  # bytes
    endpoint: str  # in the operator's words
    path: str  # from which address of ours to which one of the exit's
    at: float  # seconds since the epoch


MtusFound = Mapping[str, Found]
"""Interface → what was found. A tunnel without one has what the state says."""


def largest(path: int, family: int) -> int:
    """Return the MTU (bytes) of a tunnel whose own packets may have `path` bytes and are of this IP version.

    Below what exits have it is a multiple of the padding: an exit pads what it sends up to its own MTU, not to ours.
    By IPv6 over PPPoE, 1412 bytes from an exit with 1420 are 1500 on the path, which takes 1492 (seen: they vanish).
    """
    mtu = min(path, WIDEST) - _OVERHEAD[family]
    return max(SMALLEST, mtu if mtu >= START else mtu - mtu % PADDING)


def with_mtus(state: State, found: MtusFound) -> State:
    """Return the state as it is to be on this host. What the state does not leave to the host counts for nothing."""
    if not found:
        return state

    def of_device(device: Device) -> Device:
        mtu = _mtu(found.get(device.interface), endpoint_of(device) if device.mtu_from_path else "")
        return device if mtu is None else dataclasses.replace(device, mtu=mtu)

    def of_tunnel(tunnel: TunnelMtu) -> TunnelMtu:
        mtu = _mtu(found.get(tunnel.interface), tunnel.endpoint)
        return tunnel if mtu is None else dataclasses.replace(tunnel, mtu=mtu)

    marks = state.marks
    if marks is not None:
        marks = dataclasses.replace(marks, tunnel_mtus=tuple(map(of_tunnel, marks.tunnel_mtus)))
    return dataclasses.replace(state, upstreams=tuple(map(of_device, state.upstreams)), marks=marks)


def _mtu(found: Optional[Found], endpoint: str) -> Optional[int]:
    if found is None or not endpoint or found.endpoint != endpoint:
        return None
    return found.mtu if SMALLEST <= found.mtu <= WIDEST else None


def endpoint_of(device: Device) -> str:
    """Return where an upstream's exit is, as the operator wrote it; "" when that is not said."""
    return next((peer.endpoint for peer in device.peers if peer.endpoint), "")
