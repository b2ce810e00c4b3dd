#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's own dnsmasq."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dnsmasq_split
short_description: A dnsmasq instance of our own that puts addresses of listed names into sets
version_added: 0.1.0
description:
  - Writes the configuration of the unit C(splitway-dnsmasq.service), which answers on the clients' interfaces only.
  - A new configuration is tested with C(dnsmasq --test) before it replaces the old one, and dnsmasq is
    restarted only when lines changed.
options:
  interface:
    description: The clients' interface.
    type: str
  servers:
    description: Resolvers, C(address) or C(address#port). None are the host's own.
    type: list
    elements: str
    default: []
  lines:
    description: Complete C(ipset=) or C(nftset=) lines, one a domain.
    type: list
    elements: str
    default: []
  forwards:
    description: Names that are asked at resolvers of their own, and at no others.
    type: list
    elements: dict
    default: []
    suboptions:
      domains:
        description: The names, each with all below it.
        type: list
        elements: str
        required: true
      servers:
        description:
          - Resolvers, C(address) or C(address#port); with C(@interface) they are asked through this interface only.
            C(#) are the resolvers of all other names. With none, the names do not exist.
        type: list
        elements: str
        default: []
      egress:
        description: The number of the egress that the names lead to.
        type: int
        default: 0
      ways:
        description: Where the egress has a choice, the resolvers by each of its ways.
        type: list
        elements: dict
        default: []
        suboptions:
          number:
            description: The number of the way.
            type: int
            required: true
          servers:
            description: The resolvers.
            type: list
            elements: str
            required: true
      directly:
        description: The resolvers while the egress goes directly.
        type: list
        elements: str
        default: []
  absent:
    description: Names that do not exist for clients, with all below them.
    type: list
    elements: str
    default: [use-application-dns.net]
  filtered:
    description: Kinds of records that are left out of answers. Needs dnsmasq 2.90.
    type: list
    elements: str
    default: [HTTPS, SVCB]
  tls:
    description: Resolvers that are asked over TLS instead of O(servers), C(address@port#name). Needs unbound.
    type: list
    elements: str
    default: []
  lan:
    description: Further interfaces of clients.
    type: list
    elements: str
    default: []
  for_host:
    description: Whether the host's own questions come here, so that no resolver on this host can be asked.
    type: bool
    default: false
  records:
    description: Names that this dnsmasq answers itself.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name.
        type: str
        required: true
      addresses:
        description: Its addresses.
        type: list
        elements: str
        required: true
  pinned_ttl:
    description: >-
      Seconds that clients keep the addresses of pinned names, which the agent tells dnsmasq. Left out, none is pinned.
      Needs dnsmasq 2.88.
    type: int
  max_ttl:
    description: The longest time in seconds that a client may keep an answer.
    type: int
    default: 600
  cache_size:
    description: How many names dnsmasq keeps.
    type: int
    default: 10000
extends_documentation_fragment:
  - splitway.gateway.section
  - splitway.gateway.section.attributes
"""

EXAMPLES = r"""
- name: One name into two sets
  splitway.gateway.dnsmasq_split:
    interface: wg0
    servers: [192.0.2.53]
    lines: [ipset=/example.com/sw4d1]
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each; never a key.
  returned: success
  type: list
  elements: str
  sample: ["change names.conf"]
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

from ansible_collections.splitway.gateway.plugins.module_utils._module import SECTION, needs, run_section

FORWARD = {
    "domains": {"type": "list", "elements": "str", "required": True},
    "servers": {"type": "list", "elements": "str", "default": []},
    "egress": {"type": "int", "default": 0},
    "ways": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "number": {"type": "int", "required": True},
            "servers": {"type": "list", "elements": "str", "required": True},
        },
    },
    "directly": {"type": "list", "elements": "str", "default": []},
}
OPTIONS = {
    "interface": {"type": "str"},
    "servers": {"type": "list", "elements": "str", "default": []},
    "lines": {"type": "list", "elements": "str", "default": []},
    "forwards": {"type": "list", "elements": "dict", "default": [], "options": FORWARD},
    "absent": {"type": "list", "elements": "str", "default": ["use-application-dns.net"]},
    "filtered": {"type": "list", "elements": "str", "default": ["HTTPS", "SVCB"]},
    "tls": {"type": "list", "elements": "str", "default": []},
    "lan": {"type": "list", "elements": "str", "default": []},
    "for_host": {"type": "bool", "default": False},
    "records": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "addresses": {"type": "list", "elements": "str", "required": True},
        },
    },
    "pinned_ttl": {"type": "int"},
    "max_ttl": {"type": "int", "default": 600},
    "cache_size": {"type": "int", "default": 10000},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**OPTIONS, **SECTION}, **needs("interface"))
    run_section(module, "dns", {key: module.params[key] for key in OPTIONS})


if __name__ == "__main__":
    main()
