# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mode is in force: the operator's own, or one that the agent fell back to.

In a state are the parts of all modes that it may come to. WireGuard's stay while any of these modes has them: where
the mode in force has none, what belongs into a tunnel is refused, and the tunnels are watched for their return. The
proxies, and what tells browsers of them, are there in the modes that have them only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Optional

from .state import State

PROXY, WIREGUARD, COMBINED = "proxy", "wireguard", "combined"
MODES = (PROXY, WIREGUARD, COMBINED)

WITH_PROXIES = (PROXY, COMBINED)
WITH_WIREGUARD = (WIREGUARD, COMBINED)


def in_force(modes: Sequence[str], fallen_to: Optional[str]) -> str:
    """Return the mode in force of a state's modes, given the one that the agent fell back to, if it did."""
    return fallen_to if fallen_to is not None and fallen_to in modes else modes[0]


def with_mode(state: State, fallen_to: Optional[str]) -> State:
    """Return the state without what the mode in force does not have."""
    proxies, web = state.proxies, state.web
    if proxies is not None and proxies.proxies and in_force(proxies.modes, fallen_to) not in WITH_PROXIES:
        proxies = dataclasses.replace(proxies, proxies=())  # their users stay: chains know them by their numbers
    if web is not None and in_force(web.modes, fallen_to) not in WITH_PROXIES:
        web = None
    same = proxies is state.proxies and web is state.web
    return state if same else dataclasses.replace(state, proxies=proxies, web=web)
