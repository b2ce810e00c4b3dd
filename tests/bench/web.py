#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client waits for a web page and a ping, through our gateway and a bare one: the first seed's 11.3; root.

`ab -n 1000 -c 10` asks a web server (nginx) for one small page, each time by a new connection; `ping -c 100` asks the
same host. Both go the direct way (client ══ gateway ── server) and the tunnelled one (client ══ gateway ══ exit),
through a gateway of ours on both backends and, in turn, through one that forwards between the same tunnels without any
rule of ours (benchkit/tunnels.py). Nothing is to be reached: the ratios are printed.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from benchkit.bench import Bench
from benchkit.interleaved import interleaved
from benchkit.tunnels import BARE, DIRECT, GATEWAYS, OURS, TUNNELLED, Tunnels, tunnels
from namespaces import Namespace, private_mounts, wait_for

WAYS = {"direct": DIRECT, "tunnelled": TUNNELLED}


def main() -> None:
    """Measure both backends."""
    bench = Bench("web", __doc__)
    bench.parser.add_argument("--requests", type=int, default=1000, help="a round and way (%(default)s)")
    bench.parser.add_argument("--concurrency", type=int, default=10, help="of the requests (%(default)s)")
    bench.parser.add_argument("--pings", type=int, default=100, help="a round and way (%(default)s)")
    bench.parse()
    for program in ("ab", "nginx", "ping", "wg-quick"):
        if not shutil.which(program):
            raise SystemExit(f"{program} is not installed: tests/prepare-machine bench")
    private_mounts()
    for backend in ("ipset", "nftables"):
        with tunnels(backend) as both, tempfile.TemporaryDirectory() as folder:
            serve(both.internet, Path(folder))
            for way, address in WAYS.items():
                measure(bench, both, backend, way, address)
    bench.finish()


def measure(bench: Bench, both: Tunnels, backend: str, way: str, address: str) -> None:
    """Measure one way through both gateways."""
    options, sizes = bench.options, {"backend": backend, "way": way, "wireguard": both.wireguard}
    rates = interleaved(
        {
            name: lambda client=both.clients[name]: requests(client, address, options.requests, options.concurrency)
            for name in GATEWAYS
        },
        options.rounds,
    )
    waits = interleaved(
        {name: lambda client=both.clients[name]: ping(client, address, options.pings) for name in GATEWAYS},
        options.rounds,
    )
    for name in GATEWAYS:
        bench.row(f"ab, {name}", rates[name], "requests/s", **sizes)
        bench.row(f"ping, {name}", waits[name], "ms", **sizes)
    for program, found in (("ab", rates), ("ping", waits)):
        bench.row(f"{program}, ours of bare", [a / b for a, b in zip(found[OURS], found[BARE])], "", **sizes)


def requests(client: Namespace, address: str, count: int, concurrency: int) -> float:
    """Return the requests/s of ab. Raises SystemExit when one fails."""
    output = client.run("ab", "-q", "-n", str(count), "-c", str(concurrency), f"http://{address}/")
    if not re.search(r"Failed requests: +0\b", output):
        raise SystemExit(f"requests failed:\n{output}")
    return float(_found(r"Requests per second: +([\d.]+)", output))


def ping(client: Namespace, address: str, count: int) -> float:
    """Return the mean time of a ping (ms), ten milliseconds apart. Raises SystemExit when one is lost."""
    output = client.run("ping", "-q", "-n", "-i", "0.01", "-c", str(count), address)
    if " 0% packet loss" not in output:
        raise SystemExit(f"pings were lost:\n{output}")
    return float(_found(r"rtt min/avg/max/mdev = [\d.]+/([\d.]+)/", output))


def _found(pattern: str, output: str) -> str:
    match = re.search(pattern, output)
    if match is None:
        raise SystemExit(f"not found: {pattern} in\n{output}")
    return match[1]


def serve(host: Namespace, folder: Path) -> None:
    """Have a web server answer at all addresses of a host with a page of one kilobyte."""
    (folder / "index.html").write_text("x" * 1024)
    folder.chmod(0o755)
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr crit; events {{ }}\n"
        f"http {{ access_log off; {places} server {{ listen 80 backlog=1024; root {folder}; }} }}\n"
    )
    host.start("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"))
    wait_for(lambda: host.succeeds("ab", "-n", "1", f"http://{DIRECT}/"), "the web server")


if __name__ == "__main__":
    main()
