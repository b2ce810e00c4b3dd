# SPDX-License-Identifier: GPL-3.0-or-later
"""What a result was measured on, as far as it explains the figures; nothing that names the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

PROGRAMS = {
    "dnsmasq": ("dnsmasq", "--version"),
    "nft": ("nft", "--version"),
    "ipset": ("ipset", "--version"),
    "iptables": ("iptables", "--version"),
    "wg": ("wg", "--version"),
    "wireguard-go": ("wireguard-go", "--version"),
    "ansible-core": ("ansible", "--version"),
}


def machine() -> dict[str, object]:
    """Return processor, cores, memory (GB) and kernel."""
    information = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    model = re.search(r"^model name\s*: (.+)$", information, re.MULTILINE)
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release().split("-")[0],
    }


def versions() -> dict[str, str]:
    """Return the versions of the programs that the figures depend on; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for name, argv in PROGRAMS.items():
        try:
            output = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout
        except FileNotFoundError:
            continue
        number = re.search(r"\d+\.[\d.]*\d", output)
        if number:
            found[name] = number[0]
    return found
