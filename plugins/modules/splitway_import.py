#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_import
short_description: Read clients, upstreams, lists and policies from files into a file of variables
version_added: 0.1.0
description:
  - Runs on the controller; no host is touched.
  - Reads the files of M(splitway.gateway.splitway_export), or such that people, other programs and wg-easy wrote.
  - Every line is checked by the topology's own parsers, among the host's other variables. What is wrong is reported
    with file, line and reason, all of it together.
  - A kind that has a file is replaced as a whole, other kinds stay as they are; files of C(wg-quick) only add to what
    is there. Values that are the same stay as they
    are written in the destination, a template a template.
  - Private and preshared keys that the files do not mention stay.
  - Templates in a file are refused, for Ansible would run them.
options:
  directory:
    description:
      - The folder of the files. Read are C(clients.csv) or C(clients.json) and so on for each kind, and C(rules.csv) or
        C(rules.json) with rules of clients.
      - For O(format=wg-easy) C(wg0.json) or the database C(wg-easy.db), while wg-easy runs; for O(format=wg-quick) all
        C(*.conf). Hooks in them are reported and never run.
      - It may be one of these files, too.
      - A relative path begins where Ansible was started.
    type: path
    required: true
  destination:
    description:
      - The file of variables that is written, in C(group_vars) or C(host_vars). Variables of other kinds in it stay to
        the letter.
      - The file before is kept beside it with the time and C(~) at the end of its name. A new file has the mode 0600.
    type: path
    required: true
  format:
    description: Which files to read. Left out, C(csv) and C(json), but not both of one kind.
    type: str
    choices: [csv, json, wg-easy, wg-quick]
  partial:
    description:
      - Whether to take what is right when something else is refused. Otherwise nothing is written.
      - A wrong domain or network is left out of its list. Anything else is refused as a whole, for a policy without
        one of its rules would be another one; what the destination has under its name stays.
      - A file that cannot be read to its end changes nothing.
    type: bool
    default: false
extends_documentation_fragment:
  - splitway.gateway.section.on_controller
attributes:
  check_mode:
    support: full
    description: Reports exactly what a real run would, and writes nothing.
  diff_mode:
    support: full
    description: Shows the destination before and after; keys are hidden, public ones, too.
  idempotent:
    support: full
    description: A second run writes nothing.
"""

EXAMPLES = r"""
- name: What came back from the spreadsheet
  splitway.gateway.splitway_import:
    directory: "export/{{ inventory_hostname }}"
    destination: "{{ inventory_dir }}/group_vars/splitway_gateways.yml"

- name: wg-easy's clients, those that are right
  splitway.gateway.splitway_import:
    directory: /srv/wg-easy
    format: wg-easy
    destination: "{{ inventory_dir }}/host_vars/{{ inventory_hostname }}/clients.yml"
    partial: true
"""

RETURN = r"""
report:
  description: What was refused, what there is to know, and what changes, as lines for people.
  returned: when the files could be read
  type: list
  elements: str
refused:
  description: What was refused.
  returned: when the files could be read
  type: list
  elements: dict
  contains:
    file:
      description: The file's name.
      type: str
    line:
      description: The line in it, 0 for what no file says.
      type: int
    where:
      description: The column, or the way to the value inside the entry; empty for all of the line.
      type: str
    reason:
      description: What is wrong, with the value.
      type: str
  sample:
    - {"file": "lists.csv", "line": 7, "where": "domain", "reason": "\"goo gle.com\" is not a domain name"}
notes:
  description: What there is to know beside that, such as names that were changed.
  returned: when the files could be read
  type: list
  elements: str
taken:
  description: How many entries of each kind are right.
  returned: when the files could be read
  type: dict
  sample: {"clients": 2}
changes:
  description: What was added, changed and removed, by kind and name. A changed one is followed by the keys that differ.
  returned: when the files could be read
  type: dict
  sample: {"clients": {"added": ["tablet"], "changed": ["phone (policy)"], "removed": []}}
destination:
  description: The file of variables.
  returned: when the files could be read
  type: str
backup_file:
  description: The copy of the file before, empty if there was none.
  returned: when the file was written
  type: str
"""
