# SPDX-License-Identifier: GPL-3.0-or-later
"""wg-easy's SQLite database (version 15), read while wg-easy runs, as variables of a gateway."""

from .assigning import Assigning
from .database import read_database
from .errors import DatabaseError
from .snapshot import BUSY, snapshot
from .variables import ADOPT, MIGRATE, MODES, Variables, variables

__all__ = [
    "ADOPT",
    "BUSY",
    "MIGRATE",
    "MODES",
    "Assigning",
    "DatabaseError",
    "Variables",
    "read_database",
    "snapshot",
    "variables",
]
