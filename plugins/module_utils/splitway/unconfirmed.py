# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that was committed and waits to be confirmed: whose it is, and when its time is up.

Its generation is in force. The one before it is kept until the run is confirmed over a new connection; else it comes
back. A reboot in between counts as not confirmed: the host may have gone down because of the run.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

UNKNOWN = "of unknown name"
"""The id of a run whose record is damaged."""


@dataclass(frozen=True)
class Unconfirmed:
    """A run that waits to be confirmed."""

    id: str
    who: str  # for the audit
    deadline: float  # seconds, by System.uptime


def to_json(run: Unconfirmed) -> str:
    """Return the text of its file."""
    return json.dumps(dataclasses.asdict(run))


def from_json(text: str) -> Unconfirmed:
    """Return the run. One whose file is damaged cannot be confirmed by anybody: its time is up."""
    try:
        found = json.loads(text)
        return Unconfirmed(str(found["id"]), str(found["who"]), float(found["deadline"]))
    except (ValueError, KeyError, TypeError):
        return Unconfirmed(UNKNOWN, "ansible", 0)
