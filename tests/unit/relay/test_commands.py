# SPDX-License-Identifier: GPL-3.0-or-later
"""How the programs are called: every flag by what it does, and by the version that first had it."""

from __future__ import annotations

import dataclasses
import shlex

import pytest
import yaml

from ansible_collections.splitway.gateway.tests.unit.relay.ends import CLIENT, PATH, SERVER, SOCKS, WIREGUARD
from splitway.relay import Command, RelayError, check, front, version, versions, websocat, wstunnel
from splitway.state import TransportServer

FULL = dataclasses.replace(
    CLIENT, ca="/etc/ssl/ca.pem", server_name="front.example.net", certificate="/c.pem", key="/c.key", minimum_idle=0
)
SOCKETS = {target: f"/run/x/{target.protocol}.sock" for target in SERVER.targets}

# What `wstunnel client --help` and `wstunnel server --help` of 10.6.2 have, of what could be asked of them here.
COMMON_FLAGS = {"--no-color", "--log-lvl", "--websocket-ping-frequency", "--tls-certificate", "--tls-private-key"}
CLIENT_FLAGS = COMMON_FLAGS | {
    "--connection-min-idle",
    "--connection-retry-max-backoff",
    "--http-headers-file",
    "--http-upgrade-path-prefix",
    "--local-to-remote",
    "--tls-sni-override",
    "--tls-verify-certificate",
}
SERVER_FLAGS = COMMON_FLAGS | {"--restrict-to", "--restrict-config", "--tls-client-ca-certs"}


def test_the_client_of_wstunnel() -> None:
    assert wstunnel.client("/opt/wstunnel", CLIENT) == Command(
        (
            "/opt/wstunnel",
            "client",
            "--no-color",
            "--log-lvl=INFO",
            "--connection-min-idle=5",
            "--connection-retry-max-backoff=10s",
            "--websocket-ping-frequency=30s",
            "--tls-verify-certificate",
            "--local-to-remote=udp://127.0.0.1:41000:127.0.0.1:51820?timeout_sec=0",
            "--local-to-remote=tcp://127.0.0.1:41001:[::1]:1080",
            "wss://exit.example.net:443",
        ),
        (("WSTUNNEL_HTTP_UPGRADE_PATH_PREFIX", PATH),),
    )


def test_what_an_operator_may_change() -> None:
    command = wstunnel.client("wstunnel", FULL)
    assert {"--tls-sni-override=front.example.net", "--connection-min-idle=0"} < set(command.arguments)
    assert {"--tls-certificate=/c.pem", "--tls-private-key=/c.key"} < set(command.arguments)
    assert ("SSL_CERT_FILE", "/etc/ssl/ca.pem") in command.environment
    trusting = wstunnel.client("wstunnel", dataclasses.replace(CLIENT, verify=False))
    assert "--tls-verify-certificate" not in trusting.arguments
    backup = dataclasses.replace(CLIENT, servers=(*CLIENT.servers, "wss://[2001:db8::1]:8443"), server=1)
    assert wstunnel.client("wstunnel", backup).arguments[-1] == "wss://[2001:db8::1]:8443"


def test_a_certificate_stands_for_the_path() -> None:
    assert wstunnel.client("wstunnel", dataclasses.replace(FULL, path="", ca="")).environment == ()
    server = dataclasses.replace(SERVER, path="", client_ca="/ca.pem")
    assert _restrictions(server)[0]["match"] == [("Any", "")]
    assert "--tls-client-ca-certs=/ca.pem" in wstunnel.server("wstunnel", server, "::", "/r.yml").arguments


def test_the_server_of_wstunnel() -> None:
    assert wstunnel.server("wstunnel", SERVER, "::", "/run/x/r.yml").arguments == (
        "wstunnel",
        "server",
        "--no-color",
        "--log-lvl=INFO,wstunnel::tunnel::server=error",
        "--websocket-ping-frequency=30s",
        "--restrict-config=/run/x/r.yml",
        "--tls-certificate=/etc/ssl/exit.pem",
        "--tls-private-key=/etc/ssl/exit.key",
        "wss://[::]:443",
    )


@pytest.mark.parametrize(
    ("listen", "binds"),
    [
        (("0.0.0.0", "::"), ("::",)),  # noqa: S104
        (("::", "10.0.0.1", "2001:db8::1"), ("::",)),
        (("10.0.0.1", "2001:db8::1"), ("10.0.0.1", "2001:db8::1")),
    ],
)
def test_two_servers_never_want_the_same_port(listen: tuple[str, ...], binds: tuple[str, ...]) -> None:
    assert wstunnel.binds(listen) == binds


class _Tags(yaml.SafeLoader):
    """Reads `!Tunnel {…}` as a pair."""


def _pair(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> tuple[str, object]:
    if isinstance(node, yaml.MappingNode):
        return suffix, loader.construct_mapping(node, deep=True)
    return suffix, loader.construct_scalar(node)


_Tags.add_multi_constructor("!", _pair)


def _restrictions(end: TransportServer) -> list[dict[str, object]]:
    return yaml.load(wstunnel.restrictions(end), _Tags)["restrictions"]  # noqa: S506 (a safe loader's child)


def test_only_the_targets_are_allowed() -> None:
    assert _restrictions(SERVER) == [
        {
            "name": "splitway",
            "match": [("PathPrefix", "^K7fQ-2xWm[.]9tRzB4$")],
            "allow": [
                ("Tunnel", {"protocol": ["Udp"], "port": ["51820"], "host": "^$", "cidr": ["127.0.0.1/32"]}),
                ("Tunnel", {"protocol": ["Tcp"], "port": ["1080"], "host": "^$", "cidr": ["::1/128"]}),
            ],
        }
    ]


def test_the_client_of_websocat() -> None:
    assert websocat.client("websocat", CLIENT, WIREGUARD).arguments == (
        "websocat",
        "--binary",
        "--exit-on-eof",
        "--ping-interval=30",
        "--ping-timeout=75",
        "--autoreconnect-delay-millis=1000",
        "udp-l:127.0.0.1:41000",
        f"autoreconnect:wss://exit.example.net:443/{PATH}/udp/127.0.0.1/51820",
    )
    assert websocat.client("websocat", FULL, SOCKS) == Command(
        (
            "websocat",
            "--binary",
            "--ping-interval=30",
            "--ping-timeout=75",
            "--tls-domain=front.example.net",
            f"--ws-c-uri=ws://front.example.net/{PATH}/tcp/::1/1080",
            "tcp-l:127.0.0.1:41001",
            "ws-c:ssl-connect:tcp:exit.example.net:443",
        ),
        (("SSL_CERT_FILE", "/etc/ssl/ca.pem"),),
    )
    v6 = dataclasses.replace(CLIENT, servers=("wss://[2001:db8::1]:8443",))
    assert websocat.client("websocat", v6, SOCKS).arguments[-4:] == (
        "--tls-domain=2001:db8::1",
        f"--ws-c-uri=ws://[2001:db8::1]/{PATH}/tcp/::1/1080",
        "tcp-l:127.0.0.1:41001",
        "ws-c:ssl-connect:tcp:[2001:db8::1]:8443",
    )
    assert "--insecure" in websocat.client("websocat", dataclasses.replace(CLIENT, verify=False), SOCKS).arguments
    still = websocat.client("websocat", dataclasses.replace(CLIENT, ping=0), SOCKS).arguments
    assert not [word for word in still if word.startswith("--ping")]


def test_the_server_of_websocat_and_what_stands_before_it() -> None:
    udp, tcp = SERVER.targets
    assert websocat.server("websocat", udp, SOCKETS[udp]).arguments[-2:] == (
        "l-ws-unix:/run/x/udp.sock",
        "udp:127.0.0.1:51820",
    )
    assert websocat.server("websocat", tcp, SOCKETS[tcp]).arguments[-1] == "tcp:[::1]:1080"
    text = front.configuration(SERVER, SOCKETS, "/run/x")
    assert "listen 0.0.0.0:443 ssl;" in text
    assert "listen [::]:443 ssl ipv6only=on;" in text
    for end, forwarding in ((udp, WIREGUARD), (tcp, SOCKS)):
        url = websocat.client("websocat", CLIENT, forwarding).arguments[-1]
        assert f"location = {url.partition(':443')[2]} {{\n            proxy_pass http://unix:{SOCKETS[end]}:/;" in text


def test_the_path_is_in_no_argument_of_wstunnel() -> None:
    commands = (wstunnel.client("wstunnel", FULL), wstunnel.server("wstunnel", SERVER, "::", "/r.yml"))
    assert not [word for command in commands for word in command.arguments if PATH in word]
    assert PATH not in repr(commands)


def test_systemd_reads_what_is_meant() -> None:
    command = Command(("/opt/w", "--a=b c", 'd"e\\f', "50%$x"), (("A", 'x $y "z" \\ 5%'),))
    assert command.exec_start == '/opt/w "--a=b c" "d\\"e\\\\f" "50%%$$x"'
    assert command.environment_file == 'A="x \\$y \\"z\\" \\\\ 5%"\n'
    assert shlex.split(wstunnel.client("/opt/w", FULL).exec_start) == list(wstunnel.client("/opt/w", FULL).arguments)


def _flags(command: Command) -> list[str]:
    return [word.partition("=")[0] for word in command.arguments if word.startswith("--")]


def test_every_flag_is_one_of_the_programs() -> None:
    server = dataclasses.replace(SERVER, client_ca="/ca.pem")
    assert set(_flags(wstunnel.client("wstunnel", FULL))) <= CLIENT_FLAGS
    assert set(_flags(wstunnel.server("wstunnel", server, "::", "/r.yml"))) <= SERVER_FLAGS


@pytest.mark.parametrize(
    ("text", "found"),
    [("wstunnel-cli 10.6.2\n", (10, 6, 2)), ("wstunnel 9.4.0", (9, 4, 0)), ("websocat 1.13.0\n", (1, 13, 0))],
)
def test_versions_are_read(text: str, found: tuple[int, int, int]) -> None:
    assert version(text) == found


@pytest.mark.parametrize("text", ["", "\n", "wstunnel", "error: unexpected argument '--version'", "10.6"])
def test_what_tells_no_version(text: str) -> None:
    with pytest.raises(RelayError, match="does not tell its version"):
        version(text)


MODERN = wstunnel.client("wstunnel", FULL)
GUARDED = wstunnel.server("wstunnel", dataclasses.replace(SERVER, client_ca="/ca.pem"), "::", "/r.yml")
RELAYED = websocat.client("websocat", FULL, WIREGUARD)


@pytest.mark.parametrize(("program", "command"), [("wstunnel", MODERN), ("wstunnel", GUARDED), ("websocat", RELAYED)])
def test_each_gate_lets_its_own_version_through_and_none_before(program: str, command: Command) -> None:
    gates = versions.first_versions(program, command)
    newest = max(gates.values())
    check(program, newest, command)
    assert set(_flags(command)) <= set(gates)
    for word, first in gates.items():
        before = (first[0], first[1], first[2] - 1) if first[2] else (first[0], first[1] - 1, 999)
        with pytest.raises(RelayError) as caught:
            check(program, before, command)
        assert f"{word} (since {'.'.join(map(str, first))})" in str(caught.value)
        assert f"from {'.'.join(map(str, newest))} on" in str(caught.value)


def test_the_message_names_flag_and_both_versions() -> None:
    with pytest.raises(RelayError) as caught:
        check("wstunnel", (10, 1, 8), wstunnel.server("wstunnel", SERVER, "::", "/r.yml"))
    assert str(caught.value) == (
        "wstunnel 10.1.8 has no --websocket-ping-frequency (since 10.1.9): "
        "give splitway_programs.wstunnel a version from 10.1.9 on"
    )
