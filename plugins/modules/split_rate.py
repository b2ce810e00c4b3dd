#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rates of a gateway's clients."""

from __future__ import annotations

DOCUMENTATION = r"""
module: split_rate
short_description: How fast clients may receive and send
version_added: 0.1.0
description:
  - Gives clients a rate, down (towards them), up, or both; all addresses of a client share it.
  - Down, an HTB queue on the clients' interface has a class a client; up, the packets of these clients pass through an
    ifb device, C(splitway-rates), with the same classes. Which class a packet has is one look into a map of the
    nftables table C(netdev splitway), with either backend.
  - Clients that are not listed have no class, and their packets pass as if there were no rates.
  - Somebody else's root queue on the interface fails with a message, and is not touched.
options:
  interface:
    description: The clients' interface. It must be there.
    type: str
    default: wg0
  clients:
    description: All clients that have a rate.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: A word for messages, the client's name.
        type: str
        required: true
      number:
        description: The number of its class, 1 to 65534, which no other client has.
        type: int
        required: true
      addresses:
        description: Its addresses, without prefix length.
        type: list
        elements: str
        required: true
      down:
        description: Bits per second towards the client. Left out, as fast as it can.
        type: int
      up:
        description: Bits per second that the client may send. Left out, as fast as it can.
        type: int
extends_documentation_fragment:
  - splitway.gateway.section
  - splitway.gateway.section.attributes
"""

EXAMPLES = r"""
- name: One client with a rate
  splitway.gateway.split_rate:
    clients:
      - {name: alice, number: 1, addresses: [10.8.0.2, "fdcc:ad94:bacf:61a4::2"], down: 20000000, up: 5000000}
    purge: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each.
  returned: success
  type: list
  elements: str
  sample: ["change down rate of client alice"]
diff:
  description: The lines that change, before and after.
  returned: with --diff, when something changes
  type: dict
commands:
  description: The programs that were run to make the changes.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils._module import SECTION, needs, run_section

OPTIONS = {
    "interface": {"type": "str", "default": "wg0"},
    "clients": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "number": {"type": "int", "required": True},
            "addresses": {"type": "list", "elements": "str", "required": True},
            "down": {"type": "int"},
            "up": {"type": "int"},
        },
    },
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**OPTIONS, **SECTION}, **needs())
    run_section(module, "qos", {key: module.params[key] for key in OPTIONS})


if __name__ == "__main__":
    main()
