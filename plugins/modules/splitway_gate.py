#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate of a rollout: does a gateway serve as it did before?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_gate
short_description: Whether a gateway serves after a change as it did before
version_added: 0.1.0
description:
  - Called without O(before) it looks at the gateway before a change. Called with that look after the change, it waits
    until the gateway serves as it did, and says by name what is missing when that does not come in time.
  - The agent must answer and go by the new generation, and no section may fail to heal that did not fail before.
  - Each upstream that was not down before, and each new one, must not be down, and a target of its health must answer
    through it now; an upstream whose targets did not answer before either must be as the agent saw it before.
  - Clients that were connected must be so still, see O(minimum_handshakes); of those that sent something during the
    change at least one must be heard after it.
  - dnsmasq must answer if it did before.
  - Changes nothing.
options:
  before:
    description: The look before the change, RV(look). Left out, one is returned.
    type: dict
  timeout:
    description: Seconds that the gateway may take to serve again.
    type: int
    default: 60
  ignore_upstreams:
    description: Upstreams that need not be up after the change.
    type: list
    elements: str
    default: []
  minimum_handshakes:
    description:
      - The share, 0 to 1, of the clients with a handshake in the three minutes before the change whose handshake must
        be as young after it. A peer that is left alone keeps its handshake; one of an interface that was made anew has
        to shake hands first.
      - Clients that the change removed do not count.
    type: float
    default: 0.8
  canary:
    description: A client that must have had a handshake since the change.
    type: str
extends_documentation_fragment:
  - splitway.gateway.section.attributes
"""

EXAMPLES = r"""
- name: Look before the change
  splitway.gateway.splitway_gate:
  register: looked

- name: Does the gateway serve as before?
  splitway.gateway.splitway_gate:
    before: "{{ looked.look }}"
    timeout: 60
"""

RETURN = r"""
look:
  description: The gateway before the change, without keys and addresses; of its clients those that are connected.
  returned: without O(before)
  type: dict
seconds:
  description: How long it took until the gateway served as before.
  returned: with O(before), when it did
  type: float
  sample: 2.4
missing:
  description: What is missing, a line each.
  returned: with O(before), when something is
  type: list
  elements: str
  sample: ["upstream us: nobody answers through it"]
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.failures import FAILURES
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.network_namespace import chosen, enter
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.rollout.gate import Look, missing
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.rollout.look import connected, look
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.rollout.settings import Gate
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import from_data, to_data
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.store import Store
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System

OPTIONS = {
    "before": {"type": "dict"},
    "timeout": {"type": "int", "default": Gate.timeout},
    "ignore_upstreams": {"type": "list", "elements": "str", "default": []},
    "minimum_handshakes": {"type": "float", "default": Gate.minimum_handshakes},
    "canary": {"type": "str"},
}
AGAIN = 1.0  # seconds between looks


def main() -> None:
    """Run the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    store = Store(System())
    try:
        enter(store.system, chosen(store.system))
        if module.params["before"] is None:
            module.exit_json(changed=False, look=to_data(connected(look(store))))
        _pass(module, store, from_data(Look, module.params["before"]))
    except (*FAILURES, ValueError) as error:
        module.fail_json(msg=str(error))


def _pass(module: AnsibleModule, store: Store, before: Look) -> None:
    wishes = Gate(
        timeout=module.params["timeout"],
        ignore_upstreams=tuple(module.params["ignore_upstreams"]),
        minimum_handshakes=module.params["minimum_handshakes"],
        canary=module.params["canary"] or "",
    )
    began = time.monotonic()
    first = now = look(store)
    while left := missing(before, first, now, wishes):
        if time.monotonic() - began > wishes.timeout:
            module.fail_json(msg="; ".join(left), missing=list(left))
        time.sleep(AGAIN)
        now = look(store)
        first = first if first.agent else now
    module.exit_json(changed=False, seconds=round(time.monotonic() - began, 1))


if __name__ == "__main__":
    main()
