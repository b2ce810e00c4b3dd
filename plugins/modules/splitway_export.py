#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_export
short_description: Write a gateway's clients, upstreams, lists and policies to files
version_added: 0.1.0
description:
  - Runs on the controller; no host is touched.
  - Writes one file a kind, C(upstreams), C(upstream_groups), C(lists), C(schedules), C(policies), C(clients) and
    C(lan_clients), from the host's variables C(splitway_upstreams) and so on, with templates and vaulted values
    filled in. M(splitway.gateway.splitway_import) reads them again.
  - A wrong topology is not exported; all its errors are reported together.
options:
  directory:
    description: The folder of the files. A relative path begins where Ansible was started. It is made with mode 0700.
    type: path
    required: true
  format:
    description:
      - C(csv) for spreadsheets, a line a client, upstream, domain or rule.
      - C(json) is the variable's value as it is.
    type: str
    choices: [csv, json]
    default: csv
  secrets:
    description:
      - Whether private and preshared keys, and upstreams' C(websocket), are written, too.
      - The files then have the mode 0600, else 0644.
      - Without them an import keeps the keys that its destination has.
    type: bool
    default: false
extends_documentation_fragment:
  - splitway.gateway.section.on_controller
attributes:
  check_mode:
    support: full
    description: Says which files a real run would write, and writes none.
  diff_mode:
    support: full
    description: Shows the files before and after; keys are hidden, public ones, too.
  idempotent:
    support: full
    description: A second run writes nothing.
"""

EXAMPLES = r"""
- name: For a spreadsheet
  splitway.gateway.splitway_export:
    directory: "export/{{ inventory_hostname }}"

- name: All of it, with keys
  splitway.gateway.splitway_export:
    directory: "backup/{{ inventory_hostname }}"
    format: json
    secrets: true
"""

RETURN = r"""
directory:
  description: The folder of the files.
  returned: success
  type: str
files:
  description: The names of the files.
  returned: success
  type: list
  elements: str
  sample: [clients.csv, lists.csv]
counts:
  description: How many entries of each kind there are.
  returned: success
  type: dict
  sample: {"clients": 2, "lists": 1}
"""
