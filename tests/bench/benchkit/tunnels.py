# SPDX-License-Identifier: GPL-3.0-or-later
"""Two gateways with real tunnels between the same two clients' side and the same exits: ours, and a bare one.

    client ══ wg0 ══ ours (the caller's namespace) ── uplink ──────────────┐
                        ╚══ wg-up-1, wg-up-2 ══════════════════════════ exit1, exit2
    client ══ bare0 ══ bare ── uplink ─────────────────────────────────────┤
                        ╚══ bare1 ══════════════════════════════════════ exit1

The bare one is wg-quick's, forwards by its main table and masquerades, as such a gateway has to, and has no other rule.
The exits are one host, the Internet: DIRECT lies behind the uplink, TUNNELLED behind the first exit, BALANCED behind
both. All WireGuard is the kernel's if it has it, else wireguard-go.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from namespaces import Namespace, NamespaceSystem, Network, fresh, run_here, wait_for

from benchkit.sizes import key
from splitway.compiler import compile_state
from splitway.store import Store
from splitway.topology import parse
from splitway.topology.keys import public_key
from splitway.transaction import begin, bring, commit

DIRECT, TUNNELLED, BALANCED = "198.51.100.1", "198.51.100.2", "198.51.100.3"
OURS, BARE = "ours", "bare"
GATEWAYS = (OURS, BARE)
_SECTIONS = ("upstreams", "routes", "sets", "marks", "server")
_EXITS = {1: 51821, 2: 51822}  # number → port


@dataclass(frozen=True)
class Tunnels:
    """What a bench needs of both gateways."""

    clients: dict[str, Namespace]  # by gateway
    internet: Namespace
    wireguard: str  # kernel | user space

    def processor(self, gateway: str) -> float:
        """Return the processor seconds that the gateway's own wireguard-go processes have taken."""
        interfaces = {OURS: ("wg0", "wg-up-1", "wg-up-2"), BARE: ("bare0", "bare1")}[gateway]
        return sum(map(_seconds, _processes(interfaces)))


def operator(backend: str) -> dict[str, object]:
    """Return the variables of our gateway: one client, two upstreams, a group that balances over both."""
    return {
        "splitway_backend": backend,
        "splitway_server": {
            "interface": "wg0",
            "listen_port": 51820,
            "addresses": ["10.8.0.1/24"],
            "private_key": key("server"),
            "endpoint": "10.60.0.1",
        },
        "splitway_upstreams": [
            {
                "name": f"up{number}",
                "endpoint": f"10.90.0.9:{port}",
                "public_key": public_key(key(f"exit {number}")),
                "private_key": key(f"upstream {number}"),
                "addresses": [f"172.20.{number}.2/32"],
            }
            for number, port in _EXITS.items()
        ],
        "splitway_upstream_groups": [
            {"name": "both", "mode": "balance", "members": [{"upstream": f"up{number}"} for number in _EXITS]}
        ],
        "splitway_policies": {
            "all": {
                "rules": [
                    {"network": f"{TUNNELLED}/32", "egress": "up1"},
                    {"network": f"{BALANCED}/32", "egress": "both"},
                ]
            }
        },
        "splitway_clients": [
            {
                "name": "client",
                "addresses": ["10.8.0.2"],
                "public_key": public_key(key("client ours")),
                "policy": "all",
            }
        ],
    }


@contextlib.contextmanager
def tunnels(backend: str) -> Iterator[Tunnels]:
    """Yield both gateways, their tunnels up. Asks for `private_mounts()` before; nothing is left afterwards."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(fresh())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        system, network = NamespaceSystem(folder), Network()
        stack.callback(network.close)
        stack.callback(system.plain_units.close)
        clients = {name: network.host(f"client of {name}") for name in GATEWAYS}
        internet, bare = network.host("internet"), network.host("bare")
        network.connect(internet, "uplink", ("10.90.0.1/24",), ("10.90.0.9/24",))
        network.connect(clients[OURS], "lan", ("10.60.0.1/24",), ("10.60.0.2/24",))
        with bare.entered():
            network.connect(internet, "uplink-bare", ("10.91.0.1/24",), ("10.91.0.9/24",))
            network.connect(clients[BARE], "lan", ("10.61.0.1/24",), ("10.61.0.2/24",))
            run_here("ip", "route", "add", "default", "via", "10.91.0.9")
            run_here("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        run_here("ip", "route", "add", "default", "via", "10.90.0.9")
        for address in (DIRECT, TUNNELLED, BALANCED):
            internet.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        for host, name, text in _ends(clients, internet, bare):
            _up(stack, host, folder / f"{name}.conf", text)
        _bring(Store(system), backend)
        for address in (DIRECT, TUNNELLED):
            for client in clients.values():
                wait_for(
                    lambda client=client, address=address: client.succeeds("ping", "-c1", "-W1", address), address, 40
                )
        (link,) = json.loads(run_here("ip", "-d", "-j", "link", "show", "wg0"))
        kernel = link["linkinfo"]["info_kind"] == "wireguard"
        yield Tunnels(clients, internet, "kernel" if kernel else "user space")


def _bring(store: Store, backend: str) -> None:
    state = compile_state(parse(operator(backend)), {})
    begin(store, "bench")
    for section in _SECTIONS:
        of_backend = backend if section in ("sets", "marks") else None
        bring(store, section, getattr(state, section), backend=of_backend, transaction="bench", purge=True)
    commit(store, "bench", state.numbers)


def _ends(clients: dict[str, Namespace], internet: Namespace, bare: Namespace) -> Iterator[tuple[Namespace, str, str]]:
    """Yield host, interface and wg-quick's file of all ends that are not our gateway's."""
    for number, port in _EXITS.items():
        lines = [f"PrivateKey = {key(f'exit {number}')}", f"ListenPort = {port}", "Table = off"]
        peers = [(f"upstream {number}", f"172.20.{number}.2/32")]
        if number == 1:
            peers.append(("bare upstream", "172.21.1.2/32"))
        lines += [f"PostUp = ip route add {address} dev %i" for _, address in peers]
        for name, address in peers:
            lines += ["[Peer]", f"PublicKey = {public_key(key(name))}", f"AllowedIPs = {address}"]
        yield internet, f"exit{number}", _file(lines)
    server = ["ListenPort = 51820", "Address = 10.9.0.1/24", f"PrivateKey = {key('bare server')}"]
    server += ["[Peer]", f"PublicKey = {public_key(key('client bare'))}", "AllowedIPs = 10.9.0.2/32"]
    yield bare, "bare0", _file(server)
    out = [f"PrivateKey = {key('bare upstream')}", "Address = 172.21.1.2/32", "Table = off"]
    out += [f"PostUp = ip route add {TUNNELLED}/32 dev %i"]
    out += [f"PostUp = iptables -t nat -A POSTROUTING -o {end} -j MASQUERADE" for end in ("%i", "uplink-bare")]
    out += ["[Peer]", f"PublicKey = {public_key(key('exit 1'))}", "Endpoint = 10.91.0.9:51821"]
    yield bare, "bare1", _file([*out, "AllowedIPs = 0.0.0.0/0", "PersistentKeepalive = 25"])
    for name, number, server_key in ((OURS, 8, "server"), (BARE, 9, "bare server")):
        lines = [f"PrivateKey = {key(f'client {name}')}", f"Address = 10.{number}.0.2/24"]
        lines += ["[Peer]", f"PublicKey = {public_key(key(server_key))}", f"Endpoint = 10.{number + 52}.0.1:51820"]
        yield clients[name], f"client-{name}", _file([*lines, "AllowedIPs = 198.51.100.0/24"])


def _file(lines: list[str]) -> str:
    return "\n".join(["[Interface]", *lines, ""])


def _up(stack: contextlib.ExitStack, host: Namespace, path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
    # A session of its own, as ours have: the kernel divides processor time between sessions (sched_autogroup).
    host.run("setsid", "--wait", "wg-quick", "up", str(path))
    stack.callback(host.run, "wg-quick", "down", str(path), check=False)


def _processes(interfaces: tuple[str, ...]) -> Iterator[int]:
    """Yield the wireguard-go processes of these interfaces that see our /run."""
    mounts = os.readlink("/proc/self/ns/mnt")
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
            named = words[0].endswith("wireguard-go") and any(word in interfaces for word in words)
            if named and os.readlink(folder / "ns/mnt") == mounts:
                yield int(folder.name)


def _seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
