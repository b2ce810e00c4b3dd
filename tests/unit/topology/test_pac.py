# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_pac` and `splitway_web`: read, compiled, and what is wrong with them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.pac.engines import answers
from splitway.compiler import CompileError, compile_state
from splitway.compiler.pac import compile_web
from splitway.pac import ProxyServer, pac_text
from splitway.ports import with_ports
from splitway.sources.library import ListLibrary
from splitway.sources.loading import Places
from splitway.sources.shipped import shipped_names
from splitway.state import Listener, PacServer, PortRange, Proxies, Proxy, ProxyUser, Web
from splitway.topology import TopologyError, parse

SERVER = {"addresses": ["10.8.0.1/24", "fdcc::1/64"]}
OPEN = {"name": "open", "http": {"listen": ["10.8.0.1"]}, "sources": ["10.8.0.0/24"], "policy": "family"}
BASE = {
    "splitway_server": SERVER,
    "splitway_policies": {"family": {"rules": [{"domain": "google.com", "egress": "block"}]}},
    "splitway_proxies": [OPEN],
}


def read(pac: Any, web: Any = None, **variables: Any):
    return parse({**BASE, "splitway_pac": pac, **({} if web is None else {"splitway_web": web}), **variables})


def refusal(pac: Any, web: Any = None, **variables: Any) -> str:
    with pytest.raises(TopologyError) as caught:
        read(pac, web, **variables)
    return str(caught.value)


def test_little_has_to_be_said() -> None:
    (file,) = read([{"name": "family"}]).pac
    assert (file.mode, file.policy, file.proxy, file.fail_open) == ("smart", "family", "open", False)
    assert compile_state(read([{"name": "family"}]), {}).web.listen == ("10.8.0.1", "fdcc::1")
    assert compile_state(parse(BASE), {}).web is None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, r"splitway_pac\[0\]\.name: is required"),
        ({"name": "a/b"}, r'splitway_pac\[0\]\.name: "a/b" is not a name'),
        ({"name": "WPAD"}, r'splitway_pac\[0\]\.name: "WPAD" is what the first file is called'),
        ({"name": "a", "mode": "clever"}, r'splitway_pac\[0\]\.mode: "clever" is not a mode of a PAC file'),
        (
            {"name": "a", "policy": "famly"},
            r'splitway_pac\[0\]\.policy: "famly" is not a policy; did you mean "family"',
        ),
        ({"name": "a", "proxy": "opn"}, r'splitway_pac\[0\]\.proxy: "opn" is not a proxy .*; did you mean "open"'),
        ({"name": "a", "local": ["in tern"]}, r'splitway_pac\[0\]\.local\[0\]: "in tern" is not a domain name'),
        ({"name": "a", "fail_open": "maybe"}, r'splitway_pac\[0\]\.fail_open: "maybe" is not a boolean'),
        ({"name": "a", "polcy": "family"}, r'splitway_pac\[0\]\.polcy: unknown key; did you mean "policy"'),
    ],
)
def test_what_is_wrong_with_a_file_is_named(entry: dict[str, Any], message: str) -> None:
    assert re.search(message, refusal([entry]))


def test_a_file_needs_a_proxy_that_browsers_can_use() -> None:
    none = refusal([{"name": "a"}, {"name": "b", "mode": "direct"}], splitway_proxies=None)
    assert none == (
        'splitway_pac[0].mode: splitway_mode "wireguard" has no proxies: only "direct" needs none\n'
        "splitway_pac[0].policy: is required: a file of the mode smart goes by a policy's rules"
    )
    empty = refusal([{"name": "a"}], splitway_proxies=[], splitway_mode="combined")
    assert "splitway_pac[0].proxy: is required, and splitway_proxies has none" in empty
    two = refusal(
        [{"name": "a"}], splitway_proxies=[OPEN, {**OPEN, "name": "other", "http": {**OPEN["http"], "port": 81}}]
    )
    assert "splitway_pac[0].proxy: is required: there is more than one" in two
    closed = {
        "name": "closed",
        "socks5": {"listen": ["10.8.0.1"]},
        "users": [{"name": "eva", "password": "pässword"}],
        "policy": "family",
    }
    assert '"closed" has users and only socks5' in refusal([{"name": "a"}], splitway_proxies=[closed])
    assert refusal([{"name": "a"}, {"name": "A"}]) == 'splitway_pac[1].name: "A" is already the name of splitway_pac[0]'


@pytest.mark.parametrize(
    ("web", "message"),
    [
        ({"listen": ["0.0.0.0"]}, r"splitway_web\.listen\[0\]: .* is every address, those that the Internet"),  # noqa: S104
        ({"certificate": "/etc/c.pem"}, r"splitway_web\.key: is required with certificate"),
        ({"key": "/etc/k.pem"}, r"splitway_web\.certificate: is required with key"),
        ({"certificate": "c.pem", "key": "/k"}, r'splitway_web\.certificate: "c\.pem" is not a path on the gateway'),
        ({"port": False}, r"splitway_web\.certificate: is required where port is false"),
        ({"port": "80-8"}, r"splitway_web\.port: .* is not a range of ports"),
        (
            {"certificate": "/c", "key": "/k", "https_port": "79-81"},
            r"splitway_web\.https_port: 79-81 overlaps port \(80\)",
        ),
        ({"wpad": ["lan"], "port": "80-90"}, r"splitway_web\.wpad: browsers ask for wpad at port 80 only"),
        ({"directory": "/"}, r"splitway_web\.directory: "),
        ({"directory": "/srv"}, r'splitway_web\.directory: "/srv" is no folder for files'),
        ({"directory": '/srv/a"; b'}, r"splitway_web\.directory: .* is not a path on the gateway"),
        ({"name": "*.example"}, r"splitway_web\.name: "),
    ],
)
def test_what_is_wrong_with_the_server_is_named(web: dict[str, Any], message: str) -> None:
    assert re.search(message, refusal([{"name": "a"}], web))


def test_a_server_without_files_is_a_mistake() -> None:
    assert "splitway_web: there is nothing to give out" in refusal(None, {"port": 81})


def test_clients_reach_the_server_and_it_follows_the_proxies_ports() -> None:
    web = {"certificate": "/c.pem", "key": "/k.pem", "port": "80-89"}
    state = compile_state(read([{"name": "a"}], web), {})
    opened = {port.key: port.port for port in state.marks.guard.services}
    assert opened == {"proxy/open/http": 8080, "web/http": 80, "web/https": 443}
    moved = with_ports(state, {"web/http": 83, "proxy/open/http": 8080})
    assert [port.port for port in moved.marks.guard.services if port.key == "web/http"] == [83]
    assert [(server.kind, server.host) for server in state.web.files[0].servers] == [("PROXY", "10.8.0.1")]
    assert state.web.files[0].servers[0].port.key == "proxy/open/http"
    # Where only others reach it, the clients' guard has nothing to open.
    lan = compile_state(read([{"name": "a"}], {"listen": ["192.168.1.1"]}), {})
    assert [port.key for port in lan.marks.guard.services] == ["proxy/open/http"]


def test_a_gateway_of_proxies_only_gives_files_out_where_it_is_told_to() -> None:
    upstream = {
        "name": "us",
        "endpoint": "exit.example:51820",
        "public_key": "MmM5OTkwMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc=",
        "addresses": ["10.64.0.2/32"],
        "transport": "wstunnel",
        "websocket": {"server": "wss://exit.example:443", "path": "a-long-secret-path-of-letters"},
    }
    proxy = {"name": "open", "http": {"listen": ["192.168.1.1"]}, "sources": ["192.168.1.0/24"], "upstream": "us"}
    alone = {
        **{key: value for key, value in BASE.items() if key != "splitway_server"},
        "splitway_mode": "proxy",
        "splitway_upstreams": [upstream],
        "splitway_proxies": [proxy],
        "splitway_pac": [{"name": "a", "policy": "family"}],
    }
    with pytest.raises(TopologyError) as caught:
        parse({**alone, "splitway_web": {"wpad": ["lan"]}})
    assert caught.value.errors == (
        "splitway_web.listen: is required without splitway_server",
        "splitway_web.wpad: is of no use without splitway_server: nobody asks us for names",
    )
    state = compile_state(parse({**alone, "splitway_web": {"listen": ["192.168.1.1"]}}), {})
    assert (state.web.modes, state.web.host, state.dns) == (("proxy",), "192.168.1.1", None)
    assert [(server.kind, server.host) for server in state.web.files[0].servers] == [("PROXY", "192.168.1.1")]


def test_https_beside_http_and_names_to_find_it() -> None:
    web = {"certificate": "/c.pem", "key": "/k.pem", "wpad": ["lan", "home.arpa"], "name": "gateway.example"}
    state = compile_state(read([{"name": "a"}], web), {})
    assert (state.web.http, state.web.https) == (PortRange("web/http", 80, 80), PortRange("web/https", 443, 443))
    assert [record.name for record in state.dns.records] == ["wpad.lan", "wpad.home.arpa"]
    assert state.dns.records[0].addresses == ("10.8.0.1", "fdcc::1")
    only = compile_state(read([{"name": "a"}], {**web, "wpad": [], "port": False, "https_port": "8443-8450"}), {})
    assert (only.web.http, only.web.https) == (None, PortRange("web/https", 8443, 8450))


def proxies(*listeners: Listener, users: tuple[ProxyUser, ...] = ()) -> Proxies:
    return Proxies((Proxy("open", 1, listeners, users),))


def listener(protocol: str, *addresses: str) -> Listener:
    return Listener(protocol, addresses, PortRange(f"proxy/open/{protocol}", 8000, 8010))


def servers(found: Proxies, web: Any = None) -> list[str]:
    files = compile_web(read([{"name": "a"}], web), found).files
    return [f"{server.kind} {server.host}" for server in files[0].servers]


def test_browsers_are_told_addresses_that_they_reach() -> None:
    both = (listener("socks5", "10.8.0.1", "fdcc::1"), listener("http", "127.0.0.1", "10.8.0.1"))
    assert servers(proxies(*both)) == ["PROXY 10.8.0.1", "SOCKS5 10.8.0.1", "SOCKS5 fdcc::1"]
    assert servers(proxies(*both), {"name": "gateway.example"}) == ["PROXY gateway.example", "SOCKS5 gateway.example"]
    assert servers(proxies(listener("http", "0.0.0.0", "127.0.0.1"))) == ["PROXY 10.8.0.1"]  # noqa: S104
    assert servers(proxies(listener("http", "::"))) == ["PROXY 10.8.0.1", "PROXY fdcc::1"]
    assert servers(proxies(listener("http", "127.0.0.1", "::1"))) == ["PROXY 127.0.0.1", "PROXY ::1"]
    # Browsers ask for a password for HTTP only.
    assert servers(proxies(*both, users=(ProxyUser("eva", "x"),))) == ["PROXY 10.8.0.1"]


def test_a_direct_file_is_there_in_every_mode() -> None:
    wireguard = read([{"name": "a", "mode": "direct"}], splitway_proxies=None)
    assert compile_web(wireguard, None).modes == ("combined",)


def test_a_file_that_browsers_would_not_take_is_refused_and_its_largest_list_named() -> None:
    huge = [f"{'abcdefghij' * 3}{number:06}{'klmnopqrst' * 2}.example{number % 7}" for number in range(40_000)]
    lists = {"few": {"domains": ["x.example"]}, "huge": {"domains": huge}}
    policies = {"family": {"rules": [{"list": "few", "egress": "block"}, {"list": "huge", "egress": "block"}]}}
    topology = read([{"name": "a"}], splitway_lists=lists, splitway_policies=policies)
    with pytest.raises(
        CompileError, match=r"^splitway_pac\[0\]: a\.pac would have [\d,]{9} bytes; of the list huge are"
    ):
        compile_web(topology, proxies(listener("http", "10.8.0.1")))


def text_of(web: Web) -> str:
    file = web.files[0]
    return pac_text(
        file.tables, [ProxyServer(each.kind, each.host, 8000) for each in file.servers], fail_open=file.fail_open
    )


@pytest.mark.parametrize("mode", ["smart", "global", "direct"])
@pytest.mark.parametrize("name", sorted(shipped_names()))
def test_each_shipped_list_in_each_mode(name: str, mode: str, tmp_path: Path) -> None:
    policies = {"family": {"rules": [{"list": name, "egress": "block"}], "default": "direct"}}
    variables = {**BASE, "splitway_policies": policies, "splitway_pac": [{"name": "a", "mode": mode}]}
    topology = parse(variables, ListLibrary(Places((), tmp_path, 0.0)))
    web = compile_web(topology, proxies(listener("http", "10.8.0.1")))
    chosen = next(entry for entry in topology.lists if entry.name == name)
    inside = [*chosen.domains, *(f"www.{domain}" for domain in chosen.domains)]
    outside = ["unlisted.example", "x.unlisted.example"]
    found = answers(text_of(web), [host for host in (*inside, *outside) if "." in host])
    away = {"smart": "PROXY 127.0.0.1:9", "global": "PROXY 10.8.0.1:8000", "direct": "DIRECT"}[mode]
    rest = {"smart": "DIRECT", "global": "PROXY 10.8.0.1:8000", "direct": "DIRECT"}[mode]
    local = (".local", ".localhost")
    assert {answer for host, answer in found.items() if host in inside and not host.endswith(local)} <= {away}
    assert {found[host] for host in outside} == {rest}
    assert (
        PacServer("PROXY", "10.8.0.1", PortRange("proxy/open/http", 8000, 8010)) in web.files[0].servers
        or mode == "direct"
    )
