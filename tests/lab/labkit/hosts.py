# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's hosts and how to wait for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import testinfra
from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = ROOT / "inventories" / "lab"
FILES = ROOT / ".cache" / "lab"
# Where site.yml writes the client files of the gateway.
CLIENT_FILES = FILES / "clients" / "gw"
# A handshake with a user-space WireGuard whose far end was set anew takes up to 16 s; the rest is the machine's load.
SECONDS_TO_SETTLE = 40.0

Value = TypeVar("Value")


class LabError(Exception):
    """Something in the lab did not work."""


def container(name: str) -> str:
    """Returns the name of a host's container."""
    return f"splitway-lab-{name}"


@cache
def host(name: str) -> Host:
    """Returns testinfra's handle of a host of the lab."""
    return testinfra.get_host(f"docker://{container(name)}")


def wait_until(condition: Callable[[], Value], what: str, seconds: float = SECONDS_TO_SETTLE) -> Value:
    """Returns the condition's first true value; raises LabError when it does not come in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise LabError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.3)
    return value
