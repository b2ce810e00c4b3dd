#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets that carry WireGuard and proxies."""

from __future__ import annotations

DOCUMENTATION = r"""
module: split_transport
short_description: WebSockets that carry WireGuard and proxies where UDP is blocked
version_added: 0.1.0
description:
  - Runs the near ends (clients) and the far ends (servers) of WebSockets as hardened units of a user of their own,
    C(splitway-transport), each started again only when what concerns it changed.
  - wstunnel serves TLS and knows the path by itself; before websocat stands an nginx of its own, which does.
  - The path and the operator's keys come to the programs by files that only their user can read. websocat wants its
    URL, and so the path, among its arguments, where whoever has an account on the host can read it.
  - A new certificate of a server is taken without a restart. A program that does not run with what is new gets back
    what it had.
  - Nobody's process is ended for a port. Of a range the first port that nobody has is taken, and kept.
options:
  clients:
    description: The near ends, one an upstream.
    type: list
    elements: dict
    default: []
    suboptions:
      upstream:
        description: The name of the upstream.
        type: str
        required: true
      interface:
        description: The tunnel that it carries.
        type: str
        required: true
      program: &program
        description: The program.
        type: str
        choices: [wstunnel, websocat]
        required: true
      servers:
        description: URLs like C(wss://exit.example.net:443), the first and backups.
        type: list
        elements: str
        required: true
      path:
        description: The secret below which the server answers.
        type: str
        required: true
      forwardings:
        description: What it carries.
        type: list
        elements: dict
        required: true
        suboptions:
          kind:
            description: What it is for.
            type: str
            choices: [wireguard, socks5, http]
            required: true
          protocol: &protocol
            description: Its protocol.
            type: str
            choices: [udp, tcp]
            required: true
          port: &range
            description: The port, one of a range.
            type: dict
            required: true
            suboptions:
              key:
                description: Under which name this host remembers its choice.
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
          target:
            description: Where it comes out, C(address:port) as the server's host sees it.
            type: str
            required: true
      verify:
        description: Whether the server's certificate must be a good one.
        type: bool
        default: true
      ca:
        description: A file of certificates that are trusted, on this host. Left out, those of the system.
        type: str
        default: ""
      server_name:
        description: The name that the certificate must be for. Left out, the URL's host.
        type: str
        default: ""
      certificate:
        description: The file with our own certificate for the server, on this host (wstunnel).
        type: str
        default: ""
      key:
        description: The file with its key.
        type: str
        default: ""
      minimum_idle:
        description: How many connections are kept ready (wstunnel).
        type: int
        default: 5
      ping:
        description: Seconds between two pings.
        type: int
        default: 30
  servers:
    description: The far ends.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: A word for units and messages.
        type: str
        required: true
      program: *program
      listen:
        description: The addresses at which it listens.
        type: list
        elements: str
        required: true
      port: *range
      path:
        description: The secret below which it answers.
        type: str
        required: true
      certificate:
        description: The file with its certificate, on this host.
        type: str
        required: true
      key:
        description: The file with its key, for root to read.
        type: str
        required: true
      targets:
        description: What its clients may reach, and nothing else.
        type: list
        elements: dict
        required: true
        suboptions:
          protocol: *protocol
          address:
            description: C(address:port) as this host sees it.
            type: str
            required: true
      client_ca:
        description: Clients must have a certificate of this file's (wstunnel).
        type: str
        default: ""
  programs:
    description: Where the programs are, if not in C(/usr/local/bin).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The program.
        type: str
        required: true
      path:
        description: Its path.
        type: str
        required: true
extends_documentation_fragment:
  - splitway.gateway.section
  - splitway.gateway.section.attributes
"""

EXAMPLES = r"""
- name: A server that lets its clients reach WireGuard
  splitway.gateway.split_transport:
    servers:
      - name: exit
        program: wstunnel
        listen: ["0.0.0.0", "::"]
        port: {key: transport/server, low: 443, high: 443}
        path: "{{ vault_websocket_path }}"
        certificate: /etc/ssl/exit.pem
        key: /etc/ssl/private/exit.key
        targets: [{protocol: udp, address: "127.0.0.1:51820"}]
    purge: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each; never a secret.
  returned: success
  type: list
  elements: str
  sample: ["add service splitway-transport-server1-exit.service"]
diff:
  description: The lines that change, before and after; never a secret.
  returned: with --diff, when something changes
  type: dict
commands:
  description: The programs that were run and the files that were written to make the changes.
  returned: success
  type: list
  elements: str
ports:
  description: The port that each range has on this host.
  returned: success, when there is a WebSocket
  type: dict
  sample: {"transport/server": 443}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils._module import PORT_RANGE, SECTION, needs, run_section
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.reconcile.transports.about import about
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import Transports
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.store import Store

PROGRAM = {"type": "str", "choices": ["wstunnel", "websocat"], "required": True}
PROTOCOL = {"type": "str", "choices": ["udp", "tcp"], "required": True}
REQUIRED = {"type": "str", "required": True}
FILE = {"type": "str", "default": ""}
PORT = {"type": "dict", "required": True, "options": PORT_RANGE}
FORWARDING = {
    "kind": {"type": "str", "choices": ["wireguard", "socks5", "http"], "required": True},
    "protocol": PROTOCOL,
    "port": PORT,
    "target": REQUIRED,
}
CLIENT = {
    "upstream": REQUIRED,
    "interface": REQUIRED,
    "program": PROGRAM,
    "servers": {"type": "list", "elements": "str", "required": True},
    "path": {"type": "str", "required": True, "no_log": True},
    "forwardings": {"type": "list", "elements": "dict", "required": True, "options": FORWARDING},
    "verify": {"type": "bool", "default": True},
    "ca": FILE,
    "server_name": {"type": "str", "default": ""},
    "certificate": FILE,
    "key": {**FILE, "no_log": False},
    "minimum_idle": {"type": "int", "default": 5},
    "ping": {"type": "int", "default": 30},
}
SERVER = {
    "name": REQUIRED,
    "program": PROGRAM,
    "listen": {"type": "list", "elements": "str", "required": True},
    "port": PORT,
    "path": {"type": "str", "required": True, "no_log": True},
    "certificate": REQUIRED,
    "key": {**REQUIRED, "no_log": False},
    "targets": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"protocol": PROTOCOL, "address": REQUIRED},
    },
    "client_ca": FILE,
}
OPTIONS = {
    "clients": {"type": "list", "elements": "dict", "default": [], "options": CLIENT},
    "servers": {"type": "list", "elements": "dict", "default": [], "options": SERVER},
    "programs": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": REQUIRED, "path": REQUIRED},
    },
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**OPTIONS, **SECTION}, **needs())
    arguments = {key: module.params[key] for key in OPTIONS}
    run_section(module, "transports", arguments if arguments["clients"] or arguments["servers"] else None, _about)


def _about(store: Store, desired: Transports) -> dict[str, Any]:
    return about(store.system, desired, store.kept.ports.read()) if desired is not None else {}


if __name__ == "__main__":
    main()
