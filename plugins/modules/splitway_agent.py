#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent on a gateway."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_agent
short_description: The agent that restores a gateway at boot and looks after it
version_added: 0.1.0
description:
  - Ships the engine of this collection to the gateway, as C(/usr/lib/splitway/VERSION), when it is not there yet.
  - Makes it the version in use, writes the program C(splitway) and the units C(splitway-guard.service) and
    C(splitway.service), has them started at boot, and starts the agent.
  - The agent is restarted when its version is another. Of versions that were used before, two are kept.
options:
  engine:
    description: The version. Left out, it is that of this collection, which is the only one that can be shipped.
    type: str
  source:
    description: The engine's archive on the gateway. The action plugin fills it in when the version is not there.
    type: path
  watches:
    description: How the agent finds out whether upstreams are up.
    type: list
    elements: dict
    default: []
    suboptions:
      upstream:
        description: The upstream's name.
        type: str
        required: true
      interface:
        description: Its interface.
        type: str
        required: true
      targets:
        description: What is asked for through the tunnel.
        type: list
        elements: dict
        default: []
        suboptions:
          kind:
            description: How.
            type: str
            choices: [icmp, tcp, dns]
            required: true
          address:
            description: Whom.
            type: str
            required: true
          port:
            description: The port, for C(tcp) and C(dns).
            type: int
          name:
            description: For C(dns), the name whose A record is asked for.
            type: str
      interval:
        description: Milliseconds from one round of probes to the next.
        type: int
        default: 2000
      timeout:
        description: Milliseconds that an answer may take.
        type: int
        default: 1500
      down_after:
        description: Failed rounds, one after the other, after which it is down.
        type: int
        default: 3
      up_after:
        description: Good rounds, one after the other, after which it is up.
        type: int
        default: 3
      restart:
        description: Whether it is restarted when it is down.
        type: bool
        default: true
  groups:
    description: Upstream groups, and upstreams that have another way when they are down.
    type: list
    elements: dict
    default: []
    suboptions:
      number:
        description: The egress number.
        type: int
        required: true
      name:
        description: The egress.
        type: str
        required: true
      mode:
        description: Which member new flows go to.
        type: str
        choices: [failover, balance, latency]
        required: true
      members:
        description: The members; for C(failover) the best first.
        type: list
        elements: dict
        required: true
        suboptions:
          number:
            description: The egress number of its flows.
            type: int
            required: true
          upstream:
            description: The upstream.
            type: str
            required: true
          weight:
            description: For C(balance), its share.
            type: int
            default: 1
      on_down:
        description: What happens to flows while no member is up.
        type: str
        choices: [block, direct, egress]
        default: block
      fallback:
        description: For C(egress), its number.
        type: int
      hold:
        description: Seconds that a better member has been up before new flows go to it.
        type: int
        default: 60
      margin:
        description: For C(latency), milliseconds by which another member must be faster.
        type: int
        default: 20
  retention:
    description: Seconds that an address keeps its classification after the last answer with it.
    type: int
    default: 43200
  warm_up:
    description: Whether the lists' names are resolved when the agent starts.
    type: bool
    default: true
  metrics:
    description: Where the exporter listens, C(address:port). Left out, there is none.
    type: str
  access_log:
    description: Days that the access log is kept. Left out, there is none.
    type: int
  log_level:
    description: What the agent tells in the journal, and what is graver.
    type: str
    choices: [debug, info, warning, error]
    default: info
  modes:
    description: The operator's mode, then those that the agent may put into force while it moves no data.
    type: list
    elements: str
    choices: [proxy, wireguard, combined]
    default: [wireguard]
  folders:
    description: Folders that it writes beside its own, of other sections.
    type: list
    elements: str
    default: []
  follows:
    description: The container whose network the gateway is in. Left out, it is in none.
    type: str
    default: ""
extends_documentation_fragment:
  - splitway.gateway.section
  - splitway.gateway.section.attributes
attributes:
  action:
    support: full
    description: Builds the engine's archive on the controller, and transfers it once a version.
"""

EXAMPLES = r"""
- name: The agent, watching one upstream
  splitway.gateway.splitway_agent:
    watches:
      - upstream: us
        interface: wg-up-1
        targets:
          - {kind: icmp, address: 1.1.1.1}
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line each; never a key.
  returned: success
  type: list
  elements: str
  sample: ["change engine in use", "change service splitway.service"]
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

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils._module import SECTION, needs, run_section
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.failures import FAILURES
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.reconcile.agent.versions import (
    install,
    is_whole,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System

TARGET = {
    "kind": {"type": "str", "choices": ["icmp", "tcp", "dns"], "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int"},
    "name": {"type": "str"},
}
WATCH = {
    "upstream": {"type": "str", "required": True},
    "interface": {"type": "str", "required": True},
    "targets": {"type": "list", "elements": "dict", "default": [], "options": TARGET},
    "interval": {"type": "int", "default": 2000},
    "timeout": {"type": "int", "default": 1500},
    "down_after": {"type": "int", "default": 3},
    "up_after": {"type": "int", "default": 3},
    "restart": {"type": "bool", "default": True},
}
MEMBER = {
    "number": {"type": "int", "required": True},
    "upstream": {"type": "str", "required": True},
    "weight": {"type": "int", "default": 1},
}
GROUP = {
    "number": {"type": "int", "required": True},
    "name": {"type": "str", "required": True},
    "mode": {"type": "str", "choices": ["failover", "balance", "latency"], "required": True},
    "members": {"type": "list", "elements": "dict", "required": True, "options": MEMBER},
    "on_down": {"type": "str", "choices": ["block", "direct", "egress"], "default": "block"},
    "fallback": {"type": "int"},
    "hold": {"type": "int", "default": 60},
    "margin": {"type": "int", "default": 20},
}
OPTIONS = {
    "engine": {"type": "str"},
    "watches": {"type": "list", "elements": "dict", "default": [], "options": WATCH},
    "groups": {"type": "list", "elements": "dict", "default": [], "options": GROUP},
    "retention": {"type": "int", "default": 43200},
    "warm_up": {"type": "bool", "default": True},
    "metrics": {"type": "str"},
    "access_log": {"type": "int"},
    "log_level": {"type": "str", "choices": ["debug", "info", "warning", "error"], "default": "info"},
    "modes": {
        "type": "list",
        "elements": "str",
        "choices": ["proxy", "wireguard", "combined"],
        "default": ["wireguard"],
    },
    "folders": {"type": "list", "elements": "str", "default": []},
    "follows": {"type": "str", "default": ""},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule({**OPTIONS, **SECTION, "source": {"type": "path"}}, **needs())
    engine, source = module.params["engine"], module.params["source"]
    system = System()
    try:
        if source:
            install(system, engine, Path(source))
        elif not module.check_mode and not is_whole(system, engine):
            module.exit_json(changed=False, lacks_engine=True)
    except FAILURES as error:
        module.fail_json(msg=str(error))
    run_section(module, "agent", {key: module.params[key] for key in OPTIONS})


if __name__ == "__main__":
    main()
