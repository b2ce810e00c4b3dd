# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each command of the documents is run by a test, or why it is not."""

from __future__ import annotations

import re
from enum import Enum
from functools import cache

from .blocks import Command, commands


class Place(Enum):
    """Who runs a command."""

    CONTROLLER = "tests/unit/test_documented_commands.py"
    QUICK_START = "the quick start as a whole, in tests/unit/test_documented_commands.py"
    PROVISIONING = "tests/unit/test_provisioning.py"
    MAKE = "the Makefile has such a target, tests/unit/test_documented_commands.py"
    GATEWAY = "tests/lab/test_3_documented_commands.py, on gw"
    TAP = "tests/lab/test_3_documented_commands.py, in gw's network, with tools that a gateway need not have"
    CLIENT = "tests/lab/test_3_documented_commands.py, on alice"
    NOBODY = "NOT_RUN says why"


PROGRAMS = {
    "ansible-builder": Place.CONTROLLER,
    "ansible-doc": Place.CONTROLLER,
    "ansible-galaxy": Place.QUICK_START,
    "ansible-inventory": Place.CONTROLLER,
    "ansible-playbook": Place.CONTROLLER,
    "ansible-vault": Place.QUICK_START,
    "conntrack": Place.GATEWAY,
    "curl": Place.CLIENT,
    "dig": Place.CLIENT,
    "ip": Place.GATEWAY,
    "ipset": Place.GATEWAY,
    "iptables": Place.GATEWAY,
    "journalctl": Place.GATEWAY,
    "make": Place.MAKE,
    "nft": Place.GATEWAY,
    "nstat": Place.GATEWAY,
    "ping": Place.GATEWAY,
    "splitway": Place.GATEWAY,
    "ss": Place.GATEWAY,
    "sysctl": Place.GATEWAY,
    "systemctl": Place.GATEWAY,
    "tc": Place.GATEWAY,
    "tcpdump": Place.TAP,
    "wg": Place.GATEWAY,
}

SECRETS = r'umask 077; printf "%s\n" "$VAULT_PASSWORD" >~/vault-password; printf "%s\n" "$SSH_KEY" >~/ssh-key'
ELSEWHERE = {
    # the quick start's other lines
    "cp -r inventories/example ~/vpn/inventory": Place.QUICK_START,
    "cd ~/vpn": Place.QUICK_START,
    "cd ~/vpn && ansible-galaxy collection install splitway-gateway-0.1.0.tar.gz": Place.QUICK_START,
    "umask 077; mkdir -p inventory/group_vars/all": Place.QUICK_START,
    "$EDITOR inventory/hosts.yml inventory/group_vars/splitway_gateways.yml": Place.QUICK_START,
    "ssh admin@vpn.example.com sudo cat /etc/splitway/clients/phone.txt": Place.QUICK_START,
    "ssh admin@vpn.example.com sudo cat /etc/splitway/clients/laptop.conf": Place.QUICK_START,
    # on the controller
    "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'": Place.CONTROLLER,
    # a pipeline's own
    "umask 077": Place.CONTROLLER,
    'cp "$VAULT_PASSWORD" ~/vault-password': Place.CONTROLLER,
    'cp "$SSH_KEY" ~/ssh-key': Place.CONTROLLER,
    "export ANSIBLE_VAULT_PASSWORD_FILE=~/vault-password ANSIBLE_PRIVATE_KEY_FILE=~/ssh-key": Place.CONTROLLER,
    SECRETS: Place.CONTROLLER,
    "ansible-builder create": Place.PROVISIONING,
    # on a gateway
    "cat /etc/resolv.conf": Place.GATEWAY,
    "dig @10.8.0.1 example.org": Place.TAP,
    "grep -E '/(youtube\\.)?com/' /etc/splitway/dnsmasq/names.conf": Place.GATEWAY,
    "grep google /etc/splitway/dnsmasq/names.conf": Place.GATEWAY,
    "grep youtube /etc/splitway/dnsmasq/names.conf": Place.GATEWAY,
    "python3 -m json.tool /etc/splitway/state.json | grep -A30 '\"numbers\"'": Place.GATEWAY,
    "curl -4 --interface wg-up-2 http://198.51.100.31/": Place.TAP,
}

FAULTS = "a fault of tests/chaos, which does it and sees it healed"
OTHERS = "of another firewall, which the lab has not; what it must let through is in tests/kernel/test_foreign.py"
PROXIES = "needs a proxy: tests/autovpn/test_2_proxies.py and tests/kernel/test_proxies.py ask through it"
NO_UDP = "cuts off tunnels that have no WebSocket; tests/autovpn does the same to those that have one"
WG_EASY = "of the reader's wg-easy; what splitway makes of its database is in tests/unit/wg_easy"
BACKUP = "test_keys_are_backed_up_and_brought_back of tests/unit/test_documented_commands.py runs both lines"
GIT = "git's own, in a repository of the operator"
PARTS = "a word about a program, not a line to type"
PAC = 'python3 -c \'import pacparser as p; p.init(); p.parse_pac_file("family.pac"); print(p.find_proxy("http://x.com/"))\''
KEYS_OUT = "ssh admin@vpn.example.com sudo tar -C /etc/splitway -cz keys | ansible-vault encrypt --output home.vault"
KEYS_BACK = "ansible-vault decrypt --output - home.vault | ssh admin@vpn.example.com sudo tar -C /etc/splitway -xz"
MESSAGES = ("splitway needs root",)
NOT_RUN = {
    PAC: "needs PAC files: tests/unit/pac asks pacparser the same",
    "ansible-builder build --tag registry.example.com/splitway-controller:0.1.0": "needs a registry of images",
    "ansible-galaxy collection install splitway-gateway-0.1.0.tar.gz --force": "the quick start installs it",
    KEYS_OUT: BACKUP,
    KEYS_BACK: BACKUP,
    "git diff": GIT,
    "git log --oneline inventory": GIT,
    "git revert --no-edit HEAD": GIT,
    "pip install ansible-core==2.19.14 cryptography idna": "asks a package index",
    "cat /etc/splitway/clients/alice.txt": "the files of the lab's clients are on the controller; tests/lab reads them",
    "conntrack -D -s 10.8.0.2 -d 198.51.100.31": "ends connections of tests that follow, and fails where there is none",
    "curl -4 https://ifconfig.me": "asks the Internet; tests/lab/test_2_ways.py asks what plays it",
    "curl -s http://10.8.0.1/family.pac > family.pac": "needs PAC files: tests/autovpn/test_3_pac.py fetches them",
    "curl -x http://10.8.0.1:8080 -U alice https://www.example.com/": PROXIES,
    "curl -x socks5h://10.8.0.1:1080 -U alice https://www.example.com/": PROXIES,
    "docker exec splitway-lab-gw …": "what follows is the reader's choice",
    "python3 -m json.tool rollout.json": "a rollout's report: the Molecule scenario fleet reads it",
    "docker compose start": WG_EASY,
    "docker compose stop": WG_EASY,
    "firewall-cmd --permanent --add-port=51820/udp": OTHERS,
    "firewall-cmd --permanent --zone=trusted --add-interface=wg0": OTHERS,
    "firewall-cmd --reload": OTHERS,
    "ip -batch": PARTS,
    "ip daddr & 255.255.255.0 { … }": "a part of a rule",
    "ip link delete wg-up-1": FAULTS,
    "ip route flush table 101": FAULTS,
    "ip rule add lookup main pref 32766": FAULTS,
    "ip rule flush": FAULTS,
    "ipset create sw4d2 …: maximal number of sets reached": "a message",
    "ipset flush sw4d1": FAULTS,
    "ipset restore": PARTS,
    "iptables -I FORWARD -i wg0 -j ACCEPT": OTHERS,
    "iptables -I FORWARD -o wg0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT": OTHERS,
    "journalctl -u 'splitway-proxy-*'": PROXIES,
    "nft -f": PARTS,
    "nft add rule inet try in udp dport 51820 drop": NO_UDP,
    "nft add table inet try; nft 'add chain inet try in { type filter hook input priority -200; }'": NO_UDP,
    "nft delete table inet try": NO_UDP,
    "nft flush ruleset": FAULTS,
    "nft list table inet splitway_exit": "on an exit, where tests/lab/test_2_ways.py sees what it does",
    "nft list table netdev splitway": "nothing in the lab has a rate; tests/kernel/test_rates.py has it",
    "tc class show dev splitway-rates": "nothing in the lab has a rate; tests/kernel/test_rates.py has it",
    "ping -c3 -M do -s 1392 -I wg-up-2 1.1.1.1": "tunnels of the lab are narrower; tests/kernel/test_mtu.py measures",
    "splitway countries": "the lab's data is the controller's; tests/kernel/test_countries.py has it",
    "splitway countries refresh": "the lab's data is the controller's; tests/kernel/test_countries.py refreshes",
    "splitway names www.example.com": "nothing in the lab is pinned; tests/kernel/test_pinning_agent.py asks",
    "journalctl -u 'splitway-transport-*'": "the lab has no WebSocket; tests/autovpn looks into their journal",
    "splitway countries refresh --accept": "the lab's data is the controller's; tests/unit/countries has it",
    **dict.fromkeys(MESSAGES, "a message"),
    "systemctl status splitway-countries": "the lab's data is the controller's, which needs no such unit",
    "systemctl reload 'splitway-transport-server*'": "the lab has no WebSocket; tests/autovpn renews a certificate",
    "tc qdisc del dev wg0 root": FAULTS,
    "ufw allow 51820/udp": OTHERS,
    "ufw allow in on wg0 to any port 53": OTHERS,
    "ufw route allow in on wg0": OTHERS,
    "wg addconf": PARTS,
    "wg syncconf": PARTS,
    "wg genkey": "the quick start runs it",
    "wg genpsk": "the quick start runs it",
    "wg pubkey": "the quick start runs it",
    "ansible-playbook -vvv": "an option; tests/lab/test_3_gateway.py runs site.yml with it",
}

SUBSTITUTIONS: dict[Place, tuple[tuple[str, str], ...]] = {
    # The example inventory's clients are called phone and laptop.
    Place.CONTROLLER: (
        (r"client=alice\b", "client=phone"),
        (r"list=ads\b", "list=google"),
        (r"-i inventories/prod\b", "-i inventory"),
    ),
    Place.GATEWAY: (
        (r"--client phone\b", "--client alice"),
        (r"\bwg-up-N\b", "wg-up-1"),
        (r"\bSECTION\b", "sets"),
        (r"\| jq .*", "| python3 -m json.tool --json-lines"),
        (r"\bCLIENT\b", "alice"),
        (r"\bNAME\b", "www.example.com"),
    ),
    Place.TAP: ((r"\bEXIT\b", "10.90.0.21"), (r"^tcpdump ", "tcpdump -c 1 ")),
    Place.CLIENT: (),
}
"""What stands in a document for something that the test's inventory or lab calls by another name."""


def place(command: Command) -> Place | None:
    """Return where a command is run; None when nobody has said it."""
    if command.text in NOT_RUN:
        return Place.NOBODY
    if command.text.startswith("{ for name in us home_to_us; do"):
        return Place.QUICK_START
    return ELSEWHERE.get(command.text) or PROGRAMS.get(command.program)


@cache
def all_commands() -> list[Command]:
    """Return all commands of the documents."""
    spoken_of = {text.split()[0] for text in NOT_RUN} | {"cat", "grep", "ufw"}
    return commands(frozenset(PROGRAMS) | spoken_of)


def agents() -> list[str]:
    """Return the agent's commands, each once."""
    return list(dict.fromkeys(command.text for command in all_commands() if command.program == "splitway"))


def runnable(*places: Place) -> list[str]:
    """Return what the commands of these places are as the test runs them, each once."""
    found = []
    for command in all_commands():
        where = place(command)
        if where in places:
            text = command.text
            for pattern, replacement in SUBSTITUTIONS.get(where, ()):
                text = re.sub(pattern, replacement, text)
            found.append(text)
    return list(dict.fromkeys(found))
