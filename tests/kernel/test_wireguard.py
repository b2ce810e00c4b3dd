# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard against the real thing: from nothing, drift, keys, strangers, removal, a tunnel that carries packets."""

from __future__ import annotations

import base64
import dataclasses
import secrets
import signal
import socket
from typing import Optional

import pytest
from namespaces import NamespaceSystem, Network, ReadOnlySystem, run_here, wait_for

from splitway.reconcile import services, wireguard
from splitway.reconcile.base import ADD, CHANGE, REMOVE, Change, ReconcileError, additions, removals
from splitway.reconcile.wireguard import SERVER, UPSTREAMS, keypairs
from splitway.reconcile.wireguard.live import unit_of
from splitway.state import Device, Peer


def private() -> str:
    return keypairs.canonical(base64.b64encode(secrets.token_bytes(32)).decode(), "a test's key")


def public() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


ALICE, BOB = public(), public()
SHARED = private()  # any 32 bytes


def server() -> Device:
    return Device(
        "server",
        "wg0",
        private(),
        ("10.8.0.1/24", "fd08::1/64"),
        (
            Peer("alice", ALICE, ("10.8.0.2/32", "fd08::2/128")),
            Peer("bob", BOB, ("10.8.0.3/32",), preshared_key=SHARED),
        ),
        listen_port=51820,
        mtu=1420,
    )


def upstream(number: int, endpoint: str = "198.51.100.1:51820") -> Device:
    peer = Peer(f"u{number}", public(), ("0.0.0.0/0", "::/0"), endpoint=endpoint, persistent_keepalive=25)
    return Device(
        f"u{number}", f"wg-up-{number}", private(), (f"10.64.{number}.2/32", f"fd64:{number}::2/128"), (peer,)
    )


def plan(system: NamespaceSystem, *desired: Device, role: str = SERVER) -> tuple[Change, ...]:
    return wireguard.plan(desired, wireguard.read(system, desired, role))


def bring(system: NamespaceSystem, *desired: Device, role: str = SERVER) -> None:
    """Plan, apply, and see that nothing is left to do."""
    wireguard.apply(system, plan(system, *desired, role=role))
    assert plan(system, *desired, role=role) == ()


def whats(changes: tuple[Change, ...]) -> list[str]:
    return [f"{change.action} {change.what}" for change in changes]


def allowed(interface: str = "wg0") -> dict[str, str]:
    lines = run_here("wg", "show", interface, "allowed-ips").splitlines()
    return dict(line.split("\t") for line in lines)


def test_from_nothing(system: NamespaceSystem) -> None:
    device = server()
    changes = plan(system, device)
    assert whats(changes)[0] == "add interface wg0 (server)"
    assert whats(changes)[-1] == "add wg0: up", "nothing may come in before the peers are there"
    bring(system, device)
    assert allowed() == {ALICE: "10.8.0.2/32 fd08::2/128", BOB: "10.8.0.3/32"}
    assert run_here("wg", "show", "wg0", "listen-port").strip() == "51820"
    shown = run_here("ip", "address", "show", "wg0") + run_here("ip", "link", "show", "wg0")
    for part in ("10.8.0.1/24", "fd08::1/64", "mtu 1420", ",UP", "alias splitway:server"):
        assert part in shown
    assert parameters(system, "wg0") == ("0", "1"), "WireGuard itself validates its peers' sources"


def parameters(system: NamespaceSystem, interface: str) -> tuple[Optional[str], ...]:
    return tuple(system.sysctl(f"net/ipv4/conf/{interface}/{name}") for name in ("rp_filter", "accept_local"))


def test_a_host_that_validates_all_sources_strictly_does_so_loosely_on_ours(system: NamespaceSystem) -> None:
    system.set_sysctl("net/ipv4/conf/all/rp_filter", "1")
    bring(system, server())
    assert parameters(system, "wg0") == ("2", "1"), "strict, it would ask for the way back with the packet's mark"
    system.set_sysctl("net/ipv4/conf/all/rp_filter", "0")
    bring(system, server())
    assert parameters(system, "wg0") == ("0", "1")


def test_check_mode_writes_nothing_and_tells_what_the_run_then_does(
    system: NamespaceSystem, read_only: ReadOnlySystem
) -> None:
    device = dataclasses.replace(server(), private_key=None, peers=(Peer("carol", None, ("10.8.0.4/32",)),))
    foretold = plan(read_only, device)
    assert ("wg0: private key", "made on the host") in [(change.what, change.after) for change in foretold]
    done = plan(system, device)
    wireguard.apply(system, done)
    assert whats(foretold) == whats(done)
    assert plan(read_only, device) == ()


DRIFT = {
    "a peer removed": f"wg set wg0 peer {ALICE} remove",
    "a peer added": f"wg set wg0 peer {public()} allowed-ips 10.8.0.99/32",
    "a peer's networks": f"wg set wg0 peer {ALICE} allowed-ips 10.8.0.77/32",
    "one address moved": f"wg set wg0 peer {BOB} allowed-ips 10.8.0.3/32,10.8.0.2/32",
    "keepalive": f"wg set wg0 peer {ALICE} persistent-keepalive 5",
    "preshared key added": f"wg set wg0 peer {ALICE} preshared-key /dev/stdin",
    "preshared key gone": f"wg set wg0 peer {BOB} preshared-key /dev/null",
    "listen port": "wg set wg0 listen-port 51999",
    "private key": "wg set wg0 private-key /dev/stdin",
    "an address": "ip address del 10.8.0.1/24 dev wg0",
    "a v6 address": "ip address del fd08::1/64 dev wg0",
    "an address too many": "ip address add 10.9.9.9/32 dev wg0",
    "mtu": "ip link set wg0 mtu 1300",
    "down": "ip link set wg0 down",
    "rp_filter": "sysctl -q -w net.ipv4.conf.wg0.rp_filter=1",
    "no IPv6": "sysctl -q -w net.ipv6.conf.wg0.disable_ipv6=1",
    "the interface": "ip link delete wg0",
}


@pytest.mark.parametrize("command", DRIFT.values(), ids=DRIFT)
def test_drift_is_planned_and_repaired(system: NamespaceSystem, command: str) -> None:
    device = server()
    bring(system, device)
    system.run(*command.split(), input=private() + "\n")
    if command.startswith("ip link delete"):
        wait_for(lambda: not system.units.active(unit_of("wg0")), "wireguard-go's end")
    assert plan(system, device)
    bring(system, device)
    assert allowed() == {ALICE: "10.8.0.2/32 fd08::2/128", BOB: "10.8.0.3/32"}


def test_wireguard_go_killed_and_restarted_bare_is_ours_and_filled_again(system: NamespaceSystem) -> None:
    device = server()
    bring(system, device)
    if not system.units.active(unit_of("wg0")):
        pytest.skip("this kernel has WireGuard of its own")
    system.plain_units.kill(unit_of("wg0"), signal.SIGKILL)
    assert whats(plan(system, device))[0] == "add interface wg0 (server)"
    system.units.start(unit_of("wg0"))  # what systemd does
    changes = plan(system, device)
    assert "change wg0: alias" in whats(changes)
    assert "add interface wg0 (server)" not in whats(changes)
    bring(system, device)


def test_a_key_that_moved_takes_its_address_along_before_the_old_one_goes(system: NamespaceSystem) -> None:
    device = server()
    bring(system, device)
    new = public()
    moved = dataclasses.replace(device, peers=(Peer("alice", new, ("10.8.0.2/32", "fd08::2/128")), device.peers[1]))
    changes = plan(system, moved)
    assert whats(changes) == ["add wg0: peer alice", f"remove wg0: peer {ALICE}"]
    wireguard.apply(system, additions(changes))
    assert allowed() == {ALICE: "(none)", BOB: "10.8.0.3/32", new: "10.8.0.2/32 fd08::2/128"}
    wireguard.apply(system, removals(changes))
    assert plan(system, moved) == ()
    assert set(allowed()) == {new, BOB}


def test_the_additions_keep_a_client_that_only_the_removals_take_away(system: NamespaceSystem) -> None:
    device = server()
    bring(system, device)
    carol = Peer("carol", public(), ("10.8.0.4/32",))
    after = dataclasses.replace(device, peers=(carol, device.peers[1]))
    changes = plan(system, after)
    wireguard.apply(system, additions(changes))
    assert allowed()[ALICE] == "10.8.0.2/32 fd08::2/128"
    wireguard.apply(system, removals(changes))
    assert set(allowed()) == {BOB, carol.public_key}


def test_peers_that_exchange_their_addresses_have_them_and_all_others_are_left_alone(system: NamespaceSystem) -> None:
    carol = Peer("carol", public(), ("10.8.0.4/32",))
    device = dataclasses.replace(server(), peers=(*server().peers, carol))
    bring(system, device)
    run_here("wg", "set", "wg0", "peer", carol.public_key or "", "endpoint", "192.0.2.1:7")  # where she was seen last
    alice, bob, _ = device.peers
    exchanged = (
        dataclasses.replace(alice, allowed_ips=bob.allowed_ips),
        dataclasses.replace(bob, allowed_ips=alice.allowed_ips, preshared_key=None),
    )
    system.commands.clear()
    bring(system, dataclasses.replace(device, peers=(*exchanged, carol)))
    assert system.commands == ["wg addconf wg0 /dev/stdin"]
    assert allowed() == {ALICE: "10.8.0.3/32", BOB: "10.8.0.2/32 fd08::2/128", carol.public_key: "10.8.0.4/32"}
    assert f"{carol.public_key}\t192.0.2.1:7" in run_here("wg", "show", "wg0", "endpoints")


def test_the_same_address_with_another_prefix_and_another_first_address(system: NamespaceSystem) -> None:
    device = server()
    bring(system, device)
    bring(system, dataclasses.replace(device, addresses=("10.8.0.1/16", "fd08::1/48")))
    bring(system, dataclasses.replace(device, addresses=("10.8.0.254/16", "10.8.0.253/16", "fd08::1/48")))
    bring(system, dataclasses.replace(device, addresses=("10.8.0.253/16", "fd08::1/48")))


def test_keys_are_made_once_and_kept(system: NamespaceSystem) -> None:
    device = dataclasses.replace(server(), private_key=None, peers=(Peer("a/b ü", None, ("10.8.0.4/32",)),))
    bring(system, device)
    own = run_here("wg", "show", "wg0", "private-key").strip()
    files = list((system.configuration / "keys").rglob("*.key"))
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]
    clients_key = keypairs.client_private_key(system, "a/b ü")
    assert clients_key is not None
    assert set(allowed()) == {keypairs.public_of(system, clients_key)}
    bring(system)
    bring(system, device)
    assert run_here("wg", "show", "wg0", "private-key").strip() == own
    (keypairs.client_path(system, "a/b ü").with_suffix(".pub")).unlink()
    assert plan(system, device) == (), "the public key follows from the private one"


def test_no_secret_shows(system: NamespaceSystem) -> None:
    device = server()
    changes = plan(system, device)
    wireguard.apply(system, changes)
    other = dataclasses.replace(
        device, private_key=private(), peers=(dataclasses.replace(device.peers[1], preshared_key=private()),)
    )
    changes += plan(system, other)
    wireguard.apply(system, changes[-4:])
    shown = "".join(f"{c.action} {c.what} {c.before} {c.after}" for c in changes) + "".join(system.commands)
    shown += repr(wireguard.read(system, (other,), SERVER))
    for secret in (device.private_key, other.private_key, SHARED, other.peers[0].preshared_key):
        assert secret is not None
        assert secret not in shown
    damaged = dataclasses.replace(device, private_key="c2VjcmV0")
    with pytest.raises(ReconcileError, match="the private key of wg0 is not a WireGuard key") as raised:
        plan(system, damaged)
    assert "c2VjcmV0" not in str(raised.value)


def test_a_foreign_interface_is_named_and_untouched(system: NamespaceSystem) -> None:
    run_here("ip", "link", "add", "wg0", "type", "veth", "peer", "name", "other")
    before = run_here("ip", "-d", "address")
    with pytest.raises(ReconcileError, match="interface wg0 of server exists and was not made by splitway: remove it"):
        plan(system, server())
    assert plan(system) == (), "nor is it removed with ours"
    assert run_here("ip", "-d", "address") == before


def test_a_taken_port_is_named_with_who_has_it(system: NamespaceSystem) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 51820))  # noqa: S104 (as a program that is in the way does)
        with pytest.raises(ReconcileError, match=r"port 51820 of wg0 is taken by (pytest|python\S*) \(process \d+\)"):
            plan(system, server())
        assert "wg0" not in run_here("ip", "link")
    bring(system, server())


def test_upstreams_come_and_go_and_the_server_stays(system: NamespaceSystem) -> None:
    one, two = upstream(1), upstream(2, "[2001:db8:0:0::1]:51820")
    bring(system, server())
    bring(system, one, two, role=UPSTREAMS)
    assert run_here("wg", "show", "wg-up-2", "endpoints").split("\t")[1].strip() == "[2001:db8::1]:51820"
    changes = plan(system, two, role=UPSTREAMS)
    assert whats(changes) == ["remove interface wg-up-1"]
    wireguard.apply(system, additions(changes))
    assert "wg-up-1" in run_here("ip", "link")
    bring(system, two, role=UPSTREAMS)
    assert "wg-up-1" not in run_here("ip", "link")
    bring(system, role=UPSTREAMS)
    assert "wg0" in run_here("wg", "show", "interfaces")
    bring(system)
    assert run_here("wg", "show", "interfaces").strip() == ""
    assert system.units.read(services.WIREGUARD) is None
    assert system.list_files(system.configuration / "devices") == ()


def test_a_tunnel_that_goes_with_its_process_at_this_moment_is_removed(
    system: NamespaceSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(system, upstream(1), role=UPSTREAMS)
    changes = removals(plan(system, role=UPSTREAMS))
    monkeypatch.setattr(system, "interface_index", lambda _: 1 << 30)
    wireguard.apply(system, changes)


def test_a_name_that_does_not_resolve_is_named_and_the_others_are_configured(system: NamespaceSystem) -> None:
    lost, good = upstream(1, "nowhere.invalid:51820"), upstream(2)
    with pytest.raises(ReconcileError, match=r"wg-up-1: no address was found for nowhere\.invalid:51820"):
        wireguard.apply(system, plan(system, lost, good, role=UPSTREAMS))
    assert plan(system, good, role=UPSTREAMS)[0].action == REMOVE, "the good one is complete, the other one is there"
    assert whats(plan(system, lost, good, role=UPSTREAMS)) == ["change wg-up-1: peer u1"]
    peer = lost.peers[0].public_key
    assert peer is not None
    run_here("wg", "set", "wg-up-1", "peer", peer, "endpoint", "198.51.100.7:51820")
    assert plan(system, lost, good, role=UPSTREAMS) == (), "an endpoint that works is kept"


def test_a_named_endpoint_is_no_drift_and_follows_its_name(
    system: NamespaceSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = ["198.51.100.1", "198.51.100.2"]

    def answers(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    device = upstream(1, "exit.example:51820")
    bring(system, device, role=UPSTREAMS)
    addresses.reverse()
    assert plan(system, device, role=UPSTREAMS) == ()
    bring(system, dataclasses.replace(device, mtu=1400), role=UPSTREAMS)
    addresses[:] = ["198.51.100.9"]
    bring(system, device, role=UPSTREAMS)
    assert "198.51.100.9:51820" in run_here("wg", "show", "wg-up-1", "endpoints")


def test_a_client_that_roams_is_no_drift(system: NamespaceSystem) -> None:
    device = server()
    bring(system, device)
    run_here("wg", "set", "wg0", "peer", ALICE, "endpoint", "198.51.100.77:4711")
    assert plan(system, device) == ()
    more = dataclasses.replace(device, peers=(*device.peers, Peer("carol", public(), ("10.8.0.4/32",))))
    bring(system, more)
    assert "198.51.100.77:4711" in run_here("wg", "show", "wg0", "endpoints"), "and a change of others keeps it"


def test_a_thousand_peers_are_one_command(system: NamespaceSystem) -> None:
    peers = tuple(Peer(f"c{i}", public(), (f"10.9.{i // 250}.{i % 250 + 1}/32",)) for i in range(1000))
    device = dataclasses.replace(server(), peers=peers)
    bring(system, device)
    assert sum(command.startswith("wg ") for command in system.commands) == 1
    changes = plan(system, dataclasses.replace(device, peers=peers[:10]))
    assert {change.action for change in changes} == {REMOVE}
    wireguard.apply(system, changes)
    assert len(allowed()) == 10
    assert sum(command.startswith("wg ") for command in system.commands) == 2


def test_a_tunnel_made_from_nothing_carries_packets(system: NamespaceSystem, network: Network) -> None:
    far_key = private()
    far = network.host("exit")
    network.connect(far, "uplink", ("10.90.0.1/24",), ("10.90.0.2/24",))
    with far.entered():
        other = NamespaceSystem(system.configuration.parent / "exit")
    our_key = private()
    ours = Device(
        "us",
        "wg-up-1",
        our_key,
        ("10.64.0.2/32",),
        (Peer("us", keypairs.public_of(system, far_key), ("0.0.0.0/0",), SHARED, "10.90.0.2:51820", 25),),
    )
    theirs = Device(
        "server",
        "wg-exit",  # wireguard-go's sockets are named for the interface, in one folder for both hosts
        far_key,
        ("10.64.0.1/24",),
        (Peer("gateway", keypairs.public_of(system, our_key), ("10.64.0.2/32",), SHARED),),
        listen_port=51820,
    )
    with far.entered():
        bring(other, theirs)
    bring(system, ours, role=UPSTREAMS)
    run_here("ip", "route", "add", "10.64.0.1", "dev", "wg-up-1")
    with far.entered():
        answerer = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        answerer.bind(("10.64.0.1", 7))
        answerer.listen()
    with answerer, socket.create_connection(("10.64.0.1", 7), timeout=60) as connection:
        assert connection.getsockname()[0] == "10.64.0.2"
    assert plan(system, ours, role=UPSTREAMS) == ()
    assert {ADD, CHANGE}.isdisjoint(change.action for change in plan(system, role=UPSTREAMS))
