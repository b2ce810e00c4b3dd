# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenario's hosts have before the gateway's first run.

before_first_run.py equip    certificates, the Internet's names and web over TLS, whom the gateway's host trusts
before_first_run.py block    a network without UDP
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from autovpnkit import uplink
from autovpnkit.uplink import CERTIFICATES
from labkit.authority import Authority
from labkit.hosts import FILES, container, host

HERE = Path(__file__).parent
FOLDER = FILES / "certificates"
SERVERS = ("us", "eu", "names")
SCRIPTS = ("tls_relay.py", "no_udp.nft", "middlebox.nft")
HAVE = {
    "gw": ("lab.authority.pem",),
    "us": ("us.pem", "us.key", "middlebox.pem", "middlebox.key"),
    "eu": ("eu.pem", "eu.key"),
    "web": ("names.pem", "names.key"),
}


def make_certificates() -> None:
    """Issues one for each server, and one in the name of us by an authority that nobody here trusts."""
    authority, stranger = Authority(FOLDER), Authority(FOLDER, "stranger")
    for server in SERVERS:
        authority.issue(server, f"{server}.autovpn.example")
    stranger.issue("middlebox", "us.autovpn.example")


def equip(name: str) -> None:
    """Gives a host its certificates, and those at the far end of the uplink what blocks and looks into TLS."""
    host(name).check_output("mkdir -p %s", CERTIFICATES)
    for file in HAVE[name]:
        copy(FOLDER / file, name, CERTIFICATES)
    for script in SCRIPTS if name in uplink.BLOCKERS else ():
        copy(HERE / script, name, "/opt")


def copy(file: Path, name: str, folder: str) -> None:
    """Copies a file into a host."""
    subprocess.run(["docker", "cp", str(file), f"{container(name)}:{folder}/"], check=True, capture_output=True)


def main() -> None:
    """Does what the argument says."""
    if sys.argv[1:] == ["block"]:
        uplink.block_udp()
        return
    make_certificates()
    for name in HAVE:
        equip(name)
    files = f"{CERTIFICATES}/names.pem {CERTIFICATES}/names.key"
    start = "systemd-run --quiet --property Restart=always --unit"
    host("web").check_output(f"{start} autovpn-names python3 /opt/tls_relay.py 853 {files} tcp:127.0.0.1:53")
    host("web").check_output(f"{start} autovpn-web python3 /opt/lab/answer.py 443 {files}")
    # As an operator would: the certificate of eu is of an authority that the whole host trusts.
    trusted = "/usr/local/share/ca-certificates/autovpn.crt"
    host("gw").check_output(f"ln -s {CERTIFICATES}/lab.authority.pem {trusted} && update-ca-certificates")


if __name__ == "__main__":
    main()
