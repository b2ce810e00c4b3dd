#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_verify
short_description: Judge what looks at gateways found, and write it for CI
version_added: 0.1.0
description:
  - Runs on the controller; no host is touched. C(playbooks/verify.yml) uses it.
  - Never fails because of what it finds; RV(as_it_should_be) is for an assertion after it.
options:
  gateways:
    description:
      - By gateway what was found. C(look) is what M(splitway.gateway.splitway_info) returned or that the gateway is
        unreachable, C(digest) that of M(splitway.gateway.splitway_compile), C(failure) what failed instead.
    type: dict
    required: true
  json:
    description: A file for the verdicts as JSON. A relative path begins where Ansible was started.
    type: path
  junit:
    description: A file for the verdicts as a JUnit report, a suite a gateway, a case a check.
    type: path
extends_documentation_fragment:
  - splitway.gateway.section.on_controller
attributes:
  check_mode:
    support: full
    description: Judges, and writes no file.
  diff_mode:
    support: none
    description: What is written is always another, since its time is in it.
  idempotent:
    support: none
    description: Files are written anew each time.
"""

EXAMPLES = r"""
- name: Judge
  splitway.gateway.splitway_verify:
    gateways:
      gw1: {look: "{{ hostvars.gw1.looked }}", digest: "{{ hostvars.gw1.compiled.digest }}"}
    junit: verify.xml
  run_once: true
"""

RETURN = r"""
as_it_should_be:
  description: Whether no gateway differs, and each could be looked at.
  returned: success
  type: bool
gateways:
  description: The verdict on each gateway.
  returned: success
  type: dict
  sample:
    gw1:
      gateway: gw1
      status: different
      message: "gw1: Drift: {\"routes\": [\"add rule 5000 iif wg0 unreachable (v4)\"]}"
      checks: [reachable, generation, routes]
      differences:
        - check: routes
          what: ["add rule 5000 iif wg0 unreachable (v4)"]
          since: "2026-11-22T10:00:00+00:00"
      applied: "2026-11-22T09:00:00+00:00"
files:
  description: The files that were written.
  returned: success
  type: list
  elements: str
"""
