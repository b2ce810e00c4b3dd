# SPDX-License-Identifier: GPL-3.0-or-later
"""Static networks as the elements of an anonymous nft set."""

from __future__ import annotations

import functools
import socket

from ...compiler.verdict import network_index


@functools.lru_cache(maxsize=4096)
def interval_elements(networks: tuple[str, ...]) -> str:
    """Return the elements, ascending and disjoint: nft refuses overlapping ones. Cached: many policies share them."""
    version, width = (socket.AF_INET6, 16) if ":" in networks[0] else (socket.AF_INET, 4)
    index = network_index(networks)

    def text(address: int) -> str:
        return socket.inet_ntop(version, address.to_bytes(width, "big"))

    return ", ".join(
        text(first) if first == last else f"{text(first)}-{text(last)}" for first, last in zip(index.starts, index.ends)
    )
