#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_compile
short_description: Check a topology and compile it to what a gateway must be
version_added: 0.1.0
description:
  - Runs on the controller; no host is touched.
  - Reports all errors of the topology together, each with its path and value.
  - Without O(numbers) the topology is only checked, and nothing secret is returned.
options:
  server:
    description: See C(splitway_server) in the topology reference, and so on for the others.
    type: dict
    required: true
  upstreams:
    description: The upstreams.
    type: list
    elements: dict
  upstream_groups:
    description: The upstream groups.
    type: list
    elements: dict
  lists:
    description: The lists, by name.
    type: dict
  policies:
    description: The policies, by name.
    type: dict
  default_policy:
    description: The policy of clients that name none.
    type: str
  clients:
    description: The clients.
    type: list
    elements: dict
  backend:
    description: The backend, C(ipset) or C(nftables).
    type: str
  dns:
    description: The gateway's resolver for its clients.
    type: dict
  retention:
    description: How long a learned address stays, in seconds or as in C(12h).
    type: raw
  mark_mask:
    description: The contiguous bits of the mark that are ours.
    type: raw
  table_base:
    description: The number of the table of C(block); those of upstreams follow.
    type: int
  rule_priority:
    description: The first of the five priorities of our ip rules.
    type: int
  client_files:
    description: Where clients' configuration files are written.
    type: dict
  agent:
    description: What the agent does beside its duties.
    type: dict
  numbers:
    description: The numbers that the gateway uses already, as M(splitway.gateway.splitway_transaction) returns them.
    type: dict
extends_documentation_fragment:
  - splitway.gateway.section.controller
"""

EXAMPLES = r"""
- name: Check the topology
  splitway.gateway.splitway_compile:
    server: "{{ splitway_server }}"
    upstreams: "{{ splitway_upstreams }}"
    clients: "{{ splitway_clients }}"
"""

RETURN = r"""
digest:
  description: A fingerprint of the compiled state.
  returned: success
  type: str
state:
  description: The sections, each in the form that its module takes.
  returned: when O(numbers)
  type: dict
outline:
  description: The same without private and preshared keys.
  returned: when O(numbers)
  type: dict
client_files:
  description: What client configuration files are made of.
  returned: when O(numbers)
  type: list
  elements: dict
client_folder:
  description: Where they are written, O(client_files) with its defaults.
  returned: success
  type: dict
"""
