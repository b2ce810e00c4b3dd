# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo and the lab's tests share: hosts, playbooks, clients, probes, captures."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import testinfra
import yaml
from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories" / "lab"
FILES = ROOT / ".cache" / "lab"
CLIENTS = ("alice", "bob")
# Where the web server's caller stands, seen from the web server.
WAYS = {
    "10.90.0.10": "direct",
    "2001:db8:113::10": "direct",
    "10.90.0.21": "us",
    "2001:db8:113::21": "us",
    "10.90.0.22": "eu",
    "2001:db8:113::22": "eu",
}
# A handshake with a user-space WireGuard whose far end was set anew takes up to 16 s; the rest is the machine's load.
SECONDS_TO_SETTLE = 40.0


class LabError(Exception):
    """Something in the lab did not work."""


def container(name: str) -> str:
    """Returns the name of a host's container."""
    return f"splitway-lab-{name}"


@cache
def host(name: str) -> Host:
    """Returns testinfra's handle of a host of the lab."""
    return testinfra.get_host(f"docker://{container(name)}")


def wait_until(condition: Callable[[], Any], what: str, seconds: float = SECONDS_TO_SETTLE) -> Any:
    """Returns the condition's first true value; raises LabError when it does not come in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise LabError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.3)
    return value


# --- playbooks ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run of a playbook: status, everything that it said, and Ansible's count of changes on a host."""

    status: int
    output: str

    def changed(self, name: str = "gw") -> int:
        """Returns the number of changed tasks on a host, from the recap."""
        for line in reversed(self.output.splitlines()):
            if line.split(":")[0].strip() == name and "changed=" in line:
                return int(line.split("changed=")[1].split()[0])
        raise LabError(f"the run's recap does not name {name}:\n{self.output[-2000:]}")


def playbook(name: str, *arguments: str, variables: dict[str, Any] | None = None) -> Run:
    """Runs a playbook of the collection on the lab; extra variables override the inventory's."""
    command = ["ansible-playbook", "--inventory", str(INVENTORY), str(ROOT / "playbooks" / name), *arguments]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        if variables:
            yaml.safe_dump(variables, file)
            file.flush()
            command += ["--extra-vars", f"@{file.name}"]
        environment = os.environ | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
        }
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    return Run(done.returncode, done.stdout + done.stderr)


def playbook_succeeds(name: str, *arguments: str, variables: dict[str, Any] | None = None) -> Run:
    """Runs a playbook; raises LabError with its output when it fails."""
    run = playbook(name, *arguments, variables=variables)
    if run.status != 0:
        raise LabError(f"{name} ended with status {run.status}:\n{run.output[-6000:]}")
    return run


def secrets() -> list[str]:
    """Returns every private and preshared key of the lab."""
    keys = yaml.safe_load((INVENTORY / "group_vars" / "all" / "keys.yml").read_text(encoding="utf-8"))["lab_keys"]
    return [pair[kind] for pair in keys.values() for kind in ("private", "preshared")]


# --- clients ------------------------------------------------------------------------------------------------------


def start_client(name: str, configuration: str) -> None:
    """Starts a client's tunnel with this wg-quick configuration, in place of the one it had."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tunnel.conf"
        path.write_text(configuration, encoding="utf-8")
        path.chmod(0o600)
        subprocess.run(
            ["docker", "cp", str(path), f"{container(name)}:/etc/wireguard/"], check=True, capture_output=True
        )
    done = host(name).run("systemctl restart wg-quick@tunnel")
    if done.rc != 0:
        raise LabError(
            f"{name}: {done.stderr}\n{host(name).run('journalctl --unit wg-quick@tunnel --lines 30').stdout}"
        )


def start_clients() -> None:
    """Starts every client's tunnel with the file that the collection wrote for it, and waits until names are answered."""
    for name in CLIENTS:
        start_client(name, (FILES / "clients" / f"{name}.conf").read_text(encoding="utf-8"))
    for name in CLIENTS:
        wait_for_names(name)


def wait_for_names(name: str) -> None:
    """Waits until a client has its names answered through its tunnel."""
    wait_until(
        lambda: host(name).run("getent ahostsv4 example.org").rc == 0,
        f"{name} to have a name answered through its tunnel",
    )


# --- probes -------------------------------------------------------------------------------------------------------


def way(result: dict[str, Any]) -> str:
    """Returns the way that one probe took; an address of no known way, or a name without an answer, speaks for itself."""
    if result["address"] is None:
        return f"no address ({result['error']})"
    if result["seen"] is None:
        return "blocked"
    return WAYS.get(result["seen"], result["seen"])


def ways(client: str, wishes: list[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Returns the way of each target and family; several, joined by "+", when a name's addresses took different ones."""
    output = host(client).check_output("python3 /opt/lab/probe.py %s", json.dumps(wishes))
    found: dict[tuple[str, int], set[str]] = {}
    for line in output.splitlines():
        result = json.loads(line)
        found.setdefault((result["target"], result["family"]), set()).add(way(result))
    return {wish: "+".join(sorted(taken)) for wish, taken in found.items()}


def settled_ways(client: str, expected: dict[tuple[str, int], str]) -> dict[tuple[str, int], str]:
    """Returns the ways taken, asked again as long as they differ from the expected ones while tunnels may still settle.

    A leak is never settled: where a target that is expected elsewhere was seen directly, the first answer stands.
    """
    end = time.monotonic() + SECONDS_TO_SETTLE
    while True:
        taken = ways(client, list(expected))
        wrong = {wish: taken[wish] for wish in expected if taken[wish] != expected[wish]}
        if (
            not wrong
            or time.monotonic() > end
            or not all(answer.startswith(("blocked", "no address")) for answer in wrong.values())
        ):
            return taken


def expectations() -> dict[str, dict[tuple[str, int], str]]:
    """Returns, a client, the way expected for each target and family, from expectations.yml."""
    written = yaml.safe_load((Path(__file__).parent / "expectations.yml").read_text(encoding="utf-8"))
    return {
        client: {
            (target, family): expected
            for target, *both in rows
            for family, expected in zip((4, 6), both, strict=True)
            if expected != "-"
        }
        for client, rows in written.items()
    }


# --- captures -----------------------------------------------------------------------------------------------------

# What no packet on the gateway's wire may be, whoever of the lab's clients sent it: one that has an address from inside
# a tunnel, or one that goes straight to what `forbidden_targets` names.
INSIDE = (
    "net 10.8.0.0/24 or net 10.64.0.0/16 or net 10.65.0.0/16 or "
    "net fdcc:ad94:bacf:61a4::/64 or net fd64::/16 or net fd65::/16"
)


def addresses(first: int, last: int) -> list[str]:
    """Returns the addresses of both families that names.conf gives to a span of numbers."""
    return [f"{prefix}{number}" for number in range(first, last + 1) for prefix in ("198.51.100.", "2001:db8:ff::")]


def forbidden_targets() -> list[str]:
    """Returns the addresses of `traffic` that neither client may reach directly."""
    return [
        *addresses(20, 23),  # gstatic.com, googleapis.com
        *addresses(30, 33),  # youtube.com
        *addresses(50, 53),  # ads.example
        *addresses(60, 63),  # paused.example, legacy.example
        "198.51.100.129",
        "2001:db8:ff:80::1",
        "198.51.100.145",
        "2001:db8:ff:90::1",
    ]


TRAFFIC = {
    "alice": [
        *(
            (name, family)
            for name in ("gstatic.com", "googleapis.com", "youtube.com", "ads.example")
            for family in (4, 6)
        ),
        *((name, family) for name in ("paused.example", "legacy.example", "example.org") for family in (4, 6)),
        ("198.51.100.129", 4),
        ("2001:db8:ff:80::1", 6),
    ],
    "bob": [
        ("youtube.com", 4),
        ("youtube.com", 6),
        ("198.51.100.145", 4),
        ("2001:db8:ff:90::1", 6),
        ("example.org", 4),
    ],
}


@dataclass
class Capture:
    """Packets that left the gateway's wire while traffic ran."""

    file: str

    def packets(self, condition: str) -> list[str]:
        """Returns the packets that match a condition of tcpdump's, one a line."""
        return host("tap").check_output("tcpdump -nn -r %s %s 2>/dev/null", self.file, condition).splitlines()

    def forbidden(self) -> list[str]:
        """Returns the packets that should never have left."""
        targets = " or ".join(f"dst host {address}" for address in forbidden_targets())
        return self.packets(f"{INSIDE} or {targets}")

    def direct(self) -> list[str]:
        """Returns the packets of example.org, which may leave directly: the proof that the capture sees anything."""
        return self.packets(" or ".join(f"dst host {address}" for address in addresses(42, 43)))


def start_traffic(number: int = 1) -> Capture:
    """Starts to capture what leaves the gateway's wire, and both clients' traffic, until stop_traffic()."""
    capture = Capture(f"/tmp/capture-{number}.pcap")
    subprocess.run(
        ["docker", "exec", "--detach", container("tap"), "tcpdump", "-i", "eth0", "-Q", "out", "-U", "-w", capture.file,
         "net 198.51.100.0/24 or net 2001:db8:ff::/48 or " + INSIDE],
        check=True,
    )  # fmt: skip
    wait_until(lambda: host("tap").run(f"test -s {capture.file}").rc == 0, "tcpdump to listen")
    for client, wishes in TRAFFIC.items():
        host(client).check_output(
            "systemctl reset-failed lab-traffic 2>/dev/null; "
            "systemd-run --quiet --unit lab-traffic python3 /opt/lab/probe.py --forever %s",
            json.dumps(wishes),
        )
    return capture


def stop_traffic() -> dict[str, list[dict[str, Any]]]:
    """Ends what start_traffic() began; returns all probes of each client's last traffic."""
    results: dict[str, list[dict[str, Any]]] = {}
    for client in TRAFFIC:
        invocation = host(client).check_output("systemctl show --property InvocationID --value lab-traffic")
        host(client).check_output("systemctl stop lab-traffic")
        lines = host(client).check_output(
            "journalctl --quiet --output cat _SYSTEMD_INVOCATION_ID=%s", invocation
        ).splitlines()  # fmt: skip
        results[client] = [json.loads(line) for line in lines if line.startswith("{")]
    host("tap").check_output("pkill -INT -x tcpdump")
    wait_until(lambda: host("tap").run("pgrep -x tcpdump").rc != 0, "tcpdump to end")
    return results


def leaks(results: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Returns the probes of stop_traffic() that were answered by a way that is not the expected one."""
    expected = {
        "alice": {"gstatic.com": "us", "googleapis.com": "us", "youtube.com": "eu", "legacy.example": "us",
                  "example.org": "direct", "198.51.100.129": "us", "2001:db8:ff:80::1": "us"},
        "bob": {"youtube.com": "us", "198.51.100.145": "us", "2001:db8:ff:90::1": "us", "example.org": "direct"},
    }  # fmt: skip
    return [
        f"{client}: {result}"
        for client, probes in results.items()
        for result in probes
        if result["seen"] is not None and way(result) != expected[client].get(result["target"])
    ]


@contextmanager
def watched_traffic(number: int) -> Iterator[None]:
    """Runs traffic and capture around the body; raises LabError for a single packet that left by a forbidden way."""
    capture = start_traffic(number)
    try:
        yield
    finally:
        results = stop_traffic()
    problems = leaks(results) + capture.forbidden()
    if problems:
        raise LabError(f"{len(problems)} leaks, the first ones:\n" + "\n".join(problems[:20]))
    if not capture.direct():
        raise LabError("the capture has no packet at all: it proves nothing")
