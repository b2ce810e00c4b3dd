# SPDX-License-Identifier: GPL-3.0-or-later
"""``splitway explain``: why a client's packets go where they go, by what is on this host now."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from ...clients import expired
from ...explain import ExplainError, Explanation, Facts, Hop, Resolved, explain
from ...explain.subject import PROTOCOLS, Client, find_client, lan_network, read_destination
from ...explain.text import explanation_text
from ...present import present
from ...reconcile.sets.lookup import lookup
from ...state import State, to_data
from ...store import Store
from ...system import System, SystemFailure
from ..errors import AgentError

HELP = "why a client's traffic to a name or an address goes where it goes"

PATIENCE = 2.0  # seconds for each question to dnsmasq
HOSTS = Path("/etc/hosts")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--client", required=True, metavar="NAME", help="a client's name or address; or host")
    parser.add_argument("--to", required=True, metavar="DESTINATION", help="a name or an address")
    parser.add_argument("--port", type=int, help="the port, which some rules ask for")
    parser.add_argument("--proto", choices=PROTOCOLS, help="the protocol; that of a port is tcp unless said")
    parser.add_argument("--json", action="store_true", help="print data, for programs")


def run(options: argparse.Namespace, system: System) -> int:
    """Print the explanation. Raises AgentError, SystemFailure."""
    try:
        explanation = explain_here(system, options.client, options.to, options.port, options.proto)
    except ExplainError as error:
        raise AgentError(str(error)) from error
    except PermissionError as error:
        raise AgentError("only root may read this gateway's state: run this with sudo") from error
    as_json = json.dumps(to_data(explanation), indent=2, ensure_ascii=False) + "\n"
    sys.stdout.write(as_json if options.json else explanation_text(explanation))
    return 0


def explain_here(
    system: System, client: str, destination: str, port: Optional[int] = None, protocol: Optional[str] = None
) -> Explanation:
    """Return the explanation by this host's state, kernel and dnsmasq. Raises ExplainError, SystemFailure."""
    store = Store(system)
    published, damage = store.generation_or_previous()
    state = dataclasses.replace(present(store, published), server=published.server)  # a client of two keys is one
    if state == State():
        raise ExplainError("this host is no gateway yet: run site.yml for it")
    who = find_client(state, client)  # what is mistyped is told before dnsmasq is asked
    what = read_destination(destination)
    named = what.family is None
    # First the question, which puts the addresses into their sets as a client's would; then the look at the sets.
    resolved = resolve(state, what.text) if named else None
    with lookup(system, state.backend) as holds:
        facts = Facts(
            resolved=resolved,
            in_hosts_file=named and in_hosts_file(system, what.text),
            holds=holds,
            route=lambda source, address, mark: route(system, arrival(state, who, source), address, mark),
        )
        explanation = explain(state, client, destination, facts, port, protocol)
    notes = (*_time(state, who.name, system.now()), *(() if damage is None else (damage,)))
    return dataclasses.replace(explanation, notes=(*explanation.notes, *notes)) if notes else explanation


def _time(state: State, client: str, now: float) -> Iterator[str]:
    """Yield a note when a client's time is up: what is said of its packets holds for those that it could send."""
    for peer in state.server.peers if state.server else ():
        if peer.name == client and expired(peer, now):
            yield "its time is up (expires): it is no peer, and sends nothing"


def resolve(state: State, name: str) -> Resolved:
    """Return what our dnsmasq answers now, as to a client."""
    if state.server is None or not state.server.addresses:
        return Resolved(failure="the gateway has no address of its own")
    try:
        import dns.exception
        import dns.message
        import dns.query
        import dns.rcode
        import dns.rdatatype
    except ImportError:
        return Resolved(failure="the Python library dnspython is not installed")
    server = state.server.addresses[0].partition("/")[0]
    addresses: list[str] = []
    for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        try:
            answer, _ = dns.query.udp_with_fallback(dns.message.make_query(name, kind), server, timeout=PATIENCE)
        except dns.exception.Timeout:
            return Resolved(failure=f"no answer from {server} within {PATIENCE:.0f} s")
        except (dns.exception.DNSException, OSError) as error:
            return Resolved(failure=f"{server}: {error}")
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return Resolved(failure=f"{server} says {dns.rcode.to_text(answer.rcode())}")
        addresses += [item.address for rrset in answer.answer if rrset.rdtype == kind for item in rrset]
    return Resolved(tuple(addresses))


def in_hosts_file(system: System, name: str) -> bool:
    """Return whether the host's own file has the name, from which dnsmasq answers."""
    lines = (system.read_file(HOSTS) or "").lower().splitlines()
    return any(name in line.partition("#")[0].split()[1:] for line in lines)


def arrival(state: State, who: Client, source: str) -> tuple[str, ...]:
    """Return, in iproute2's words, where a packet comes from; nothing of the gateway's own."""
    if state.marks is None or who.is_host:
        return ()
    network = lan_network(state.marks, source)
    return "from", source, "iif", network.interface if network else state.marks.interface


def route(system: System, arrival: tuple[str, ...], address: str, mark: int) -> Hop:
    """Return where the kernel leads a packet with this mark."""
    question = ("get", address, *arrival, "mark", f"{mark:#x}")
    try:
        found = json.loads(system.read("ip", "-6" if ":" in address else "-4", "-j", "route", *question))[0]
    except SystemFailure as error:
        return Hop(refused=str(error).rpartition(": ")[2])
    via = found.get("gateway") or found.get("via", {}).get("host")
    return Hop(found.get("dev"), via, local=found.get("type") in ("local", "broadcast", "anycast"))
