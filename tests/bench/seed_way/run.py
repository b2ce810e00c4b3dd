# SPDX-License-Identifier: GPL-3.0-or-later
"""The seed's programs run one by one, as it runs them, or as three batches that leave the same in the kernel."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from seed_way.commands import Command


def apply(commands: Iterable[Command]) -> None:
    """Run each command as a process of its own, in order. Raises CalledProcessError at the first that fails."""
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)


def load(commands: Iterable[Command]) -> None:
    """Bring the same into the kernel in batches. Raises CalledProcessError, KeyError for another program."""
    lines: dict[str, list[str]] = {"ipset": [], "ip": [], "iptables": []}
    for program, *arguments in commands:
        lines[program].append(" ".join(arguments[2:] if program == "iptables" else arguments))  # without -t mangle
    _batch(("ipset", "restore"), lines["ipset"])
    _batch(("iptables-restore", "--noflush"), ["*mangle", *lines["iptables"], "COMMIT"])
    _batch(("ip", "-batch", "-"), lines["ip"])


def _batch(argv: Command, lines: list[str]) -> None:
    subprocess.run(argv, input="".join(f"{line}\n" for line in lines), text=True, check=True, capture_output=True)
