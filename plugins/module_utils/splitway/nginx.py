# SPDX-License-Identifier: GPL-3.0-or-later
"""What nginx is told wherever one of ours runs."""

from __future__ import annotations

from pathlib import Path
from typing import Union

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def temporary_paths(runtime: Union[Path, str]) -> str:
    """Return the lines by which it keeps what it has for a moment in a folder of ours."""
    return "".join(f"    {kind}_temp_path {runtime}/{kind};\n" for kind in _TEMPORARY)
