# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking over TLS for real: by our own unbound, at a resolver whose certificate is checked."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator

import pytest
from namespaces import Namespace, NamespaceSystem, Network, ReadOnlySystem, run_here, wait_for
from test_dns import process
from traffic import captured

from splitway.reconcile import dns
from splitway.reconcile.base import ReconcileError
from splitway.reconcile.dns import forwarder
from splitway.reconcile.dns.text import UNIT
from splitway.state import Dns, Forward

SERVER, OTHER = "10.90.0.9", "10.90.0.10"
DESIRED = Dns("wg0", (), (), max_ttl=1, tls=(f"{SERVER}@853#dot.example",))
ANSWER, PLAIN = "198.51.100.1", "198.51.100.2"
pytestmark = pytest.mark.skipif(not os.access("/usr/sbin/unbound", os.X_OK), reason="unbound is not installed")


@pytest.fixture
def web(network: Network, tmp_path_factory: pytest.TempPathFactory, system: NamespaceSystem) -> Namespace:
    """The Internet: a resolver over TLS, and one in the clear at another address that answers otherwise."""
    folder = tmp_path_factory.mktemp("web")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ("-subj", "/CN=dot.example", "-addext", "subjectAltName=DNS:dot.example", "-days", "2")
    files = ("-keyout", str(key), "-out", str(certificate))
    run_here(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *files, *subject
    )
    trusted = system.root / forwarder.CERTIFICATES
    trusted.parent.mkdir(parents=True)
    trusted.write_bytes(certificate.read_bytes())
    host = network.host("web")
    network.connect(host, "uplink", ("10.90.0.1/24",), (f"{SERVER}/24", f"{OTHER}/24"))
    (folder / "unbound.conf").write_text(
        f"""\
server:
    interface: {SERVER}@853
    access-control: 0.0.0.0/0 allow
    tls-service-key: "{key}"
    tls-service-pem: "{certificate}"
    username: ""
    chroot: ""
    directory: ""
    pidfile: ""
    use-syslog: no
    module-config: "iterator"
    local-zone: "example." redirect
    local-data: "example. A {ANSWER}"
"""
    )
    host.start("unbound", "-d", "-p", "-c", str(folder / "unbound.conf"))
    (folder / "plain.conf").write_text(
        f"no-resolv\nno-hosts\nbind-interfaces\nlisten-address={OTHER}\naddress=/example/{PLAIN}\n"
    )
    host.start("dnsmasq", "-k", f"--conf-file={folder / 'plain.conf'}", "--pid-file=", "--user=root")
    for server in ((f"@{SERVER}", "+tls", "-p", "853"), (f"@{OTHER}",)):
        wait_for(lambda server=server: host.succeeds("dig", *server, "x.example", "+tries=1", "+time=1"), str(server))  # type: ignore[misc]
    return host


@pytest.fixture
def client(network: Network, web: Namespace) -> Namespace:
    host = network.host("client")
    network.connect(host, "wg0", ("10.8.0.1/24", "fdcc::1/64"), ("10.8.0.2/24", "fdcc::2/64"))
    return host


def ask(host: Namespace, name: str, patience: int = 10) -> str:
    out = host.run("dig", "@10.8.0.1", "+tries=1", f"+time={patience}", name, check=False)
    found = [line.split()[4] for line in out.splitlines() if line.startswith(name) and "\tA\t" in line]
    return found[0] if found else out.partition("status: ")[2].partition(",")[0] or "TIMEOUT"


def reconcile(system: NamespaceSystem, desired: Dns | None) -> list[str]:
    changes = dns.plan(desired, dns.read(system, desired))
    dns.apply(system, changes)
    assert dns.plan(desired, dns.read(system, desired)) == ()
    return [f"{change.action} {change.what}" for change in changes]


@contextlib.contextmanager
def encrypted(web: Namespace, name: str) -> Iterator[None]:
    """Fail if the name can be read behind the uplink, or nothing goes there at all."""
    with captured(web, "uplink") as packets:
        yield
    assert packets
    assert [packet for packet in packets if name.split(".", maxsplit=1)[0].encode() in packet] == []


def test_names_are_asked_over_tls_only(system: NamespaceSystem, web: Namespace, client: Namespace) -> None:
    assert reconcile(system, DESIRED)[0] == "add service splitway-unbound.service"
    with encrypted(web, "secret.example"):
        assert ask(client, "secret.example") == ANSWER
    # dnsmasq asks nobody else, not even when it is away.
    system.units.kill(forwarder.UNIT)
    wait_for(lambda: web.run("ss", "-Hnt", "dst", "10.90.0.1") == "", "the end of its connections")
    with captured(web, "uplink") as packets:
        assert ask(client, "hidden.example", 4) not in (ANSWER, PLAIN)
    assert packets == []
    assert reconcile(system, DESIRED) == ["change service splitway-unbound.service"]
    assert ask(client, "hidden.example") == ANSWER


def test_a_certificate_of_another_name_is_no_answer(system: NamespaceSystem, web: Namespace, client: Namespace) -> None:
    reconcile(system, dataclasses.replace(DESIRED, tls=(f"{SERVER}@853#another.example",)))
    with encrypted(web, "secret.example"):
        assert ask(client, "secret.example", 4) in ("SERVFAIL", "TIMEOUT")


def test_names_with_resolvers_of_their_own_are_asked_there(
    system: NamespaceSystem, web: Namespace, client: Namespace
) -> None:
    forwards = (Forward(("own.example",), (OTHER,)), Forward(("rest.own.example",), ("#",)))
    reconcile(system, dataclasses.replace(DESIRED, forwards=forwards))
    assert ask(client, "www.own.example") == PLAIN
    with encrypted(web, "rest.own.example"):
        assert ask(client, "rest.own.example") == ANSWER


def test_what_changes_restarts_what_it_concerns(system: NamespaceSystem, web: Namespace, client: Namespace) -> None:
    reconcile(system, DESIRED)
    dnsmasq, unbound = process(system), system.units.pids(forwarder.UNIT)
    assert reconcile(system, DESIRED) == []
    assert (process(system), system.units.pids(forwarder.UNIT)) == (dnsmasq, unbound)
    more = dataclasses.replace(DESIRED, tls=(*DESIRED.tls, f"{OTHER}@853#dot.example"))
    assert reconcile(system, more) == ["change service splitway-unbound.service"]
    assert process(system) == dnsmasq
    assert ask(client, "www.example") == ANSWER
    where = forwarder.paths(system).configuration
    system.write_file(where, "somebody's\n")
    assert reconcile(system, more) == ["change service splitway-unbound.service"]


def test_a_wrong_one_is_taken_back(system: NamespaceSystem, web: Namespace, client: Namespace) -> None:
    reconcile(system, DESIRED)
    unbound = system.units.pids(forwarder.UNIT)
    wrong = dataclasses.replace(DESIRED, tls=("nonsense@x#y",))
    with pytest.raises(ReconcileError, match=r"unbound did not start with its new configuration: .*nonsense"):
        dns.apply(system, dns.plan(wrong, dns.read(system, wrong)))
    assert dns.plan(DESIRED, dns.read(system, DESIRED)) == ()
    assert system.units.pids(forwarder.UNIT) == unbound
    assert ask(client, "www.example") == ANSWER


def test_a_first_one_that_is_wrong_leaves_nothing(system: NamespaceSystem, client: Namespace) -> None:
    wrong = dataclasses.replace(DESIRED, tls=("nonsense@x#y",))
    with pytest.raises(ReconcileError):
        dns.apply(system, dns.plan(wrong, dns.read(system, wrong)))
    assert dns.plan(None, dns.read(system, None)) == ()


def test_it_goes_when_nobody_is_asked_over_tls(system: NamespaceSystem, web: Namespace, client: Namespace) -> None:
    reconcile(system, DESIRED)
    plain = dataclasses.replace(DESIRED, tls=(), servers=(OTHER,))
    assert reconcile(system, plain)[-1] == "remove service splitway-unbound.service"
    assert ask(client, "www.example") == PLAIN
    assert not system.units.active(forwarder.UNIT)
    reconcile(system, DESIRED)
    reconcile(system, None)
    assert not system.units.active(forwarder.UNIT)
    assert [name for _, _, names in os.walk(system.configuration) for name in names] == []
    assert (system.units.read(UNIT), system.units.read(forwarder.UNIT)) == (None, None)


def test_check_mode_writes_nothing(read_only: ReadOnlySystem, client: Namespace) -> None:
    changes = dns.plan(DESIRED, dns.read(read_only, DESIRED))
    assert changes[0].what == "service splitway-unbound.service"
    assert "10.90.0.9@853#dot.example" in changes[0].after


def test_it_is_back_soon_after_an_uplink_that_was_away(
    system: NamespaceSystem, web: Namespace, client: Namespace
) -> None:
    reconcile(system, DESIRED)
    assert ask(client, "first.example") == ANSWER
    web.run("ip", "link", "set", "uplink", "down")
    for number in range(8):
        assert ask(client, f"n{number}.example", 1) != ANSWER
    web.run("ip", "link", "set", "uplink", "up")
    began = time.monotonic()
    wait_for(
        lambda: ask(client, f"m{time.monotonic_ns()}.example", 1) == ANSWER, "an answer after an outage", timeout=40
    )
    print(f"answers again after {time.monotonic() - began:.1f} s")
