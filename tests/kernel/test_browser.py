# SPDX-License-Identifier: GPL-3.0-or-later
"""A real browser goes by our PAC files: Chromium loads pages, and they say from where they were asked for."""

from __future__ import annotations

import json
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

ATTEMPTS = 4

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


def browse(client: Namespace, folder: Path, url: str, settings: dict[str, object]) -> str:
    """Return who was seen asking for the page; "" when the browser got none.

    The settings are those that administrators give a browser, which otherwise goes directly without a PAC file.
    """
    (folder / "resolv.conf").write_text(f"search lan\nnameserver {GATEWAY}\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    policies = folder / "chromium" / "policies" / "managed"
    policies.mkdir(parents=True, exist_ok=True)
    (policies / "proxy.json").write_text(json.dumps({"ProxySettings": settings}))
    mounts = " && ".join(
        f"mount --bind {folder / name} /etc/{name}" for name in ("resolv.conf", "nsswitch.conf", "chromium")
    )
    command = shlex.join(["/usr/bin/chromium", *OPTIONS, f"--user-data-dir={folder / 'profile'}", url])
    page = client.run(
        "env", f"HOME={folder}", "unshare", "--mount", "sh", "-c", f"{mounts} && exec {command}", check=False
    )
    found = re.search(r"from ([0-9.]+)", page)
    return found[1] if found else page.strip()


def sees(client: Namespace, folder: Path, url: str, settings: dict[str, object], seen: str, else_: str = "") -> None:
    """Fail unless a page is seen as expected. A busy machine may let a browser lose patience: then it tries again."""
    for _ in range(ATTEMPTS):
        found = browse(client, folder, url, settings)
        if found == seen:
            return
        assert found == else_, f"{url}: {found}"
    raise AssertionError(f"{url}: {found!r}, not {seen!r}")


BY_FILE = {"ProxyMode": "pac_script", "ProxyPacUrl": f"http://{GATEWAY}/family.pac", "ProxyPacMandatory": True}


def test_a_browser_goes_by_the_file(system: NamespaceSystem, client: Namespace, proxy: None, tmp_path: Path) -> None:
    give_out(system, SMART)
    for host, seen in {
        "www.google.com": UPLINK,  # the proxy asked
        "maps.google.com": CLIENT,
        "other.example": CLIENT,
        "b\u00fccher.example": UPLINK,
        WRITTEN: UPLINK,
        WORLD: CLIENT,
        "x.ads.example": "",
    }.items():
        sees(client, tmp_path, f"http://{host}/", BY_FILE, seen)


def test_a_browser_finds_the_file_by_itself(
    system: NamespaceSystem, client: Namespace, proxy: None, tmp_path: Path
) -> None:
    give_out(system, file(default=PROXY))
    # It gives the name `wpad` a second.
    sees(client, tmp_path, "http://other.example/", {"ProxyMode": "auto_detect"}, UPLINK, else_=CLIENT)


def test_without_its_proxy_a_browser_goes_directly_only_where_that_is_wanted(
    system: NamespaceSystem, client: Namespace, tmp_path: Path
) -> None:
    give_out(system, file(default=PROXY))
    sees(client, tmp_path, "http://other.example/", BY_FILE, "")
    give_out(system, file(default=PROXY, fail_open=True))
    sees(client, tmp_path, "http://other.example/", BY_FILE, CLIENT)
