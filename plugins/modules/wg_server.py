#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients' interface of a gateway."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wg_server
short_description: The WireGuard interface that clients connect to
version_added: 0.1.0
description:
  - Creates and configures one WireGuard interface with all its peers (kernel WireGuard, else wireguard-go as a
    supervised unit).
  - The interface is set up last, when its peers and addresses are in place.
  - A foreign interface of the same name or a taken port fails with a message, and nothing is touched.
options:
  interface:
    description: The interface.
    type: str
    default: wg0
  listen_port:
    description: The UDP port.
    type: int
    default: 51820
  private_key:
    description: The private key. Left out, one is made on the host once, kept there, and never leaves it.
    type: str
  addresses:
    description: Addresses of the interface, each with its prefix length.
    type: list
    elements: str
  mtu:
    description: The MTU. Left out, WireGuard's default.
    type: int
  mark:
    description: The mark of its own encrypted packets. Left out, whatever it has stays.
    type: int
  adopted:
    description:
      - Whether the interface is somebody else's, wg-easy's for one. Nothing of it is made, changed or removed then. It
        is compared with the options, and what is not as they say is told as a warning.
    type: bool
    default: false
  peers:
    description: All clients.
    type: list
    elements: dict
    default: []
    suboptions:
            name:
              description: A word for messages, the client's name.
              type: str
              required: true
            public_key:
              description: The public key. Left out, a key pair is made on the host for this peer once.
              type: str
            preshared_key:
              description: The preshared key of this pair.
              type: str
            allowed_ips:
              description: Networks that this peer may send from and receives.
              type: list
              elements: str
              required: true
            endpoint:
              description: Where the peer answers, C(host:port) or C([v6]:port).
              type: str
            persistent_keepalive:
              description: Seconds between keepalive packets, 0 for none.
              type: int
              default: 0
            expires:
              description: When it ceases to be a peer, in seconds since the epoch. Left out, never.
              type: int
            previous:
              description:
                - The key that this peer had before. Until its time is up both are peers, and the agent gives
                  O(peers[].allowed_ips) to the one that shook hands last.
              type: dict
              suboptions:
                public_key:
                  description: The public key.
                  type: str
                  required: true
                preshared_key:
                  description: The preshared key of that pair.
                  type: str
                until:
                  description: When it ceases to be a peer, in seconds since the epoch.
                  type: int
                  required: true
extends_documentation_fragment:
  - splitway.gateway.section
  - splitway.gateway.section.attributes
"""

EXAMPLES = r"""
- name: The clients' interface
  splitway.gateway.wg_server:
    addresses: [10.8.0.1/24, "fdcc:ad94:bacf:61a4::1/64"]
    peers:
      - name: alice
        public_key: "{{ alice_public_key }}"
        allowed_ips: [10.8.0.2/32, "fdcc:ad94:bacf:61a4::2/128"]
    purge: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each; never a key.
  returned: success
  type: list
  elements: str
  sample: ["add peer alice of wg0"]
diff:
  description: The lines that change, before and after.
  returned: with --diff, when something changes
  type: dict
commands:
  description: The programs that were run and the files that were written to make the changes; never a key.
  returned: success
  type: list
  elements: str
"""

from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils._module import (
    CLIENT,
    DEVICE,
    SECTION,
    needs,
    run_section,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.reconcile import wireguard
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.rehearsal import kept
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import Device
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.store import Store


def _about(module: AnsibleModule, store: Store, device: Optional[Device]) -> dict[str, Any]:
    """Return what is told of an adopted interface."""
    if device is None or not device.adopted:
        return {}
    unknown = False
    if module.params["rehearsed"]:
        section = kept(store, module.params["transaction"], ("marks",)).marks
        unknown = section is not None and bool(section.unknown)
    current = wireguard.read(store.system, (device,), wireguard.SERVER)
    return {"warnings": wireguard.remarks(device, current, unknown_are_refused=not unknown)}


OPTIONS = {
    **{key: value for key, value in DEVICE.items() if key != "name"},
    "interface": {"type": "str", "default": "wg0"},
    "listen_port": {"type": "int", "default": 51820},
    "addresses": {"type": "list", "elements": "str"},
    "adopted": {"type": "bool", "default": False},
    "peers": {"type": "list", "elements": "dict", "default": [], "options": CLIENT},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**OPTIONS, **SECTION}, **needs("addresses"))
    arguments = {"name": "server", **{key: module.params[key] for key in OPTIONS}}
    run_section(module, "server", arguments, lambda store, device: _about(module, store, device))


if __name__ == "__main__":
    main()
