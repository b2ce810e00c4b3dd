# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How something on the gateway looks, asked from inside it every 50 ms: when a fault broke it, and when it was back.

A look is a shell command whose output before the fault is what must come back.
"""

from __future__ import annotations

import subprocess
import time

from labkit.hosts import LabError, container

PATIENCE = 60.0  # seconds after which nobody waits for a repair any more
EFFECT = 15.0  # seconds within which a fault must be seen

RULES = "ip rule; ip -6 rule"
ROUTES = "ip route show table all; ip -6 route show table all | sed -E 's/ expires [0-9]+sec//'"
TABLES = f"({ROUTES}) | grep 'proto 83' | sort"
FORWARDING = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding"
LISTENING = "ss -Hlutn 'src 10.8.0.1:53' | awk '{print $1, $5}'"  # queues, which it tells too, are another matter
DNS = "sha256sum /etc/splitway/dnsmasq/*.conf /run/splitway-dnsmasq/*.conf; " + LISTENING
AGENT = "systemctl is-active splitway"
# Without the ways that egresses take now: the agent may choose others meanwhile.
CHAINS = {
    "ipset": "(iptables-save; ip6tables-save) | grep SPLITWAY | grep -v 'SPLITWAY-EGRESS-.*MARK'",
    "nftables": "nft --stateless --terse list table inet splitway | grep -v 'meta mark set'",
}
# Without what ticks, and what the kernel chooses anew for each set.
SETS = {
    "ipset": "ipset save | sed -E 's/ (timeout|initval|hashsize) [^ ]+//g' | sort",
    "nftables": "nft --stateless list sets inet | "
    "sed -E 's/ timeout [^ ,}]+//g' | tr ',{}' '\\n' | tr -d ' \\t' | sort",
}


def tunnel(interface: str) -> str:
    """Returns the look of a WireGuard interface: link, addresses, peers with their endpoints, routes."""
    return (
        f"ip -o link show dev {interface} | grep -o '<[^>]*>.* mtu [0-9]*'; "
        f"ip -o address show dev {interface} | cut -d: -f 2- | grep -v fe80: | sort; "
        f"wg show {interface} dump | tail -n +2 | cut -f 1-4,8 | sort; "
        f"({ROUTES}) | grep 'dev {interface} .*proto 83' | sort"
    )


def everything(backend: str) -> str:
    """Returns the look of all that a gateway is."""
    tunnels = (tunnel(interface) for interface in ("wg-up-1", "wg-up-2", "wg0"))
    return "; ".join((RULES, TABLES, *tunnels, CHAINS[backend], SETS[backend], DNS, FORWARDING))


# The first line says that it watches; then when it looked different, and when it looked as before.
_SCRIPT = """\
look() {{ ({look}) 2>&1; }}
before=$(look)
echo watching
end=$(($(date +%s) + {effect}))
while now=$(look); [ "$now" = "$before" ]; do [ "$(date +%s)" -lt $end ] || exit 3; sleep 0.02; done
date +%s.%N
end=$(($(date +%s) + {patience}))
while now=$(look); [ "$now" != "$before" ]; do
  [ "$(date +%s)" -lt $end ] || {{ printf '%s\\n' "as it was:" "$before" "as it is:" "$now"; exit 4; }}
  sleep 0.05
done
date +%s.%N
"""


class Unseen(LabError):
    """Nobody saw that anything was broken: the fault has no effect, or was healed between two looks."""


class Watch:
    """A look that is repeated inside the gateway, from now on."""

    def __init__(self, look: str, patience: float = PATIENCE) -> None:
        script = _SCRIPT.format(look=look, effect=int(EFFECT), patience=int(patience))
        self._look = look
        self._process = subprocess.Popen(
            ["docker", "exec", container("gw"), "bash", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout
        said = self._process.stdout.readline()
        if said != "watching\n":
            raise LabError(f"cannot watch {look}: {said}{self._process.communicate()[0]}")

    def back(self) -> float:
        """Returns when all looked as before. Raises Unseen if it never looked different, LabError if it stays so."""
        said, _ = self._process.communicate()
        if self._process.returncode == 3:
            raise Unseen(f"the fault had no effect on: {self._look}")
        if self._process.returncode != 0:
            raise LabError(f"not repaired:\n{said}")
        return float(said.split()[-1])


def first_time(look: str, seconds: float = PATIENCE) -> float:
    """Returns when a command succeeded first, asked from inside the gateway. Raises LabError when it never does."""
    script = f"until {look}; do sleep 0.1; done >/dev/null 2>&1; date +%s.%N"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        command = ["docker", "exec", container("gw"), "timeout", str(end - time.monotonic()), "bash", "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return float(done.stdout)
        time.sleep(0.1)  # the container is not there yet
    raise LabError(f"waited {seconds:.0f} s in vain for: {look}")
