# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that start a client's relay with one command or a double click. Pure."""

from __future__ import annotations

from ..relay.command import Command
from .shells import batch, sh_lines

_UNWANTED = ("NO_COLOR", "RUST_LOG")  # wstunnel does not start with the one as people set it; the other tells the path


def for_sh(command: Command, tunnel: str) -> str:
    """Return a script for Linux and macOS; the program is beside it or installed."""
    lines = (
        "#!/bin/sh",
        f"# Keep this running while the tunnel {tunnel} is on.",
        'cd "$(dirname "$0")" || exit 1',
        "PATH=.:$PATH",
        f"unset {' '.join(_UNWANTED)}",
        *sh_lines(command),
    )
    return "".join(f"{line}\n" for line in lines)


def for_windows(command: Command, tunnel: str) -> str:
    """Return a batch file; its window stays open to show why the program ended."""
    lines = (
        "@echo off",
        "setlocal DisableDelayedExpansion",
        f"rem Keep this window open while the tunnel {tunnel} is on.",
        'cd /d "%~dp0"',
        *(f"set {name}=" for name in _UNWANTED),
        *batch(command).splitlines(),
        "pause",
    )
    return "".join(f"{line}\r\n" for line in lines)
