# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway of the fleet is, seen from inside its container."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from labkit.hosts import LabError, host, wait_until

GATEWAYS = ("gw1", "gw2", "gw3", "gw4", "gw5", "gw6")
STATE = "/etc/splitway/state.json"
UNCONFIRMED = "/etc/splitway/unconfirmed.json"
PROMISED = 5.0  # seconds after a run's time is up, within which the gateway is what it was
TRANSACTION = "/run/splitway/transaction.json"
SHORT = 3.0  # seconds that are left to a run whose time is shortened
UNTIL_BACK = 120.0  # seconds within which its last step has ended, on a busy machine
_SHORTEN = f"""
import json, os, time
due = time.clock_gettime(time.CLOCK_BOOTTIME) + {SHORT}
with open("{TRANSACTION}") as now, open("{TRANSACTION}.new", "w") as new:
    json.dump({{**json.load(now), "deadline": due}}, new)
os.rename("{TRANSACTION}.new", "{TRANSACTION}")
print(due)
"""


@dataclass(frozen=True)
class Generation:
    """The generation of a gateway."""

    digest: str  # of its file
    written: str  # when, to the nanosecond
    networks: str  # those that its rules name, from the kernel


def generation(name: str) -> Generation:
    """Returns what a gateway is now."""
    digest = host(name).check_output(f"sha256sum {STATE}").split()[0]
    networks = host(name).check_output("nft list table inet splitway | grep -o '198.51.100.1[0-9]*' | sort -u")
    return Generation(digest, host(name).check_output(f"stat --format %.Y {STATE}"), networks)


def generations() -> dict[str, Generation]:
    """Returns what all gateways are now."""
    return {name: generation(name) for name in GATEWAYS}


def same(before: Generation, after: Generation) -> bool:
    """Returns whether a gateway is as it was, though its files may have been written anew."""
    return (before.digest, before.networks) == (after.digest, after.networks)


def deadline(name: str, file: str) -> float:
    """Returns when the time of a gateway's run is up, by `uptime`: the kernel that counts it is ours as well."""
    return float(json.loads(host(name).check_output(f"cat {file}"))["deadline"])


def is_there(name: str, file: str) -> bool:
    """Returns whether a gateway has a file."""
    return bool(host(name).run(f"test -e {file}").rc == 0)


def back_after(name: str, due: float, file: str) -> float:
    """Waits until a run's file is gone; returns how many seconds after its time that was."""
    wait_until(lambda: not is_there(name, file), f"{name} to go back", max(0.0, due - uptime()) + 20)
    return uptime() - due


def uptime() -> float:
    """Returns the seconds since the boot of this machine, and of the lab's hosts with it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def back_in_a_hurry(name: str) -> float:
    """Shortens the time of a run that is under way, two minutes otherwise; waits until the gateway has gone back.

    Returns how many seconds after its time that was. A step that was on its way when the controller was killed renews
    the time when it ends: then it is shortened anew.
    """
    due = uptime()

    def gone() -> bool:
        nonlocal due
        found = host(name).run(f"cat {TRANSACTION}")
        if found.rc == 0 and json.loads(found.stdout)["deadline"] > due:
            due = float(host(name).run("flock /run/splitway/lock python3 -c %s", _SHORTEN).stdout or due)
        return bool(found.rc != 0)

    wait_until(gone, f"{name} to go back", UNTIL_BACK)
    return uptime() - due


def wait_for_running(name: str) -> None:
    """Waits until a gateway's systemd has started everything."""
    running = "systemctl is-system-running"
    wait_until(lambda: host(name).run(running).stdout.strip() == "running", f"{name} to be running", 60)


def require(condition: bool, what: str) -> None:
    """Raises LabError unless a test's own precondition holds."""
    if not condition:
        raise LabError(what)
