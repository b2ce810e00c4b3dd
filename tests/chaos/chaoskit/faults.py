# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to the gateway: by hand, by a stranger's program, by the weather."""

from __future__ import annotations

from dataclasses import dataclass, field

from chaoskit import looks

EVERYTHING = frozenset(("us", "eu", "direct"))
BOTH = ("ipset", "nftables")
IPSET = ("ipset",)
LIMIT = 5.0  # seconds


@dataclass(frozen=True)
class Fault:
    """One thing that is broken, and where to see that it is back. By backend where they differ."""

    name: str
    inject: str | dict[str, str]  # a shell command
    look: str | dict[str, str]
    where: str = "gw"  # `tap` shares the gateway's network, and has every tool
    hurts: frozenset[str] = frozenset()  # the ways whose flows it may break
    backends: tuple[str, ...] = IPSET
    limit: float = LIMIT
    excused: tuple[str, ...] = field(default=())  # targets whose set it empties: to the kernel they are unlisted


def kill(unit: str) -> str:
    """Returns the command that kills a unit's process as the kernel does when memory is short.

    While a unit is started anew its process is 0, which `kill` takes for whoever called it.
    """
    process = f"$(systemctl show --property MainPID --value {unit})"
    return f"for _ in $(seq 100); do process={process}; [ $process = 0 ] || break; sleep 0.1; done; kill -9 $process"


def chosen(command: str | dict[str, str], backend: str) -> str:
    """Returns a command, for this backend."""
    return command if isinstance(command, str) else command[backend]


KILL_DNSMASQ = kill("splitway-dnsmasq")
KILL_AGENT = kill("splitway")
FLUSH_RULES = (
    "ip rule flush; ip rule add lookup main pref 32766; ip rule add lookup default pref 32767; "
    "ip -6 rule flush; ip -6 rule add lookup main pref 32766"
)
# One step a family, as a firewall that is reloaded does it.
FLUSH_CHAINS = {
    "ipset": "for filter in iptables ip6tables; do $filter-save | "
    "sed -n '/^[*]/p; s/^:\\(SPLITWAY[^ ]*\\).*/-F \\1/p; /^COMMIT/p' | $filter-restore --noflush; done",
    "nftables": "nft flush table inet splitway",
}
# Every list that google's address is on; another list's set holds some of them, too.
EMPTY_LEARNED = {
    "ipset": "for set in $(ipset list -name | grep '^sw4d'); do "
    "ipset -quiet test $set 198.51.100.20 && ipset flush $set; done; true",
    "nftables": "for set in $(nft list sets inet | sed -n 's/.*set \\(sw4d[^ ]*\\) {/\\1/p'); do "
    "nft get element inet splitway $set '{ 198.51.100.20 }' >/dev/null 2>&1 && nft flush set inet splitway $set; "
    "done; true",
}
EMPTY_STATIC = (
    "for set in $(ipset list -name | grep '^sw4n'); do "
    "ipset -quiet test $set 198.51.100.129 && ipset flush $set; done; true"
)
NO_CHAINS_NO_SETS = {"ipset": f"{FLUSH_CHAINS['ipset']}; ipset destroy", "nftables": "nft delete table inet splitway"}

FAULTS = (
    Fault(
        "wireguard-go of wg-up-1 killed",
        kill("splitway-wireguard@wg-up-1"),
        looks.tunnel("wg-up-1"),
        hurts=frozenset(("us",)),
    ),
    Fault("wireguard-go of wg0 killed", kill("splitway-wireguard@wg0"), looks.tunnel("wg0")),
    Fault("dnsmasq killed", KILL_DNSMASQ, looks.DNS, backends=BOTH),
    Fault("the agent killed", KILL_AGENT, looks.AGENT),
    Fault("a tunnel's interface deleted", "ip link delete wg-up-2", looks.tunnel("wg-up-2"), hurts=frozenset(("eu",))),
    Fault("a tunnel's link down", "ip link set wg-up-1 down", looks.tunnel("wg-up-1"), hurts=frozenset(("us",))),
    Fault("the clients' link down", "ip link set wg0 down", looks.tunnel("wg0")),
    Fault(
        "a learned set emptied",
        EMPTY_LEARNED,
        looks.SETS,
        backends=BOTH,
        excused=("fonts.gstatic.com", "googleapis.com"),
    ),
    Fault("a list's networks emptied", EMPTY_STATIC, looks.SETS, excused=("198.51.100.129",)),
    Fault("the clients' policies emptied", "ipset flush sw4c; ipset flush sw6c", looks.SETS),
    Fault("our chains flushed", FLUSH_CHAINS, looks.CHAINS, backends=BOTH),
    Fault(
        "our chains and sets destroyed",
        NO_CHAINS_NO_SETS,
        looks.SETS,
        backends=BOTH,
    ),
    Fault("every rule flushed, the system's own back", FLUSH_RULES, looks.RULES),
    Fault("a table flushed", "ip route flush table 101; ip -6 route flush table 101", looks.TABLES),
    Fault(
        "a table's floors removed",
        "ip route del unreachable default table 102; ip -6 route del unreachable default table 102 dev lo",
        looks.TABLES,
    ),
    Fault("forwarding switched off", "echo 0 >/proc/sys/net/ipv4/ip_forward", looks.FORWARDING),
    Fault(
        "a client's peer removed",
        "wg set wg0 peer $(wg show wg0 allowed-ips | grep -F 10.8.0.2/32 | cut -f 1) remove",
        looks.tunnel("wg0"),
    ),
    Fault(
        "a tunnel's address removed",
        "ip address delete 10.65.0.2/32 dev wg-up-2",
        looks.tunnel("wg-up-2"),
        hurts=frozenset(("eu",)),
    ),
    Fault("the clients' addresses removed", "ip address flush dev wg0", looks.tunnel("wg0")),
    Fault(
        "dnsmasq's file edited",
        "sed -i '/gstatic/d' /etc/splitway/dnsmasq/names.conf; sed -i '$d' /etc/splitway/dnsmasq/names.conf",
        looks.DNS,
    ),
    Fault(
        "two at once: a tunnel deleted, dnsmasq killed",
        f"ip link delete wg-up-1; {KILL_DNSMASQ}",
        f"{looks.tunnel('wg-up-1')}; {looks.DNS}",
        hurts=frozenset(("us",)),
    ),
    Fault(
        "two at once: the agent killed, every rule flushed",
        f"{KILL_AGENT}; {FLUSH_RULES}",
        f"{looks.AGENT}; {looks.RULES}",
    ),
    # The last before the reboot: Docker's resolver lives in the ruleset, and only a start brings it back.
    # NAT is away until it is healed: what is answered meanwhile comes to the gateway itself, which resets it.
    Fault("nft flush ruleset", "nft flush ruleset", looks.CHAINS, where="tap", hurts=EVERYTHING, backends=BOTH),
)
