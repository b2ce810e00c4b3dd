#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routing tables and rules of a gateway."""

from __future__ import annotations

DOCUMENTATION = r"""
module: policy_route
short_description: Routing tables with a floor, and the rules that lead to them
version_added: 0.1.0
description:
  - Keeps one routing table an egress, each ending in a floor (C(unreachable), C(prohibit) or C(throw)) in both
    families, and ip rules.
  - Switches forwarding on when tables, floors and rules are in place.
  - Its routes and rules carry the routing protocol number 83; others are never touched. A foreign route in a
    listed table, or a foreign rule in the way, fails with a message.
options:
  tables:
    description: All tables.
    type: list
    elements: dict
    default: []
    suboptions:
      number:
        description: The table's number, which is the number of its egress and its mark, too.
        type: int
        required: true
      egress:
        description: The egress's name.
        type: str
        required: true
      interface:
        description: The interface of the default route. Left out, the table holds the floor only.
        type: str
      families:
        description: IP versions that have a default route through the interface; the others have the floor only.
        type: list
        elements: int
        default: [4, 6]
      floor:
        description: What is left when the interface is gone.
        type: str
        choices: [unreachable, prohibit, throw]
        default: unreachable
      may_go_direct:
        description: Whether the agent may replace the floor by C(throw), so that packets leave directly.
        type: bool
        default: false
  rules:
    description: All rules, each for IPv4 and IPv6 unless it says which.
    type: list
    elements: dict
    default: []
    suboptions:
      priority:
        description: The priority.
        type: int
        required: true
      action:
        description: What the rule does.
        type: str
        choices: [lookup, goto, unreachable, nop]
        required: true
      table:
        description: The table of C(lookup).
        type: int
      target:
        description: The priority that C(goto) goes on at.
        type: int
      mark:
        description: The firewall mark that is matched.
        type: int
      mask:
        description: The bits of the mark that are compared.
        type: int
      iif:
        description: The interface that packets come in from.
        type: str
      oif:
        description: The interface that a local program is bound to.
        type: str
      source:
        description: The network that packets come from. The rule is then of its O(rules[].family) only.
        type: str
      destination:
        description: The network that packets go to. The rule is then of its O(rules[].family) only.
        type: str
      family:
        description: The one IP version that has the rule. Left out, both have it.
        type: int
        choices: [4, 6]
extends_documentation_fragment:
  - splitway.gateway.section
  - splitway.gateway.section.attributes
"""

EXAMPLES = r"""
- name: One egress with its kill switch
  splitway.gateway.policy_route:
    tables:
      - {number: 101, egress: us, interface: wg-up-1}
    rules:
      - {priority: 5030, action: lookup, table: 101, mark: 0x2065, mask: 0x3fff}
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each; never a key.
  returned: success
  type: list
  elements: str
  sample: ["add rule 5030 fwmark 0x2065/0x3fff lookup 101 (v4)"]
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

OPTIONS = {
    "tables": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "number": {"type": "int", "required": True},
            "egress": {"type": "str", "required": True},
            "interface": {"type": "str"},
            "families": {"type": "list", "elements": "int", "default": [4, 6]},
            "floor": {"type": "str", "choices": ["unreachable", "prohibit", "throw"], "default": "unreachable"},
            "may_go_direct": {"type": "bool", "default": False},
        },
    },
    "rules": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "priority": {"type": "int", "required": True},
            "action": {"type": "str", "choices": ["lookup", "goto", "unreachable", "nop"], "required": True},
            "table": {"type": "int"},
            "target": {"type": "int"},
            "mark": {"type": "int"},
            "mask": {"type": "int"},
            "iif": {"type": "str"},
            "oif": {"type": "str"},
            "source": {"type": "str"},
            "destination": {"type": "str"},
            "family": {"type": "int", "choices": [4, 6]},
        },
    },
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**OPTIONS, **SECTION}, **needs())
    run_section(module, "routes", {key: module.params[key] for key in OPTIONS})


if __name__ == "__main__":
    main()
