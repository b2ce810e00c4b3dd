# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway in the network of a container: all that is ours is there, nothing on the host, and it follows a restart."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest
from adopted import TUNNELLED, Manager, World
from namespaces import Namespace, NamespaceSystem, Network, enter, run_here, wait_for
from test_healing import run_site

from splitway import network_namespace
from splitway.agent.boot import restore, restore_early
from splitway.agent.following import look, wait_for_end
from splitway.applying import drift
from splitway.state import State
from splitway.store import Store
from splitway.system import SystemFailure
from splitway.transaction import remove_all

WHERE = "container:wg-easy"
PIN = Path("/run/netns/splitway-wg-easy")


class Docker(NamespaceSystem):
    """A host with Docker, which knows one container."""

    process = 0

    def has(self, program: str) -> bool:
        return program == "docker" or (program != "podman" and super().has(program))

    def read(self, *argv: str, input: Optional[str] = None, timeout: float = 60) -> str:
        if argv[0] == "docker":
            assert argv[-1] == "wg-easy"
            return f"{self.process}\n"
        return super().read(*argv, input=input, timeout=timeout)


@pytest.fixture
def docker(_namespace: int, tmp_path: Path) -> Iterator[Docker]:
    system = Docker(tmp_path)
    yield system
    system.plain_units.close()
    network_namespace.unpin(system, WHERE)


@pytest.fixture
def host(_namespace: int) -> int:
    """The host's own network."""
    return _namespace


def ours() -> str:
    """Return what a network has of us: links, tables, rules."""
    links, tables = run_here("ip", "link"), run_here("nft", "list", "tables") + run_here("iptables-save")
    rules = "".join(run_here("ip", family, "rule") for family in ("-4", "-6"))
    words = ("splitway", "wg-up-", "SPLITWAY", "5000:")
    return "\n".join(line for line in f"{links}{tables}{rules}".splitlines() if any(word in line for word in words))


def started(container: Namespace, docker: Docker) -> subprocess.Popen[str]:
    process = container.start("sleep", "600")
    own = f"/proc/{process.pid}/ns/net"
    wait_for(lambda: os.path.samestat(os.stat(own), os.stat(container.path)), "it to be in its network")
    docker.process = process.pid
    return process


@pytest.mark.parametrize("backend", ["ipset", "nftables"])
def test_all_that_is_ours_is_in_the_containers_network(
    docker: Docker, host: int, network: Network, backend: str
) -> None:
    container, manager, store = network.host("container"), Manager(), Store(docker)
    with pytest.raises(network_namespace.Away, match="wg-easy does not run"):
        network_namespace.settle(docker, WHERE, fresh=True)
    first = started(container, docker)
    with container.entered():
        world = World(network, manager)
    try:
        network_namespace.settle(docker, WHERE, fresh=True)
        variables = {**world.variables(backend), "splitway_network_namespace": WHERE}
        run_site(store, variables)
        wait_for(lambda: world.alice.way(TUNNELLED[0]) == "us", "the tunnels' handshakes", 60)
        assert world.ways(world.alice) == ("us", "us", "uplink", "uplink")
        assert ours()
        enter(host)
        assert not ours(), "the host's own network"
        with pytest.raises(SystemFailure, match=r"is in container:wg-easy, not in that: remove it there first"):
            network_namespace.settle(docker, "", fresh=False)
        network_namespace.enter(docker, network_namespace.chosen(docker))
        assert not any(drift(store, store.generation()).values())
    finally:
        manager.close()
    _restart(docker, host, network, store, first)
    remove_all(store)
    assert not ours()


def _restart(docker: Docker, host: int, network: Network, store: Store, first: subprocess.Popen[str]) -> None:
    """The container ends and starts again: it has another network, and so have we."""
    enter(host)
    assert not look(docker, WHERE), "the same as before"
    first.kill()
    wait_for_end(first.pid)
    again = network.host("container, started again")
    started(again, docker)
    docker.plain_units.stop_all(("splitway-*.service",))
    assert look(docker, WHERE)
    network_namespace.enter(docker, WHERE)
    assert os.path.samestat(os.stat(PIN), os.stat("/proc/thread-self/ns/net"))
    assert not ours()
    assert not restore_early(store).failures
    assert "5000:" in ours(), "the guard is there before anything else"
    restore(store, lambda _: 0)
    assert {section for section, changes in drift(store, store.generation()).items() if changes} <= {"routes"}
    assert "wg-up-1" in ours()


def test_one_by_name(system: NamespaceSystem, host: int, network: Network) -> None:
    other = network.host("other")
    path = Path("/run/netns/vpn")
    with pytest.raises(network_namespace.Away, match="/run/netns/vpn: No such file"):
        network_namespace.settle(system, "vpn", fresh=True)
    path.touch()
    subprocess.run(["mount", "--bind", other.path, path], check=True)
    try:
        network_namespace.settle(system, "vpn", fresh=Store(system).generation() == State())
        assert network_namespace.inside("vpn")
        assert run_here("ip", "-o", "link").count("\n") == 1, "lo alone"
    finally:
        enter(host)
        subprocess.run(["umount", path], check=True)
        path.unlink()
