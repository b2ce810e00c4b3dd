# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies as people use them, with curl: who may, by which way it leaves, and what is left of it afterwards."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

import pytest
from enterable import system
from namespaces import Namespace, NamespaceSystem, ReadOnlySystem, run_here, wait_for
from traffic import BACKENDS, CLIENTS, US, Lab, bring, captured, lab, learn, the_marks, the_sets

from splitway.kept import Kept
from splitway.ports import filled
from splitway.reconcile import accounts, marks, proxies
from splitway.reconcile.base import ReconcileError, additions, removals
from splitway.socks5.passwords import hashed
from splitway.state import (
    FAMILIES,
    PROXY_USERS,
    ClientGuard,
    Host,
    Listener,
    Marks,
    PortRange,
    Proxies,
    Proxy,
    ProxyAccount,
    ProxyUser,
)

__all__ = ["lab", "system"]
pytestmark = pytest.mark.skipif(not Path("/usr/sbin/squid").exists(), reason="squid is not installed")

HOSTILE = "p@ss:w/o%r&d? x\"y'z\\ $HOME #1 ü€ {{ x }}"
USERS = (ProxyUser("alice", hashed(HOSTILE, "alice")), ProxyUser("bob@example.com", hashed("secret", "bob")))
OWN = {4: "10.8.0.1", 6: "fdcc::1"}
SOCKS5, HTTP = PortRange("proxy/office/socks5", 1080, 1089), PortRange("proxy/office/http", 8080, 8089)
INNER = PortRange("proxy/office/inner", 41100, 41199)
LISTEN = (OWN[4], OWN[6])
OFFICE = Proxy(
    "office", 1, (Listener("socks5", LISTEN, SOCKS5), Listener("http", LISTEN, HTTP)), USERS, (), 2, inner=INNER
)
USER = f"{PROXY_USERS}1"


def section(*entries: Proxy, **changes: object) -> Proxies:
    found = Proxies(entries, LISTEN, tuple(f"{PROXY_USERS}{entry.number}" for entry in entries))
    return dataclasses.replace(found, **changes)


def reconcile(system: NamespaceSystem, wanted: Optional[Proxies]) -> list[str]:
    """Bring the section in, as a transaction does; return what was changed."""
    done = []
    for choose in (additions, removals):
        present = filled(wanted, Kept(system).ports.read())
        changes = choose(proxies.plan(present, proxies.read(system, present)))
        proxies.apply(system, changes)
        done += changes
    return [f"{change.action} {change.what}" for change in done]


class Answer(NamedTuple):
    """What curl says."""

    text: str  # of the page, or of the error
    status: int  # 0: there was none
    connect: int  # of the proxy's own answer to CONNECT


def curl(
    host: Namespace, proxy: str, url: str, login: Optional[str] = None, *extra: str, timeout: float = 30
) -> Answer:
    """Fetch a page through a proxy; the login goes in by a configuration on standard input."""
    options = "" if login is None else 'proxy-user = "{}"\n'.format(login.replace("\\", "\\\\").replace('"', '\\"'))
    form = r"\n%{http_code} %{http_connect}"
    argv = ("curl", "-sS", "-K", "-", "-m", str(timeout), "-x", proxy, "-w", form, *extra, url)
    done = host.run("sh", "-c", '"$@" 2>&1; true', "sh", *argv, input=options)
    *text, codes = done.strip().splitlines()
    status, connect = codes.split()
    return Answer("\n".join(text), int(status), int(connect))


def the_section(backend: str) -> Marks:
    """The office's connections have the policy whose default is direct; its list goes to us."""
    account = ProxyAccount(USER, 1, (SOCKS5, HTTP), (INNER,))
    guard = ClientGuard(ports=(), resolvers=LISTEN, services=(SOCKS5, HTTP), protect_clients=True)
    return dataclasses.replace(the_marks(backend), host=Host(None, LISTEN, proxies=(account,)), guard=guard)


NAMES = {
    "listed.example": ("203.0.113.20", "2001:db8:20::1"),
    "plain.example": ("203.0.113.30", "2001:db8:30::1"),
    "only6.example": ("", "2001:db8:20::1"),
}


@contextlib.contextmanager
def resolver(asked: list[str]) -> Iterator[None]:
    """Answer at the gateway's addresses as our dnsmasq would; collect the names that are asked for."""
    servers = []
    for address in LISTEN:
        server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, 53))
        servers.append(server)
        threading.Thread(target=_resolve, args=(server, asked), daemon=True).start()
    yield
    for server in servers:
        server.close()


def _resolve(server: socket.socket, asked: list[str]) -> None:
    with contextlib.suppress(OSError):
        while True:
            question, asker = server.recvfrom(1000)
            labels, place = [], 12
            while question[place]:
                labels.append(question[place + 1 : place + 1 + question[place]].decode())
                place += 1 + question[place]
            kind, name = int.from_bytes(question[place + 1 : place + 3], "big"), ".".join(labels)
            asked.append(name)
            found = NAMES.get(name, ("", ""))[0 if kind == 1 else 1] if kind in (1, 28) else ""
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            data = socket.inet_pton(family, found) if found else b""
            answer = b"\xc0\x0c" + question[place + 1 : place + 5] + bytes((0, 0, 0, 60, 0, len(data))) + data
            head = question[:2] + bytes((0x81, 0x80, 0, 1, 0, 1 if found else 0, 0, 0, 0, 0))
            server.sendto(head + question[12 : place + 5] + (answer if found else b""), asker)


@contextlib.contextmanager
def pages(*hosts: tuple[Namespace, str]) -> Iterator[None]:
    """Serve, at port 8000 of hosts, a page with their name."""
    listeners = []
    for host, name in hosts:
        with host.entered():
            listener = socket.create_server(("::", 8000), family=socket.AF_INET6, dualstack_ipv6=True, backlog=50)
        listeners.append(listener)
        threading.Thread(target=_serve, args=(listener, name.encode()), daemon=True).start()
    yield
    for listener in listeners:
        listener.close()


def _serve(listener: socket.socket, name: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=_give, args=(listener.accept()[0], name), daemon=True).start()


def _give(connection: socket.socket, name: bytes) -> None:
    with connection, contextlib.suppress(OSError):
        connection.settimeout(30)
        connection.recv(5000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(name) + name)


@pytest.fixture
def names() -> list[str]:
    """The names that were asked for."""
    return []


@pytest.fixture
def gateway(system: NamespaceSystem, lab: Lab, backend: str, names: list[str]) -> Iterator[NamespaceSystem]:
    """A gateway whose names and pages are served."""
    for interface in ("wg-up-1", "wg-up-2"):
        Path(f"/proc/sys/net/ipv4/conf/{interface}/rp_filter").write_text("2", encoding="ascii")
    Path("/proc/sys/net/ipv4/conf/all/src_valid_mark").write_text("1", encoding="ascii")
    bring(system, backend, the_sets(), the_section(backend))
    for family in FAMILIES:
        learn(backend, f"sw{family}d1", NAMES["listed.example"][0 if family == 4 else 1])
    with resolver(names), pages(*((host, name) for name, host in lab.exits.items())):
        yield system


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_names_and_addresses_leave_by_the_proxy_s_policy(
    gateway: NamespaceSystem, lab: Lab, backend: str, family: int
) -> None:
    reconcile(gateway, section(OFFICE))
    host = OWN[family] if family == 4 else f"[{OWN[family]}]"
    login = f"alice:{HOSTILE}"
    for proxy in (f"socks5h://{host}:1080", f"http://{host}:8080"):
        for extra in ((), ("-p",)):
            for url, way in (
                ("http://listed.example:8000/", "wg-up-1"),
                ("http://plain.example:8000/", "uplink"),
                ("http://only6.example:8000/", "wg-up-1"),
                ("http://203.0.113.20:8000/", "wg-up-1"),
                ("http://[2001:db8:20::1]:8000/", "wg-up-1"),
                ("http://203.0.113.30:8000/", "uplink"),
                ("http://[2001:db8:30::1]:8000/", "uplink"),
            ):
                found = curl(lab.client, proxy, url, login, "--interface", CLIENTS[family][0], *extra)
                assert (found.text, found.status) == (way, 200), (proxy, url, extra)
    assert reconcile(gateway, section(OFFICE)) == []
    wanted = the_section(backend)
    assert marks.plan(wanted, marks.read(gateway, wanted, backend)) == ()


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_who_may_use_a_proxy(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    reconcile(gateway, section(OFFICE))
    url = "http://plain.example:8000/"
    socks5, http = "socks5h://10.8.0.1:1080", "http://10.8.0.1:8080"
    for login in (f"alice:{HOSTILE}", "bob@example.com:secret"):
        assert curl(lab.client, socks5, url, login).text == "uplink"
        assert curl(lab.client, http, url, login).text == "uplink"
    for login in (None, "alice:wrong", f"alice:{HOSTILE}x", f"bob@example.com:{HOSTILE}", "nobody:secret", "alice:"):
        refused = curl(lab.client, http, url, login, "-o", "/dev/null", "-D", "-")
        assert refused.status == 407
        assert 'Proxy-Authenticate: Basic realm="proxy"' in refused.text
        assert curl(lab.client, http, url, login, "-p").connect == 407
        assert "97" in curl(lab.client, socks5, url, login).text
    logs = "".join(path.read_text() for path in (gateway.plain_units.folder).glob("*.log"))
    told = logs + "".join(gateway.commands)
    assert "'alice' is nobody here, or has another password" in logs
    for secret in (HOSTILE, "secret", *(user.hash for user in USERS)):
        assert secret not in told
    for process in (pid for _, pid in gateway.plain_units.running()):
        line = Path(f"/proc/{process}/cmdline").read_bytes()
        assert not any(secret.encode() in line for secret in (HOSTILE, *(user.hash for user in USERS)))
        assert f"Uid:\t{accounts.number(gateway, USER)}\t" in Path(f"/proc/{process}/status").read_text()


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_a_new_password_ends_nobody_s_connection(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    reconcile(gateway, section(OFFICE))
    processes = sorted(pid for _, pid in gateway.plain_units.running())
    other = dataclasses.replace(OFFICE, users=(ProxyUser("alice", hashed("new", "alice")),))
    done = reconcile(gateway, section(other))
    assert [what.partition(" (")[0] for what in done] == ["change users of proxy office"] * 2
    assert sorted(pid for _, pid in gateway.plain_units.running()) == processes
    for proxy in ("socks5h://10.8.0.1:1080", "http://10.8.0.1:8080"):
        assert curl(lab.client, proxy, "http://plain.example:8000/", "alice:new").text == "uplink"
        assert curl(lab.client, proxy, "http://plain.example:8000/", f"alice:{HOSTILE}").text != "uplink"
        assert curl(lab.client, proxy, "http://plain.example:8000/", "bob@example.com:secret").text != "uplink"
    assert reconcile(gateway, section(other)) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_while_the_tunnel_is_away_nothing_goes_out(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    reconcile(gateway, section(OFFICE))
    for family in FAMILIES:
        default = ("unreachable", "default", "metric", "4278198272", "table", str(US))
        run_here("ip", f"-{family}", "route", "add", *default)
    run_here("ip", "link", "set", "wg-up-1", "down")
    with captured(lab.exits["uplink"], "uplink") as packets:
        for proxy in ("socks5h://10.8.0.1:1080", "http://10.8.0.1:8080"):
            for url in ("http://listed.example:8000/", "http://[2001:db8:20::1]:8000/"):
                assert curl(lab.client, proxy, url, "bob@example.com:secret", timeout=1).status in (0, 503)
    assert packets == []


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_what_listens_on_the_gateway_itself_is_not_reached(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    """Whatever it is called: by squid's own rules, and by the packet filter."""
    reconcile(gateway, section(OFFICE))
    places = [("127.0.0.1", 9586), ("::1", 9586), (OWN[4], 22), (lab.address("uplink", 4), 22)]
    listeners = [
        socket.create_server(place, family=socket.AF_INET6 if ":" in place[0] else socket.AF_INET) for place in places
    ]
    for host, port in places:
        url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        for proxy in ("socks5h://10.8.0.1:1080", "http://10.8.0.1:8080"):
            assert curl(lab.client, proxy, url, "bob@example.com:secret").status in (0, 403, 503)
    for listener in listeners:
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        listener.close()


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_a_user_s_name_is_what_it_is_in_letters_small_and_large(
    gateway: NamespaceSystem, lab: Lab, backend: str
) -> None:
    users = tuple(ProxyUser(name, hashed(f"{name} says", name)) for name in ("Carol", "carol", "Dave@Example.COM"))
    reconcile(gateway, section(dataclasses.replace(OFFICE, users=users)))
    for proxy in ("socks5h://10.8.0.1:1080", "http://10.8.0.1:8080"):
        for user in users:
            found = curl(lab.client, proxy, "http://plain.example:8000/", f"{user.name}:{user.name} says")
            assert found.text == "uplink", (proxy, user.name)
        for login in ("carol:Carol says", "Carol:carol says", "dave@example.com:Dave@Example.COM says"):
            assert curl(lab.client, proxy, "http://plain.example:8000/", login).text != "uplink"


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_a_stranger_makes_a_proxy_ask_for_no_name(gateway: NamespaceSystem, names: list[str], lab: Lab) -> None:
    reconcile(gateway, section(OFFICE))
    for login in (None, "alice:wrong"):
        assert curl(lab.client, "http://10.8.0.1:8080", "http://listed.example:8000/", login).status == 407
    assert "listed.example" not in names
    assert curl(lab.client, "http://10.8.0.1:8080", "http://listed.example:8000/", "bob@example.com:secret").status
    assert "listed.example" in names


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_other_protocols_than_the_web_s_are_for_a_connect(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    reconcile(gateway, section(OFFICE))
    ask = base64.b64encode(b"bob@example.com:secret").decode()
    for url in ("ftp://plain.example:8000/", "gopher://plain.example:8000/1", "urn:example:x", "wais://plain.example/"):
        options = ("--request-target", url, "-H", f"Proxy-Authorization: Basic {ask}")
        assert curl(lab.client, "", "http://10.8.0.1:8080/", None, *options).status in (400, 403, 501), url
    through = curl(lab.client, "http://10.8.0.1:8080", "http://plain.example:8000/", "bob@example.com:secret", "-p")
    assert through.text == "uplink"


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_nobody_is_told_what_others_ask_for(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    """Squid has pages about itself, with its clients, and the names that they asked for."""
    reconcile(gateway, section(OFFICE))
    login = "bob@example.com:secret"
    for page in ("client_list", "ipcache", "active_requests", "info", "menu"):
        for proxy in ("http://10.8.0.1:8080", "socks5h://10.8.0.1:1080"):
            url = f"http://splitway:8080/squid-internal-mgr/{page}"
            assert curl(lab.client, proxy, url, login).status in (0, 403)
        direct = (f"http://10.8.0.1:8080/squid-internal-mgr/{page}", "-x", "", "-H", "Host: splitway")
        user = base64.b64encode(login.encode()).decode()
        found = curl(lab.client, "", direct[0], None, *direct[1:], "-H", f"Proxy-Authorization: Basic {user}")
        assert found.status == 403


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_sources_alone(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    closed = dataclasses.replace(OFFICE, users=(), sources=("10.8.0.3/32", "fdcc::3/128"))
    reconcile(gateway, section(closed))
    for proxy in ("socks5h://10.8.0.1:1080", "http://10.8.0.1:8080"):
        for source, status in (("10.8.0.3", 200), ("10.8.0.2", 403)):
            page = ("--interface", source)
            found = curl(lab.client, proxy, "http://plain.example:8000/", None, *page)
            assert found.status == status if proxy.startswith("http") or status == 200 else "97" in found.text
    both = dataclasses.replace(OFFICE, sources=("10.8.0.3/32",))
    reconcile(gateway, section(both))
    for proxy in ("socks5h://10.8.0.1:1080", "http://10.8.0.1:8080"):
        for source, works in (("10.8.0.3", True), ("10.8.0.2", False)):
            found = curl(
                lab.client, proxy, "http://plain.example:8000/", "bob@example.com:secret", "--interface", source
            )
            assert (found.text == "uplink") == works


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_a_port_that_others_have_is_left_to_them(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    with socket.create_server(("10.8.0.1", 1080)), socket.create_server(("0.0.0.0", 8080)):  # noqa: S104
        reconcile(gateway, section(OFFICE))
    chosen = Kept(gateway).ports.read()
    assert (chosen[SOCKS5.key], chosen[HTTP.key]) == (1081, 8081)
    wanted = filled(the_section(backend), chosen)
    bring(gateway, backend, the_sets(), wanted)
    for proxy in ("socks5h://10.8.0.1:1081", "http://10.8.0.1:8081"):
        assert curl(lab.client, proxy, "http://plain.example:8000/", "bob@example.com:secret").text == "uplink"
    assert reconcile(gateway, section(OFFICE)) == [], "it stays where it is"
    one = Listener("http", ("10.8.0.1",), PortRange("proxy/office/one", 8099, 8099))
    alone = dataclasses.replace(OFFICE, listeners=(one,))
    with (
        socket.create_server(("10.8.0.1", 8099)),
        pytest.raises(ReconcileError, match=r"port 8099 is taken: .*listens"),
    ):
        proxies.plan(section(alone), proxies.read(gateway, section(alone)))


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_drift_is_healed_check_mode_changes_nothing_and_teardown_leaves_nothing(
    gateway: NamespaceSystem, lab: Lab, backend: str, read_only: ReadOnlySystem
) -> None:
    wanted = section(OFFICE)
    before = sorted(path for path in gateway.configuration.parent.rglob("*") if path.is_file())
    planned = proxies.plan(wanted, proxies.read(read_only, wanted))
    assert [change.action for change in planned] == ["add"] * len(planned)
    assert not any(user.hash in f"{change.before}{change.after}" for change in planned for user in USERS)
    reconcile(gateway, wanted)
    for unit in ("splitway-proxy-1-squid.service", "splitway-proxy-1-socks5.service"):
        gateway.plain_units.kill(unit)
        assert len(reconcile(gateway, wanted)) == 1
    conf = gateway.configuration / "proxies/1/squid.conf"
    conf.write_text(conf.read_text() + "http_access allow all\n")
    assert len(reconcile(gateway, wanted)) == 1
    assert reconcile(gateway, wanted) == []
    gone = reconcile(gateway, None)
    assert all(what.startswith("remove ") for what in gone)
    bring(gateway, backend, the_sets(), dataclasses.replace(the_section(backend), host=None))
    after = sorted(path for path in gateway.configuration.parent.rglob("*") if path.is_file())
    ours = [path for path in after if path not in before and "data/ports.json" not in str(path)]
    assert [path for path in ours if path.suffix != ".log" and "splitway-proxy-1-" not in path.parent.name] == []
    assert gateway.plain_units.running() == []
    assert accounts.number(gateway, USER) is None
    assert reconcile(gateway, None) == []


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_a_configuration_that_squid_does_not_take_changes_nothing(
    gateway: NamespaceSystem, lab: Lab, backend: str
) -> None:
    reconcile(gateway, section(OFFICE))
    broken = dataclasses.replace(OFFICE, sources=("not-a-network/99",))
    processes = sorted(pid for _, pid in gateway.plain_units.running())
    with pytest.raises(ReconcileError, match='proxy "office": squid does not take its configuration'):
        reconcile(gateway, section(broken))
    assert sorted(pid for _, pid in gateway.plain_units.running()) == processes
    assert reconcile(gateway, section(OFFICE)) == []


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_by_the_far_end_of_a_websocket_names_are_asked_there(gateway: NamespaceSystem, lab: Lab, backend: str) -> None:
    """The exit's own proxy is on this host, too, and stands for what a WebSocket leads to."""
    exit_port = PortRange("transport/us/http", 41000, 41000)
    exit_proxy = Proxy("exit", 2, (Listener("http", ("127.0.0.1",), exit_port),), public_only=True)
    carried = dataclasses.replace(OFFICE, policy=None, far=exit_port)
    wanted = section(carried, exit_proxy)
    office = ProxyAccount(USER, None, (SOCKS5, HTTP), (INNER, exit_port))
    other = ProxyAccount(f"{PROXY_USERS}2", 1, (exit_port,))
    for address in ("198.51.100.77/32", "2001:db8:77::1/128"):
        run_here("ip", "address", "add", address, "dev", "lo")
    host = Host(None, LISTEN, proxies=(office, other))
    bring(gateway, backend, the_sets(), dataclasses.replace(the_section(backend), host=host))
    reconcile(gateway, wanted)
    login = "bob@example.com:secret"
    url = "http://plain.example:8000/"  # squid looks at its parent a second after it has begun
    wait_for(lambda: curl(lab.client, "http://10.8.0.1:8080", url, login).status == 200, "the far end", 60)
    for proxy in ("socks5h://10.8.0.1:1080", "http://10.8.0.1:8080"):
        for url, way in (
            ("http://listed.example:8000/", "wg-up-1"),
            ("http://only6.example:8000/", "wg-up-1"),
            ("http://203.0.113.30:8000/", "uplink"),
        ):
            assert curl(lab.client, proxy, url, login).text == way
        for url in ("http://127.0.0.1:41100/", "http://10.77.0.9:8000/", "http://[fd77::1]:8000/"):
            assert curl(lab.client, proxy, url, login).status in (0, 403)
    itself, by_nat64 = ("198.51.100.77", "[2001:db8:77::1]"), ("[64:ff9b::10.1.2.3]", "[64:ff9b::169.254.169.254]")
    for host in (*itself, *by_nat64, "169.254.169.254"):
        assert curl(lab.client, "http://10.8.0.1:8080", f"http://{host}:8000/", login).status == 403, host
    gateway.plain_units.stop("splitway-proxy-2-squid.service")
    with captured(lab.exits["uplink"], "uplink") as packets:
        for proxy in ("socks5h://10.8.0.1:1080", "http://10.8.0.1:8080"):
            for url in ("http://plain.example:8000/", "http://203.0.113.30:8000/"):
                assert curl(lab.client, proxy, url, login, timeout=2).status in (0, 503)
    assert packets == []
    assert len(reconcile(gateway, wanted)) == 1
    again = ("socks5h://10.8.0.1:1080", "http://plain.example:8000/", login)
    wait_for(lambda: curl(lab.client, *again).text == "uplink", "the far end that is back", 60)
