#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each client of a gateway needs to connect, in a folder and an archive of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wg_client_bundle
short_description: All that a client of a gateway needs to connect, with a page that says how
version_added: 0.1.0
description:
  - Writes for each client a folder C(NAME) and the same as C(NAME.zip). In it are a page for a browser, which needs
    nothing from elsewhere, the WireGuard configuration file and its QR code.
  - Where the gateway takes WebSockets, a second configuration file and scripts for Linux, macOS and Windows carry
    WireGuard where UDP is blocked. That file leaves the gateway's own address out of the tunnel.
  - Folders have mode 0700, files 0600. A hidden list in the folder, C(.splitway.json), says which files are ours;
    others are never touched.
  - Keys that the gateway made, and ports that it chose, are read there. No key and no content of a file is in the
    result, the diff or a log.
options:
  clients:
    description: The clients whose bundles are wanted.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The client's name, which is that of its folder.
        type: str
        required: true
      tunnel:
        description: What the WireGuard configuration says, as in M(splitway.gateway.wg_client_files).
        type: dict
        suboptions:
          name:
            description: The client's name.
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
            description: The resolvers that the client uses.
            type: list
            elements: str
            default: []
          mtu:
            description: The MTU of the client's interface in bytes; at most 1360 in a WebSocket.
            type: int
          allowed_ips:
            description: What the client routes into the tunnel.
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
      proxies:
        description: The proxies that the client may use.
        type: list
        elements: dict
        default: []
        suboptions:
          kind:
            description: What the proxy speaks.
            type: str
            choices: [SOCKS5, HTTP]
            required: true
          host:
            description: Its name or address.
            type: str
            required: true
          port:
            description: Its port.
            type: dict
            required: true
            suboptions: &port
              key:
                description: Under which the gateway remembers the port that it chose.
                type: str
                required: true
              low:
                description: The first port of the range.
                type: int
                required: true
              high:
                description: The last port of the range.
                type: int
                required: true
              chosen:
                description: The chosen one; it is read on the gateway.
                type: int
          asks:
            description: Whether it asks for a user and a password.
            type: bool
            default: false
          user:
            description: The client's user name.
            type: str
          password:
            description: The client's password, to be shown in the page.
            type: str
      pacs:
        description: The PAC files that the client may use, the best first.
        type: list
        elements: dict
        default: []
        suboptions:
          scheme:
            description: How it is fetched.
            type: str
            choices: [http, https]
            default: http
          host:
            description: The web server's name or address.
            type: str
            required: true
          port:
            description: The web server's port.
            type: dict
            required: true
            suboptions: *port
          path:
            description: The path of the file, which begins with C(/).
            type: str
            required: true
  relay:
    description: How clients reach the gateway where UDP is blocked. Left out, they do not.
    type: dict
    suboptions:
      program:
        description: The program on both sides.
        type: str
        choices: [wstunnel, websocat]
        required: true
      host:
        description: The gateway's name, which its certificate is for.
        type: str
        required: true
      port:
        description: Where the gateway takes WebSockets.
        type: dict
        required: true
        suboptions: *port
      path:
        description: The secret path below which it does.
        type: str
        required: true
      target:
        description: WireGuard's address and port, as the gateway sees it.
        type: str
        required: true
      certificate:
        description: Whether clients need certificates of their own.
        type: bool
        default: false
      version:
        description: The version of the program that the page names.
        type: str
        default: ""
      checksum:
        description: The SHA-256 of the program's archive that the page names.
        type: str
        default: ""
  gateway:
    description: What the page calls the gateway.
    type: str
  address:
    description: The address at which clients reach the gateway's WebSockets. Left out, that of O(relay.host).
    type: str
  ca:
    description: Certificates, as PEM, of who signed the gateway's, if no system knows them.
    type: str
    default: ""
  interface:
    description: The gateway's interface for clients, of which the public key is read.
    type: str
    default: wg0
  destination:
    description: Where the bundles are written. On the C(controller) they belong to the user who runs Ansible.
    type: str
    choices: [gateway, controller]
    default: controller
  directory:
    description: The folder. C(/etc/splitway/bundles) on the gateway; on the controller it must be given.
    type: path
  qr:
    description: Whether to make QR codes. Needs the program C(qrencode) where the bundles are written.
    type: bool
    default: true
  purge:
    description: Whether to remove bundles that were written before and are not wanted now, those of removed clients.
    type: bool
    default: false
requirements:
  - qrencode where the bundles are written, for QR codes
  - wireguard-tools on the gateway
attributes:
  check_mode:
    support: full
    description: Names the bundles that a real run would write, and writes none.
  diff_mode:
    support: full
    description: Names of bundles only; their content is secret.
  idempotent:
    support: full
    description: A second run writes nothing.
  platform:
    support: full
    platforms: linux
    description: A Linux gateway; a controller with POSIX file modes.
author:
  - splitway contributors (@splitway)
"""

EXAMPLES = r"""
- name: Bundles for two clients, on the controller
  splitway.gateway.wg_client_bundle:
    clients:
      - name: alice
        tunnel:
          name: alice
          addresses: [10.8.0.2/32, "fdcc::2/128"]
          endpoint: vpn.example.com:51820
          private_key: "{{ vault_alice_key }}"
          dns: [10.8.0.1, "fdcc::1"]
      - name: bob # its key was made on the gateway
        tunnel:
          name: bob
          addresses: [10.8.0.3/32]
          endpoint: vpn.example.com:51820
          dns: [10.8.0.1]
    gateway: gw1
    directory: "{{ inventory_dir }}/client-bundles/{{ inventory_hostname }}"
    purge: true
"""

RETURN = r"""
changes:
  description: The bundles that were written or removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["add alice.zip", "remove carol.zip"]
directory:
  description: The folder of the bundles.
  returned: success
  type: str
  sample: /etc/splitway/bundles
diff:
  description: The names of the bundles, before and after.
  returned: with --diff, when something changes
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils._client_bundle import (
    GATEWAY_DIRECTORY,
    OPTIONS,
    bring,
    keys_wanted,
    offers_in,
)
from ansible_collections.splitway.gateway.plugins.module_utils._client_files import FAILURES, result
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.client_files.folder import gateway_keys
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.kept import Kept
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System


def main() -> None:
    """Run the module."""
    # no_log: its arguments are secrets and names.
    module = AnsibleModule(OPTIONS, supports_check_mode=True, no_log=True)
    parameters = module.params
    system = System()
    try:
        offers = offers_in(parameters)
        keys = gateway_keys(system, parameters["interface"], keys_wanted(offers))
        ports = Kept(system).ports.read()
        if parameters["destination"] == "controller":
            # Only the action plugin asks for it, without any key in the clients; it keeps the answer to itself.
            answer = {"changed": False, "server": keys.server, "private": keys.clients, "ports": ports}
        else:
            parameters["directory"] = parameters["directory"] or GATEWAY_DIRECTORY
            changes = bring(system, parameters, offers, keys, ports, check_mode=module.check_mode)
            answer = result(parameters, changes, diff=module._diff)
    except FAILURES as error:
        module.fail_json(msg=str(error), invocation={})
    module.exit_json(**answer, invocation={})


if __name__ == "__main__":
    main()
