# SPDX-License-Identifier: GPL-3.0-or-later
"""PAC files: the program that tells a browser which of its requests go through a proxy. Pure.

The compiler makes Tables of a policy (compiler/pac_rules.py); here they are written as a browser reads them.
"""

from __future__ import annotations

from .model import ANSWERS, BLOCKED, DIRECT, PROXY, Tables
from .packing import pack, unpack
from .text import LARGEST, MADE_BY, ProxyServer, pac_text, readable

__all__ = [
    "ANSWERS",
    "BLOCKED",
    "DIRECT",
    "LARGEST",
    "MADE_BY",
    "PROXY",
    "ProxyServer",
    "Tables",
    "pac_text",
    "pack",
    "readable",
    "unpack",
]
