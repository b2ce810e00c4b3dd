# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Internet lets through of the gateway's, and a box that looks into its TLS."""

from __future__ import annotations

import json

from labkit.hosts import host, wait_until

BLOCKERS = ("us", "eu", "web")  # every far end of the gateway's uplink
CERTIFICATES = "/etc/ssl/autovpn"
MIDDLEBOX = "autovpn-middlebox"  # its unit on us


def block_udp() -> None:
    """Drops all UDP that comes from the gateway."""
    for name in BLOCKERS:
        host(name).check_output("nft --file /opt/no_udp.nft")


def allow_udp() -> None:
    """Lets UDP through again."""
    for name in BLOCKERS:
        host(name).check_output("nft 'add table inet autovpn; delete table inet autovpn'")


def dropped(name: str) -> int:
    """Returns how many packets one of the far ends dropped since the block."""
    rules = json.loads(host(name).check_output("nft --json list table inet autovpn"))["nftables"]
    counters = (part["counter"] for item in rules for part in item.get("rule", {}).get("expr", []) if "counter" in part)
    return sum(counter["packets"] for counter in counters)


def insert_middlebox() -> None:
    """Has a box before us that ends TLS with a certificate of its own, and passes on what is inside."""
    files = f"{CERTIFICATES}/middlebox.pem {CERTIFICATES}/middlebox.key"
    host("us").check_output(
        f"systemd-run --quiet --collect --unit {MIDDLEBOX} python3 /opt/tls_relay.py 4443 {files} tls:127.0.0.1:443"
    )
    wait_until(lambda: host("us").run("ss -Hltn sport = :4443").stdout, "the middlebox")
    host("us").check_output("nft --file /opt/middlebox.nft")


def remove_middlebox() -> None:
    """Takes the box away."""
    host("us").check_output("nft 'add table inet autovpn_middlebox; delete table inet autovpn_middlebox'")
    host("us").run(f"systemctl stop {MIDDLEBOX}")
