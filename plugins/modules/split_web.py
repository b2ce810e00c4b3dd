#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PAC files and the server that gives them out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: split_web
short_description: PAC files for browsers, and the web server that gives them out
version_added: 0.1.0
description:
  - Writes PAC files, which tell browsers what of their requests goes through a proxy, and runs the unit
    C(splitway-web.service), an nginx of its own, which gives these files out and nothing else.
  - The first file is also C(proxy.pac) and C(wpad.dat).
  - Files change without a restart. A server that does not answer with a new configuration is put back.
  - Nobody's process is ended for a port. Of a range the first port that nobody has is taken, and kept.
options:
  listen:
    description: Addresses of the gateway at which browsers ask.
    type: list
    elements: str
    default: []
  http:
    description: The port for HTTP. Left out, there is no HTTP.
    type: dict
    suboptions: &range
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
  https:
    description: The port for HTTPS. Left out, there is no HTTPS.
    type: dict
    suboptions: *range
  certificate:
    description: The file with the certificate for HTTPS, on the gateway.
    type: str
    default: ""
  key:
    description: The file with its key, on the gateway, for root to read.
    type: str
    default: ""
  host:
    description: The name or address by which browsers reach the gateway, for the result.
    type: str
    default: ""
  files:
    description: The PAC files.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The file's name, without C(.pac).
        type: str
        required: true
      tables:
        description: What it knows of destinations.
        type: dict
        required: true
        suboptions:
          answers:
            description: The classes. Each has a letter a span of ports, C(d) directly, C(p) proxy, C(b) blocked.
            type: list
            elements: str
            default: [d]
          rest:
            description: The class of names that are not listed.
            type: int
            default: 0
          names:
            description: By class, its domains, packed.
            type: list
            elements: str
            default: []
          depth:
            description: The most labels that a listed domain has.
            type: int
            default: 0
          v4:
            description: Where ranges of IPv4 addresses begin, as hexadecimal digits, C(=) and the class.
            type: list
            elements: str
            default: []
          v6:
            description: The same for IPv6.
            type: list
            elements: str
            default: []
          spans:
            description: Where spans of ports begin.
            type: list
            elements: int
            default: [0]
      servers:
        description: The proxies, in the order in which browsers try them.
        type: list
        elements: dict
        default: []
        suboptions:
          kind:
            description: What it is.
            type: str
            choices: [PROXY, SOCKS5]
            required: true
          host:
            description: A name or an address, as browsers reach it.
            type: str
            required: true
          port:
            description: Its port.
            type: dict
            required: true
            suboptions: *range
      fail_open:
        description: Whether browsers that reach none of them ask the destination itself.
        type: bool
        default: false
  directory:
    description: A folder of the gateway where copies of the files are written. It must be there.
    type: str
extends_documentation_fragment:
  - splitway.gateway.section
  - splitway.gateway.section.attributes
"""

EXAMPLES = r"""
- name: All but local destinations through one proxy
  splitway.gateway.split_web:
    listen: [10.8.0.1]
    http: {key: web/http, low: 80, high: 80}
    files:
      - name: all
        tables: {answers: [p], v4: ["00000000=0"], v6: ["00000000000000000000000000000000=0"]}
        servers:
          - {kind: PROXY, host: 10.8.0.1, port: {key: proxy/all/http, low: 8080, high: 8080}}
    purge: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each.
  returned: success
  type: list
  elements: str
  sample: ["change PAC files family.pac"]
diff:
  description: The lines that change, before and after; a listed name is a line.
  returned: with --diff, when something changes
  type: dict
commands:
  description: The programs that were run and the files that were written to make the changes.
  returned: success
  type: list
  elements: str
urls:
  description: Where browsers get each file.
  returned: success, when there is a file
  type: dict
  sample: {family: "http://10.8.0.1/family.pac"}
dhcp:
  description: For some DHCP servers, the lines that make them tell browsers of the first file (option 252).
  returned: success, when there is a file
  type: dict
  contains:
    dnsmasq:
      description: A line for dnsmasq.
      type: str
    kea:
      description: Keys of C(Dhcp4) for Kea, as JSON.
      type: str
    isc:
      description: Lines for the DHCP server of ISC.
      type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils._module import PORT_RANGE, SECTION, needs, run_section
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.ports import filled
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.reconcile.web.about import about
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.store import Store

TABLES = {
    "answers": {"type": "list", "elements": "str", "default": ["d"]},
    "rest": {"type": "int", "default": 0},
    "names": {"type": "list", "elements": "str", "default": []},
    "depth": {"type": "int", "default": 0},
    "v4": {"type": "list", "elements": "str", "default": []},
    "v6": {"type": "list", "elements": "str", "default": []},
    "spans": {"type": "list", "elements": "int", "default": [0]},
}
SERVER = {
    "kind": {"type": "str", "choices": ["PROXY", "SOCKS5"], "required": True},
    "host": {"type": "str", "required": True},
    "port": {"type": "dict", "required": True, "options": PORT_RANGE},
}
FILE = {
    "name": {"type": "str", "required": True},
    "tables": {"type": "dict", "required": True, "options": TABLES},
    "servers": {"type": "list", "elements": "dict", "default": [], "options": SERVER},
    "fail_open": {"type": "bool", "default": False},
}
OPTIONS = {
    "listen": {"type": "list", "elements": "str", "default": []},
    "http": {"type": "dict", "options": PORT_RANGE},
    "https": {"type": "dict", "options": PORT_RANGE},
    "certificate": {"type": "str", "default": ""},
    "key": {"type": "str", "default": "", "no_log": False},
    "host": {"type": "str", "default": ""},
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
    "directory": {"type": "str"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**OPTIONS, **SECTION}, **needs())
    arguments = {key: module.params[key] for key in OPTIONS}
    run_section(module, "web", arguments if arguments["files"] else None, _about)


def _about(store: Store, desired: Any) -> dict[str, Any]:
    return about(store.system, filled(desired, store.kept.ports.read())) if desired is not None else {}


if __name__ == "__main__":
    main()
