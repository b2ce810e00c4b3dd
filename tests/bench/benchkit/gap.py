# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a server for a name every millisecond until its input ends; prints the longest time without an answer (s).

`gap.py SERVER NAME`: one question a datagram, none is asked again.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time


def main() -> None:
    """Ask until standard input is closed."""
    server, name = sys.argv[1:]
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = struct.pack(">HHHHHH", 0, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        last, longest, ended = time.monotonic(), 0.0, False
        print("asks", flush=True)
        # The first answer after the end of the input is the last one counted.
        while True:
            channel.sendto(question, (server, 53))
            time.sleep(0.001)
            if _answered(channel):
                now = time.monotonic()
                last, longest = now, max(longest, now - last)
                if ended:
                    break
            ended = bool(select.select([sys.stdin], [], [], 0)[0])
    print(longest)


def _answered(channel: socket.socket) -> bool:
    answered = False
    while True:
        try:
            answered |= len(channel.recv(2000)) > 0
        except OSError:  # nothing more
            return answered


if __name__ == "__main__":
    main()
