# SPDX-License-Identifier: GPL-3.0-or-later
"""How long what is preferred has to work again before it is used again: each return that did not last doubles it.

Pure; times are the caller's (time.monotonic(), seconds).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

HOLD, LONGEST_HOLD = 60.0, 3600.0  # seconds that it has to work
LASTING = 600.0  # seconds after which a return was no mistake


@dataclass(frozen=True)
class Returns:
    """What is remembered of them."""

    returned: Optional[float] = None  # when it came into use again
    failures: int = 0  # returns that did not last

    @property
    def hold(self) -> float:
        """The seconds that it has to work before the next return."""
        return min(HOLD * 2.0**self.failures, LONGEST_HOLD)


def came_back(returns: Returns, now: float) -> Returns:
    """Return what is remembered when it is in use again."""
    return Returns(now, returns.failures)


def left(returns: Returns, now: float) -> Returns:
    """Return what is remembered when it is left for another."""
    brief = returns.returned is not None and now - returns.returned < LASTING
    return Returns(None, returns.failures + 1 if brief else 0)
