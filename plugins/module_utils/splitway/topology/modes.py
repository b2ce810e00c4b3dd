# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_mode` and `splitway_fallback_modes`: whether a gateway has proxies, WireGuard, or both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..modes import COMBINED, MODES, PROXY, WIREGUARD, WITH_PROXIES, WITH_WIREGUARD
from .errors import Report
from .model import Proxy
from .reading import as_list, parse_value
from .scalars import choice

_mode = choice("a mode", MODES)


def read_modes(report: Report, mode: Any, fallbacks: Any, proxies: Any) -> tuple[str, ...]:
    """Return the modes that a gateway may come to, the operator's own first. `proxies`: whether some are written."""
    own = None if mode is None else parse_value(report, "splitway_mode", mode, _mode)
    modes = [own or (COMBINED if proxies else WIREGUARD)]
    for index, value in enumerate(as_list(report, "splitway_fallback_modes", fallbacks)):
        path = f"splitway_fallback_modes[{index}]"
        found = parse_value(report, path, value, _mode)
        if found in modes:
            report.add(path, f'"{found}" is {"splitway_mode" if found == modes[0] else "there"} already')
        elif found is not None:
            modes.append(found)
    return tuple(modes)


def has_wireguard(modes: Sequence[str]) -> bool:
    """Return whether one of these modes has tunnels."""
    return any(mode in WITH_WIREGUARD for mode in modes)


def check_modes(report: Report, modes: Sequence[str], proxies: Sequence[Proxy], written: Any) -> None:
    """Report what a mode needs and has not. `written`: the proxies as they are written, right or wrong."""
    for mode in modes:
        if mode in WITH_PROXIES and not written:
            report.add(_path(modes, mode), f'"{mode}" needs splitway_proxies')
    if PROXY in modes[1:] and written and not any(proxy.upstream for proxy in proxies):
        report.add(
            _path(modes, PROXY), f'"{PROXY}" needs a proxy with an upstream: without tunnels no policy leads out'
        )


def _path(modes: Sequence[str], mode: str) -> str:
    return "splitway_mode" if mode == modes[0] else f"splitway_fallback_modes[{modes.index(mode) - 1}]"
