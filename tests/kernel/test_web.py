# SPDX-License-Identifier: GPL-3.0-or-later
"""PAC files for real: given out by our own nginx, over HTTP and HTTPS, and copied for another web server."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import socket
from ipaddress import ip_network
from pathlib import Path

import pytest
from namespaces import Namespace, NamespaceSystem, Network, ReadOnlySystem, run_here, wait_for

from splitway.agent.healing import fingerprint, peers
from splitway.compiler.networks import SPECIAL
from splitway.compiler.pac_rules import Kind, PacRule, compile_tables
from splitway.kept import Kept
from splitway.pac import DIRECT, PROXY
from splitway.ports import with_ports
from splitway.reconcile import dns, web
from splitway.reconcile.base import ReconcileError
from splitway.reconcile.web.about import about
from splitway.reconcile.web.text import FRESH, TYPE, UNIT, paths
from splitway.state import Dns, PacFile, PacServer, PortRange, Record, State, Web

pytestmark = pytest.mark.skipif(not os.access("/usr/sbin/nginx", os.X_OK), reason="nginx is not installed")

GATEWAY, GATEWAY6 = "10.8.0.1", "fdcc::1"


def file(name: str, *domains: str) -> PacFile:
    rule = PacRule(PROXY, (Kind(domains, (ip_network("8.8.8.0/24"),)),))
    servers = (PacServer("PROXY", GATEWAY, PortRange("proxy/p/http", 8080, 8090)),)
    return PacFile(name, compile_tables([rule], DIRECT, ("local",), SPECIAL), servers)


DESIRED = Web(
    (GATEWAY, GATEWAY6),
    http=PortRange("web/http", 80, 80),
    files=(file("family", "google.com"), file("guests", *(f"name{number}.example" for number in range(500)))),
)


@pytest.fixture(autouse=True)
def _readable(system: NamespaceSystem) -> None:
    """nginx's process reads the files as another user: let it through the folders of the tests."""
    folder = system.data.parent
    while folder != Path("/tmp").parent:
        folder.chmod(folder.stat().st_mode | 0o011)
        folder = folder.parent


@pytest.fixture
def client(network: Network) -> Namespace:
    host = network.host("client")
    network.connect(host, "wg0", (f"{GATEWAY}/24", f"{GATEWAY6}/64"), ("10.8.0.2/24", "fdcc::2/64"))
    return host


def reconcile(system: NamespaceSystem, desired: Web | None) -> list[str]:
    """Bring what is desired, as it is present on this host, and return what that changed."""
    changes = web.plan(desired, web.read(system, desired))
    web.apply(system, changes)
    again = with_ports(State(web=desired), Kept(system).ports.read()).web
    assert web.plan(again, web.read(system, again)) == ()
    return [f"{change.action} {change.what}" for change in changes]


def get(host: Namespace, url: str, *options: str) -> tuple[str, dict[str, str], str]:
    """Return status, headers and body of what curl gets."""
    answer = host.run("curl", "-sS", "-i", "-g", "--max-time", "30", *options, url)
    head, _, body = answer.partition("\n\n")
    lines = head.splitlines()
    headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines[1:])}
    return lines[0].split()[1], headers, body


def test_files_are_given_out_and_nothing_else(system: NamespaceSystem, client: Namespace) -> None:
    assert reconcile(system, DESIRED) == ["add PAC files family.pac, guests.pac", f"add service {UNIT}"]
    for address in (GATEWAY, f"[{GATEWAY6}]"):
        status, headers, body = get(client, f"http://{address}/family.pac")
        assert (status, headers["content-type"], headers["cache-control"]) == ("200", TYPE, f"max-age={FRESH}")
        assert "FindProxyForURL" in body
        assert f"PROXY {GATEWAY}:8080" in body
        for name in ("proxy.pac", "wpad.dat"):
            assert get(client, f"http://{address}/{name}")[1:] == (headers | {"date": ANY}, body)
    assert "FindProxyForURL" in get(client, f"http://{GATEWAY}/guests.pac")[2]
    for path in ("", "nginx.conf", "family", "family.pac/", "../family.pac", "family.pac%00", "current/family.pac"):
        assert get(client, f"http://{GATEWAY}/{path}", "--path-as-is")[0] in ("400", "404"), path
    assert get(client, f"http://{GATEWAY}/family.pac", "-X", "POST")[0] == "405"


def test_one_who_says_nothing_keeps_nobody_from_the_files(system: NamespaceSystem, client: Namespace) -> None:
    reconcile(system, DESIRED)
    with contextlib.ExitStack() as silent:
        with client.entered():
            held = [silent.enter_context(socket.create_connection((GATEWAY, 80), 30)) for _ in range(900)]
        for connection in held:
            connection.sendall(b"GET /fam")
        assert get(client, f"http://{GATEWAY}/family.pac")[0] == "200"
        held[0].settimeout(30)
        assert held[0].recv(100) == b"", "it is not waited for"


class _Any(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


ANY = _Any()


def test_a_browser_that_has_the_file_is_not_sent_it_again(system: NamespaceSystem, client: Namespace) -> None:
    reconcile(system, DESIRED)
    url = f"http://{GATEWAY}/guests.pac"
    etag = get(client, url)[1]["etag"]
    assert get(client, url, "-H", f"If-None-Match: {etag}")[0] == "304"
    pressed = get(client, url, "--compressed")
    assert pressed[1]["content-encoding"] == "gzip"
    assert pressed[2] == get(client, url)[2]
    assert get(client, url, "--compressed", "-H", f"If-None-Match: {pressed[1]['etag']}")[0] == "304"
    # Other names, the same process: browsers that ask meanwhile get the one file or the other.
    before = system.plain_units.pids(UNIT)
    changed = dataclasses.replace(DESIRED, files=(DESIRED.files[0], file("guests", "other.example")))
    assert reconcile(system, changed) == ["change PAC files family.pac, guests.pac"]
    assert system.plain_units.pids(UNIT) == before
    status, headers, body = get(client, url, "-H", f"If-None-Match: {etag}")
    assert (status, headers["etag"] != etag) == ("200", True)
    assert len(body) < len(pressed[2])


def test_a_difference_is_shown_by_names(system: NamespaceSystem, client: Namespace) -> None:
    reconcile(system, DESIRED)
    changed = dataclasses.replace(DESIRED, files=(file("family", "google.com", "new.example"), DESIRED.files[1]))
    (change,) = web.plan(changed, web.read(system, changed))
    assert change.before == ""
    assert change.after == "family.pac: names[1] new.example"


def test_check_mode_writes_nothing(read_only: ReadOnlySystem, client: Namespace) -> None:
    changes = web.plan(DESIRED, web.read(read_only, DESIRED))
    assert [change.action for change in changes] == ["add", "add"]


def certificate(folder: Path, host: str) -> tuple[str, str]:
    key, made = folder / f"{host}.key", folder / f"{host}.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    names = ("-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}")
    run_here("openssl", "req", "-x509", *curve, *names, "-keyout", str(key), "-out", str(made))
    return str(made), str(key)


def test_https_with_the_operators_certificate(system: NamespaceSystem, client: Namespace, tmp_path: Path) -> None:
    first, first_key = certificate(tmp_path, "gateway.example")
    secured = dataclasses.replace(
        DESIRED, http=None, https=PortRange("web/https", 443, 443), certificate=first, key=first_key
    )
    reconcile(system, secured)

    def trusting(made: str) -> str:
        resolved = f"gateway.example:443:{GATEWAY}"
        return client.run(
            "curl",
            "-sS",
            "--max-time",
            "30",
            "--cacert",
            made,
            "--resolve",
            resolved,
            "https://gateway.example/wpad.dat",
        )

    assert "FindProxyForURL" in trusting(first)
    assert not client.succeeds("curl", "-s", "--max-time", "2", f"http://{GATEWAY}/family.pac")
    copy = paths(system).runtime / "key.pem"
    assert copy.stat().st_mode & 0o777 == 0o400
    # It is renewed in place: what runs has the old one until somebody looks.
    second, second_key = certificate(tmp_path, "renewed.example")
    Path(first).write_bytes(Path(second).read_bytes())
    Path(first_key).write_bytes(Path(second_key).read_bytes())
    assert reconcile(system, secured) == [f"change service {UNIT}"]
    served = client.run("curl", "-svk", f"https://{GATEWAY}/wpad.dat", "-o", "/dev/null", "--stderr", "-")
    assert "CN=renewed.example" in served


def test_what_is_said_of_the_server(system: NamespaceSystem, client: Namespace, tmp_path: Path) -> None:
    made, key = certificate(tmp_path, "gateway.example")
    secured = dataclasses.replace(
        DESIRED, https=PortRange("web/https", 443, 443), certificate=made, key=key, host="gateway.example"
    )
    said = about(system, secured)
    assert said["urls"] == {name: f"https://gateway.example/{name}.pac" for name in ("family", "guests")}
    assert said["dhcp"]["dnsmasq"] == 'dhcp-option=252,"http://gateway.example/wpad.dat"'
    assert re.fullmatch(rf"{made} expires in [12] days", "".join(said["warnings"]))
    other = about(system, dataclasses.replace(secured, host=GATEWAY6))
    assert other["urls"]["family"] == f"https://[{GATEWAY6}]/family.pac"
    assert f"{made} is not for {GATEWAY6}" in other["warnings"][0]
    holder = network_holder(80)
    moved = dataclasses.replace(DESIRED, http=PortRange("web/http", 80, 85, chosen=81), host=GATEWAY)
    told = about(system, moved)
    holder.kill()
    holder.wait()
    assert told["urls"]["family"] == f"http://{GATEWAY}:81/family.pac"
    assert re.match(r"web/http has port 81: python3.* listens on 0\.0\.0\.0:80", told["warnings"][0])


def test_a_certificate_of_no_use_changes_nothing(system: NamespaceSystem, client: Namespace, tmp_path: Path) -> None:
    made, _ = certificate(tmp_path, "gateway.example")
    _, other_key = certificate(tmp_path, "other.example")
    https = PortRange("web/https", 443, 443)
    wrong = dataclasses.replace(DESIRED, https=https, certificate=made, key=other_key)
    with pytest.raises(ReconcileError, match="is not the key of"):
        web.read(system, wrong)


def test_a_taken_port_is_left_to_its_holder_and_what_was_there_stays(
    system: NamespaceSystem, client: Namespace
) -> None:
    holder = network_holder(80)
    try:
        with pytest.raises(ReconcileError, match=r"web/http: port 80 is taken: python3? .*process \d+.*:80"):
            web.read(system, DESIRED)
        wide = dataclasses.replace(DESIRED, http=PortRange("web/http", 80, 85))
        changes = web.plan(wide, web.read(system, wide))
        assert re.search(r"10\.8\.0\.1:81\n.*\n.*listens on 0\.0\.0\.0:80", changes[-1].after)
        reconcile(system, wide)
        assert Kept(system).ports.read()["web/http"] == 81
        assert get(client, f"http://{GATEWAY}:81/family.pac")[0] == "200"
    finally:
        holder.kill()
        holder.wait()
    # The choice is remembered.
    assert reconcile(system, with_ports(State(web=wide), Kept(system).ports.read()).web) == []


def network_holder(port: int):
    import subprocess

    code = f"import socket, time; s = socket.create_server(('0.0.0.0', {port})); print(flush=True); time.sleep(60)"
    process = subprocess.Popen(["python3", "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def test_the_old_server_is_put_back_when_the_new_one_does_not_start(system: NamespaceSystem, client: Namespace) -> None:
    reconcile(system, DESIRED)
    elsewhere = dataclasses.replace(DESIRED, listen=(GATEWAY, "10.8.0.99"))
    with pytest.raises(ReconcileError, match=r"this host has no address 10\.8\.0\.99"):
        reconcile(system, elsewhere)
    assert reconcile(system, DESIRED) == []
    assert get(client, f"http://{GATEWAY}/family.pac")[0] == "200"


def test_drift_is_healed_and_nothing_is_left(system: NamespaceSystem, client: Namespace) -> None:
    reconcile(system, DESIRED)
    system.plain_units.kill(UNIT)
    assert reconcile(system, DESIRED) == [f"change service {UNIT}"]
    published = paths(system).current
    (published / "family.pac").write_text("somebody's")
    (published / "more.pac").write_text("somebody's")
    assert reconcile(system, DESIRED) == ["change PAC files family.pac, guests.pac"]
    assert "FindProxyForURL" in get(client, f"http://{GATEWAY}/family.pac")[2]
    assert reconcile(system, None) == [f"remove service {UNIT} and its files"]
    assert not system.units.active(UNIT)
    assert not published.exists()
    assert not paths(system).configuration.exists()


def test_the_agents_look_shows_what_was_changed(system: NamespaceSystem, client: Namespace) -> None:
    reconcile(system, DESIRED)

    def look(chosen: int = 8080) -> object:
        state = with_ports(State(web=DESIRED), {"proxy/p/http": chosen})
        return fingerprint.take(system, state, peers.Readings(), {})["web"]

    sound = look()
    assert look() == sound
    assert look(8081) != sound  # the proxy took another port
    published = paths(system).current / "family.pac"
    text = published.read_text()
    published.write_text(text.replace("google", "goggle"))
    assert look() != sound


def test_copies_for_another_web_server(system: NamespaceSystem, client: Namespace, tmp_path: Path) -> None:
    folder, other = tmp_path / "own", tmp_path / "other"
    copied = dataclasses.replace(DESIRED, directory=str(folder))
    with pytest.raises(ReconcileError, match=f"there is no folder {folder}"):
        reconcile(system, copied)
    folder.mkdir()
    other.mkdir()
    (folder / "theirs.pac").write_text("// somebody's")
    (folder / "proxy.pac").write_text("// somebody's")
    with pytest.raises(ReconcileError, match=r"proxy\.pac is somebody else's"):
        reconcile(system, copied)
    (folder / "proxy.pac").unlink()
    reconcile(system, copied)
    names = {entry.name for entry in folder.iterdir()}
    assert names == {"family.pac", "guests.pac", "proxy.pac", "wpad.dat", "theirs.pac"}
    assert (folder / "wpad.dat").read_text() == get(client, f"http://{GATEWAY}/family.pac")[2].replace("\r", "")
    assert (folder / "wpad.dat").stat().st_mode & 0o777 == 0o644
    reconcile(system, dataclasses.replace(copied, directory=str(other)))
    assert {entry.name for entry in folder.iterdir()} == {"theirs.pac"}
    reconcile(system, None)
    assert {entry.name for entry in other.iterdir()} == set()


def test_browsers_that_look_by_themselves_find_it(system: NamespaceSystem, client: Namespace) -> None:
    reconcile(system, DESIRED)
    names = Dns("wg0", ("192.0.2.1",), (), records=(Record("wpad.lan", (GATEWAY, GATEWAY6)),))
    dns.apply(system, dns.plan(names, dns.read(system, names)))
    for kind, address in (("A", GATEWAY), ("AAAA", GATEWAY6)):
        wait_for(lambda kind=kind: client.run("dig", "+short", f"@{GATEWAY}", kind, "wpad.lan", check=False), kind)
        assert client.run("dig", "+short", f"@{GATEWAY}", kind, "wpad.lan").split() == [address]
    assert "status: NOERROR" not in client.run("dig", f"@{GATEWAY}", "+tries=1", "+time=1", "other.lan", check=False)
    body = client.run(
        "curl", "-sS", "--max-time", "30", "--resolve", f"wpad.lan:80:{GATEWAY}", "http://wpad.lan/wpad.dat"
    )
    assert "FindProxyForURL" in body
