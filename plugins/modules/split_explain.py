#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: split_explain
short_description: Explain without a host why a client's traffic goes where it goes
version_added: 0.1.0
description:
  - Runs on the controller; no host is touched.
  - Says which rule decides and which rules it hides, the mark, the routing table, the way out, or why nothing leaves.
  - >-
    What only the gateway knows is left open - the addresses of a name, and what the sets have learned. On the gateway
    C(splitway explain) says that, too.
options:
  client:
    description: The client, by its name or one of its addresses.
    type: str
    required: true
  to:
    description: The destination, a name or an address.
    type: str
    required: true
  port:
    description: The port. It is shown; rules do not look at it.
    type: int
  proto:
    description: The protocol. It is shown; rules do not look at it.
    type: str
    choices: [tcp, udp, icmp]
  state:
    description:
      - What the gateway is to be, the C(outline) of M(splitway.gateway.splitway_compile).
      - Or what it is, the C(state) of M(splitway.gateway.splitway_info).
    type: dict
    required: true
  absent:
    description:
      - What to do when the gateway has no such client.
      - V(skip) is for a fleet, of which only some have it.
    type: str
    choices: [fail, skip]
    default: fail
extends_documentation_fragment:
  - splitway.gateway.section.controller
"""

EXAMPLES = r"""
- name: Look at the gateway
  splitway.gateway.splitway_info:
    state: true
    drift: false
  register: gateway

- name: Where does Alice's video go?
  splitway.gateway.split_explain:
    client: alice
    to: www.youtube.com
    state: "{{ gateway.state }}"
  register: explained

- name: Nothing of it leaves directly
  ansible.builtin.assert:
    that: explained.explanation.decisions | map(attribute='egress') | unique == ['eu']
"""

RETURN = r"""
skip_reason:
  description: That the gateway has no such client, and the nearest of those that it has.
  returned: when O(absent=skip) and it has not
  type: str
  sample: '"alcie" is no client of this gateway; did you mean alice?'
text:
  description: The explanation for people.
  returned: when the gateway has the client
  type: str
explanation:
  description: The explanation as data.
  returned: when the gateway has the client
  type: dict
  contains:
    client:
      description: The client's name, or the address that was asked for if no client has it.
      type: str
    policy:
      description: The client's policy.
      type: str
    destination:
      description: The name in its canonical spelling, or the address.
      type: str
    line:
      description: The domain of the one line that dnsmasq obeys for the name.
      type: str
    decisions:
      description:
        - For each address, or for each family that a name may resolve to, what decides and where packets go.
        - C(rules) in their order, each with its C(part), C(decides), C(hidden), C(possible) or C(passed).
        - C(paths) with mark, table and interface; C(blocked) says why nothing leaves.
      type: list
      elements: dict
    notes:
      description: What else there is to know.
      type: list
      elements: str
"""
