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
upstreams:
  description:
    - By name, how each upstream is by the agent's last look; empty while the agent does not run.
    - C(full_size) says whether packets as large as its MTU come back through it; null while that is not known.
  returned: when O(upstreams)
  type: dict
  sample: {"us": {"state": "up", "mtu": 1440, "full_size": true}}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.agent import control
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.agent.errors import AgentError
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.sealed import digest
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import State, to_data, without_keys
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.store import Store
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.transaction import FAILURES, drift


def main() -> None:
    """Run the module."""
    defaults = {"drift": True, "state": False, "upstreams": False}
    options = {name: {"type": "bool", "default": default} for name, default in defaults.items()}
    module = AnsibleModule(options, supports_check_mode=True)
    system = System()
    try:
        state, problem = Store(system).generation_or_previous()
        answer = {**_describe(state), "problem": problem or ""}
        if module.params["state"]:
            answer["state"] = to_data(without_keys(state))
        if module.params["upstreams"]:
            answer["upstreams"] = _upstreams(system)
        if module.params["drift"]:
            answer["drift"] = {
                section: [f"{change.action} {change.what}" for change in changes]
                for section, changes in drift(Store(system), state).items()
                if changes
            }
    except FAILURES as error:
        module.fail_json(msg=str(error))
    if problem:
        module.warn(problem)
    module.exit_json(changed=False, **answer)


def _describe(state: State) -> dict:
    marks = state.marks
    return {
        "installed": state != State(),
        "backend": state.backend,
        "numbers": state.numbers,
        "digest": digest(state),
        "counts": {
            "clients": len(state.server.peers) if state.server else 0,
            "policies": len({policy.number for policy in marks.v4.policies + marks.v6.policies}) if marks else 0,
            "upstreams": len(state.upstreams),
            "sets": len(state.sets),
            "lines": len(state.dns.lines) if state.dns else 0,
        },
    }


def _upstreams(system: System) -> dict:
    try:
        found = control.ask(system, "status")["upstreams"]
    except AgentError:
        return {}
    return {item["name"]: {key: item[key] for key in ("state", "mtu", "full_size")} for item in found}


if __name__ == "__main__":
    main()
