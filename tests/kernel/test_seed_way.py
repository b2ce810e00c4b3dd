# SPDX-License-Identifier: GPL-3.0-or-later
"""The benches' peer: what its programs make one by one, its batches make, too; and it is what the seed draws."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Callable

from namespaces import fresh, run_here

sys.path.append(str(Path(__file__).parents[1] / "bench"))  # its dns.py is not the one that others import

from benchkit.sizes import variables
from seed_way import apply, commands, configuration, describe, load
from seed_way.commands import Command

from splitway.topology import parse

DESCRIPTION = describe(parse(variables(clients=160, policies=3, upstreams=2, lists=4, domains=8, networks=8)))


def made(way: Callable[[list[Command]], None]) -> list[list[str]]:
    """Return what the kernel has after one of the ways, in a namespace of its own."""
    with fresh():
        for number in (1, 2):
            run_here("ip", "link", "add", f"wg-up-{number}", "type", "veth", "peer", "name", f"end-{number}")
            for end in (f"wg-up-{number}", f"end-{number}"):
                run_here("ip", "link", "set", end, "up")
        way(commands(DESCRIPTION))
        sets = re.sub(r" initval \S+", "", run_here("ipset", "list", "-output", "save"))
        rules = re.sub(r"^[:#].*\n", "", run_here("iptables-save", "-t", "mangle"), flags=re.MULTILINE)
        routing = run_here("ip", "rule"), run_here("ip", "route", "show", "table", "all", "type", "unicast")
        # The members of a set have no order.
        return [sorted(sets.splitlines()), *(text.splitlines() for text in (rules, *routing))]


def test_batches_make_what_the_programs_make() -> None:
    one_by_one = made(apply)
    assert made(load) == one_by_one
    sets, rules, ip_rules, routes = one_by_one
    assert "add client_1_proxy 100.64.0.0/27" in sets
    assert (
        "-A PREROUTING -s 10.8.0.2/32 -m set --match-set client_1_proxy dst"
        " -m comment --comment wg-easy-client-1 -j MARK --set-xmark 0x65/0xffffffff"
    ) in rules
    assert "1101:\tfrom all fwmark 0x65 lookup 101" in ip_rules
    assert "default dev wg-up-1 table 101 scope link " in routes
    # Client 153 would have the kernel's table `default`, the one after it `main`.
    assert "1256:\tfrom all fwmark 0x100 lookup 256" in ip_rules
    assert len(rules) == 2 + len(DESCRIPTION.clients)


def test_each_client_has_a_line_a_domain() -> None:
    lines = configuration(DESCRIPTION).splitlines()
    assert "ipset=/name0.list0.example/client_1_proxy" in lines
    assert len(lines) == sum(len(client.domains) for client in DESCRIPTION.clients)
