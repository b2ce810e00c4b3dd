# SPDX-License-Identifier: GPL-3.0-or-later
"""An interface's keys, port and peers, brought in by one `wg`; secrets go to its standard input and nowhere else.

A whole interface by `wg syncconf`; where only some of its peers change, these by `wg addconf`: of 5,000 peers the
first takes 60 ms, one peer by the second 4 (measured).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Optional

from ...state import Peer
from ...system import System, SystemFailure
from . import keypairs
from .live import resolve
from .model import Step, Target


def configure(system: System, target: Target) -> list[str]:
    """Bring keys, listen port and peers in by one `wg syncconf`; return the endpoints that have no address."""
    device = target.device
    private = target.private_key
    if private is None:
        private, _ = keypairs.make(system, keypairs.interface_path(system, device.interface))
    keys = _keys(system, target)
    endpoints, unresolved = _endpoints(target)
    _feed(system, target, "syncconf", configuration(target, private, keys, endpoints), private)
    return unresolved


def configure_peers(system: System, target: Target, steps: list[Step]) -> list[str]:
    """Bring the peers of these steps in and leave all others alone; return the endpoints that have no address."""
    names = {step.value for step in steps if step.kind == "peer"}
    if not names:
        return []
    peers = tuple(peer for peer in target.device.peers if peer.name in names)
    target = replace(target, device=replace(target.device, peers=peers))
    keys = _keys(system, target)
    endpoints, unresolved = _endpoints(target)
    text = "\n".join(_wanted_lines(peers, keys, endpoints)) + "\n"
    _feed(system, target, "addconf", text, "")
    return unresolved


def _keys(system: System, target: Target) -> dict[str, str]:
    """Return the public keys of the device's peers; those that are missing are made."""
    wanted = {peer.name: target.keys[peer.name] for peer in target.device.peers}
    missing = [name for name, key in wanted.items() if key is None]
    return {name: key for name, key in wanted.items() if key} | keypairs.make_clients(system, missing)


def _feed(system: System, target: Target, command: str, text: str, private: str) -> None:
    try:
        system.run("wg", command, target.device.interface, "/dev/stdin", input=text)
    except SystemFailure as failure:
        raise SystemFailure(_redacted(str(failure), private, target.device.peers)) from None


def _endpoints(target: Target) -> tuple[dict[str, str], list[str]]:
    """Return endpoint → the address to set, and those of peers that have none, old or new."""
    chosen, unresolved = {}, []
    live = target.live.peers if target.live else {}
    for peer in target.device.peers:
        if not peer.endpoint:
            continue
        known = live.get(target.keys[peer.name] or "")
        found = target.endpoints[peer.endpoint] or resolve([peer.endpoint])[peer.endpoint]
        if found:
            # A name with several addresses: the one in use stays.
            chosen[peer.endpoint] = known.endpoint if known and known.endpoint in found else found[0]
        elif known is None or known.endpoint is None:
            unresolved.append(peer.endpoint)
    return chosen, unresolved


def configuration(target: Target, private: str, keys: Mapping[str, str], endpoints: Mapping[str, str]) -> str:
    """Return what `wg syncconf` reads. Peers that are not wanted any more stay: their removal is a step of its own.

    `wg` resets what the text leaves out of the interface, and keeps what it leaves out of a peer: so both are
    always complete. An address that now belongs to another peer is not given to one that only stays.
    """
    device, live = target.device, target.live
    port = device.listen_port or (live.listen_port if live else 0)
    fwmark = live.fwmark if live else "off"
    if device.mark is not None:
        fwmark = f"{device.mark:#x}"
    lines = ["[Interface]", f"PrivateKey = {private}", f"ListenPort = {port}", f"FwMark = {fwmark}"]
    claimed = {address for peer in device.peers for address in peer.allowed_ips}
    wanted = set(keys.values())
    for old in live.peers.values() if live else ():
        if old.public_key not in wanted:
            allowed = [address for address in old.allowed_ips if address not in claimed]
            lines += _peer_lines(old.public_key, old.preshared_key, allowed, old.endpoint, old.persistent_keepalive)
    lines += _wanted_lines(device.peers, keys, endpoints)
    return "\n".join(lines) + "\n"


def _wanted_lines(peers: Iterable[Peer], keys: Mapping[str, str], endpoints: Mapping[str, str]) -> Iterator[str]:
    for peer in peers:
        endpoint = endpoints.get(peer.endpoint or "")
        yield from _peer_lines(
            keys[peer.name], peer.preshared_key, peer.allowed_ips, endpoint, peer.persistent_keepalive
        )


def _peer_lines(
    key: str, preshared: Optional[str], allowed: Iterable[str], endpoint: Optional[str], keepalive: int
) -> list[str]:
    lines = [
        "[Peer]",
        f"PublicKey = {key}",
        f"PresharedKey = {preshared or keypairs.NONE}",
        f"PersistentKeepalive = {keepalive or 'off'}",
    ]
    lines += [f"AllowedIPs = {network}" for network in allowed]
    if endpoint:
        lines.append(f"Endpoint = {endpoint}")
    return lines


def _redacted(message: str, private: str, peers: tuple[Peer, ...]) -> str:
    """Return the message without secrets: `wg` quotes the line that it does not like."""
    for secret in (private, *(peer.preshared_key for peer in peers)):
        if secret:
            message = message.replace(secret, "…")
    return message
