# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd is told: sd_notify(3) in a few lines. Without systemd nothing is said."""

from __future__ import annotations

import os
import socket
from typing import Optional


def tell(message: str) -> None:
    """Send a message, such as "READY=1", to the service manager that started us."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
        channel.sendall(message.encode())


def watchdog_interval() -> Optional[float]:
    """Return the seconds after which systemd wants to hear from us; half of its patience. None: it does not."""
    patience = os.environ.get("WATCHDOG_USEC")
    return int(patience) / 2e6 if patience else None
