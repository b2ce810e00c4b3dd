# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is, in a form that can be compared before and after."""

from __future__ import annotations

from labkit.hosts import host

# Asked from the tap, which shares the gateway's network and has the tools, before the gateway has any.
NETWORK = {
    "rules": "ip rule; ip -6 rule",
    "routes": "ip route show table all; ip -6 route show table all | sed -E 's/ expires [0-9]+sec//'",
    "links": "ip -o link | awk '{print $2}' | cut -d@ -f 1",  # a reboot ties eth0 to another end
    "nftables": "nft list ruleset",
    "ipsets": "ipset list -name",
}
SYSTEM = {
    "units": "systemctl list-unit-files --no-legend | sort",
    "failed units": "systemctl --failed --no-legend",
    "packages": "dpkg-query --show",
    "files": "find /etc /opt /usr/local /var/lib -xdev -type f -not -path '/var/lib/systemd/*' -exec sha256sum {} + "
    "| sort -k 2",
    "kernel settings": "sysctl -a 2>/dev/null | grep -E '^net\\.(ipv[46]\\.(conf|ip_forward)|netfilter).*' "
    "| grep -vE 'stable_secret|nf_conntrack_count|random|base_reachable_time'",
}


def snapshot() -> dict[str, list[str]]:
    """Returns the gateway's network and system, a list of lines for each subject."""
    asked = {name: ("tap", command) for name, command in NETWORK.items()}
    asked |= {name: ("gw", command) for name, command in SYSTEM.items()}
    return {name: host(where).check_output(command).splitlines() for name, (where, command) in asked.items()}


def difference(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    """Returns what is gone ("-") and what is new ("+"), a line each."""
    lines: list[str] = []
    for subject, old in before.items():
        new = after[subject]
        lines += [f"{subject}: - {line}" for line in old if line not in new]
        lines += [f"{subject}: + {line}" for line in new if line not in old]
    return lines
