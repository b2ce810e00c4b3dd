# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of static sets."""

from __future__ import annotations

import hashlib


def static_name(stem: str, members: tuple[str, ...]) -> str:
    """Return the name of a static set: other networks, another name.

    So a run never changes a set that chains look at. The new set is made beside the old one, the chains
    go over in one step, and no packet is ever judged by half of a change.
    """
    return f"{stem}_{hashlib.sha256(' '.join(members).encode()).hexdigest()[:6]}"
