#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_keys
short_description: Make and rotate keys of clients and upstreams
version_added: 0.1.0
description:
  - Runs on the controller. The gateway is asked only for keys that it has made for clients itself.
  - Reads the host's variables C(splitway_clients) and C(splitway_upstreams), and writes the variable C(splitway_keys)
    into a file of its own, whose keys come before those of the entries.
  - Secrets are encrypted for Ansible's Vault with the secret that the run has, or handed to a command.
  - A client that is given another key may come with the one before until O(grace) is over.
options:
  missing:
    description: Whether clients without a key get one. One that the gateway has made for a client is brought over.
    type: bool
    default: true
  rotate:
    description: The names of clients that get another key, C(all) for all of them.
    type: list
    elements: str
    default: []
  rotate_upstreams:
    description:
      - The names of upstreams that get another key, C(all) for all of them.
      - Exits of the inventory that know the key before get the new one in their file of keys. Other exits are to be
        told, see RV(upstreams).
    type: list
    elements: str
    default: []
  grace:
    description: For how long the key before is good, in seconds or as in C(7d); C(0) not at all.
    type: str
    default: 7d
  again:
    description: Whether those get another key, too, whose key before is good still.
    type: bool
    default: false
  ask_gateway:
    description: Whether the gateway is asked which keys it has made for clients.
    type: bool
    default: true
  path:
    description: The file of keys. Left out, C(host_vars/HOST/splitway_keys.yml) beside the inventory.
    type: path
  store:
    description:
      - How secrets are kept in the file; C(vault) encrypts each of them, C(plain) does not.
      - With C(command) O(command) keeps them elsewhere, and what it prints stands in the file.
    type: str
    choices: [vault, plain, command]
    default: vault
  command:
    description:
      - The program and its arguments. The kind, the name and the key are added, as in C(clients alice private_key).
        The secret is on its standard input.
      - It prints one line, what stands for the secret, for example a template with a lookup.
    type: list
    elements: str
    default: []
  vault_id:
    description: Which of the run's Vault secrets encrypts. Left out, Ansible's choice.
    type: str
extends_documentation_fragment:
  - splitway.gateway.section.on_controller
attributes:
  check_mode:
    support: full
    description: Says who would get keys, and makes none.
  diff_mode:
    support: full
    description: Shows public keys, and who has others; no secret.
  idempotent:
    support: full
    description: A second run makes no keys while those before are good still.
"""

EXAMPLES = r"""
- name: Keys for all clients that have none
  splitway.gateway.splitway_keys:

- name: Another key for alice, who may come with hers for two weeks
  splitway.gateway.splitway_keys:
    rotate: [alice]
    grace: 14d
"""

RETURN = r"""
path:
  description: The file of keys.
  returned: success
  type: str
made:
  description: The clients that got their first keys.
  returned: success
  type: list
  elements: str
taken:
  description: The clients whose keys were made on the gateway and are in the file now.
  returned: success
  type: list
  elements: str
rotated:
  description: The clients that got other keys.
  returned: success
  type: list
  elements: str
waiting:
  description: Clients and upstreams that were to get other keys, and got some within O(grace) before.
  returned: success
  type: list
  elements: str
upstreams:
  description: The new public keys of upstreams.
  returned: success
  type: dict
exits:
  description: The hosts of the inventory whose file of keys has a new key of an upstream, by upstream.
  returned: success
  type: dict
  sample: {"us": "exit1"}
"""
