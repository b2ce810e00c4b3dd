# SPDX-License-Identifier: GPL-3.0-or-later
"""What WebSockets carry and what they refuse, with the real programs called as the engine calls them."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import Network, wait_for
from relays import (
    FAR6,
    NAME,
    PAIRS,
    PATH,
    UDP,
    UNSERVED,
    WSTUNNELS,
    Pair,
    Relay,
    forwarding,
    named,
    needs_wstunnel,
    relay_of,
)

from splitway.relay import check, version, wstunnel
from splitway.state import TransportServer

SOON = 1.5  # seconds in which a datagram would have come back
WITHIN = 15  # seconds in which a client finds a server again
PATIENCE = 30  # seconds for what a way that is open carries


@pytest.fixture(params=PAIRS, ids=named)
def relay(request: pytest.FixtureRequest, network: Network, tmp_path: Path) -> Iterator[Relay]:
    yield from relay_of(request.param, network, tmp_path)


@pytest.mark.parametrize("url", [None, f"wss://[{FAR6}]:443"], ids=["v4", "v6"])
def test_datagrams_and_streams_arrive_as_they_were_sent(relay: Relay, url: str | None) -> None:
    if url:
        relay.client = dataclasses.replace(relay.client, servers=(url,))
    relay.start_server()
    relay.start_client()
    wait_for(relay.datagram, f"a first datagram\n{relay.log()}")
    assert [size for size in (10, 32, 148, 1280, 1420, 1452) if not relay.datagram(size, PATIENCE)] == []
    assert [relay.stream(1_000_000, PATIENCE) for _ in range(5)] == [True] * 5, relay.log()


def test_a_server_name_is_what_the_certificate_is_for(relay: Relay) -> None:
    relay.client = dataclasses.replace(relay.client, server_name=NAME)
    relay.start_server()
    relay.start_client()
    wait_for(relay.datagram, f"a datagram\n{relay.log()}")
    relay.stop("client")
    relay.client = dataclasses.replace(relay.client, server_name="other.example.net")
    relay.start_client()
    assert not relay.datagram(timeout=SOON)


def test_a_certificate_of_another_authority_is_refused(relay: Relay) -> None:
    """A middlebox that looks into TLS has one."""
    good = relay.client
    relay.start_server()
    relay.client = dataclasses.replace(good, ca="")  # the system's
    relay.start_client()
    assert not relay.datagram(timeout=SOON)
    assert relay.stream(10) is not True
    relay.stop("client")
    relay.client = dataclasses.replace(good, ca="", verify=False)
    relay.start_client()
    wait_for(relay.datagram, f"a datagram where any certificate will do\n{relay.log()}")


def test_another_path_is_refused(relay: Relay) -> None:
    relay.start_server()
    relay.client = dataclasses.replace(relay.client, path=f"{PATH}5")
    relay.start_client()
    assert not relay.datagram(timeout=SOON)
    assert relay.stream(10) is not True
    relay.stop("client")
    relay.client = dataclasses.replace(relay.client, path=PATH.replace(".", "x"))  # a dot stands for itself
    relay.start_client()
    assert not relay.datagram(timeout=SOON)


def test_only_the_targets_are_reached(relay: Relay) -> None:
    more = forwarding("udp", UDP + 5, UNSERVED)
    relay.client = dataclasses.replace(relay.client, forwardings=(*relay.client.forwardings, more))
    relay.start_server()
    relay.start_client()
    wait_for(relay.datagram, f"a datagram to a target\n{relay.log()}")
    assert not relay.datagram(timeout=SOON, port=UDP + 5)


def test_the_way_is_open_again_after_the_server_was_away(relay: Relay) -> None:
    if relay.pair.name == "websocat":  # wstunnel ends by itself when it finds no server for long: its unit's to do
        relay.start_client()
        assert not relay.datagram(timeout=0.5)
    for attempt in range(3):
        relay.start_server()
        if attempt == 0 and not relay.running["client"]:
            relay.start_client()
        begun = time.monotonic()
        wait_for(lambda: relay.datagram(timeout=0.5), f"a datagram\n{relay.log()}", timeout=WITHIN)
        assert time.monotonic() - begun < WITHIN
        relay.stop("server")
        assert not relay.datagram(timeout=0.5)


def _arguments(process: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_text(encoding="utf-8")


def test_no_log_shows_the_path(relay: Relay) -> None:
    """Not when the target is not there either, which servers tell with the request."""
    dead = forwarding("tcp", UDP + 7, 9)
    relay.server = dataclasses.replace(
        relay.server,
        targets=(*relay.server.targets, dataclasses.replace(relay.server.targets[1], address="127.0.0.1:9")),
    )
    relay.client = dataclasses.replace(relay.client, forwardings=(relay.client.forwardings[0], dead))
    relay.start_server()
    relay.start_client()
    wait_for(relay.datagram, f"a datagram\n{relay.log()}")
    assert subprocess.run(["curl", "-sm", "2", f"http://127.0.0.1:{UDP + 7}/"], check=False).returncode != 0
    relay.stop("server")
    relay.datagram(timeout=0.5)
    assert len(relay.log()) > 500
    assert PATH not in relay.log()
    if relay.pair.name == "wstunnel":
        assert not [process for process in relay.running["client"] if PATH in _arguments(process)]


@needs_wstunnel
@pytest.mark.parametrize("relay", WSTUNNELS, ids=named, indirect=True)
def test_a_client_shows_a_certificate_where_one_is_asked_for(relay: Relay) -> None:
    own = relay.authority.issue("gateway-one")
    relay.server = dataclasses.replace(relay.server, path="", client_ca=str(relay.authority.certificate))
    relay.client = dataclasses.replace(relay.client, path="", certificate=str(own.certificate), key=str(own.key))
    relay.start_server()
    relay.start_client()
    wait_for(relay.datagram, f"a datagram\n{relay.log()}")
    relay.stop("client")
    relay.client = dataclasses.replace(relay.client, path="gateway-one", certificate="", key="")
    relay.start_client()
    assert not relay.datagram(timeout=SOON)


@needs_wstunnel
@pytest.mark.parametrize("pair", WSTUNNELS, ids=named)
def test_wstunnel_has_the_flags_that_we_use(relay_ends: Relay, pair: Pair) -> None:
    server = dataclasses.replace(relay_ends.server, client_ca="/ca.pem")
    client = dataclasses.replace(relay_ends.client, server_name=NAME, certificate="/c.pem", key="/c.key")
    commands = (wstunnel.client(pair.client, client), _far_end(pair.server, server))
    for command in commands:
        program, side = command.arguments[:2]
        told = subprocess.run([program, side, "--help"], capture_output=True, text=True, check=True).stdout
        flags = [word.partition("=")[0] for word in command.arguments if word.startswith("--")]
        assert [flag for flag in flags if f"{flag}\n" not in told and f"{flag} " not in told] == []
        found = version(subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout)
        check("wstunnel", found, command)


def _far_end(program: str, server: TransportServer) -> wstunnel.Command:
    return wstunnel.server(program, server, "::", "/r.yml")


@pytest.fixture
def relay_ends(network: Network, tmp_path: Path) -> Iterator[Relay]:
    """Both ends, of which none is started."""
    yield from relay_of(PAIRS[0], network, tmp_path)
