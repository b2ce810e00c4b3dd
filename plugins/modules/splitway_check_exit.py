#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_check_exit
short_description: Check the variables of an exit
version_added: 0.1.0
description:
  - Runs on the controller; no host is touched.
  - Reports all errors together, each with its path and value. Keys are never shown.
options:
  exit:
    description: The exit, C(splitway_exit) in the topology reference.
    type: dict
    required: true
    suboptions:
      interface:
        description: The name of its interface.
        type: str
        default: wg-exit
      listen_port:
        description: The UDP port at which gateways reach it.
        type: int
        default: 51820
      addresses:
        description: Its addresses in the tunnel, with prefix length.
        type: list
        elements: str
        required: true
      private_key:
        description: Its private key. Left out, one is made on the host once and never leaves it.
        type: str
      mtu:
        description: The tunnel's MTU in bytes, from 1280 with IPv6.
        type: int
        default: 1420
      gateways:
        description: The gateways that may use it.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: The gateway's name, a comment in the configuration.
            type: str
            required: true
          public_key:
            description: The public key of the gateway's upstream.
            type: str
            required: true
          preshared_key:
            description: The key that both share.
            type: str
          addresses:
            description:
              - The addresses of the gateway's upstream.
              - Networks behind it, too, if the gateway does not masquerade them.
            type: list
            elements: str
            required: true
      websocket:
        description: The far end of WebSockets, for gateways from which UDP does not come through.
        type: dict
  keys:
    description: Keys of gateways, as C(playbooks/keys.yml) writes them, which take the place of those of O(exit).
    type: dict
  programs:
    description: How the programs that carry WebSockets come to the exit, C(splitway_programs).
    type: dict
  returns:
    description: What else is returned. C(transports) has the WebSocket's secret path in it.
    type: list
    elements: str
    choices: [proxies, transports]
    default: []
  state:
    description: Whether the exit is wanted, C(splitway_state).
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - splitway.gateway.section.controller
"""

EXAMPLES = r"""
- name: Check the exit
  splitway.gateway.splitway_check_exit:
    exit:
      addresses: [10.64.0.1/24, "fd64::1/64"]
      gateways:
        - name: home
          public_key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
          addresses: [10.64.0.2/32, "fd64::2/128"]
"""

RETURN = r"""
programs:
  description: The programs that the exit needs to carry WebSockets, as role C(programs) brings them.
  returned: success
  type: list
  elements: dict
packages:
  description: The Debian packages that its WebSocket needs.
  returned: success
  type: list
  elements: str
proxies:
  description: The options of M(splitway.gateway.split_proxy) that bring the exit's proxy.
  returned: when O(returns) has C(proxies)
  type: dict
transports:
  description: The options of M(splitway.gateway.split_transport) that bring the exit's WebSocket.
  returned: when O(returns) has C(transports)
  type: dict
"""
