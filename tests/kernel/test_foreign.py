# SPDX-License-Identifier: GPL-3.0-or-later
"""Beside the rules of ufw, Docker and others: what they stop is found and said, and nothing of theirs is touched."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Set
from pathlib import Path

import pytest
from guarded import AT_ONCE, GATEWAY, GATEWAY6, ONE, ONE6, answer, guard, guarded, serve
from namespaces import NamespaceSystem, run_here
from traffic import BACKENDS, PATIENCE, Lab, bring, lab

from splitway.foreign import findings, uplinks
from splitway.foreign.passages import passages
from splitway.hindrances import check
from splitway.reconcile.base import ReconcileError
from splitway.state import Device, FamilyMarks, OpenPort, State

__all__ = ["lab"]
HERE = Path(__file__).parent / "foreign"
DIRECT, VIDEO, DIRECT6, VIDEO6 = "192.0.2.1", "198.51.100.1", "2001:db8:7::1", "2001:db8:1::1"
LISTEN_PORT = 51820
OPEN = (OpenPort("tcp", 22, 22),)


def state(backend: str) -> State:
    server = Device("server", "wg0", None, (), (), listen_port=LISTEN_PORT)
    return State(backend=backend, server=server, marks=guarded(backend, ports=OPEN))


def docker() -> None:
    """Load what a dockerd of version 20.10 made: a network of its own, and published ports, 53 among them."""
    subprocess.run(["iptables-restore"], input=(HERE / "docker.rules").read_text(), text=True, check=True)


def ufw() -> None:
    """Enable the real ufw, which denies what comes in and what is forwarded, with settings of its own."""
    run_here("ufw", "--force", "enable")


def firewalld() -> None:
    """Load rules of firewalld's form: zones, each of which ends in a refusal."""
    run_here("nft", "-f", str(HERE / "firewalld.nft"))


def legacy() -> None:
    """Load rules that only the older iptables shows."""
    for program in ("iptables-legacy", "ip6tables-legacy"):
        run_here(program, "-P", "FORWARD", "DROP")
        run_here(program, "-A", "INPUT", "-i", "wg0", "-p", "udp", "--dport", "53", "-j", "DROP")


@pytest.fixture(autouse=True)
def settings_of_ufw(tmp_path: Path) -> Iterator[None]:
    """ufw keeps its rules in files: give it copies of them."""
    mounted = []
    for place in (Path("/etc/ufw"), Path("/etc/default/ufw")):
        copy = tmp_path / f"ufw{len(mounted)}"
        (shutil.copytree if place.is_dir() else shutil.copy)(place, copy)
        run_here("mount", "--bind", str(copy), str(place))
        mounted.append(str(place))
    yield
    for place in mounted:
        run_here("umount", place)


FIREWALLS = (docker, ufw, firewalld, legacy)


def rules() -> list[str]:
    """Return all rules of the host that are not ours, without counters; tables in which nothing is are left out."""
    found: list[str] = []
    for program in ("iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"):
        for table in run_here(f"{program}-save").split("*")[1:]:
            lines = [re.sub(r"\[\d+:\d+\]", "", line) for line in table.splitlines() if "SPLITWAY" not in line]
            if any(line.startswith("-A") or re.match(r":.* (DROP|-) ", line) for line in lines):
                found += [program, *(line for line in lines if not line.startswith("#"))]
    for item in json.loads(run_here("nft", "-j", "list", "tables"))["nftables"]:
        table = item.get("table")
        if table and table["family"] == "inet" and table["name"] != "splitway":
            found += run_here("nft", "list", "table", "inet", table["name"]).splitlines()
    return found


def passing(lab: Lab, stopped: Set[str] = frozenset()) -> dict[str, bool]:
    """Return, by what the passages are called, whether real packets of the kind get through.

    `stopped`: for which of them nobody waits long.
    """
    ways = {
        "from clients to uplink (IPv4)": (DIRECT, "uplink"),
        "from clients to wg-up-1 (IPv4)": (VIDEO, "wg-up-1"),
        "from clients to uplink (IPv6)": (DIRECT6, "uplink"),
        "from clients to wg-up-1 (IPv6)": (VIDEO6, "wg-up-1"),
    }
    questions = {
        "udp/53 from clients to the gateway (IPv4)": (lab.client, "udp", GATEWAY, 53, ONE),
        "udp/53 from clients to the gateway (IPv6)": (lab.client, "udp", GATEWAY6, 53, ONE6),
        "tcp/53 from clients to the gateway (IPv4)": (lab.client, "tcp", GATEWAY, 53, ONE),
        "tcp/22 from clients to the gateway (IPv4)": (lab.client, "tcp", GATEWAY, 22, ONE),
        f"WireGuard from clients at udp/{LISTEN_PORT} (IPv4)": (
            *(lab.exits["uplink"], "udp", lab.address("uplink", 4), LISTEN_PORT, None),
        ),
    }
    patience = {name: AT_ONCE if name in stopped else PATIENCE for name in (*ways, *questions)}
    return {
        **{name: lab.way(where) == exit_ for name, (where, exit_) in ways.items()},
        **{name: answer(*ask, patience[name]) == "gateway" for name, ask in questions.items()},
    }


def stopped(system: NamespaceSystem, backend: str) -> set[str]:
    """Return what is said to be dropped for sure."""
    return {purpose for found in findings(system, state(backend)) if found.sure for purpose in found.purposes}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("firewall", FIREWALLS)
def test_what_stops_us_is_found_and_nothing_of_theirs_is_touched(
    system: NamespaceSystem, lab: Lab, firewall: Callable[[], None], backend: str
) -> None:
    for port in (22, 53, LISTEN_PORT):
        serve(None, port, "gateway")
    assert findings(system, state(backend)) == ()
    firewall()
    before = rules()
    said = stopped(system, backend)
    assert said, "found before anything of ours is there"
    guard(system, backend, ports=OPEN, redirect_dns=True)
    found = passing(lab, said)
    real = {purpose for purpose, passes in found.items() if not passes}
    assert real, "this firewall stops something"
    assert said & found.keys() == real
    assert stopped(system, backend) == said, "our own rules change nothing in it"
    assert rules() == before
    for found in findings(system, state(backend)):
        for command in found.remedies:
            if not command.startswith("firewall-cmd"):
                run_here(*shlex.split(command))
    if firewall is not firewalld:
        assert findings(system, state(backend)) == ()
        assert {purpose for purpose, passes in passing(lab).items() if not passes} == set()
    after = rules()
    bring(system, backend, (), None)
    assert rules() == after


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_published_port_53_takes_no_question_of_clients(system: NamespaceSystem, lab: Lab, backend: str) -> None:
    serve(None, 53, "gateway")
    docker()
    guard(system, backend)
    said = answer(lab.client, "udp", GATEWAY, 53, ONE, AT_ONCE)
    assert said == "silence", "Docker leads it to a container that is not there"
    guard(system, backend, redirect_dns=True, ports=())
    assert answer(lab.client, "udp", GATEWAY, 53, ONE) == answer(lab.client, "udp", DIRECT, 53, ONE) == "gateway"


def test_a_run_fails_or_warns_as_it_is_told(system: NamespaceSystem, lab: Lab) -> None:
    docker()

    def said(foreign_drop: str) -> str:
        section = guarded("ipset", ports=OPEN, foreign_drop=foreign_drop)
        return "\n".join(check(system, dataclasses.replace(state("ipset"), marks=section)))

    with pytest.raises(ReconcileError, match="iptables filter FORWARD: its policy is drop") as caught:
        said("fail")
    assert "foreign_drop: warn" in str(caught.value)
    assert "from clients to uplink (IPv4)" in said("warn")
    assert "iptables -I DOCKER-USER -i wg0 -j ACCEPT" in said("warn")
    assert said("ignore") == ""


def test_what_depends_on_more_is_a_doubt(system: NamespaceSystem, lab: Lab) -> None:
    run_here("iptables", "-A", "FORWARD", "-i", "wg0", "-m", "length", "--length", "1000:", "-j", "DROP")
    (found,) = findings(system, state("ipset"))
    assert not found.sure
    assert "-m length --length 1000:65535 -j DROP" in str(found)


def test_a_remedy_is_in_the_words_of_the_program(system: NamespaceSystem, lab: Lab) -> None:
    firewalld()
    said = "\n".join(map(str, findings(system, state("ipset"))))
    assert "firewall-cmd --permanent --zone=trusted --add-interface=wg0" in said
    assert f"firewall-cmd --permanent --add-port={LISTEN_PORT}/udp" in said


def test_a_gateway_without_clients_of_a_family_asks_nothing_of_it(system: NamespaceSystem, lab: Lab) -> None:
    whole = state("ipset")
    assert whole.marks is not None
    four = dataclasses.replace(whole, marks=dataclasses.replace(whole.marks, v6=FamilyMarks()))
    forwarded = {packet.family for packet in passages(four, uplinks(system)) if packet.hook == "forward"}
    assert forwarded == {4}
