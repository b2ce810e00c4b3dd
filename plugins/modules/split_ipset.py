#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel sets of a gateway."""

from __future__ import annotations

DOCUMENTATION = r"""
module: split_ipset
short_description: Kernel sets of addresses and networks, static and learned
version_added: 0.1.0
description:
  - Keeps the sets that dnsmasq fills and the static members of the others; whole lists a call, only the
    difference is written.
  - Learned addresses are never lost by a run. A set whose parameters change takes its addresses along.
options:
  sets:
    description: All sets.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The set's name, C(sw), the IP version, a letter and a number, as in C(sw4d12); sets of other
            names are not ours.
        type: str
        required: true
      family:
        description: The IP version.
        type: int
        choices: [4, 6]
        required: true
      timeout:
        description: Seconds that a learned address stays. Left out, the set holds static networks.
        type: int
      members:
        description: Static networks.
        type: list
        elements: str
        default: []
      seed_from:
        description: A set whose learned addresses a new learned set starts with.
        type: str
      comment:
        description: What the set holds, in your own words.
        type: str
        default: ""
      country:
        description: A country, as two letters in lower case, whose networks on this host the set stands for.
        type: str
        default: ""
extends_documentation_fragment:
  - splitway.gateway.section
  - splitway.gateway.section.attributes
  - splitway.gateway.section.backend
"""

EXAMPLES = r"""
- name: One list's sets
  splitway.gateway.split_ipset:
    sets:
      - {name: sw4d1, family: 4, timeout: 43800}
      - {name: sw4n1, family: 4, members: [198.51.100.0/24]}
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each; never a key.
  returned: success
  type: list
  elements: str
  sample: ["add set sw4d1"]
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

from ansible_collections.splitway.gateway.plugins.module_utils._module import BACKEND, SECTION, needs, run_section

OPTIONS = {
    "sets": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "family": {"type": "int", "choices": [4, 6], "required": True},
            "timeout": {"type": "int"},
            "members": {"type": "list", "elements": "str", "default": []},
            "seed_from": {"type": "str"},
            "comment": {"type": "str", "default": ""},
            "country": {"type": "str", "default": ""},
        },
    },
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**OPTIONS, **SECTION, **BACKEND}, **needs("sets"))
    run_section(module, "sets", module.params["sets"])


if __name__ == "__main__":
    main()
