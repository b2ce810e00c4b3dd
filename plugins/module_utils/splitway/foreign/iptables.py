# SPDX-License-Identifier: GPL-3.0-or-later
"""What `iptables-save` prints, as rules that can be asked about a packet. Our own chains are left out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Optional

from ..services import NUMBERS
from .model import (
    ACCEPT,
    CONTINUE,
    DROP,
    ESTABLISHED,
    NEW,
    RETURN,
    UNKNOWN,
    Base,
    Packet,
    Rule,
    Table,
    Test,
    like,
    negated,
    never,
    unknown,
    within,
)

HOOKS = {"FORWARD": "forward", "INPUT": "input", "OUTPUT": "output"}
_OURS = "SPLITWAY"
_TARGETS = {"ACCEPT": ACCEPT, "DROP": DROP, "REJECT": DROP, "TARPIT": DROP, "RETURN": RETURN}
_ELSEWHERE = ("QUEUE", "NFQUEUE")  # a program decides


def parse(text: str, family: int, name: str) -> Iterator[Base]:
    """Yield the chains that the kernel calls; `name`: how the program is called, for people."""
    for part in re.split(r"^\*", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        declared = dict(line[1:].split(" ")[:2] for line in lines if line.startswith(":"))
        rules: dict[str, list[Rule]] = {chain: [] for chain in declared}
        for line in lines:
            if line.startswith("-A "):
                _, chain, rest = line.split(" ", 2)
                rules.setdefault(chain, []).append(_rule(rest, declared))
        table = Table(f"{name} {lines[0].strip()}", {chain: tuple(found) for chain, found in rules.items()})
        for chain, hook in HOOKS.items():
            if declared.get(chain) in ("ACCEPT", "DROP"):
                yield Base(table, chain, hook, _TARGETS[declared[chain]], (family,))


def _rule(text: str, chains: Mapping[str, str]) -> Rule:
    tests: list[Test] = []
    leads, jumps, returns = CONTINUE, False, True
    modules: list[str] = []
    for option, values, inverted in _options(shlex.split(text)):
        if option in ("-j", "-g", "--jump", "--goto"):
            target = values[0] if values else ""
            jumps, returns = target in chains, option in ("-j", "--jump")
            leads = target if jumps else UNKNOWN if target in _ELSEWHERE else _TARGETS.get(target, CONTINUE)
            if target.startswith(_OURS):
                jumps, leads = False, CONTINUE
            break  # what follows are the target's own options
        if option in ("-m", "--match"):
            modules += values
            continue
        test = _test(option, " ".join(values), modules)
        if test is not None:
            tests.append(negated(test) if inverted else test)
    return Rule(tuple(tests), leads, text, jumps, returns)


def _options(words: list[str]) -> Iterator[tuple[str, list[str], bool]]:
    """Yield each option with its values, and whether it is negated."""
    index, inverted = 0, False
    while index < len(words):
        if words[index] == "!":
            inverted, index = True, index + 1
            continue
        option, index = words[index], index + 1
        values = []
        while index < len(words) and words[index] != "!" and not re.match(r"-[-a-zA-Z]", words[index]):
            values.append(words[index])
            index += 1
        yield option, values, inverted
        inverted = False


def _test(option: str, value: str, modules: list[str]) -> Optional[Test]:
    """Return the condition of an option; None: it says nothing of packets."""
    if option in ("--comment", "--limit-burst", "--icmp-type-name"):
        return None
    made = _TESTS.get(option)
    if made is not None:
        return made(value)
    return never if modules and modules[-1] in _NEVER else unknown


def _protocol(value: str) -> Test:
    def test(packet: Packet) -> Optional[bool]:
        number = NUMBERS[packet.protocol][packet.family]
        return value in ("all", "0", packet.protocol, str(number))

    return test


def _port(value: str) -> Test:
    return lambda packet: _in_ports(packet.port, value)


def _source_port(value: str) -> Test:
    return lambda packet: _in_ports(packet.source_port, value) if packet.source_port else None


def _in_ports(port: int, value: str) -> Optional[bool]:
    for part in value.split(","):
        low, colon, high = part.partition(":")
        if not re.fullmatch(r"[0-9]*", low + high) or not low + high:
            return None
        if int(low or 0) <= port <= int((high or 65535) if colon else low):
            return True
    return False


def _states(value: str) -> Test:
    words = set(value.split(","))

    def test(packet: Packet) -> Optional[bool]:
        return {NEW: "NEW", ESTABLISHED: "ESTABLISHED"}[packet.state] in words

    return test


def _address_type(value: str) -> Test:
    """Of the destination: what comes in is for an address of ours, what is forwarded is not."""
    return lambda packet: ("LOCAL" if packet.hook == "input" else "UNICAST") in value.split(",")


def _mark(value: str) -> Test:
    wanted, _, mask = value.partition("/")

    def test(packet: Packet) -> Optional[bool]:
        try:
            return packet.mark & int(mask or "0xffffffff", 0) == int(wanted, 0)
        except ValueError:
            return None

    return test


def _flags(value: str) -> Test:
    """`--tcp-flags MASK SET`: a connection begins with SYN alone, and goes on with ACK."""

    def test(packet: Packet) -> Optional[bool]:
        looked, _, wanted = value.partition(" ")
        here = {"SYN"} if packet.state == NEW else {"ACK"}
        every = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"}
        mask = every if looked == "ALL" else set(looked.split(","))
        return here & mask == (every if wanted == "ALL" else set(wanted.split(",")) - {"NONE"})

    return test


def _range(side: Callable[[Packet], str]) -> Callable[[str], Test]:
    def made(value: str) -> Test:
        def test(packet: Packet) -> Optional[bool]:
            low, _, high = value.partition("-")
            try:
                ends = ip_address(low), ip_address(high)
                return int(ends[0]) <= int(ip_address(side(packet))) <= int(ends[1])
            except ValueError:
                return None

        return test

    return made


_NEVER = ("icmp", "icmp6", "physdev", "rt", "frag", "ah", "esp", "sctp", "dccp", "rpfilter", "hbh", "dst", "mh")
"""Matches of what our packets are not: other protocols, bridged frames, extension headers, a wrong way back."""

_TESTS: Mapping[str, Callable[[str], Test]] = {
    "-i": lambda value: lambda packet: like(packet.incoming, value, "+"),
    "-o": lambda value: lambda packet: like(packet.outgoing, value, "+"),
    "-s": lambda value: lambda packet: within(packet.source, value),
    "-d": lambda value: lambda packet: within(packet.destination, value),
    "-p": _protocol,
    "-f": lambda _: never,
    "--dport": _port,
    "--sport": _source_port,
    "--dports": _port,
    "--sports": _source_port,
    "--ctstate": _states,
    "--state": _states,
    "--ctstatus": lambda value: never if value in ("DNAT", "SNAT", "EXPECTED") else unknown,
    "--dst-type": _address_type,
    "--mark": _mark,
    "--tcp-flags": _flags,
    "--syn": lambda _: _flags("FIN,SYN,RST,ACK SYN"),
    "--pkt-type": lambda value: lambda _: value == "unicast",
    "--src-range": _range(lambda packet: packet.source),
    "--dst-range": _range(lambda packet: packet.destination),
    "--pol": lambda value: lambda _: value == "none",
    "--dir": lambda _: lambda _: True,  # of --pol
}
