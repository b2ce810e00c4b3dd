#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tunnels of a gateway."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wg_upstream
short_description: The WireGuard tunnels out of a gateway, one an upstream
version_added: 0.1.0
description:
  - Creates and configures one WireGuard interface an upstream (kernel WireGuard, else wireguard-go as a
    supervised unit).
  - Takes all tunnels in one call. Routes into them are the matter of M(splitway.gateway.policy_route).
options:
  upstreams:
    description: All tunnels.
    type: list
    elements: dict
    suboptions:
      name:
        description: The upstream's name.
        type: str
        required: true
      interface:
        description: The interface; its name begins with C(wg-up-).
        type: str
        required: true
      private_key:
        description: The private key. Left out, one is made on the host once and kept there.
        type: str
      addresses:
        description: Addresses of the interface, each with its prefix length.
        type: list
        elements: str
        default: []
      listen_port:
        description: The UDP port. Left out, the kernel chooses.
        type: int
      mtu:
        description: The MTU in bytes. Left out, WireGuard's default.
        type: int
      mtu_from_path:
        description: Whether the MTU that the agent finds for the path to the exit comes before O(upstreams[].mtu).
        type: bool
        default: false
      mark:
        description: The mark of its own encrypted packets. Left out, whatever it has stays.
        type: int
      peers:
        description: The exit, or more than one.
        type: list
        elements: dict
        default: []
        suboptions:
                name:
                  description: A word for messages, the upstream's name.
                  type: str
                  required: true
                public_key:
                  description: The exit's public key.
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
extends_documentation_fragment:
  - splitway.gateway.section
  - splitway.gateway.section.attributes
"""

EXAMPLES = r"""
- name: Two tunnels
  splitway.gateway.wg_upstream:
    upstreams:
      - name: us
        interface: wg-up-1
        private_key: "{{ vault_us_private_key }}"
        addresses: [10.64.0.2/32, "fd64::2/128"]
        mtu: 1420
        peers:
          - name: us
            public_key: "{{ us_public_key }}"
            allowed_ips: [0.0.0.0/0, "::/0"]
            endpoint: us.example.com:51820
            persistent_keepalive: 25
    purge: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each; never a key.
  returned: success
  type: list
  elements: str
  sample: ["add interface wg-up-1"]
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils._module import DEVICE, SECTION, needs, run_section

OPTIONS = {
    "upstreams": {
        "type": "list",
        "elements": "dict",
        "options": {**DEVICE, "mtu_from_path": {"type": "bool", "default": False}},
    }
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**OPTIONS, **SECTION}, **needs("upstreams"))
    run_section(module, "upstreams", module.params["upstreams"])


if __name__ == "__main__":
    main()
