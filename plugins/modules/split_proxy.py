#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SOCKS5 and HTTP proxies."""

from __future__ import annotations

DOCUMENTATION = r"""
module: split_proxy
short_description: SOCKS5 and HTTP proxies
version_added: 0.1.0
description:
  - Runs proxies, each as a user of its own by whom M(splitway.gateway.split_mark) knows its connections.
  - HTTP is spoken by an instance of Debian's squid, in a hardened unit of ours, that keeps nothing; SOCKS5 by a program
    of this collection in front of it, which passes names on as they are. The package's own squid is not touched.
  - New passwords are handed to what runs. What does not start with a new configuration is put back.
  - Nobody's process is ended for a port. Of a range the first port that nobody has is taken, and kept.
options:
  proxies:
    description: The proxies.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: A word for messages.
        type: str
        required: true
      number:
        description: Its number, which no other proxy has. Its user is C(splitway-proxy-NUMBER).
        type: int
        required: true
      listeners:
        description: Where it is spoken to.
        type: list
        elements: dict
        required: true
        suboptions:
          protocol:
            description: What is spoken there.
            type: str
            choices: [socks5, http]
            required: true
          addresses:
            description: Addresses of this host.
            type: list
            elements: str
            required: true
          port:
            description: The port, the first of a range that nobody else has.
            type: dict
            required: true
            suboptions: &range
              key:
                description: Under which name this host remembers its choice.
                type: str
                required: true
              low:
                description: The first port of the range.
                type: int
                required: true
              high:
                description: The last port of the range.
                type: int
                required: true
      users:
        description: Who may use it. Without any, nobody is asked for a password.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: The name.
            type: str
            required: true
          hash:
            description: The password's hash, as C(mkpasswd -m sha-512) makes it, without a number of rounds.
            type: str
            required: true
      sources:
        description: Networks that may use it. Without any, all may.
        type: list
        elements: str
        default: []
      policy:
        description: The number of the policy of its connections, for M(splitway.gateway.split_mark).
        type: int
      far:
        description: The port of loopback from which its connections go on to another HTTP proxy, and no other way.
        type: dict
        suboptions: *range
      inner:
        description: The port of loopback where its SOCKS5 reaches its HTTP. Needed where SOCKS5 is spoken.
        type: dict
        suboptions: *range
      public_only:
        description: Whether private networks are not reached.
        type: bool
        default: false
      at_boot:
        description: Whether systemd starts it at boot. On a gateway the agent does.
        type: bool
        default: false
  resolvers:
    description: Addresses that are asked for names. Left out, those of C(/etc/resolv.conf).
    type: list
    elements: str
    default: []
  accounts:
    description: The users C(splitway-proxy-NUMBER) of all proxies. With O(purge) others are removed.
    type: list
    elements: str
    default: []
  log:
    description: Whether it is kept, in the journal, who asks for what and when.
    type: bool
    default: false
  modes:
    description: The modes that the gateway may come to, C(splitway_mode) and C(splitway_fallback_modes).
    type: list
    elements: str
    default: [combined]
extends_documentation_fragment:
  - splitway.gateway.section
  - splitway.gateway.section.attributes
"""

EXAMPLES = r"""
- name: An HTTP proxy for programs of this host
  splitway.gateway.split_proxy:
    proxies:
      - name: local
        number: 1
        listeners:
          - protocol: http
            addresses: [127.0.0.1]
            port: {key: proxy/local/http, low: 3128, high: 3128}
    accounts: [splitway-proxy-1]
    purge: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each.
  returned: success
  type: list
  elements: str
  sample: ["change users of proxy office (splitway-proxy-1-squid.service)"]
diff:
  description: The lines of configurations that change, before and after, and users' names.
  returned: with --diff, when something changes
  type: dict
commands:
  description: The programs that were run and the files that were written to make the changes.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils._module import PORT_RANGE, SECTION, needs, run_section

LISTENER = {
    "protocol": {"type": "str", "choices": ["socks5", "http"], "required": True},
    "addresses": {"type": "list", "elements": "str", "required": True},
    "port": {"type": "dict", "required": True, "options": PORT_RANGE},
}
USER = {"name": {"type": "str", "required": True}, "hash": {"type": "str", "required": True, "no_log": True}}
PROXY = {
    "name": {"type": "str", "required": True},
    "number": {"type": "int", "required": True},
    "listeners": {"type": "list", "elements": "dict", "required": True, "options": LISTENER},
    "users": {"type": "list", "elements": "dict", "default": [], "options": USER},
    "sources": {"type": "list", "elements": "str", "default": []},
    "policy": {"type": "int"},
    "far": {"type": "dict", "options": PORT_RANGE},
    "inner": {"type": "dict", "options": PORT_RANGE},
    "public_only": {"type": "bool", "default": False},
    "at_boot": {"type": "bool", "default": False},
}
OPTIONS = {
    "proxies": {"type": "list", "elements": "dict", "default": [], "options": PROXY},
    "resolvers": {"type": "list", "elements": "str", "default": []},
    "accounts": {"type": "list", "elements": "str", "default": []},
    "log": {"type": "bool", "default": False},
    "modes": {"type": "list", "elements": "str", "default": ["combined"]},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**OPTIONS, **SECTION}, **needs())
    run_section(module, "proxies", {key: module.params[key] for key in OPTIONS})


if __name__ == "__main__":
    main()
