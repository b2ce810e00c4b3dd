# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients, upstreams, lists and policies as CSV and JSON: out of an inventory's variables, and into them again.

Pure: files come in and go out as their contents. `exporting` writes them, `importing` reads, checks and settles
what a variables file is to say.
"""

from .entries import ExchangeError
from .exporting import exported
from .importing import Outcome, import_files
from .variables import VariablesError, read_variables, replaced

__all__ = [
    "ExchangeError",
    "Outcome",
    "VariablesError",
    "exported",
    "import_files",
    "read_variables",
    "replaced",
]
