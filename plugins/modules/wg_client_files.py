#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration files and QR codes of the gateway's clients."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wg_client_files
short_description: WireGuard configuration files and QR codes of a gateway's clients
version_added: 0.1.0
description:
  - Writes for each client C(NAME.conf) in the format of C(wg-quick), and its QR code as C(NAME.png) and
    C(NAME.txt), all with mode 0600.
  - One call writes the files of all clients. They are written on the gateway, or on the controller.
  - A missing folder is made with mode 0700. A hidden list in it, C(.splitway.json), says which files are ours;
    others are never touched.
  - Keys that the gateway made are read there. No key and no content of a file is in the result, the diff or a log.
options:
  clients:
    description: The clients whose files are wanted.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The client's name, which is the name of its files. C(wg-quick) takes names of up to 15 characters.
        type: str
        required: true
      addresses:
        description: The client's addresses with prefix length.
        type: list
        elements: str
        required: true
      endpoint:
        description: Where the gateway answers, C(host:port) or C([IPv6]:port).
        type: str
        required: true
      private_key:
        description: The client's private key. Left out, the key that the gateway made for this client is used.
        type: str
      preshared_key:
        description: The key that client and gateway share.
        type: str
      dns:
        description: The resolvers that the client uses; only the gateway's own puts addresses into sets.
        type: list
        elements: str
        default: []
      mtu:
        description: The MTU of the client's interface in bytes. Left out, C(wg-quick) finds one.
        type: int
      allowed_ips:
        description:
          - What the client routes into the tunnel.
          - Both families are the default, whatever addresses the client has. IPv6 that is left out goes around
            the tunnel.
        type: list
        elements: str
        default: [0.0.0.0/0, "::/0"]
      persistent_keepalive:
        description: Seconds between packets that keep a NAT open; 0 sends none.
        type: int
        default: 0
      priority:
        description:
          - Which of the client's gateways this one is.
          - From 2 on it is part of the names of the client's files, as in C(alice+2.conf).
        type: int
        default: 1
  interface:
    description: The gateway's interface for clients, of which the public key is read.
    type: str
    default: wg0
  server_public_key:
    description: The gateway's public key. Left out, it is read on the gateway.
    type: str
  destination:
    description:
      - Where the files are written. On the C(controller) they belong to the user who runs Ansible.
      - Give each gateway a folder of its own on the controller; with O(purge) gateways remove each other's
        files from a common one.
    type: str
    choices: [gateway, controller]
    default: gateway
  directory:
    description: The folder. C(/etc/splitway/clients) on the gateway; on the controller it must be given.
    type: path
  qr:
    description: Whether to make QR codes. Needs the program C(qrencode) where the files are written.
    type: bool
    default: true
  purge:
    description: Whether to remove the files that were written before and are not wanted now, those of removed clients.
    type: bool
    default: false
requirements:
  - qrencode where the files are written, for QR codes
  - wireguard-tools on the gateway
attributes:
  check_mode:
    support: full
    description: Names the files that a real run would write, and writes none.
  diff_mode:
    support: full
    description: Names of files only; their content is secret.
  idempotent:
    support: full
    description: A second run writes nothing, and makes no QR code again.
  platform:
    support: full
    platforms: linux
    description: A Linux gateway; a controller with POSIX file modes.
author:
  - splitway contributors (@splitway)
"""

EXAMPLES = r"""
- name: Files for two phones, on the gateway
  splitway.gateway.wg_client_files:
    clients:
      - name: alice
        addresses: [10.8.0.2/32, "fdcc::2/128"]
        endpoint: vpn.example.com:51820
        private_key: "{{ vault_alice_key }}"
        dns: [10.8.0.1, "fdcc::1"]
      - name: bob # its key was made on the gateway
        addresses: [10.8.0.3/32]
        endpoint: vpn.example.com:51820
        dns: [10.8.0.1]
        persistent_keepalive: 25
    purge: true

- name: The same, on the controller
  splitway.gateway.wg_client_files:
    clients: "{{ my_clients }}"
    destination: controller
    directory: "{{ inventory_dir }}/client-files/{{ inventory_hostname }}"
"""

RETURN = r"""
changes:
  description: The files that were written or removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["add alice.conf", "add alice.png", "remove carol.conf"]
directory:
  description: The folder of the files.
  returned: success
  type: str
  sample: /etc/splitway/clients
diff:
  description: The names of the files, before and after.
  returned: with --diff, when something changes
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils._client_files import (
    FAILURES,
    OPTIONS,
    bring,
    clients_of,
    keys_wanted,
    result,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.client_files.folder import gateway_keys
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System


def main() -> None:
    """Run the module."""
    # no_log: searching the log line of a thousand clients for their keys takes seconds, and it says nothing.
    module = AnsibleModule(OPTIONS, supports_check_mode=True, no_log=True)
    parameters = module.params
    system = System()
    try:
        clients = clients_of(parameters)
        keys = gateway_keys(system, parameters["interface"], keys_wanted(clients))
        if parameters["destination"] == "controller":
            # Only the action plugin asks for it, without any key in the clients; it keeps the answer to itself.
            answer = {"changed": False, "server": keys.server, "private": keys.clients}
        else:
            changes = bring(system, parameters, clients, keys, check_mode=module.check_mode)
            answer = result(parameters, changes, diff=module._diff)
    except FAILURES as error:
        module.fail_json(msg=str(error), invocation={})
    # The arguments are all secrets and names; without them the result is small.
    module.exit_json(**answer, invocation={})


if __name__ == "__main__":
    main()
