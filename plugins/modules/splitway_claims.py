#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_claims
short_description: Look for clients that two gateways claim
version_added: 0.1.0
description:
  - Runs on the controller; no host is touched.
  - Fails when C(splitway_clients) of two gateways have a client with the same key, or one of them has the key of a
    client of the fleet, and names them all. Gateways may share a client for failover, each with another C(priority).
  - Clients whose keys the gateways make are different ones on each gateway, whatever their names.
options:
  gateways:
    description: The names of the gateways, whether they take part in this run or not.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - splitway.gateway.section.on_controller
attributes:
  check_mode:
    support: full
    description: Changes nothing.
  diff_mode:
    support: none
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
"""

EXAMPLES = r"""
- name: No client is on two gateways
  splitway.gateway.splitway_claims:
    gateways: "{{ groups['splitway_gateways'] }}"
  run_once: true
"""

RETURN = r"""
gateways:
  description: How many gateways were looked at.
  returned: success
  type: int
"""
