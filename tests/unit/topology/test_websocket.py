# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets and their programs as an operator writes them: what they mean, and each mistake with its path."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import DELETE, changed, place
from ansible_collections.splitway.gateway.tests.unit.topology.test_exit_node import changed as changed_exit
from splitway.services import Ports
from splitway.topology import TopologyError, parse, parse_exit
from splitway.topology.model import ProgramSource, Websocket, WebsocketServer

PATH = "a-path.nobody_guesses~1"
NEAR = "splitway_upstreams[0].websocket"
FAR = "splitway_server.websocket"
WEBSOCKET = {"server": "wss://exit.example.net", "path": PATH}
SERVER = {"path": PATH, "certificate": "/etc/ssl/exit.pem", "key": "/etc/ssl/exit.key"}
PROGRAM = {"websocat": {"path": "/usr/bin/websocat"}}


def near(*changes: tuple[str, Any], transport: str = "wstunnel", **programs: Any) -> dict[str, Any]:
    """Return a topology whose first upstream has a WebSocket, with changes to that."""
    variables = changed(("splitway_upstreams[0].transport", transport), (NEAR, dict(WEBSOCKET)))
    for path, value in changes:
        place(variables, f"{NEAR}.{path}", value)
    variables["splitway_programs"] = programs or PROGRAM
    return variables


def far(*changes: tuple[str, Any]) -> dict[str, Any]:
    variables = changed((FAR, dict(SERVER)))
    for path, value in changes:
        place(variables, f"{FAR}.{path}", value)
    return variables


def errors_of(variables: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as caught:
        parse(variables)
    assert PATH not in str(caught.value)
    return caught.value.errors


def test_the_least() -> None:
    upstream = parse(near()).upstreams[0]
    assert upstream.transport == "wstunnel"
    assert upstream.websocket == Websocket(("wss://exit.example.net:443",), PATH, target="127.0.0.1:51820")
    assert PATH not in repr(upstream)


def test_everything() -> None:
    variables = near(
        ("server", DELETE),
        ("servers", ["wss://exit.example.net:443", "wss://[2001:db8::7]:8443/", "wss://198.51.100.7"]),
        ("program", "wstunnel"),
        ("ca", "/etc/ssl/our ca.pem"),
        ("server_name", "Front.example.net"),
        ("certificate", "/etc/ssl/gw.pem"),
        ("key", "/etc/ssl/gw.key"),
        ("minimum_idle", 0),
        ("ping", 20),
        ("target", "[::1]:443"),
        ("ports", "42000-42010"),
        transport="auto",
    )
    assert parse(variables).upstreams[0].websocket == Websocket(
        servers=("wss://exit.example.net:443", "wss://[2001:db8::7]:8443", "wss://198.51.100.7:443"),
        path=PATH,
        program="wstunnel",
        verify=True,
        ca="/etc/ssl/our ca.pem",
        server_name="front.example.net",
        certificate="/etc/ssl/gw.pem",
        key="/etc/ssl/gw.key",
        minimum_idle=0,
        ping=20,
        target="[::1]:443",
        ports=Ports(42000, 42010),
    )


def test_the_program_is_the_transports_and_wstunnel_where_both_may_be() -> None:
    for transport, program in (("wstunnel", "wstunnel"), ("websocat", "websocat"), ("auto", "wstunnel")):
        websocket = parse(near(transport=transport)).upstreams[0].websocket
        assert websocket is not None
        assert websocket.program == program
    websocket = parse(near(("program", "websocat"), transport="auto")).upstreams[0].websocket
    assert websocket is not None
    assert websocket.program == "websocat"


def test_the_target_is_where_the_exit_answers_to_wireguard() -> None:
    variables = near()
    place(variables, "splitway_upstreams[0].endpoint", "us.example.com:4500")
    websocket = parse(variables).upstreams[0].websocket
    assert websocket is not None
    assert websocket.target == "127.0.0.1:4500"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("server", "ws://exit.example.net", '"ws://exit.example.net" does not begin with wss://: without TLS'),
        ("server", "https://exit.example.net", '"https://exit.example.net" does not begin with wss://'),
        ("server", "exit.example.net:443", '"exit.example.net:443" does not begin with wss://'),
        ("server", "wss://exit.example.net/secret/", "wss://exit.example.net/… has more than a host and a port"),
        ("server", "wss://exit.example.net?a=b", "wss://exit.example.net/… has more than a host and a port"),
        ("server", "wss://exit.example.net:0", '"exit.example.net:0" is not host or host:port: "0" is not a port'),
        ("server", "wss://me:hidden@exit.example.net", "a user and a password have no place in the URL"),
        ("server", "wss://me:hidden@[::1", "a user and a password have no place in the URL"),
        ("server", "wss://exit\n.example.net", 'exit\\n.example.net" is not the URL of a server'),
        ("server", "wss://[::1", '"wss://[::1" is not the URL of a server'),
        ("server", "wss://", '"" is not'),
        ("server", 443, "443 is not the URL of a server (wss://host:port): YAML reads it as a number"),
        ("path", "short", "is not a path: 12 to 128 letters, digits, '-', '_', '.' and '~'"),
        ("path", "with a space in it", "is not a path"),
        ("path", "a/b/c/d/e/f/g/h/i", "is not a path"),
        ("path", "p@ss:w/rd%&?p@ss:w/rd%&?", "is not a path"),
        ("path", "ends-in-a-newline\n", "is not a path"),
        ("path", "x" * 129, "is not a path"),
        ("path", 123456789012345, "is not a path"),
        ("path", DELETE, "is required"),
        ("program", "stunnel", '"stunnel" is not a program (wstunnel or websocat)'),
        ("program", "websocat", '"websocat" contradicts transport wstunnel'),
        ("verify", "maybe", '"maybe" is not a boolean'),
        ("ca", "ca.pem", '"ca.pem" is not a file (a path that begins with /'),
        ("ca", '/etc/"; x', "is not a file"),
        ("server_name", "198.51.100.7", "is not a domain name: it is an address"),
        ("certificate", "/c.pem", f"{NEAR}.key: is required with certificate"),
        ("key", "/c.key", f"{NEAR}.certificate: is required with key"),
        ("minimum_idle", 101, "101 is not a number of connections (0-100)"),
        ("ping", -1, "-1 is not a number of seconds, or 0 for none (0-3600)"),
        ("target", "51820", "is not a target (address:port): it has no port"),
        ("target", "localhost:51820", '"localhost:51820" is not a target: write "127.0.0.1:51820"'),
        ("target", "0.0.0.0:51820", "is not a target: nobody answers there"),
        ("ports", "41099-41000", "is not a range of ports: it ends before it begins"),
        ("ports", "0-99", '"0" is not a port'),
        ("ports", "41000+", "is not a port or a range of ports"),
        ("adress", "x", "unknown key"),
        ("servers", ["wss://a.example"], f"{NEAR}.server: stands beside servers: give one of them"),
    ],
)
def test_each_mistake_is_named(path: str, value: Any, message: str) -> None:
    errors = errors_of(near((path, value)))
    assert len(errors) == 1
    assert message in errors[0]
    assert errors[0].startswith(NEAR)
    assert not any(secret in errors[0] for secret in ("secret", "hidden", "p@ss", "with a space in it"))


def test_what_contradicts_itself() -> None:
    assert errors_of(changed(("splitway_upstreams[0].transport", "auto"))) == (
        f"{NEAR}: is required with transport auto",
    )
    assert errors_of(near(transport="udp")) == (
        f"{NEAR}: is of no use with transport udp: say transport: auto, wstunnel or websocat",
    )
    assert errors_of(near(transport="tcp")) == (
        'splitway_upstreams[0].transport: "tcp" is not a transport (udp or wstunnel or websocat or auto)',
    )
    assert errors_of(near(("verify", False), ("ca", "/ca.pem"))) == (f"{NEAR}.ca: is of no use with verify: false",)
    twice = near(("server", DELETE), ("servers", ["wss://a.example", "wss://A.example:443"]))
    assert errors_of(twice) == (f'{NEAR}.servers[1]: "wss://a.example:443" is servers[0] already',)
    assert errors_of(near(("server", DELETE))) == (f"{NEAR}.servers: is required",)
    assert errors_of(near(("server", DELETE), ("servers", []))) == (f"{NEAR}.servers: is empty",)
    parts = (("certificate", "/c.pem"), ("key", "/c.key"), ("minimum_idle", 3))
    assert errors_of(near(*parts, transport="websocat")) == tuple(
        f"{NEAR}.{name}: is of no use with websocat: only wstunnel knows it" for name, _ in parts
    )


def test_a_certificate_may_stand_for_the_path_of_wstunnel() -> None:
    websocket = parse(near(("path", DELETE), ("certificate", "/c.pem"), ("key", "/c.key"))).upstreams[0].websocket
    assert websocket is not None
    assert websocket.path == ""
    server = parse(far(("path", DELETE), ("client_ca", "/ca.pem"))).server.websocket
    assert server is not None
    assert server.path == ""


def test_a_server() -> None:
    least = WebsocketServer(PATH, "/etc/ssl/exit.pem", "/etc/ssl/exit.key")
    assert parse(far()).server.websocket == least
    full = far(("program", "websocat"), ("listen", ["198.51.100.7", "2001:DB8::7"]), ("port", "443-453"))
    full["splitway_programs"] = PROGRAM
    assert parse(full).server.websocket == WebsocketServer(
        PATH, "/etc/ssl/exit.pem", "/etc/ssl/exit.key", "websocat", ("198.51.100.7", "2001:db8::7"), Ports(443, 453)
    )
    wanted = {**SERVER, "proxies": True}
    assert parse_exit(changed_exit(("splitway_exit.websocket", wanted))).websocket == WebsocketServer(
        PATH, "/etc/ssl/exit.pem", "/etc/ssl/exit.key", proxies=True
    )


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("path", DELETE, "path: is required"),
        ("path", "short", "path: is not a path"),
        ("certificate", DELETE, "certificate: is required"),
        ("key", "exit.key", 'key: "exit.key" is not a file'),
        ("listen", [], "listen: is empty"),
        ("listen", ["exit.example.net"], 'listen[0]: "exit.example.net" is not an address'),
        ("listen", ["fe80::1"], 'listen[0]: "fe80::1" is not an address to listen at'),
        ("listen", ["10.0.0.1", "0.0.0.0", "::1"], 'listen[0]: "10.0.0.1" is one of those that "0.0.0.0" stands for'),  # noqa: S104
        ("port", "453-443", "port: "),
        ("proxies", True, "proxies: unknown key"),
    ],
)
def test_each_mistake_of_a_server_is_named(path: str, value: Any, message: str) -> None:
    errors = errors_of(far((path, value)))
    assert len(errors) == 1
    assert errors[0].startswith(f"{FAR}.{message}")


def test_websocat_has_no_certificates_of_clients() -> None:
    variables = far(("program", "websocat"), ("client_ca", "/ca.pem"))
    variables["splitway_programs"] = PROGRAM
    assert errors_of(variables) == (f"{FAR}.client_ca: is of no use with websocat, whose clients have no certificate",)


DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        ({}, ProgramSource("wstunnel", "10.6.2")),
        ({"version": "v10.6.2"}, ProgramSource("wstunnel", "10.6.2")),
        ({"checksum": f"sha256:{DIGEST.upper()}"}, ProgramSource("wstunnel", "10.6.2", checksum=DIGEST)),
        ({"version": "10.5.0", "checksum": DIGEST}, ProgramSource("wstunnel", "10.5.0", checksum=DIGEST)),
        (
            {"url": "https://files.example/wstunnel", "checksum": DIGEST, "version": "11.0.0"},
            ProgramSource("wstunnel", "11.0.0", "https://files.example/wstunnel", DIGEST),
        ),
        ({"path": "/opt/wstunnel"}, ProgramSource("wstunnel", path="/opt/wstunnel")),
        ({"source": "files/wstunnel"}, ProgramSource("wstunnel", source="files/wstunnel")),
    ],
)
def test_where_a_program_comes_from(entry: dict[str, str], source: ProgramSource) -> None:
    assert parse(near(wstunnel=entry)).programs == (source,)


def test_only_what_is_used_is_brought() -> None:
    assert parse(near()).programs == (ProgramSource("wstunnel", "10.6.2"),)
    assert parse(near(transport="websocat")).programs == (ProgramSource("websocat", path="/usr/bin/websocat"),)
    assert parse(changed(("splitway_programs", PROGRAM))).programs == ()


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        (
            "wstunnel",
            {"version": "10.1.8", "checksum": DIGEST},
            "version: wstunnel 10.1.8 has no --websocket-ping-freq",
        ),
        ("wstunnel", {"version": "10.5.0"}, "checksum: is required: of wstunnel only 10.6.2 has a known one"),
        ("wstunnel", {"version": "latest"}, 'version: "latest" is not a version (like "10.6.2")'),
        ("wstunnel", {"url": "https://files.example/w"}, "checksum: is required with url: nothing is fetched that"),
        ("wstunnel", {"url": "ftp://files.example/w", "checksum": DIGEST}, "url: is not a URL"),
        ("wstunnel", {"path": "/w", "source": "w"}, "source: stands beside path: give one of them"),
        ("wstunnel", {"path": "/w", "version": "10.6.2"}, "version: stands beside path: give one of them"),
        ("wstunnel", {"path": "/w", "checksum": DIGEST}, "checksum: is of no use with path"),
        ("wstunnel", {"checksum": "md5:00"}, 'checksum: "md5:00" is not a checksum'),
        ("wstunnel", {"path": "w"}, 'path: "w" is not a file'),
        ("wstunnel", {"sha256": DIGEST}, "sha256: unknown key"),
        ("websocat", {}, "says nothing: give path, source, or url and checksum"),
        ("websocat", {"version": "1.13.0"}, "version: is not enough for websocat"),
    ],
)
def test_each_mistake_of_a_program_is_named(name: str, entry: dict[str, str], message: str) -> None:
    errors = errors_of(near(transport=name, **{name: entry}))
    assert len(errors) == 1
    assert errors[0].startswith(f"splitway_programs.{name}")
    assert message in errors[0]


def test_websocat_has_no_release_of_its_own() -> None:
    variables = near(transport="websocat")
    del variables["splitway_programs"]
    (error,) = errors_of(variables)
    assert error.startswith('splitway_programs.websocat: is required: the upstream "us" uses it (give its path')
    exit_ = changed_exit(("splitway_exit.websocket", {**SERVER, "program": "websocat"}))
    with pytest.raises(TopologyError, match=r"splitway_programs\.websocat: is required: splitway_exit\.websocket uses"):
        parse_exit(exit_)
