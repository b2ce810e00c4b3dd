# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a source as a whole."""

from __future__ import annotations


class SourceError(Exception):
    """A source cannot be had or is of no use; the message names it, with file and line where there is one."""
