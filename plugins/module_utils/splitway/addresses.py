# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses as text: what one is, and how it is written before a port."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Union


def is_address(host: str) -> bool:
    """Return whether this is an IPv4 or an IPv6 address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def bracketed(host: str) -> str:
    """Return a name or an address as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def at_port(host: str, port: Union[int, str]) -> str:
    """Return a port of a name or an address, "[address]:port" of IPv6."""
    return f"{bracketed(host)}:{port}"
