#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_rollout
short_description: Plan a rollout, judge its waves, report
version_added: 0.1.0
description:
  - Runs on the controller; no host is touched. C(playbooks/rollout.yml) is what uses it.
  - C(plan) checks the rollout's settings, C(splitway_gate) and C(splitway_confirm_timeout) of each gateway among them,
    fails if a gateway was not reachable, leaves those out that have this inventory's generation already, and divides
    the others into waves.
  - C(begin) reports that a wave begins.
  - C(commands) runs O(plan)'s commands for one gateway, with its name in the environment as C(SPLITWAY_GATEWAY).
  - C(judge) says which gateways of a wave make it a bad one.
  - C(report) says what became of each gateway, when a wave has ended.
options:
  state:
    description: What to do.
    type: str
    choices: [plan, begin, commands, judge, report]
    required: true
  waves:
    description: For C(plan), how large the waves are, C(splitway_rollout_waves).
    type: list
    elements: raw
    default: [1, "10%", "100%"]
  plan:
    description: RV(plan) of C(plan), for all other states.
    type: dict
  bad:
    description: RV(bad) of C(judge), for C(report).
    type: dict
  path:
    description: The file that the report is written to as JSON, C(splitway_rollout_report). Left out, none.
    type: path
extends_documentation_fragment:
  - splitway.gateway.section.controller
attributes:
  idempotent:
    support: none
    description: Reports what has happened until then.
"""

EXAMPLES = r"""
- name: Plan
  splitway.gateway.splitway_rollout:
    state: plan
    waves: [1, "25%", "100%"]
  run_once: true
"""

RETURN = r"""
plan:
  description: The waves, who is left out, and for each gateway its gate and the seconds in which it is to be confirmed.
  returned: for C(plan)
  type: dict
bad:
  description: By gateway, why the wave is a bad one; empty when it is not.
  returned: for C(judge)
  type: dict
  sample: {"gw3": "upstream us: nobody answers through it"}
missing:
  description: The commands that failed, a line each.
  returned: for C(commands)
  type: list
  elements: str
report:
  description: What became of each gateway so far, as it is written to O(path).
  returned: for C(plan), C(begin) and C(report); written by a C(plan) that fails, too
  type: dict
lines:
  description: The same for people.
  returned: for C(plan), C(begin) and C(report)
  type: list
  elements: str
stop:
  description: Whether no further wave may begin.
  returned: for C(report)
  type: bool
"""
