#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forwarding of small packets from clients, on one processor, root, in network namespaces.

The ways, in turn in every round:

  no rules   plain forwarding, no connection tracking
  floor      connection tracking, one constant mark, and our ip rules and tables: policy routing cannot do with less
  ipset      ours: all sections of the state that packets meet, backend ipset
  nftables   ours, backend nftables
  seeds      the seeds' way: a set, an iptables rule, an ip rule and a table a client
  floor, NAT   the floor with masquerading, which the floor does not have and a gateway cannot do without

tun devices stand for the tunnels, so that no encryption hides the cost. Flows go to listed networks, to learned
addresses and to others, and each must leave by the interface of its policy, else the bench fails. "Established" sends
packets of flows that are known, "answered" of flows that have had an answer (to the kernel the others begin still),
"replies" their answers, "new" each flow's first packet. The figure is packets a second
of processor time, the sender's own included.
"""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

import seed_way
from benchkit.bench import Bench, numbers
from benchkit.forwarding import UPLINK, Gateway, tunnel
from benchkit.interleaved import interleaved, ratio
from benchkit.sender import Flow
from benchkit.sizes import address, network, variables
from namespaces import NamespaceSystem, Network, private_mounts

from splitway.compiler import compile_state
from splitway.reconcile.sections import RECONCILERS
from splitway.state import SECTIONS, State, mark_of
from splitway.topology import parse
from splitway.topology.model import Topology

PLAIN = ("no rules", "floor", "floor, NAT", "ipset", "nftables")
TIMES_THE_SEEDS = {1000: 12, 5000: 80}  # by clients
LISTS = 100
NETWORKS = 10  # a list
LEARNED = 10  # addresses a list
WG0 = {"rp_filter": "0", "accept_local": "1"}  # what the section `server` sets: WireGuard validates sources itself
CONSTANT = "-A PREROUTING -i wg0 -j MARK --set-xmark {mark:#x}/{mask:#x}"
TRACKING = "-A FORWARD -m conntrack --ctstate INVALID -j DROP"

GUARDS: dict[str, dict[str, Any]] = {
    "open": {
        "splitway_dns_guard": {"redirect": False},
        "splitway_hardening": {"gateway_ports": "all", "reach_clients": True, "forward_others": "allow"},
    },
    "guarded": {
        "splitway_dns_guard": {"refuse_dot": True, "refuse_doh": True},
        "splitway_hardening": {"client_isolation": True, "forward_others": "refuse"},
    },
}


@dataclass(frozen=True)
class Size:
    """What the topology of a measurement has."""

    clients: int
    policies: int = 20
    egresses: int = 4

    def variables(self) -> dict[str, Any]:
        """Return the inventory variables; the lists are the same at every size."""
        return variables(self.clients, self.policies, self.egresses, LISTS, LISTS, LISTS * NETWORKS)


@dataclass(frozen=True)
class Traffic:
    """Flows of random clients, and by which interface each has to leave."""

    flows: list[Flow]
    leaves_by: Counter[str]
    seeds: Counter[str]  # by which one in the seeds' way, where a client has one upstream


def main() -> None:
    """Measure what the command line asks for."""
    bench = Bench("packets", __doc__)
    option = bench.parser.add_argument
    option("--clients", type=numbers, default=[1, 100, 1000, 5000, 50000], help="numbers of clients (%(default)s)")
    option("--policies", type=numbers, default=[1, 200, 5000], help="numbers of distinct policies (%(default)s)")
    option("--egresses", type=numbers, default=[1, 20, 50], help="numbers of upstreams (%(default)s)")
    option("--flows", type=int, default=5000, help="flows that are under way (%(default)s)")
    option("--seconds", type=float, default=0.25, help="of one sample of established flows (%(default)s)")
    option("--seed-clients", type=int, default=5000, help="at most so many clients in the seeds' way (%(default)s)")
    bench.parse()
    private_mounts()
    clients(bench)
    policies(bench)
    replies(bench)
    egresses(bench)
    accounting(bench)
    guard(bench)
    bench.finish()


def clients(bench: Bench) -> None:
    """Measure all ways at each number of clients, new and established flows; then a target for each."""
    ours: dict[str, list[float]] = {"ipset": [], "nftables": []}
    for number in bench.options.clients:
        with_seeds = number <= bench.options.seed_clients
        ways = (*PLAIN, *["seeds"] * with_seeds)
        measure(bench, Size(number), "new", ways)
        samples = measure(bench, Size(number), "established", ways)
        for backend, rates in ours.items():
            rates.append(ratio(samples[backend], samples["floor"]))
            what = f"{backend}, established, {number} clients"
            bench.target(f"{what} / floor", rates[-1], "×", at_least=0.90)
            bench.target(f"{what} / no rules", ratio(samples[backend], samples["no rules"]), "×", at_least=0.60)
            if with_seeds and number in TIMES_THE_SEEDS:
                least = TIMES_THE_SEEDS[number]
                bench.target(f"{what} / seeds' way", ratio(samples[backend], samples["seeds"]), "×", at_least=least)
    for backend, rates in ours.items():
        middle = sorted(rates)[len(rates) // 2]
        spread = max(abs(rate / middle - 1) for rate in rates)
        bench.target(f"{backend}, spread over numbers of clients", 100 * spread, "%", at_most=10)


def policies(bench: Bench) -> None:
    """Measure new and established flows at each number of distinct policies."""
    number = max(*bench.options.policies, min(5000, max(bench.options.clients)))
    costs: dict[str, dict[int, float]] = {"ipset": {}, "nftables": {}}
    for distinct in bench.options.policies:
        for kind in ("established", "new"):
            samples = measure(bench, Size(number, distinct), kind, PLAIN)
            for backend, cost in costs.items():
                # Told in the floor's packets, which the machine's mood changes as it does ours.
                cost[distinct] = ratio(samples["floor"], samples[backend])
    least, most = min(bench.options.policies), max(bench.options.policies)
    for backend, cost in costs.items():
        bench.target(
            f"{backend}, a new flow with {most} distinct policies / with {least}",
            cost[most] / cost[least],
            "×",
            at_most=3,
        )


def replies(bench: Bench) -> None:
    """Measure the way back, which nobody is classified on."""
    measure(bench, Size(min(5000, max(bench.options.clients))), "replies", PLAIN)


def egresses(bench: Bench) -> None:
    """Measure established flows at each number of upstreams."""
    for number in bench.options.egresses:
        size = Size(min(5000, max(bench.options.clients)), egresses=number)
        samples = measure(bench, size, "established", PLAIN)
        for backend in ("ipset", "nftables"):
            what = f"{backend}, established, {number} egresses / floor"
            bench.target(what, ratio(samples[backend], samples["floor"]), "×", at_least=0.90)


def accounting(bench: Bench) -> None:
    """Measure what counting the bytes of each flow costs."""
    size = Size(min(5000, max(bench.options.clients)))
    ways = ("ipset", "ipset, no accounting", "nftables", "nftables, no accounting")
    samples = measure(bench, size, "established", ways)
    for backend in ("ipset", "nftables"):
        cost = 1 - ratio(samples[backend], samples[f"{backend}, no accounting"])
        bench.target(f"{backend}, cost of accounting", 100 * cost, "%", at_most=10)


def guard(bench: Bench) -> None:
    """Measure what the clients' guard costs, with nothing of it and with all of it."""
    size = Size(min(5000, max(bench.options.clients)))
    for kind, most in (("answered", 5), ("established", 20), ("new", 25)):
        ways = tuple(f"{backend}, {how}" for backend in ("ipset", "nftables") for how in GUARDS)
        samples = measure(bench, size, kind, ways)
        for backend in ("ipset", "nftables"):
            cost = 1 - ratio(samples[f"{backend}, guarded"], samples[f"{backend}, open"])
            bench.target(f"{backend}, cost of the guard, {kind}", 100 * cost, "%", at_most=most)


def measure(bench: Bench, size: Size, kind: str, ways: Sequence[str]) -> dict[str, list[float]]:
    """Return packets/s of each way, in samples that were taken in turn."""
    traffic = draw(size, bench.options.flows, random.Random(bench.options.seed))
    with contextlib.ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        samplers = {}
        for number, way in enumerate(ways):
            gateway = Gateway(network, f"{number}", size.egresses)
            stack.callback(gateway.close)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            with gateway.namespace.entered():
                set_up(way, size, folder)
            samplers[way] = sampler(gateway, way, kind, traffic, bench.options.seconds)
        samples = interleaved(samplers, bench.options.rounds)
    for way, rates in samples.items():
        sizes = {"clients": size.clients, "policies": size.policies, "egresses": size.egresses}
        bench.row(f"{kind}: {way}", rates, "packets/s", **sizes)
    return samples


def draw(size: Size, count: int, rnd: random.Random) -> Traffic:
    """Return flows: six of ten to a listed network, three to a learned address, one to none."""
    flows, leaves_by, seeds_ = [], Counter[str](), Counter[str]()
    for number in range(count):
        client = rnd.randrange(size.clients)
        policy, step = client % size.policies, rnd.randrange(8)
        item = (policy + step) % LISTS
        upstream: Optional[int] = (policy + step) % size.egresses
        first: Optional[int] = policy % size.egresses
        what = rnd.random()
        if what < 0.6:
            destination = listed(item, rnd.randrange(NETWORKS), rnd.randrange(32))
        elif what < 0.9:
            destination = learned(item, rnd.randrange(LEARNED))
        else:
            destination = f"198.19.{rnd.randrange(256)}.{rnd.randrange(256)}"
            upstream = None if policy % 2 else policy % size.egresses
            first = None
        # Ports that differ, so that masquerading finds each free.
        flows.append(Flow(address("v4", client + 2), 1024 + number % 60000, destination))
        leaves_by[interface(upstream)] += 1
        seeds_[interface(first)] += 1
    return Traffic(flows, leaves_by, seeds_)


def interface(upstream: Optional[int]) -> str:
    """Return the interface of an upstream, counted from 0; None: direct."""
    return UPLINK if upstream is None else tunnel(upstream + 1)


def listed(item: int, index: int, host: int) -> str:
    """Return an address inside one network of a list."""
    first = network(item * NETWORKS + index).partition("/")[0]
    return f"{first.rpartition('.')[0]}.{int(first.rpartition('.')[2]) + host}"


def learned(item: int, index: int) -> str:
    """Return an address that was learned for a name of a list."""
    return f"198.18.{item}.{index + 1}"


def set_up(way: str, size: Size, folder: Path) -> None:
    """Bring one way's rules into this namespace."""
    system = NamespaceSystem(folder)
    system.set_sysctl("net/netfilter/nf_conntrack_udp_timeout", "600")
    backend = "nftables" if way.startswith("nftables") else "ipset"
    switches = GUARDS.get(way.partition(", ")[2], {})
    topology = parse({**size.variables(), **switches, "splitway_backend": backend})
    if way == "seeds":
        seeds(system, topology)
    elif way.startswith("floor"):
        floor(system, compile_state(topology, {}), masquerade="NAT" in way)
    elif way != "no rules":
        state = compile_state(topology, {})
        bring(system, state, ("routes", "sets", "marks"))
        for key, value in WG0.items():
            system.set_sysctl(f"net/ipv4/conf/wg0/{key}", value)
        learn(system, state)
        if "no accounting" in way:
            system.set_sysctl("net/netfilter/nf_conntrack_acct", "0")


def floor(system: NamespaceSystem, state: State, masquerade: bool) -> None:
    """Give every packet the same mark; the rules that it meets then are ours."""
    bring(system, state, ("routes",))
    marks = state.marks
    tunnels = [egress for egress in marks.egresses if egress.interface]
    egress = tunnels[len(tunnels) // 2]  # as many rules before it as after it
    chains = {"mangle": [CONSTANT.format(mark=mark_of(egress.number, marks.mask), mask=marks.mask), TRACKING]}
    if masquerade:
        chains["nat"] = ["-A POSTROUTING -j MASQUERADE"]
    for table, rules in chains.items():
        system.run("iptables-restore", "--noflush", input="\n".join([f"*{table}", *rules, "COMMIT", ""]))


def bring(system: NamespaceSystem, state: State, sections: Sequence[str]) -> None:
    """Bring sections of a state into the kernel."""
    for section in (section for section in SECTIONS if section in sections):
        RECONCILERS[section].apply(system, RECONCILERS[section].changes(system, state))


def learn(system: NamespaceSystem, state: State) -> None:
    """Put addresses into the lists' sets, as dnsmasq does."""
    lines = []
    for item in state.sets:
        kind, _, name = item.comment.partition(" ")
        if kind == "list" and item.family == 4 and item.timeout is not None:
            addresses = [learned(int(name[4:]), index) for index in range(LEARNED)]
            if state.backend == "ipset":
                lines += [f"add {item.name} {entry}" for entry in addresses]
            else:
                lines.append(f"add element inet splitway {item.name} {{ {', '.join(addresses)} }}")
    program = ("ipset", "restore") if state.backend == "ipset" else ("nft", "-f", "-")
    system.run(*program, input="\n".join(lines) + "\n")


def seeds(system: NamespaceSystem, topology: Topology) -> None:
    """Set the seeds' way up, with what its dnsmasq would have added to the clients' sets."""
    description = seed_way.describe(topology)
    seed_way.load(seed_way.commands(description))
    policies = dict(topology.policies)
    lines = []
    for client, one in zip(topology.clients, description.clients):
        lists = [int(name[4:]) for rule in policies[client.policy].rules for name in rule.lists]
        addresses = [learned(item, index) for item in lists for index in range(LEARNED)]
        lines += [f"add {seed_way.set_name(one)} {entry}" for entry in addresses]
    system.run("ipset", "restore", "-exist", input="\n".join(lines) + "\n")


def sampler(gateway: Gateway, way: str, kind: str, traffic: Traffic, seconds: float) -> Callable[[], float]:
    """Return what takes one sample of a way; before, every flow is sent once and must leave where it should."""
    sender = gateway.sender(traffic.flows)
    before = gateway.left()
    spent = sender.send(len(traffic.flows))
    after = gateway.left()
    leaves_by = Counter({name: after[name] - before[name] for name in after if after[name] > before[name]})
    wanted = traffic.seeds if way == "seeds" else traffic.leaves_by
    constant = way == "no rules" or way.startswith("floor")
    if leaves_by.total() != len(traffic.flows) or (not constant and leaves_by != wanted):
        sys.exit(f"{way}: flows left by {dict(leaves_by)}, to leave by {dict(wanted)}")

    def new() -> float:
        gateway.forget_flows()
        return len(traffic.flows) / sender.send(len(traffic.flows))

    if kind == "new":
        return new
    established = sender
    if kind in ("replies", "answered"):
        answers = gateway.replies(traffic.flows)
        established = answers if kind == "replies" else sender
        before_replies = gateway.answered()
        answers.send(len(traffic.flows))
        if gateway.answered() - before_replies != len(traffic.flows):
            sys.exit(f"{way}: {gateway.answered() - before_replies} of {len(traffic.flows)} replies came back")
    count = max(len(traffic.flows), int(seconds / spent * len(traffic.flows)))
    return lambda: count / established.send(count)


if __name__ == "__main__":
    main()
