# SPDX-License-Identifier: GPL-3.0-or-later
"""A real browser goes by our PAC files: Chromium loads pages, and they say from where they were asked for."""

from __future__ import annotations

import os
import re
import shlex
from ipaddress import ip_network
from pathlib import Path

import pytest
from namespaces import Namespace, NamespaceSystem, Network, wait_for

from splitway.compiler.networks import SPECIAL
from splitway.compiler.pac_rules import Kind, PacRule, compile_tables
from splitway.pac import BLOCKED, DIRECT, PROXY
from splitway.reconcile import dns, web
from splitway.state import Dns, PacFile, PacServer, PortRange, Record, Web

PROGRAMS = ("/usr/bin/chromium", "/usr/sbin/squid", "/usr/sbin/nginx")
MISSING = [program for program in PROGRAMS if not os.access(program, os.X_OK)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

GATEWAY, CLIENT = "10.8.0.1", "10.8.0.2"
UPLINK, WORLD, WRITTEN = "203.0.113.1", "203.0.113.80", "198.51.100.7"  # the last one is written in URLs

# Each page tells who asked for which host.
SERVER = """
import http.server

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"<p>{self.headers['Host']} from {self.client_address[0]}</p>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("0.0.0.0", 80), Page).serve_forever()
"""

SQUID = f"""
http_port {GATEWAY}:8080
http_access allow all
dns_nameservers {WORLD}
cache deny all
access_log none
cache_log /dev/null
cache_store_log none
pid_filename none
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname gateway
"""

OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--dump-dom"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--timeout=15000"),
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,OptimizationHints,MediaRouter",
)


def file(*rules: PacRule, default: str = DIRECT, fail_open: bool = False, port: int = 8080) -> PacFile:
    servers = (PacServer("PROXY", GATEWAY, PortRange("proxy/p/http", port, port)),)
    return PacFile("family", compile_tables(rules, default, ("local",), SPECIAL), servers, fail_open)


SMART = file(
    PacRule(DIRECT, (Kind(("maps.google.com",)),)),
    PacRule(PROXY, (Kind(("google.com", "xn--bcher-kva.example"), (ip_network("198.51.100.0/24"),)),)),
    PacRule(BLOCKED, (Kind(("ads.example",)),)),
)


@pytest.fixture
def client(network: Network, system: NamespaceSystem, tmp_path: Path) -> Namespace:
    """A browser's host whose resolver is the gateway; behind the gateway is a world of pages, and a proxy on it."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o011)
    world = network.host("world")
    network.connect(world, "uplink", (f"{UPLINK}/24",), (f"{WORLD}/24",))
    world.run("ip", "address", "add", f"{WRITTEN}/32", "dev", "lo")
    host = network.host("client")
    network.connect(host, "wg0", (f"{GATEWAY}/24",), (f"{CLIENT}/24",))
    system.set_sysctl("net/ipv4/ip_forward", "1")
    system.run("ip", "route", "add", f"{WRITTEN}/32", "via", WORLD)
    world.start("python3", "-c", SERVER)
    world.start(
        *("dnsmasq", "-k", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--user=root"),
        f"--address=/#/{WORLD}",
    )
    names = Dns("wg0", (WORLD,), (), absent=(), filtered=(), records=(Record("wpad.lan", (GATEWAY,)),))
    dns.apply(system, dns.plan(names, dns.read(system, names)))
    return host


@pytest.fixture
def proxy(system: NamespaceSystem, tmp_path: Path, client: Namespace):
    configuration = tmp_path / "squid.conf"
    configuration.write_text(SQUID)
    unit = f"[Service]\nType=exec\nExecStart=/usr/sbin/squid -N -f {configuration}\n"
    system.units.write("squid.service", unit)
    system.units.start("squid.service")
    wait_for(lambda: client.succeeds("curl", "-s", "-x", f"http://{GATEWAY}:8080", f"http://{WORLD}/"), "squid", 20)


def give_out(system: NamespaceSystem, *files: PacFile) -> None:
    desired = Web((GATEWAY,), http=PortRange("web/http", 80, 80), files=files)
    web.apply(system, web.plan(desired, web.read(system, desired)))


def browse(client: Namespace, folder: Path, url: str, *options: str) -> str:
    """Return who was seen asking for the page; "" when the browser got none."""
    (folder / "resolv.conf").write_text(f"search lan\nnameserver {GATEWAY}\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    profile = folder / "profile"
    command = shlex.join(["/usr/bin/chromium", *OPTIONS, f"--user-data-dir={profile}", *options, url])
    mounts = " && ".join(f"mount --bind {folder / name} /etc/{name}" for name in ("resolv.conf", "nsswitch.conf"))
    page = client.run(
        "env", f"HOME={folder}", "unshare", "--mount", "sh", "-c", f"{mounts} && exec {command}", check=False
    )
    found = re.search(r"from ([0-9.]+)", page)
    return found[1] if found else page.strip()


def test_a_browser_goes_by_the_file(system: NamespaceSystem, client: Namespace, proxy: None, tmp_path: Path) -> None:
    give_out(system, SMART)
    option = f"--proxy-pac-url=http://{GATEWAY}/family.pac"
    for host, seen in {
        "www.google.com": UPLINK,  # the proxy asked
        "maps.google.com": CLIENT,
        "other.example": CLIENT,
        "b\u00fccher.example": UPLINK,
        WRITTEN: UPLINK,
        WORLD: CLIENT,
        "x.ads.example": "",
    }.items():
        assert browse(client, tmp_path, f"http://{host}/", option) == seen, host


def test_a_browser_finds_the_file_by_itself(
    system: NamespaceSystem, client: Namespace, proxy: None, tmp_path: Path
) -> None:
    give_out(system, file(default=PROXY))
    assert browse(client, tmp_path, "http://other.example/", "--proxy-auto-detect") == UPLINK


def test_without_its_proxy_a_browser_goes_directly_only_where_that_is_wanted(
    system: NamespaceSystem, client: Namespace, tmp_path: Path
) -> None:
    option = f"--proxy-pac-url=http://{GATEWAY}/family.pac"
    give_out(system, file(default=PROXY))
    assert browse(client, tmp_path, "http://other.example/", option) == ""
    give_out(system, file(default=PROXY, fail_open=True))
    assert browse(client, tmp_path, "http://other.example/", option) == CLIENT
