# SPDX-License-Identifier: GPL-3.0-or-later
"""Random policies over random sets, and an oracle that decides by them without the engine's code."""

from __future__ import annotations

import ipaddress
import random
from typing import Optional

from traffic import BLOCK, CLIENTS, DIRECT, EGRESSES, EU, MASK, METADATA, SPECIAL, US

from splitway.services import Ports
from splitway.state import AddressSet, FamilyMarks, MarkPolicy, MarkRule, Marks

Contents = dict[str, list[str]]
"""Set name → its networks."""

# Where networks and destinations are: public, private, and around the metadata service.
BASES = {4: ("198.51.100.", "10.9.0.", "169.254.169."), 6: ("2001:db8::", "fd09::", "fd00:ec2::25")}


def matcher(
    section: Marks, contents: Contents, client: str, destination: str, protocol: str = "udp", port: int = 9
) -> Optional[int]:
    """Return the egress number by semantics.md, read literally; None for an address that is no client."""
    address = ipaddress.ip_address(destination)
    family = section.v4 if address.version == 4 else section.v6
    if client not in family.clients:
        return None
    policy = next(policy for policy in family.policies if policy.number == family.clients[client])

    def inside(name: str) -> bool:
        return any(address in ipaddress.ip_network(network) for network in contents[name])

    def meets(item: MarkRule) -> bool:
        served = not item.protocols or protocol in item.protocols
        heard = not item.ports or any(part.first <= port <= part.last for part in item.ports)
        held = all(any(map(inside, group)) for group in (item.sets, *item.also) if group)
        return item.active and served and heard and held

    special = inside(family.special)
    for item in policy.special if special else policy.rules:
        if meets(item):
            return item.egress
    return DIRECT if special else policy.default


def random_destination(rnd: random.Random, family: int, base: str) -> str:
    return str(ipaddress.ip_address(f"{base}{rnd.randrange(16 if family == 4 else 10)}"))


def random_world(
    rnd: random.Random, backend: str, *, combined: bool = False
) -> tuple[tuple[AddressSet, ...], Marks, Contents]:
    """Return sets, rules (`combined`: of several kinds), and what the sets hold, the learned addresses included."""
    contents: Contents = {}
    families = {}
    for family in (4, 6):
        own = _random_contents(rnd, family)
        chosen = _random_policies(rnd, family, list(own), combined)
        clients = {client: rnd.choice(chosen).number for client in CLIENTS[family] if rnd.random() < 0.8}
        families[family] = FamilyMarks(clients, chosen, f"sw{family}s")
        contents.update(own)
    wanted = tuple(
        AddressSet(name, int(name[2]), 600 if name[3] == "d" else None, () if name[3] == "d" else tuple(networks))
        for name, networks in contents.items()
    )
    static = {item.name: item.members for item in wanted if item.timeout is None}
    kept = static if backend == "nftables" else {}
    return wanted, Marks("wg0", "wg-up-", MASK, EGRESSES, families[4], families[6], kept), contents


def _random_contents(rnd: random.Random, family: int) -> Contents:
    contents: Contents = {f"sw{family}s": list(SPECIAL[family]), f"sw{family}m": list(METADATA[family])}
    width = 32 if family == 4 else 128
    for number in rnd.sample(range(1, 20), rnd.randint(1, 5)):
        for letter, base in (("n", BASES[family][0]), ("d", BASES[family][0]), ("p", BASES[family][1])):
            lengths = (width,) if letter == "d" else (width, width, width - 1, width - 3)
            contents[f"sw{family}{letter}{number}"] = [
                str(ipaddress.ip_network(f"{base}{rnd.randrange(10)}/{rnd.choice(lengths)}", strict=False))
                for _ in range(rnd.randint(0, 4))
            ]
        if rnd.random() < 0.1:
            contents[f"sw{family}n{number}"].append("0.0.0.0/0" if family == 4 else "::/0")
    return contents


def _combined(rnd: random.Random, item: MarkRule, names: list[str]) -> MarkRule:
    """Return the rule with more, or less, that a packet has to meet."""
    also = tuple(tuple(rnd.sample(names, rnd.randint(1, min(3, len(names))))) for _ in range(rnd.choice((0, 0, 1, 2))))
    protocols = tuple(rnd.sample(("tcp", "udp", "icmp"), rnd.choice((0, 0, 1, 2, 3))))
    ports: tuple[Ports, ...] = ()
    if protocols and "icmp" not in protocols and rnd.random() < 0.7:
        firsts = sorted(rnd.sample(range(1, 24), rnd.choice((1, 2, 12, 20))))
        ports = tuple(Ports(first, first if rnd.random() < 0.7 else last - 1) for first, last in pairwise(firsts))
        ports = ports or (Ports(7, 9),)
    if not item.sets or rnd.random() < 0.15:
        return MarkRule((), item.egress, (), protocols or ("tcp",), ports, active=rnd.random() < 0.8)
    return MarkRule(item.sets, item.egress, also, protocols, ports, active=rnd.random() < 0.8)


def pairwise(numbers: list[int]) -> list[tuple[int, int]]:
    """Return each number with the next (itertools has it from Python 3.10 on)."""
    return list(zip(numbers, numbers[1:]))


def _random_policies(rnd: random.Random, family: int, names: list[str], combined: bool) -> tuple[MarkPolicy, ...]:
    def some_rules(letters: str) -> tuple[MarkRule, ...]:
        usable = [name for name in names if name[3] in letters]
        plain = tuple(
            MarkRule(tuple(rnd.sample(usable, rnd.randint(1, min(3, len(usable))))), egress)
            for egress in rnd.choices((DIRECT, BLOCK, US, EU), k=rnd.randint(0, 4))
        )
        return tuple(_combined(rnd, item, usable) for item in plain) if combined else plain

    metadata = MarkRule((f"sw{family}m",), BLOCK)
    return tuple(
        MarkPolicy(number, "", some_rules("nd"), rnd.choice((DIRECT, BLOCK, US, EU)), (*some_rules("p"), metadata))
        for number in sorted(rnd.sample(range(1, 8191), rnd.choice((1, 2, 3, 40))))
    )
