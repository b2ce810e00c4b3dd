# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything on at once, and the agent: whatever breaks, nothing that belongs into the tunnel leaves beside it."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Callable

import pytest
from all_at_once import Everything, Watched, sending
from namespaces import Namespace, NamespaceSystem, Network, run_here, wait_for
from test_daemon import agent
from traffic import BACKENDS

from splitway.agent import boot
from splitway.compiler import compile_state
from splitway.reconcile.dns.text import UNIT
from splitway.reconcile.sections import RECONCILERS
from splitway.reconcile.wireguard.live import unit_of
from splitway.state import SECTIONS, State
from splitway.topology import parse
from splitway.transaction import begin, bring, remove_all, roll_back

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture
def before(_namespace: int, network: Network) -> dict[str, str]:
    """What the gateway is like before there is anything of ours."""
    return host()


@pytest.fixture
def world(before: dict[str, str], system: NamespaceSystem, network: Network, backend: str) -> Iterator[Everything]:
    found = Everything(system, network)
    found.bring(backend)
    wait_for(lambda: asked(found.client, "8.8.8.8") == "198.51.100.1", "the tunnel")
    yield found
    for name in ("exit", "client"):
        NamespaceSystem(system.configuration.parent / name).plain_units.close()


@pytest.fixture
def watched(world: Everything) -> Iterator[Watched]:
    """The host behind the uplink; what it has seen when all is over is judged."""
    with contextlib.closing(Watched(world.near, "uplink")) as watched:
        yield watched
    assert any(packet.port == 51820 for packet in watched.seen)
    assert [str(packet) for packet in watched.leaks()][:5] == []


def host() -> dict[str, str]:
    """Return what of a host somebody might change, as the kernel's tools tell it."""
    commands = {
        # Without the kernel's own tables, which come with the first look of these tools.
        "iptables": "(iptables-save; ip6tables-save) | grep -e ^-",
        "nftables": "nft list tables | grep -vE ' (filter|mangle|nat)$'",
        "ipsets": "ipset list -n",
        "rules": "ip rule; ip -6 rule",
        "queues": "tc qdisc",
        "links": "ip -br link",
        "parameters": "sysctl -a 2>/dev/null | grep -E '^net.(ipv[46]|netfilter)' | grep -ve count -e fastopen_key",
    }
    return {what: run_here("sh", "-c", f"{command} || true") for what, command in commands.items()}


def asked(who: Namespace, server: str, *options: str) -> str:
    """Return what somebody is answered who asks any resolver for a name that belongs into the tunnel."""
    return who.run(
        "dig", "+short", "+tries=1", "+time=5", f"@{server}", "a.video.example", *options, check=False
    ).strip()


def rules_flushed(_: Everything) -> None:
    for family in ("-4", "-6"):
        run_here("ip", family, "rule", "flush")
        run_here("ip", family, "rule", "add", "pref", "32766", "lookup", "main")


FAULTS: dict[str, Callable[[Everything], object]] = {
    "dnsmasq killed": lambda world: world.system.units.kill(UNIT, signal.SIGKILL),
    "the rules flushed": rules_flushed,
    "wg0 deleted": lambda _: run_here("ip", "link", "delete", "wg0"),
    "the tunnel deleted": lambda _: run_here("ip", "link", "delete", "wg-up-1"),
    "the tunnel killed": lambda world: world.system.units.kill(unit_of("wg-up-1"), signal.SIGKILL),
    "its table emptied": lambda _: run_here("ip", "route", "flush", "table", "101"),
}


def test_whatever_breaks(world: Everything, watched: Watched, backend: str) -> None:
    with agent(world.system), sending(world.client, world.office, None):
        for fault, injure in FAULTS.items():
            injure(world)
            wait_for(world.healed, f"{fault}: to be healed")


def test_a_flushed_ruleset(world: Everything, watched: Watched, backend: str) -> None:
    """The gateway's own connections have no second guard (docs/security.md): here it has none, not even old ones.

    Nor has what is refused though its way is direct: of packets that are between two hooks at this moment one may go.
    """
    with agent(world.system), sending(world.client, world.office, direct=False):
        run_here("nft", "flush", "ruleset")
        wait_for(world.healed, "the ruleset to be healed")
        time.sleep(0.5)


def test_a_run_that_is_rolled_back(world: Everything, watched: Watched, backend: str) -> None:
    other = {"ipset": "nftables", "nftables": "ipset"}[backend]
    with sending(world.client, world.office, None):
        for change in (
            {"splitway_lan_clients": []},
            {"splitway_backend": other},
            {"splitway_hardening": {"gateway_ports": "all"}, "splitway_clients": []},
        ):
            state = compile_state(parse({**world.everything(backend), **change}), world.store.generation().numbers)
            begin(world.store, "run")
            for section in SECTIONS:
                kind = state.backend if section in ("sets", "marks") else None
                bring(world.store, section, getattr(state, section), backend=kind, transaction="run", purge=True)
            roll_back(world.store, "run")
            assert world.healed()


def test_a_reboot(world: Everything, watched: Watched, backend: str) -> None:
    """Of the LAN and of the gateway's own programs packets come before wg0 is there."""
    for section in reversed(SECTIONS):
        if section != "agent":
            RECONCILERS[section].apply(world.system, RECONCILERS[section].changes(world.system, State()))
    run_here("conntrack", "-F")
    assert boot.restore_early(world.store).failures == {}
    run_here("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    with sending(world.office, None):
        time.sleep(0.5)
        assert boot.restore(world.store, lambda _: 0).failures == {}
        assert world.healed()
        time.sleep(1)


@pytest.mark.parametrize("option", ["+notcp", "+tcp"])
def test_every_question_is_answered_by_the_gateway(
    world: Everything, watched: Watched, backend: str, option: str
) -> None:
    """Wherever it is sent: to resolvers, to addresses of the gateway, of its tunnel, of other clients, of nobody."""
    everywhere = (
        *("8.8.8.8", "1.1.1.1", "10.90.0.1", "10.90.0.2", "10.8.0.1", "10.8.0.77", "10.64.0.1", "10.64.0.2"),
        *("169.254.169.254", "2001:4860:4860::8888", "2001:db8:90::1", "fdcc::1", "fdcc::77", "fd64::1", "fd99::1"),
    )
    for who in (world.client, world.office):
        answers = {server: asked(who, server, option) for server in everywhere}
        assert answers == dict.fromkeys(everywhere, "198.51.100.1"), who.name


def test_nothing_is_left(world: Everything, backend: str, before: dict[str, str]) -> None:
    remove_all(world.store)
    for wire in ("wan", "uplink", "eth1"):
        run_here("ip", "link", "delete", wire)
    left = host()
    assert {what: left[what] for what in left if left[what] != before[what]} == {}
