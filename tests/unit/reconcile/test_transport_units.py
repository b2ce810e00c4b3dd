# SPDX-License-Identifier: GPL-3.0-or-later
"""What a WebSocket's unit says, and what it must not: the path."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from splitway.reconcile.base import ReconcileError
from splitway.reconcile.transports import plan
from splitway.reconcile.transports.model import Current, Places, stamp, stamped_copies, without_copies
from splitway.reconcile.transports.processes import processes
from splitway.reconcile.transports.units import environment_text, unit_text
from splitway.state import Forwarding, PortRange, TransportClient, Transports, TransportServer, TransportTarget

SECRET = "a-secret-of-both"
SERVER = TransportServer(
    name="exit",
    program="wstunnel",
    listen=("0.0.0.0", "::"),  # noqa: S104
    port=PortRange("transport/server", 443, 443),
    path=SECRET,
    certificate="/etc/ssl/exit.pem",
    key="/etc/ssl/my keys/exit.key",
    targets=(TransportTarget("udp", "127.0.0.1:51820"), TransportTarget("tcp", "127.0.0.1:1080")),
)
CLIENT = TransportClient(
    upstream="us",
    interface="wg-up-1",
    program="wstunnel",
    servers=("wss://exit.example:443",),
    path=SECRET,
    forwardings=(
        Forwarding("wireguard", "udp", PortRange("transport/us/wireguard", 41000, 41099), "127.0.0.1:51820"),
        Forwarding("socks5", "tcp", PortRange("transport/us/socks5", 41000, 41099), "127.0.0.1:1080"),
    ),
    ca="/etc/ssl/ca.pem",
)


def units(program: str, port: int = 443) -> dict[str, str]:
    server = dataclasses.replace(SERVER, program=program, port=PortRange("transport/server", port, port))
    desired = Transports((dataclasses.replace(CLIENT, program=program),), (server,))
    found = processes(desired, lambda name: Path("/run") / name)
    return {
        item.name: unit_text(item, Places(Path("/etc/splitway") / item.name, Path("/run") / item.name))
        for item in found
    }


def settings(text: str, name: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{name}=")]


def test_one_wstunnel_carries_all_and_a_websocat_one_forward() -> None:
    assert list(units("wstunnel")) == ["server1-exit", "client-us"]
    assert list(units("websocat")) == ["target1-exit", "target2-exit", "front-exit", "wireguard-us", "socks5-us"]


@pytest.mark.parametrize("program", ["wstunnel", "websocat"])
def test_no_unit_shows_the_path(program: str) -> None:
    assert not [name for name, text in units(program).items() if SECRET in text]


def test_arguments_with_the_path_stand_in_a_file_of_roots() -> None:
    (process,) = processes(
        Transports((dataclasses.replace(CLIENT, program="websocat", forwardings=CLIENT.forwardings[:1]),)), Path
    )
    text = unit_text(process, Places(Path("/etc/splitway/x"), Path("/run/x")))
    (start,) = settings(text, "ExecStart")
    assert start.endswith("${ARGUMENT_7}")
    assert settings(text, "EnvironmentFile") == ["/etc/splitway/x/environment"]
    assert f'ARGUMENT_7="autoreconnect:wss://exit.example:443/{SECRET}/udp/127.0.0.1/51820"' in environment_text(
        process
    )


@pytest.mark.parametrize(("port", "rights"), [(443, "CAP_NET_BIND_SERVICE"), (8443, "")])
@pytest.mark.parametrize(("program", "name"), [("wstunnel", "server1-exit"), ("websocat", "front-exit")])
def test_only_a_low_port_needs_a_right(program: str, name: str, port: int, rights: str) -> None:
    text = units(program, port)[name]
    assert settings(text, "AmbientCapabilities") == settings(text, "CapabilityBoundingSet") == [rights]
    other = units(program, port)["client-us" if program == "wstunnel" else "wireguard-us"]
    assert settings(other, "CapabilityBoundingSet") == [""]


def test_variables_of_the_host_are_kept_away_but_not_ours() -> None:
    (unset,) = settings(units("wstunnel")["client-us"], "UnsetEnvironment")
    assert {"HTTP_PROXY", "https_proxy", "ALL_PROXY", "no_proxy", "NO_COLOR", "RUST_LOG"} <= set(unset.split())
    assert "SSL_CERT_FILE" not in unset.split()


def test_servers_are_there_at_boot_and_clients_are_the_agents() -> None:
    at_boot = {name for name, text in units("websocat").items() if "WantedBy=multi-user.target" in text}
    assert at_boot == {"target1-exit", "target2-exit", "front-exit"}


def test_keys_are_copied_whatever_their_path() -> None:
    text = units("wstunnel")["server1-exit"]
    assert any('"/etc/ssl/my keys/exit.key"' in line for line in settings(text, "ExecStartPre"))
    assert settings(text, "ExecReload") == settings(text, "ExecStartPre"), "a new one is taken without a restart"


def test_a_stamp_tells_what_changed_and_no_secret() -> None:
    first = stamp("unit", {"nginx.conf": SECRET}, {"key.pem": (227, 5)})
    assert SECRET not in first
    assert stamped_copies(first) == {"key.pem": (227, 5)}
    renewed = stamp("unit", {"nginx.conf": SECRET}, {"key.pem": (227, 6)})
    assert renewed != first
    assert without_copies(renewed) == without_copies(first)
    assert without_copies(stamp("other", {"nginx.conf": SECRET}, {})) != without_copies(first)


def test_without_ipv6_ipv4_is_listened_on() -> None:
    current = Current(
        lambda name: Places(Path("/etc/splitway") / name, Path("/run") / name),
        copies={SERVER.certificate: (1, 1), SERVER.key: (1, 1)},
        ipv6=False,
    )
    services = [change.after for change in plan(Transports((), (SERVER,)), current) if "service" in change.what]
    assert services[0] == "server exit: 0.0.0.0:443, to 127.0.0.1:51820 (udp), 127.0.0.1:1080 (tcp)"
    only = dataclasses.replace(SERVER, listen=("::",))
    with pytest.raises(ReconcileError, match="server exit: this host has no IPv6"):
        plan(Transports((), (only,)), current)
