#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_report
short_description: Write one HTML file on a whole fleet
version_added: 0.1.0
description:
  - Runs on the controller; no host is touched. C(playbooks/report.yml) uses it.
  - The file needs nothing from elsewhere and asks no network for anything.
options:
  gateways:
    description:
      - By gateway what was found, as M(splitway.gateway.splitway_verify) takes it. Besides, C(look) has what
        M(splitway.gateway.splitway_info) returns with O(splitway.gateway.splitway_info#module:figures) and
        O(splitway.gateway.splitway_info#module:audit), and C(region) is where the gateway is.
    type: dict
    required: true
  destination:
    description: The file. A relative path begins where Ansible was started. Its mode is 0600.
    type: path
    required: true
  title:
    description: The headline.
    type: str
    default: Gateways
extends_documentation_fragment:
  - splitway.gateway.section.on_controller
attributes:
  check_mode:
    support: full
    description: Writes no file.
  diff_mode:
    support: none
    description: What is written is always another, since its time is in it.
  idempotent:
    support: none
    description: The file is written anew each time.
"""

EXAMPLES = r"""
- name: Write the report
  splitway.gateway.splitway_report:
    gateways:
      gw1: {look: "{{ hostvars.gw1.looked }}", digest: "{{ hostvars.gw1.compiled.digest }}", region: amsterdam}
    destination: report.html
  run_once: true
"""

RETURN = r"""
destination:
  description: The file.
  returned: success
  type: str
size:
  description: Its size, in bytes.
  returned: success
  type: int
"""
