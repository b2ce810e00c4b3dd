#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_placement
short_description: Place a fleet's clients on its gateways
version_added: 0.1.0
description:
  - Runs on the controller; no host is touched.
  - Puts each entry of C(splitway_fleet_clients) on as many of the fleet's gateways as it wants, by the gateways'
    C(splitway_placement), and gives it addresses from their networks. The outcome is kept in a file, from which the
    lookup P(splitway.gateway.placed_clients#lookup) gives each gateway its C(splitway_clients).
  - A client stays where the file has it unless its gateway is gone or drained, its pin or region says otherwise, or the
    gateway has more clients than its capacity. It makes room for no other. Who moves goes to the gateway that suits him
    best by weighted rendezvous hashing and has room.
  - A fleet that cannot be placed is refused as a whole, with all that is in the way, and the file stays as it is.
options:
  gateways:
    description:
      - The names of the gateways, whether they take part in this run or not.
      - Those of them for which C(splitway_fleet_clients) is defined are the fleet.
    type: list
    elements: str
    required: true
  file:
    description:
      - The file of the placement. A relative path begins beside the inventory; a fleet of several inventories needs a
        whole one.
      - Left out, it is C(placement.json) there.
    type: path
  rebalance:
    description: Whether clients that could stay move, too, to where they would be if the whole fleet were new.
    type: bool
    default: false
extends_documentation_fragment:
  - splitway.gateway.section.on_controller
attributes:
  check_mode:
    support: full
    description: Returns the plan and writes nothing.
  diff_mode:
    support: full
    description: Shows the file before and after.
  idempotent:
    support: full
    description: A second run changes nothing.
"""

EXAMPLES = r"""
- name: Place the fleet's clients
  splitway.gateway.splitway_placement:
    gateways: "{{ groups['splitway_gateways'] }}"
  run_once: true

- name: Deal all of them out anew
  splitway.gateway.splitway_placement:
    gateways: "{{ groups['splitway_gateways'] }}"
    rebalance: true
  run_once: true
"""

RETURN = r"""
file:
  description: The path of the file.
  returned: success
  type: str
plan:
  description: What changes for whom and why, and what each gateway has, in words; a line an entry.
  returned: success
  type: list
  elements: str
  sample:
    - "3 clients: 2 stay as they are, 1 drained"
    - "alice: fra-1 → fra-2 (drained)"
changes:
  description: The clients whose gateways or addresses change, by name.
  returned: success
  type: list
  elements: dict
  contains:
    client:
      description: Its name.
      type: str
    before:
      description: Its gateways before, the first before its standby gateways; empty for a new client.
      type: list
      elements: str
    after:
      description: Its gateways from now on; empty for one that is no more in the inventory.
      type: list
      elements: str
    why:
      description:
        - V(new), V(removed), V(gone), V(drained), V(pinned), V(region), V(over capacity), V(rebalanced).
        - V(standby) when it has more or fewer standby gateways than before, V(addresses) when it has other addresses
          on the same gateways, or cannot have its own on one of them.
      type: str
    moves:
      description: Whether it was in the fleet and has other gateways than before.
      type: bool
    new_files:
      description: The gateways of which it needs a new file.
      type: list
      elements: str
  sample:
    - {client: alice, before: [fra-1], after: [fra-2], why: drained, moves: true, new_files: [fra-2]}
moves:
  description: The names of the clients that were in the fleet and have other gateways than before.
  returned: success
  type: list
  elements: str
  sample: [alice]
counts:
  description: How many clients each gateway had and has; for those that are gone, too.
  returned: success
  type: dict
  sample: {fra-1: {before: 12, after: 0}, fra-2: {before: 11, after: 23}}
clients:
  description: How many clients are placed.
  returned: success
  type: int
"""
