# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks names and addresses over HTTP as a client's browser would, and tells what came of it.

    probe.py [--forever | --every SECONDS] '[["google.com", 4], ["2001:db8:ff::200", 6], …]'

Once; or for ever, round by round, which leaves others some of the processor; or for ever, each target by itself with
so many seconds between its probes.
Writes one JSON object a line, for each address of each target: `{"target", "family", "address", "seen", "error"}`.
`seen` is the address that the web server saw; `address` is null when the name was not answered.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

SECONDS = 4.0
REST = 0.1  # seconds between rounds
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def ask(target: str, address: str) -> tuple[str | None, str | None]:
    """Returns what the web server saw, or the error."""
    connection = http.client.HTTPConnection(address, 80, timeout=SECONDS)
    try:
        connection.request("GET", "/", headers={"Host": target})
        return connection.getresponse().read().decode().strip(), None
    except (OSError, http.client.HTTPException) as error:
        return None, f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def probe(target: str, family: int) -> list[dict[str, object]]:
    """Returns one result an address of the target, or one without an address when it has none."""
    try:
        found = socket.getaddrinfo(target, 80, FAMILIES[family], socket.SOCK_STREAM)
    except socket.gaierror as error:
        return [{"target": target, "family": family, "address": None, "seen": None, "error": str(error)}]
    results: list[dict[str, object]] = []
    for address in sorted({str(entry[4][0]) for entry in found}):
        seen, error = ask(target, address)
        results.append({"target": target, "family": family, "address": address, "seen": seen, "error": error})
    return results


def tell(wish: tuple[str, int]) -> None:
    """Probes one target and writes the results."""
    for result in probe(*wish):
        sys.stdout.write(f"{json.dumps(result)}\n")  # one call: others write, too
    sys.stdout.flush()


def repeat(wish: tuple[str, int], pause: float) -> None:
    """Probes one target for ever, whatever becomes of the others."""
    while True:
        tell(wish)
        time.sleep(pause)


def main() -> None:
    """Probes everything at once: an address that swallows packets must not hold up the others."""
    wishes = [(name, family) for name, family in json.loads(sys.argv[-1])]
    with ThreadPoolExecutor(max_workers=64) as pool:
        if sys.argv[1] == "--every":
            list(pool.map(repeat, wishes, [float(sys.argv[2])] * len(wishes)))
        while True:
            list(pool.map(tell, wishes))
            if sys.argv[1] != "--forever":
                return
            time.sleep(REST)


if __name__ == "__main__":
    main()
