# SPDX-License-Identifier: GPL-3.0-or-later
"""The same WireGuard between the same two hosts, several times: by UDP, and inside a WebSocket by each relay.

    near ══ udp ══════════════════════════════════ far
    near ══ websocat ══ TLS ══ nginx ══ websocat ══ far
    near ══ wstunnel ══ TLS ══════════ wstunnel ══ far

Both hosts have one wire between them. What is called, and how, is the engine's (relay/); the MTUs are those of our
gateways. WireGuard is the kernel's if it has it, else wireguard-go.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from labkit.authority import Authority, Issued
from namespaces import Namespace, fresh, wait_for

from benchkit.sizes import key
from splitway.relay import front, websocat, wstunnel
from splitway.relay.command import Command
from splitway.state import Forwarding, PortRange, TransportClient, TransportServer, TransportTarget
from splitway.topology.keys import public_key
from splitway.transports import MTU

UDP, WEBSOCAT, WSTUNNEL = "UDP", "websocat", "wstunnel"
FAR = "10.90.0.9"
HOST = "far.example"
_NUMBERS = {UDP: 1, WEBSOCAT: 2, WSTUNNEL: 3}
_WIREGUARD = {number: 51820 + number for number in _NUMBERS.values()}  # the far end's ports
_LOOPBACK = 41000  # and a number: the near end's
_HTTPS = 443  # and a number
_PATH = "k7Qe2vXhB0uW9sTz"


def address_of(way: str) -> str:
    """Return the address of the far end inside a way's tunnel."""
    return f"172.20.{_NUMBERS[way]}.1"


def programs() -> dict[str, str]:
    """Return the relays that this machine has, and where they are: wstunnel is looked for as the tests do."""
    found = {WEBSOCAT: shutil.which(WEBSOCAT), WSTUNNEL: os.environ.get("SPLITWAY_WSTUNNEL") or shutil.which(WSTUNNEL)}
    return {name: path for name, path in found.items() if path}


@contextlib.contextmanager
def relayed(ways: Sequence[str]) -> Iterator[tuple[Namespace, Namespace]]:
    """Yield the two hosts, all tunnels up. Asks for `private_mounts()` before; nothing is left afterwards."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(fresh())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        near, far = Namespace("near"), Namespace("far")
        for host in (near, far):
            stack.callback(host.close)
        near.run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", far.path)
        for host, address in ((near, "10.90.0.1/24"), (far, f"{FAR}/24")):
            host.run("ip", "address", "add", address, "dev", "wire")
            host.run("ip", "link", "set", "wire", "up")
        issued = Authority(folder / "certificates").issue("far", HOST, FAR)
        for way in ways:
            if way != UDP:
                _relay(stack, near, far, way, folder, issued)
            _tunnel(stack, near, far, way, folder)
        for way in ways:
            wait_for(lambda way=way: near.succeeds("ping", "-c1", "-W1", address_of(way)), way, 40)
        yield near, far


def _relay(
    stack: contextlib.ExitStack, near: Namespace, far: Namespace, way: str, folder: Path, issued: Issued
) -> None:
    number, program = _NUMBERS[way], programs()[way]
    target = TransportTarget("udp", f"127.0.0.1:{_WIREGUARD[number]}")
    local = Forwarding("wireguard", "udp", _port(_LOOPBACK + number), target.address)
    server = TransportServer(
        "far", way, (FAR,), _port(_HTTPS + number), _PATH, str(issued.certificate), str(issued.key), (target,)
    )
    url = f"wss://{FAR}:{_HTTPS + number}"
    client = TransportClient("far", way, way, (url,), _PATH, (local,), ca=str(folder / "certificates" / _TRUSTED))
    if way == WEBSOCAT:
        socket = str(folder / "websocat")
        (folder / "nginx.conf").write_text(front.configuration(server, {target: socket}, str(folder)))
        _start(stack, far, websocat.server(program, target, socket))
        wait_for(Path(socket).exists, "websocat")
        nginx = front.command("nginx", str(folder / "nginx.conf")).arguments
        _start(stack, far, Command((*nginx, "-g", "user root;")))  # as all of this bench
        call = websocat.client(program, client, local)
    else:
        (folder / "restrictions.yml").write_text(wstunnel.restrictions(server))
        _start(stack, far, wstunnel.server(program, server, FAR, str(folder / "restrictions.yml")))
        call = wstunnel.client(program, client)
    wait_for(lambda: far.run("ss", "-Hltn", f"sport = :{_HTTPS + number}"), f"{way}'s server")
    _start(stack, near, call)
    wait_for(lambda: near.run("ss", "-Hlun", f"sport = :{_LOOPBACK + number}"), f"{way}'s client")


_TRUSTED = "lab.authority.pem"


def _port(number: int) -> PortRange:
    return PortRange(str(number), number, number)


def _start(stack: contextlib.ExitStack, host: Namespace, call: Command) -> None:
    """Start a program in a session of its own: the kernel divides processor time between those (sched_autogroup)."""
    words = [f"{name}={value}" for name, value in call.environment]
    stack.callback(host.start("env", *words, "setsid", *call.arguments).terminate)


def _tunnel(stack: contextlib.ExitStack, near: Namespace, far: Namespace, way: str, folder: Path) -> None:
    number = _NUMBERS[way]
    port = _WIREGUARD[number]
    endpoint = f"{FAR}:{port}" if way == UDP else f"127.0.0.1:{_LOOPBACK + number}"
    ends = (
        (far, "far", 1, [f"ListenPort = {port}"], []),
        (near, "near", 2, [], [f"Endpoint = {endpoint}", "PersistentKeepalive = 25"]),
    )
    for host, name, place, more, of_peer in ends:
        other = {"far": "near", "near": "far"}[name]
        lines = [
            *("[Interface]", f"PrivateKey = {key(f'{name} {way}')}", f"Address = 172.20.{number}.{place}/24", *more),
            *([] if way == UDP else [f"MTU = {MTU}"]),
            *("[Peer]", f"PublicKey = {public_key(key(f'{other} {way}'))}", f"AllowedIPs = 172.20.{number}.0/24"),
            *of_peer,
        ]
        path = folder / f"{name}-{number}.conf"
        path.write_text("\n".join([*lines, ""]))
        path.chmod(0o600)
        host.run("setsid", "--wait", "wg-quick", "up", str(path))
        stack.callback(host.run, "wg-quick", "down", str(path), check=False)
