# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture of what leaves the gateway by any interface but the clients'."""

from __future__ import annotations

import subprocess

from labkit.hosts import container, host, wait_until

CAPTURE = "/tmp/everything.pcap"
LOG = "/tmp/everything.log"


def start() -> None:
    """Starts the capture; returns when it listens."""
    host("tap").run("rm -f %s %s", CAPTURE, LOG)
    command = f"exec tcpdump -i any -Q out -U -w {CAPTURE} 2>{LOG}"
    subprocess.run(["docker", "exec", "--detach", container("tap"), "sh", "-c", command], check=True)
    wait_until(lambda: "listening" in host("tap").run("cat %s", LOG).stdout, "tcpdump to listen")


def stop() -> None:
    """Ends the capture; what was seen can be asked afterwards."""
    host("tap").check_output("pkill -INT -x tcpdump")
    wait_until(lambda: host("tap").run("pgrep -x tcpdump").rc != 0, "tcpdump to end")


def seen(condition: str) -> bool:
    """Returns whether such a packet was seen until now: the capture may go on, and its last packet be half written."""
    return bool(host("tap").run("tcpdump -nn -r %s %s 2>/dev/null", CAPTURE, condition).stdout)


def left(condition: str) -> list[str]:
    """Returns the packets that met a condition of tcpdump's and left by another interface than wg0, one a line."""
    lines = host("tap").check_output("tcpdump -nn -r %s %s 2>/dev/null", CAPTURE, condition).splitlines()
    return [line for line in lines if " wg0 " not in line]
