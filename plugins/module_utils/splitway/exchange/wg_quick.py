# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of `wg-quick`: a server with its peers becomes the server and clients, a provider's file an upstream.

Its hooks and what it does to routing are said by line, and never run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network
from typing import Any, Callable, Optional, Union

from ..topology.errors import shown, suggestion
from ..wg_easy.names import clean_name, own_names
from .brought import Brought, Server
from .entries import Entry, Refused, Steps
from .kinds import CLIENTS, UPSTREAMS
from .tables import decoded
from .wg_quick_text import Configuration, Section, read_configuration

FILES = "*.conf"
NAMELESS = "client-"  # and its address

_INTERFACE = ("privatekey", "address", "listenport", "dns", "mtu")
_PEER = ("publickey", "presharedkey", "allowedips", "endpoint", "persistentkeepalive")
_NOT_TAKEN = {
    **dict.fromkeys(("preup", "postup", "predown", "postdown"), "is a hook: it is not taken, and never run"),
    "table": "is not taken: rules decide what goes into a tunnel",
    "fwmark": "is not taken: splitway has marks of its own",
    "saveconfig": "is not taken: the inventory is what counts",
}
_AMNEZIA = ("jc", "jmin", "jmax", *(f"{letter}{number}" for letter in "shi" for number in range(1, 6)))

Network = Union[IPv4Network, IPv6Network]


def is_wg_quick(file: str) -> bool:
    """Return whether a file is one of wg-quick's, by its name."""
    return fnmatchcase(file, FILES)


def read_wg_quick(files: Mapping[str, bytes], refused: Refused, notes: list[str]) -> Brought:
    """Return what the files bring, each of them one server with its clients or one upstream."""
    brought = Brought()
    server = Server()
    for file in sorted(files):
        read = read_configuration(file, decoded(file, files[file], refused), refused)
        kind = CLIENTS if read is not None and _is_server(read) else UPSTREAMS
        brought.files.setdefault(kind, set()).add(file)
        if read is None or not _is_right(read, refused):
            continue
        notes += _not_taken(read)
        if kind is UPSTREAMS:
            entry = _upstream(read, refused, notes)
            brought.entries.setdefault(kind, []).extend([entry] if entry else [])
        elif server.file:
            refused.line(file, 1, "", f"is a server, and so is {server.file}: a gateway has one")
        else:
            server = Server(*_server(read, notes))
            brought.entries.setdefault(kind, []).extend(_clients(read, refused, notes))
    return Brought(brought.entries, brought.files, server)


def _is_server(read: Configuration) -> bool:
    """Return whether others connect to this interface: it does not know where at least one of them is."""
    if not read.peers:
        return read.interface.get("listenport") is not None
    return any(peer.get("endpoint") is None for peer in read.peers)


def _is_right(read: Configuration, refused: Refused) -> bool:
    """Return whether nothing in a file is unknown; what is gets refused."""
    before = len(refused.lines)
    for section, known in ((read.interface, _INTERFACE), *((peer, _PEER) for peer in read.peers)):
        for setting in section.settings:
            if setting.key in _AMNEZIA:
                refused.line(read.file, setting.line, setting.word, "is AmneziaWG's: splitway speaks WireGuard")
            elif setting.key not in known and setting.key not in _NOT_TAKEN:
                problem = f"unknown key{suggestion(setting.key, frozenset((*known, *_NOT_TAKEN)))}"
                refused.line(read.file, setting.line, setting.word, problem)
    if len(read.peers) != 1 and not _is_server(read):
        found = "has no [Peer]" if not read.peers else f"has {len(read.peers)} peers: an upstream has one"
        refused.line(read.file, 1, "", found)
    return len(refused.lines) == before


def _not_taken(read: Configuration) -> Iterator[str]:
    for section in (read.interface, *read.peers):
        for setting in section.settings:
            if setting.key in _NOT_TAKEN:
                yield f"{read.file}:{setting.line}: {setting.word} {_NOT_TAKEN[setting.key]}: {shown(setting.value)}"


def _server(read: Configuration, notes: list[str]) -> tuple[dict[str, Any], str, dict[str, int]]:
    """Return the server, its file, and the lines of its keys."""
    taken = {"private_key": "privatekey", "listen_port": "listenport", "mtu": "mtu"}
    value: dict[str, Any] = {"interface": read.name}
    value.update({key: read.interface.get(theirs) for key, theirs in taken.items() if read.interface.get(theirs)})
    for number in ("listen_port", "mtu"):
        if str(value.get(number, "")).isdecimal():
            value[number] = int(value[number])
    value["addresses"] = read.interface.texts("address")
    lines = {key: read.interface.line(theirs) for key, theirs in {**taken, "addresses": "address"}.items()}
    if read.interface.get("dns"):
        line = read.interface.line("dns")
        notes.append(f"{read.file}:{line}: DNS is not taken: clients ask the gateway (splitway_dns)")
    return value, read.file, {**lines, "interface": 1}


def _clients(read: Configuration, refused: Refused, notes: list[str]) -> Iterator[Entry]:
    given = [peer.name for peer in read.peers]
    own = [_networks(read.file, peer, refused) for peer in read.peers]
    hosts = [[network for network in networks if network.num_addresses == 1] for networks in own]
    texts = [
        text or (f"{NAMELESS}{addresses[0].network_address}" if addresses else "")
        for text, addresses in zip(given, hosts)
    ]
    names = own_names(enumerate(texts, 1))
    for number, (peer, networks, addresses) in enumerate(zip(read.peers, own, hosts), 1):
        name, line = names[number], peer.line("allowedips")
        if given[number - 1] != name:
            whose = shown(given[number - 1]) if given[number - 1] else "who has no name in a comment"
            notes.append(f"{read.file}:{peer.begin}: {whose} is called {shown(name)}")
        behind = [str(network) for network in networks if network not in addresses]
        if behind:
            notes.append(f"{read.file}:{line}: AllowedIPs: {', '.join(behind)} is no address of a client: not taken")
        own_words = [key for key in ("endpoint", "persistentkeepalive") if peer.get(key)]
        notes += [f"{read.file}:{peer.line(key)}: {peer.word(key)} is not taken: clients connect" for key in own_words]
        value = {
            "name": name,
            "addresses": [str(network.network_address) for network in addresses] or None,
            "public_key": peer.get("publickey"),
        }
        if peer.get("presharedkey"):
            value["preshared_key"] = peer.get("presharedkey")
        theirs = {"addresses": "allowedips", "public_key": "publickey", "preshared_key": "presharedkey"}
        yield Entry(name, value, read.file, peer.begin, _placing(theirs, peer))


def _upstream(read: Configuration, refused: Refused, notes: list[str]) -> Optional[Entry]:
    interface, peer = read.interface, read.peers[0]
    before = len(refused.lines)
    allowed = _networks(read.file, peer, refused)
    if len(refused.lines) > before:
        return None
    name = clean_name(read.name)
    if name != read.name:
        notes.append(f"{read.file}: the upstream is called {shown(name)}")
    value: dict[str, Any] = {"name": name, "endpoint": peer.get("endpoint"), "public_key": peer.get("publickey")}
    more: dict[str, Any] = {
        "private_key": interface.get("privatekey"),
        "preshared_key": peer.get("presharedkey"),
        "addresses": interface.texts("address") or None,
        "allowed_ips": [str(network) for network in allowed] or None,
        "mtu": _number(interface.get("mtu")),
        "persistent_keepalive": _number(peer.get("persistentkeepalive")),
        "resolvers": _resolvers(read, allowed, notes) or None,
    }
    value.update({key: entry for key, entry in more.items() if entry is not None})
    if interface.get("listenport"):
        line = interface.line("listenport")
        notes.append(f"{read.file}:{line}: ListenPort is not taken: a tunnel out takes any port")
    theirs = {"endpoint": "endpoint", "public_key": "publickey", "preshared_key": "presharedkey"}
    theirs.update(allowed_ips="allowedips", persistent_keepalive="persistentkeepalive")
    own = {"private_key": "privatekey", "addresses": "address", "mtu": "mtu", "resolvers": "dns"}
    return Entry(name, value, read.file, 1, _placing({**theirs, **own}, peer, interface))


def _number(written: Optional[str]) -> Union[int, str, None]:
    """Return a number; what is none stays as it is, for the topology to say so."""
    if written is not None and written.lower() == "off":
        return 0
    return int(written) if written is not None and written.isdecimal() and len(written) < 10 else written


def _networks(file: str, peer: Section, refused: Refused) -> list[Network]:
    """Return AllowedIPs as WireGuard takes them: bits of the host do not count. What is no network is refused."""
    found: dict[Network, None] = {}
    for line, text in peer.entries("allowedips"):
        try:
            found[ip_network(text, strict=False)] = None
        except ValueError:
            refused.line(file, line, "AllowedIPs", f"{shown(text)} is not a network")
    return list(found)


def _resolvers(read: Configuration, allowed: Sequence[Network], notes: list[str]) -> list[str]:
    """Return those of the resolvers that the tunnel leads to; a line of DNS may hold domains to search, too."""
    versions = set()
    for text in read.interface.texts("address"):
        try:
            versions.add(ip_interface(text).version)
        except ValueError:
            continue  # said where addresses are read
    found = []
    for line, text in read.interface.entries("dns"):
        try:
            address = ip_address(text)
        except ValueError:
            notes.append(f"{read.file}:{line}: DNS: {shown(text)} is no address: not taken")
            continue
        if address.version in versions and any(address in network for network in allowed):
            found.append(str(address))
        else:
            notes.append(f"{read.file}:{line}: DNS: {address} is not reached through this tunnel: not taken")
    return found


def _placing(theirs: Mapping[str, str], *sections: Section) -> Callable[[Steps], tuple[int, Steps]]:
    """Return the place of an entry's keys: the line of wg-quick's word for it."""

    def place(steps: Steps) -> tuple[int, Steps]:
        key = theirs.get(str(steps[0])) if steps else None
        section = next((section for section in sections if key and section.get(key) is not None), None)
        if key is None or section is None:
            return sections[0].begin, steps
        return section.line(key), (section.word(key), *steps[1:])

    return place
