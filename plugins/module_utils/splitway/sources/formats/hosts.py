# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of /etc/hosts: an address and names. The address says nothing; a name is meant alone, and so widened."""

from __future__ import annotations

from ipaddress import ip_address

from ...topology.errors import shown
from ..entries import OWN_NAME, Collector, Entries, is_network, never_a_name
from .lines import numbered

# What a system's own file holds for itself.
OWN = frozenset(
    (
        *("localhost", "localhost.localdomain", "localhost4", "localhost6", "local", "broadcasthost"),
        *("localhost4.localdomain4", "localhost6.localdomain6", "ip6-localhost", "ip6-loopback", "ip6-localnet"),
        *("ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts"),
    )
)


def read(text: str) -> Entries:
    """Return the names of a hosts file."""
    found = Collector()
    for number, line in numbered(text):
        if line[0] in "!;":
            continue
        words = line.partition("#")[0].split()
        if words:
            take(found, number, words)
    return found.entries()


def is_address(word: str) -> bool:
    """Return whether a word is an address as hosts files have it; `0` is one of them, and so are scopes."""
    try:
        ip_address(word.partition("%")[0])
    except ValueError:
        return word == "0"
    return True


def take(found: Collector, number: int, words: list[str]) -> None:
    """Take the names of one line."""
    if not is_address(words[0]):
        found.mistake(number, " ".join(words), f"{shown(' '.join(words))} has no address in front")
        return
    if len(words) == 1:
        found.mistake(number, words[0], f"{shown(words[0])} has no name behind it")
    for name in words[1:]:
        kind = OWN_NAME if name.lower() in OWN or name == words[0] else never_a_name(name)
        if kind:
            found.skip(number, name, kind)
        elif is_network(name):
            found.mistake(number, name, f"{shown(name)} is an address where a name belongs")
        else:
            found.domain(number, name, widened=True)
