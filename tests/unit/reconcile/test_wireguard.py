# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws of WireGuard's plan, on an interface that is played from the text which `wg syncconf` would get."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.reconcile import services, wireguard
from splitway.reconcile.base import (
    REMOVE,
    Change,
    ReconcileError,
    additions,
    removals,
)
from splitway.reconcile.wireguard import configure, keypairs
from splitway.reconcile.wireguard.live import (
    Current,
    Live,
    LivePeer,
    alias_of,
)
from splitway.reconcile.wireguard.model import Step, Target
from splitway.state import Device, Peer
from splitway.system import System


def key(number: int) -> str:
    return keypairs.canonical(base64.b64encode(bytes([number]) * 32).decode(), "a test's key")


DEFAULTS = {"rp_filter": "1", "accept_local": "0", "disable_ipv6": "1"}
ENDPOINTS = {"198.51.100.1:1": ("198.51.100.1:1",), "exit.example:2": ("198.51.100.2:2", "198.51.100.3:2")}

# --- the interface that is played ---


def simulate(current: Current, changes: tuple[Change, ...]) -> Current:
    devices = dict(current.devices)
    for change in changes:
        step, name = change.payload, change.payload.interface
        if step.kind == "create":
            devices[name] = Live(name, step.target.owner, alias_of(step.target.owner), sysctls=dict(DEFAULTS))
        elif step.kind == "remove":
            del devices[name]
        else:
            devices[name] = _step(devices[name], step)
    return dataclasses.replace(current, devices=devices)


def _step(live: Live, step: Step) -> Live:
    target, value = step.target, step.value
    if step.kind == "remove-peer":
        return dataclasses.replace(live, peers={k: p for k, p in live.peers.items() if k != value})
    if step.kind == "remove-address":
        return dataclasses.replace(live, addresses=tuple(a for a in live.addresses if a != value))
    assert target is not None
    if step.kind == "configure":
        return _configured(live, target)
    if step.kind == "peer":
        return _added(live, target, value)
    if step.kind == "address":
        old, new = value.split(" ")
        kept = [address.split("/")[0] for address in live.addresses if address != old]
        assert new.split("/")[0] not in kept, "IPv6 would say: File exists"
        return dataclasses.replace(live, addresses=(*(a for a in live.addresses if a != old), new))
    name, _, wanted = value.partition(" ")
    new_values = {
        "alias": {"alias": alias_of(target.owner)},
        "mtu": {"mtu": target.device.mtu},
        "up": {"up": True},
        "sysctl": {"sysctls": {**live.sysctls, name: wanted}},
    }
    return dataclasses.replace(live, **new_values[step.kind])


def _configured(live: Live, target: Target) -> Live:
    """Play `wg syncconf` by its manual: peers that are not named go, an address belongs to the last who claims it."""
    keys = {name: known or key(200) for name, known in target.keys.items()}
    endpoints, _ = configure._endpoints(target)
    text = configure.configuration(target, target.private_key or key(201), keys, endpoints)
    interface, peers = _parsed(text)
    claims = [address for fields in peers.values() for address in fields.get("AllowedIPs", [])]
    assert len(claims) == len(set(claims)), "who has it would depend on the order"
    found = {k: _played(live, k, fields) for k, fields in peers.items()}
    return dataclasses.replace(
        live, private_key=interface["PrivateKey"][0], listen_port=int(interface["ListenPort"][0]), peers=found
    )


def _added(live: Live, target: Target, name: str) -> Live:
    """Play `wg addconf` of one peer by its manual: it takes its addresses from those who have them."""
    keys = {other: known or key(200) for other, known in target.keys.items()}
    endpoints, _ = configure._endpoints(target)
    peer = next(peer for peer in target.device.peers if peer.name == name)
    _, peers = _parsed("\n".join(configure._wanted_lines((peer,), keys, endpoints)))
    ((k, fields),) = peers.items()
    taken = fields.get("AllowedIPs", [])
    others = {
        other: dataclasses.replace(known, allowed_ips=tuple(a for a in known.allowed_ips if a not in taken))
        for other, known in live.peers.items()
    }
    return dataclasses.replace(live, peers={**others, k: _played(live, k, fields)})


def _parsed(text: str) -> tuple[dict[str, list[str]], dict[str, dict[str, list[str]]]]:
    """Return the settings of the interface, and of each peer by its public key."""
    peers: dict[str, dict[str, list[str]]] = {}
    interface: dict[str, list[str]] = {}
    section = interface
    for line in text.splitlines():
        name, _, value = line.partition(" = ")
        if name == "PublicKey":
            section = peers.setdefault(value, {})
        elif value:
            section.setdefault(name, []).append(value)
    return interface, peers


def _played(live: Live, k: str, fields: dict[str, list[str]]) -> LivePeer:
    keepalive, preshared = fields["PersistentKeepalive"][0], fields["PresharedKey"][0]
    before = live.peers[k].endpoint if k in live.peers else None
    return LivePeer(
        k,
        None if preshared == keypairs.NONE else preshared,
        fields.get("Endpoint", [before])[0],
        tuple(fields.get("AllowedIPs", [])),
        0 if keepalive == "off" else int(keepalive),
    )


# --- what is drawn ---


@st.composite
def devices(draw: st.DrawFn, number: int) -> Device:
    names = draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=4))
    keys = draw(st.permutations(range(10, 20)))
    peers = tuple(
        Peer(
            name,
            key(keys[i]),
            tuple(f"10.8.0.{ord(name)}/32" for _ in range(draw(st.integers(0, 1)))),
            draw(st.sampled_from((None, key(150), key(151)))),
            draw(st.sampled_from((None, *ENDPOINTS))),
            draw(st.sampled_from((0, 25))),
        )
        for i, name in enumerate(names)
    )
    return Device(
        f"u{number}",
        f"wg-up-{number}",
        draw(st.sampled_from((key(100), key(101)))),
        tuple(draw(st.lists(st.sampled_from(("10.64.0.2/32", "10.64.0.2/24", "10.64.9.9/32")), max_size=1))),
        peers,
        draw(st.sampled_from((None, 51820))),
        draw(st.sampled_from((None, 1420))),
    )


@st.composite
def sections(draw: st.DrawFn) -> tuple[Device, ...]:
    numbers = draw(st.lists(st.integers(1, 3), unique=True))
    return tuple(draw(devices(number)) for number in numbers)


STRANGER = Live("wg-work", "", up=True)


def host(earlier: tuple[Device, ...]) -> Current:
    """A host that was brought to an earlier section."""
    empty = Current(
        wireguard.UPSTREAMS,
        {STRANGER.interface: STRANGER},
        recorded={STRANGER.interface: "upstream:old"},  # it was ours once
        endpoints=ENDPOINTS,
        defaults=DEFAULTS,
        unit=services.WIREGUARD_TEXT,
    )
    return simulate(empty, wireguard.plan(earlier, empty))


@given(sections(), sections())
def test_applying_the_plan_gives_the_section_and_leaves_nothing_to_do(
    earlier: tuple[Device, ...], desired: tuple[Device, ...]
) -> None:
    current = host(earlier)
    after = simulate(current, wireguard.plan(desired, current))
    assert wireguard.plan(desired, after) == ()
    assert set(after.devices) == {STRANGER.interface, *(device.interface for device in desired)}
    assert after.devices[STRANGER.interface] == STRANGER


@given(sections(), sections())
def test_removals_come_last_and_the_additions_alone_hold_everything(
    earlier: tuple[Device, ...], desired: tuple[Device, ...]
) -> None:
    current = host(earlier)
    changes = wireguard.plan(desired, current)
    assert (*additions(changes), *removals(changes)) == changes
    halfway = simulate(current, additions(changes))
    assert {change.action for change in wireguard.plan(desired, halfway)} <= {REMOVE}
    for name, live in current.devices.items():
        assert set(live.peers) <= set(halfway.devices[name].peers), "a peer goes with the removals only"


@given(sections(), sections())
def test_no_secret_is_in_what_people_see(earlier: tuple[Device, ...], desired: tuple[Device, ...]) -> None:
    for change in wireguard.plan(desired, host(earlier)):
        shown = f"{change.what} {change.before} {change.after}"
        for secret in (key(100), key(101), key(150), key(151)):
            assert secret not in shown


def test_a_new_interface_comes_up_last() -> None:
    device = Device("u1", "wg-up-1", None, ("10.64.0.2/32",), (Peer("u1", key(1), ("0.0.0.0/0",)),), mtu=1420)
    changes = wireguard.plan((device,), host(()))
    assert [change.what for change in changes][-1] == "wg-up-1: up"
    assert ("wg-up-1: private key", "made on the host") in [(change.what, change.after) for change in changes]


def test_a_key_that_is_none_is_named_without_being_shown() -> None:
    for damaged in ("", "c2VjcmV0", "not base64 at all, but 44 characters long !!", "é" * 44):
        with pytest.raises(ReconcileError, match=r"^the private key of wg-up-1 is not a WireGuard key") as raised:
            wireguard.plan((Device("u1", "wg-up-1", damaged, (), ()),), host(()))
        assert not damaged or damaged not in str(raised.value)


def test_a_private_key_with_free_bits_set_equals_what_the_kernel_keeps() -> None:
    free = base64.b64encode(b"\xff" * 32).decode()
    kept = base64.b64encode(b"\xf8" + b"\xff" * 30 + b"\x7f").decode()
    assert keypairs.canonical(free, "it") == kept
    assert keypairs.canonical(kept, "it") == kept


def refuse(*what: object, **_: object) -> NoReturn:
    raise AssertionError(f"written: {what[1:]}")


class Bare(System):
    """A fresh host without any of the tools, on which nothing may be written."""

    def has(self, *_: str) -> bool:
        return False

    run = netlink = write_file = remove_file = set_sysctl = refuse


def test_a_host_without_the_tools_reads_as_empty_and_a_real_run_says_what_is_missing(tmp_path: Path) -> None:
    system = Bare(tmp_path / "etc", tmp_path / "run")
    device = Device("server", "wg-none", None, ("10.8.0.1/24",), (), 51999)
    changes = wireguard.plan((device,), wireguard.read(system, (device,), wireguard.SERVER))
    assert changes[0].what == "interface wg-none (server)"
    with pytest.raises(ReconcileError, match="wg is not installed: install the package wireguard-tools"):
        wireguard.apply(system, changes)
