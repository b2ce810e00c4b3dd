#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gateway is, and how that differs from what it should be."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_info
short_description: The generation of a gateway and the drift from it
version_added: 0.1.0
description:
  - Returns what a gateway is by its published generation, without keys, and what on the host differs from it now.
  - Changes nothing.
options:
  drift:
    description: Whether to look for drift.
    type: bool
    default: true
  state:
    description: Whether to return the whole state; with thousands of clients it is megabytes.
    type: bool
    default: false
  upstreams:
    description: Whether to ask the agent how the upstreams are.
    type: bool
    default: false
  figures:
    description:
      - Whether to return what the agent knows at this moment, which policy each client has, and where policies lead.
      - With thousands of clients it is hundreds of kilobytes.
    type: bool
    default: false
  audit:
    description: How many of the audit's last records to return.
    type: int
    default: 0
extends_documentation_fragment:
  - splitway.gateway.section.attributes
"""

EXAMPLES = r"""
- name: Look at the gateway
  splitway.gateway.splitway_info:
  register: gateway

- name: Say what differs
  ansible.builtin.debug:
    var: gateway.drift
"""

RETURN = r"""
installed:
  description: Whether a generation is published on the host.
  returned: success
  type: bool
problem:
  description: What is wrong with the generation's file, while the generation before it is used; else empty.
  returned: success
  type: str
unconfirmed:
  description:
    - The run that waits to be confirmed, who made it and how many seconds are left; null when there is none.
    - Without a confirmation the generation before it comes back by itself.
  returned: success
  type: dict
  sample: {"run": "4f0c1c2e9d0b4b6c", "who": "ansible as alice", "left": 87}
backend:
  description: The backend of the generation.
  returned: success
  type: str
  sample: ipset
numbers:
  description: The allocation of numbers.
  returned: success
  type: dict
  sample: {"egress:us": 101}
digest:
  description:
    - A fingerprint of the generation, equal to that of M(splitway.gateway.splitway_compile) for the same
      topology.
  returned: success
  type: str
applied:
  description: When the generation was published, in UTC as ISO 8601; null where there is none.
  returned: success
  type: str
  sample: "2026-11-22T09:00:00+00:00"
counts:
  description: How many clients, policies, upstreams, sets, and dnsmasq lines there are.
  returned: success
  type: dict
state:
  description: Every section of the generation, in the form that its module takes, without private and preshared keys.
  returned: when O(state)
  type: dict
drift:
  description: By section, what would have to change for the host to be as its generation says.
  returned: when O(drift)
  type: dict
  sample: {"routes": ["add rule 5000 iif wg0 unreachable (v4)"]}
since:
  description:
    - For each section in RV(drift), since when it is known to differ, in UTC as ISO 8601.
    - The agent tells this of what it cannot heal; what nobody has seen before differs since now.
  returned: when O(drift)
  type: dict
  sample: {"routes": "2026-11-22T10:00:00+00:00"}
upstreams:
  description:
    - By name, how each upstream is by the agent's last look; empty while the agent does not run.
    - C(full_size) says whether packets as large as its MTU come back through it; null while that is not known.
  returned: when O(upstreams)
  type: dict
  sample: {"us": {"state": "up", "mtu": 1440, "full_size": true}}
figures:
  description: What the agent knows and what clients and policies there are, without where clients connect from.
  returned: when O(figures)
  type: dict
  contains:
    agent:
      description: The same as C(splitway status --json); null while the agent does not answer.
      type: dict
    agent_problem:
      description: Why the agent does not answer, else empty.
      type: str
    policies:
      description: By policy, the egresses that its rules and its default lead to.
      type: dict
      sample: {"policy family": ["us", "direct"]}
    clients:
      description: By client, its policy; empty for a client without rules, which goes directly.
      type: dict
      sample: {"alice": "policy family"}
audit:
  description: The last records of the audit, the newest first. Of damaged lines a warning says how many there are.
  returned: when O(audit) is not 0
  type: list
  elements: dict
"""

from typing import Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils.splitway import findings
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.failures import FAILURES
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.network_namespace import chosen, enter
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import to_data, without_keys
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.store import Store
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System

OPTIONS = {
    "drift": {"type": "bool", "default": True},
    "state": {"type": "bool", "default": False},
    "upstreams": {"type": "bool", "default": False},
    "figures": {"type": "bool", "default": False},
    "audit": {"type": "int", "default": 0},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    asked, system = module.params, System()
    store = Store(system)
    try:
        enter(system, chosen(system))
        state, problem = store.generation_or_previous()
        answer = {**findings.described(store, state), "problem": problem or "", "unconfirmed": _unconfirmed(store)}
        status, why_not = (
            findings.asked(system) if asked["drift"] or asked["upstreams"] or asked["figures"] else (None, "")
        )
        if asked["state"]:
            answer["state"] = to_data(without_keys(state))
        if asked["upstreams"]:
            answer["upstreams"] = _upstreams(status)
        if asked["drift"]:
            answer.update(findings.drifted(store, state, status))
        if asked["figures"]:
            answer["figures"] = {**findings.ways(state), "agent": status, "agent_problem": why_not}
        if asked["audit"]:
            answer["audit"], damaged = findings.recorded(system, asked["audit"])
            if damaged:
                module.warn(f"{damaged} lines of the audit are damaged and left out")
    except FAILURES as error:
        module.fail_json(msg=str(error))
    if problem:
        module.warn(problem)
    module.exit_json(changed=False, **answer)


def _unconfirmed(store: Store) -> Optional[dict]:
    run = store.unconfirmed()
    if run is None:
        return None
    return {"run": run.id, "who": run.who, "left": max(0, round(run.deadline - store.system.uptime()))}


def _upstreams(status: Optional[dict]) -> dict:
    found = status["upstreams"] if status else ()
    return {item["name"]: {key: item[key] for key in ("state", "mtu", "full_size")} for item in found}


if __name__ == "__main__":
    main()
