#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The classification of clients' packets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: split_mark
short_description: Client to policy to mark, the guard in the forward hook, and NAT
version_added: 0.1.0
description:
  - Classifies the first packet of each connection of a client and keeps its mark with the connection.
  - Deletes the connections whose way changes, and no others.
  - The second guard, which drops what would leave by a way that its mark does not name, and masquerading belong to it.
options:
  interface:
    description: The clients' interface.
    type: str
  tunnels:
    description: What the names of all tunnel interfaces begin with.
    type: str
    default: wg-up-
  mask:
    description: The contiguous bits of the mark that are ours; the highest says "classified".
    type: int
    default: 0x3fff
  egresses:
    description: All egresses; number 0 is direct.
    type: list
    elements: dict
    suboptions:
      number:
        description: The number, which is its table, too.
        type: int
        required: true
      name:
        description: The egress's name.
        type: str
        required: true
      interface:
        description: The tunnel. Left out for direct, block, and an upstream group.
        type: str
      nat:
        description: Whether clients are masqueraded behind it.
        type: bool
        default: true
      ways:
        description:
          - The numbers that new flows get instead of the egress's own, each with its share. Left out, they get its own.
          - What the agent has chosen on the gateway comes before this.
        type: list
        elements: dict
        default: []
        suboptions:
          number:
            description: The number of the egress that they get.
            type: int
            required: true
          weight:
            description: Its share, beside those of the others.
            type: int
            default: 1
      may_use:
        description: All numbers that the agent may choose for new flows, beside the egress's own.
        type: list
        elements: int
        default: []
      may_go_direct:
        description: Whether the agent may let flows with the egress's own number leave directly.
        type: bool
        default: false
      direct:
        description: Whether flows with the egress's own number leave directly now.
        type: bool
        default: false
      families:
        description: IP versions that its table leads anywhere. The gateway's own packets of the others are refused.
        type: list
        elements: int
        default: [4, 6]
  v4:
    description: Clients and policies of IPv4.
    type: dict
    suboptions:
      clients:
        description: Address of each client → number of its policy.
        type: dict
        default: {}
      special:
        description: The set of ranges that only O(v4.policies[].special) reaches.
        type: str
        required: true
      policies:
        description: All distinct policies.
        type: list
        elements: dict
        default: []
        suboptions:
          number:
            description: The policy's number, at least 1.
            type: int
            required: true
          name:
            description: A word for people.
            type: str
            required: true
          default:
            description: The number of the egress of what no rule matches; 0 is direct.
            type: int
            required: true
          rules:
            description: The rules, in order; the first that matches wins.
            type: list
            elements: dict
            default: []
            suboptions: &rule
              sets:
                description: Sets of the destination; one that holds it is enough. With none any destination will do.
                type: list
                elements: str
                required: true
              egress:
                description: The egress's number.
                type: int
                required: true
              also:
                description: Lists of more sets, of each of which one has to hold the destination, too.
                type: list
                elements: list
                default: []
              protocols:
                description: The protocols, of which one has to be the flow's.
                type: list
                elements: str
                choices: [tcp, udp, icmp, sctp, gre, esp, ah]
                default: []
              ports:
                description: The ranges of ports, of which one has to have the flow's destination.
                type: list
                elements: dict
                default: []
                suboptions:
                  first:
                    description: The first port.
                    type: int
                    required: true
                  last:
                    description: The last port.
                    type: int
                    required: true
              schedule:
                description: When the rule is in force; left out, always. The agent looks at the clock.
                type: dict
                suboptions:
                  days:
                    description: Days of the week; 0 is Monday.
                    type: list
                    elements: int
                    default: [0, 1, 2, 3, 4, 5, 6]
                  hours:
                    description: Hours of these days.
                    type: list
                    elements: dict
                    required: true
                    suboptions:
                      start:
                        description: The first minute, from midnight.
                        type: int
                        required: true
                      end:
                        description: The minute after the last; more than 1440 is on the next day.
                        type: int
                        required: true
                  zone:
                    description: The time zone.
                    type: str
                    default: UTC
          special:
            description: The rules for destinations in the special ranges.
            type: list
            elements: dict
            default: []
            suboptions: *rule
  v6:
    description: Clients and policies of IPv6.
    type: dict
    suboptions:
      clients:
        description: Address of each client → number of its policy.
        type: dict
        default: {}
      special:
        description: The set of ranges that only O(v6.policies[].special) reaches.
        type: str
        required: true
      policies:
        description: All distinct policies.
        type: list
        elements: dict
        default: []
        suboptions:
          number:
            description: The policy's number, at least 1.
            type: int
            required: true
          name:
            description: A word for people.
            type: str
            required: true
          default:
            description: The number of the egress of what no rule matches; 0 is direct.
            type: int
            required: true
          rules:
            description: The rules, in order; the first that matches wins.
            type: list
            elements: dict
            default: []
            suboptions: *rule
          special:
            description: The rules for destinations in the special ranges.
            type: list
            elements: dict
            default: []
            suboptions: *rule
  networks:
    description: Static networks by the name of their set, where the chains hold them (backend C(nftables)).
    type: dict
    default: {}
  countries:
    description: The country, as two letters in lower case, by the name of the set that stands for its networks.
    type: dict
    default: {}
  tunnel_mtus:
    description: What TCP segments of answers that come in by a tunnel are clamped to.
    type: list
    elements: dict
    default: []
    suboptions:
      interface:
        description: The tunnel.
        type: str
        required: true
      mtu:
        description: Its MTU in bytes.
        type: int
        required: true
      endpoint:
        description: Its exit, when the MTU that the agent finds for the path there comes before O(tunnel_mtus[].mtu).
        type: str
        default: ''
      upstream:
        description: The upstream whose tunnel it is.
        type: str
        default: ''
      transport:
        description: What its own packets travel by. Over a WebSocket another MTU holds, unless it has no endpoint here.
        type: str
        choices: [udp, websocket, auto]
        default: udp
  guard:
    description: What holds for every client, whatever its policy says. Left out, nothing does.
    type: dict
    suboptions:
      redirect_dns:
        description: Whether the gateway answers what clients send to port 53, wherever they send it.
        type: bool
        default: false
      refuse_dot:
        description: Whether DNS over TLS and over QUIC is refused.
        type: bool
        default: false
      doh_v4:
        description: The set of resolvers over HTTPS that are refused, for IPv4. Empty, none is.
        type: str
        default: ''
      doh_v6:
        description: The same for IPv6.
        type: str
        default: ''
      isolate:
        description: Whether clients are kept from each other.
        type: bool
        default: false
      ports:
        description: Ports of the gateway that clients reach, beside DNS and ping. Left out, all.
        type: list
        elements: dict
        suboptions:
          protocol:
            description: Their protocol.
            type: str
            choices: [tcp, udp]
            required: true
          low:
            description: The first.
            type: int
            required: true
          high:
            description: The last.
            type: int
            required: true
      services:
        description: TCP ports of the gateway's own daemons, which are open as well.
        type: list
        elements: dict
        default: []
        suboptions:
          key:
            description: What the port is for; under it the host remembers which one it chose.
            type: str
            required: true
          low:
            description: The first of the range.
            type: int
            required: true
          high:
            description: The last of the range.
            type: int
            required: true
      resolvers:
        description: The gateway's addresses at which clients may ask for names.
        type: list
        elements: str
        default: []
      protect_clients:
        description: Whether only clients begin connections to clients.
        type: bool
        default: false
      refuse_others:
        description: Families, 4 and 6, in which nothing is forwarded that is neither from nor to clients.
        type: list
        elements: int
        default: []
      others_as_before:
        description: Whether that holds for a family as well in which this host forwarded nothing before splitway came.
        type: bool
        default: false
      foreign_drop:
        description: What a run does where rules of others stop clients' packets.
        type: str
        choices: [fail, warn, ignore]
        default: ignore
  lan:
    description: Networks of clients that come in by other interfaces, the longest prefixes first.
    type: list
    elements: dict
    default: []
    suboptions:
      interface:
        description: The interface by which they come in.
        type: str
        required: true
      network:
        description: Their network.
        type: str
        required: true
      policy:
        description: The number of their policy.
        type: int
        required: true
  unknown:
    description:
      - Networks of the clients' interface with the policy of whoever is there and in no list of clients. Without one of
        a family they are refused.
    type: list
    elements: dict
    default: []
    suboptions:
      interface:
        description: The clients' interface.
        type: str
        required: true
      network:
        description: The network.
        type: str
        required: true
      policy:
        description: The number of the policy.
        type: int
        required: true
  host:
    description: Policies of the gateway's own connections. Left out, they are left alone.
    type: dict
    suboptions:
      policy:
        description: The number of the policy of all but proxies. Left out, they are left alone.
        type: int
      resolvers:
        description: Addresses at which our dnsmasq answers, one a family; the gateway's own questions are led there.
        type: list
        elements: str
        default: []
      users:
        description: The users of our own resolvers, whose questions go out as they are.
        type: list
        elements: str
        default: []
      accounts:
        description: The numbers of O(host.users). What is given here counts for nothing; the host knows them.
        type: list
        elements: int
        default: []
      proxies:
        description: Proxies, known by the users that their programs run as.
        type: list
        elements: dict
        default: []
        suboptions:
          user:
            description: The user.
            type: str
            required: true
          policy:
            description: The number of the policy of its connections. Left out, none of them leaves this host.
            type: int
          listens:
            description: Ports at which the proxy's clients come in.
            type: list
            elements: dict
            default: []
            suboptions: &ports
              key:
                description: Under which the host remembers the port that it chose.
                type: str
                required: true
              low:
                description: The first port.
                type: int
                required: true
              high:
                description: The last port.
                type: int
                required: true
          asks:
            description: Ports of 127.0.0.1 that it may connect to.
            type: list
            elements: dict
            default: []
            suboptions: *ports
          account:
            description: The user's number. What is given here counts for nothing; the host knows it.
            type: int
extends_documentation_fragment:
  - splitway.gateway.section
  - splitway.gateway.section.attributes
  - splitway.gateway.section.backend
"""

EXAMPLES = r"""
- name: One client, one policy
  splitway.gateway.split_mark:
    interface: wg0
    egresses:
      - {number: 0, name: direct}
      - {number: 101, name: us, interface: wg-up-1}
    v4:
      clients: {10.8.0.2: 1}
      special: sw4s
      policies:
        - {number: 1, name: family, rules: [{sets: [sw4d1], egress: 101}], default: 0}
    v6:
      special: sw6s
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each; never a key.
  returned: success
  type: list
  elements: str
  sample: ["change chain SPLITWAY-P1"]
diff:
  description: The lines that change, before and after.
  returned: with --diff, when something changes
  type: dict
commands:
  description: The programs that were run and the files that were written to make the changes; never a key.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils._module import (
    BACKEND,
    PORT_RANGE,
    SECTION,
    needs,
    run_section,
)

PORTS = {"first": {"type": "int", "required": True}, "last": {"type": "int", "required": True}}

SCHEDULE = {
    "days": {"type": "list", "elements": "int", "default": [0, 1, 2, 3, 4, 5, 6]},
    "hours": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"start": {"type": "int", "required": True}, "end": {"type": "int", "required": True}},
    },
    "zone": {"type": "str", "default": "UTC"},
}

RULES = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "sets": {"type": "list", "elements": "str", "required": True},
        "egress": {"type": "int", "required": True},
        "also": {"type": "list", "elements": "list", "default": []},
        "protocols": {
            "type": "list",
            "elements": "str",
            "choices": ["tcp", "udp", "icmp", "sctp", "gre", "esp", "ah"],
            "default": [],
        },
        "ports": {"type": "list", "elements": "dict", "default": [], "options": PORTS},
        "schedule": {"type": "dict", "options": SCHEDULE},
    },
}

FAMILY = {
    "type": "dict",
    "options": {
        "clients": {"type": "dict", "default": {}},
        "special": {"type": "str", "required": True},
        "policies": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "number": {"type": "int", "required": True},
                "name": {"type": "str", "required": True},
                "default": {"type": "int", "required": True},
                "rules": RULES,
                "special": RULES,
            },
        },
    },
}

TUNNEL_MTU = {
    "interface": {"type": "str", "required": True},
    "mtu": {"type": "int", "required": True},
    "endpoint": {"type": "str", "default": ""},
    "upstream": {"type": "str", "default": ""},
    "transport": {"type": "str", "choices": ["udp", "websocket", "auto"], "default": "udp"},
}
WAY = {"number": {"type": "int", "required": True}, "weight": {"type": "int", "default": 1}}

PORT = {
    "protocol": {"type": "str", "choices": ["tcp", "udp"], "required": True},
    "low": {"type": "int", "required": True},
    "high": {"type": "int", "required": True},
}

PORT_RANGES = {"type": "list", "elements": "dict", "default": [], "options": PORT_RANGE}

GUARD = {
    "redirect_dns": {"type": "bool", "default": False},
    "refuse_dot": {"type": "bool", "default": False},
    "doh_v4": {"type": "str", "default": ""},
    "doh_v6": {"type": "str", "default": ""},
    "isolate": {"type": "bool", "default": False},
    "ports": {"type": "list", "elements": "dict", "options": PORT},
    "services": PORT_RANGES,
    "resolvers": {"type": "list", "elements": "str", "default": []},
    "protect_clients": {"type": "bool", "default": False},
    "refuse_others": {"type": "list", "elements": "int", "default": []},
    "others_as_before": {"type": "bool", "default": False},
    "foreign_drop": {"type": "str", "choices": ["fail", "warn", "ignore"], "default": "ignore"},
}

NETWORKS = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "interface": {"type": "str", "required": True},
        "network": {"type": "str", "required": True},
        "policy": {"type": "int", "required": True},
    },
}

OPTIONS = {
    "interface": {"type": "str"},
    "tunnels": {"type": "str", "default": "wg-up-"},
    "mask": {"type": "int", "default": 0x3FFF},
    "egresses": {
        "type": "list",
        "elements": "dict",
        "options": {
            "number": {"type": "int", "required": True},
            "name": {"type": "str", "required": True},
            "interface": {"type": "str"},
            "nat": {"type": "bool", "default": True},
            "ways": {"type": "list", "elements": "dict", "default": [], "options": WAY},
            "may_use": {"type": "list", "elements": "int", "default": []},
            "may_go_direct": {"type": "bool", "default": False},
            "direct": {"type": "bool", "default": False},
            "families": {"type": "list", "elements": "int", "default": [4, 6]},
        },
    },
    "v4": FAMILY,
    "v6": FAMILY,
    "countries": {"type": "dict", "default": {}},
    "networks": {"type": "dict", "default": {}},
    "lan": NETWORKS,
    "unknown": NETWORKS,
    "host": {
        "type": "dict",
        "options": {
            "policy": {"type": "int"},
            "resolvers": {"type": "list", "elements": "str", "default": []},
            "users": {"type": "list", "elements": "str", "default": []},
            "accounts": {"type": "list", "elements": "int", "default": []},
            "proxies": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "user": {"type": "str", "required": True},
                    "policy": {"type": "int"},
                    "listens": PORT_RANGES,
                    "asks": PORT_RANGES,
                    "account": {"type": "int"},
                },
            },
        },
    },
    "tunnel_mtus": {"type": "list", "elements": "dict", "default": [], "options": TUNNEL_MTU},
    "guard": {"type": "dict", "options": GUARD},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**OPTIONS, **SECTION, **BACKEND}, **needs("interface", "egresses", "v4", "v6"))
    run_section(module, "marks", {key: module.params[key] for key in OPTIONS})


if __name__ == "__main__":
    main()
