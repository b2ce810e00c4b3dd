#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transaction around the steps of a run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: splitway_transaction
short_description: Begin, commit, confirm or roll back a change of a gateway
version_added: 0.1.0
description:
  - C(begin) takes the gateway's one lock; the other modules of this collection then work as steps of the transaction.
    On a host that runs systemd it ships the engine, if the host lacks this version, and starts a unit
    C(splitway-run-ID.service) that rolls the run back when its time is up. It needs no controller, no connection and
    no agent, and ends with the run.
  - C(rehearse) takes all that the run is to bring, plans every section of it, and fails with everything on the host
    that is in the way, before anything is changed; rules of others that stop what the gateway is for, and a port to be
    closed that the run itself comes by, are among that. The steps may then take their sections from it, see
    C(rehearsed) of M(splitway.gateway.wg_upstream). In check mode it is kept under C(/run/splitway) until C(commit) or
    C(rollback).
  - C(commit) removes what is no longer wanted, in reverse order, and publishes the new generation in
    C(/etc/splitway/state.json).
  - C(confirm), over a new connection, keeps the generation of a commit that asked for it by O(confirm). Without it, or
    when the host reboots before, the host goes back to the generation before the run by itself.
  - C(rollback) applies the last published generation again, or the one before a commit that is not confirmed. On a
    host that has none, what was made is removed.
  - C(absent) removes everything that this collection made on the gateway, and nothing else.
options:
  state:
    description: What to do.
    type: str
    choices: [begin, rehearse, commit, confirm, rollback, absent]
    required: true
  transaction:
    description: The id of the transaction. C(begin) makes one when it is left out.
    type: str
  desired:
    description:
      - For C(rehearse), what the run is to bring, RV(splitway.gateway.splitway_compile#module:package).
      - An empty one is the generation that is published.
    type: str
  numbers:
    description:
      - For C(commit), the allocation of numbers that the generation was compiled with.
      - Left out, that of what was rehearsed.
    type: dict
  deadline:
    description: Seconds after its last step in which an abandoned transaction may not be taken over.
    type: int
    default: 120
  confirm:
    description:
      - For C(commit), seconds within which the run is to be confirmed. Zero means that it need not be; less is
        refused.
      - A run that changed nothing of the generation need not be confirmed, see RV(unconfirmed).
    type: int
    default: 0
  engine:
    description: For C(begin), the version of the engine that watches over the run, by default this collection's.
    type: str
  source:
    description: For C(begin), where the engine's archive is on the gateway; the action sets it.
    type: path
  wait:
    description: Seconds that C(begin) waits for another run to end.
    type: int
    default: 0
  who:
    description: For C(begin) and C(absent), who changes the gateway, as its audit shall say.
    type: str
    default: ansible
extends_documentation_fragment:
  - splitway.gateway.section.attributes
attributes:
  action:
    support: full
    description: Ships the engine, and makes a new connection before it confirms.
"""

EXAMPLES = r"""
- name: Begin
  splitway.gateway.splitway_transaction:
    state: begin
  register: transaction

- name: A step
  splitway.gateway.wg_upstream:
    transaction: "{{ transaction.id }}"
    upstreams: []
    purge: true

- name: Commit
  splitway.gateway.splitway_transaction:
    state: commit
    transaction: "{{ transaction.id }}"
    numbers: "{{ transaction.numbers }}"
    confirm: 120
  register: committed

- name: Confirm
  splitway.gateway.splitway_transaction:
    state: confirm
    transaction: "{{ transaction.id }}"
  when: committed.unconfirmed
"""

RETURN = r"""
id:
  description: The id of the transaction.
  returned: begin
  type: str
  sample: 4f0c1c2e9d0b4b6c
numbers:
  description: The allocation of numbers of the published generation, which the next one is compiled with.
  returned: begin
  type: dict
  sample: {"egress:us": 101}
source:
  description:
    - A fingerprint of what the published generation was compiled from, see
      RV(splitway.gateway.splitway_compile#module:source).
    - Empty when there is none, or when somebody changed the gateway otherwise since.
  returned: begin
  type: str
unconfirmed:
  description: Whether the run is now to be confirmed.
  returned: commit
  type: bool
changes:
  description: What was removed by C(commit) or C(absent), or brought back by C(rollback).
  returned: commit, rollback, absent
  type: list
  elements: str
"""

import uuid
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.splitway.gateway.plugins.module_utils._module import result
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.agent.awaiting import launch
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.applying import drift, rehearse
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.failures import FAILURES
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.hindrances import check
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.network_namespace import (
    Away,
    chosen,
    enter,
    settle,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.reconcile.agent.text import places
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.reconcile.agent.versions import (
    install,
    is_whole,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.rehearsal import forget, keep, kept
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import State
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.store import DEADLINE, Store, Transaction
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.transaction import (
    begin,
    commit,
    confirm,
    remove_all,
    roll_back,
)

OPTIONS = {
    "state": {
        "type": "str",
        "choices": ["begin", "rehearse", "commit", "confirm", "rollback", "absent"],
        "required": True,
    },
    "transaction": {"type": "str"},
    "desired": {"type": "str", "no_log": True},
    "numbers": {"type": "dict"},
    "deadline": {"type": "int", "default": int(DEADLINE)},
    "confirm": {"type": "int", "default": 0},
    "engine": {"type": "str"},
    "source": {"type": "path"},
    "wait": {"type": "int", "default": 0},
    "who": {"type": "str", "default": Transaction.who},
}
SECONDS = ("deadline", "confirm", "wait")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        OPTIONS,
        required_if=[
            ("state", "rehearse", ["desired", "transaction"]),
            ("state", "commit", ["transaction"]),
            ("state", "confirm", ["transaction"]),
            ("state", "rollback", ["transaction"]),
        ],
        supports_check_mode=True,
    )
    for name in SECONDS:
        if module.params[name] < 0:
            module.fail_json(msg=f"{name}: {module.params[name]} is not a number of seconds (0 or more)")
    system = System()
    system.check_mode = module.check_mode
    try:
        _enter(system, module.params["state"])
        module.exit_json(**STATES[module.params["state"]](module, Store(system)))
    except (*FAILURES, ValueError) as error:
        module.fail_json(msg=str(error))


def _enter(system: System, state: str) -> None:
    """Go where the gateway is. What was in a container that is gone went with it, and the rest can be removed."""
    try:
        enter(system, chosen(system))
    except Away:
        if state != "absent":
            raise


def _begin(module: AnsibleModule, store: Store) -> dict:
    identifier = module.params["transaction"] or uuid.uuid4().hex[:16]
    if not module.check_mode:
        begin(store, identifier, module.params["deadline"], module.params["wait"], module.params["who"])
        if not _watched(module.params, store.system, identifier):
            return {"changed": False, "id": identifier, "lacks_engine": True}
    last, problem = store.generation_or_previous(())
    if problem:
        module.warn(problem)
    source = "" if problem else last.source
    return {"changed": False, "id": identifier, "numbers": last.numbers, "source": source}


def _watched(parameters: dict, system: System, identifier: str) -> bool:
    """Have the run watched over; return whether the host has the engine for that. Raises SystemFailure."""
    engine = parameters["engine"]
    if engine is None or not system.units.available():
        return True
    if parameters["source"]:
        install(system, engine, Path(parameters["source"]))
    elif not is_whole(system, engine):
        return False
    launch(system, places(system).library / engine, identifier)
    return True


def _rehearse(module: AnsibleModule, store: Store) -> dict:
    # In check mode, too: the steps that follow take what they plan from there. The run's end removes it.
    state = keep(store, module.params["transaction"], module.params["desired"])
    settle(store.system, state.network_namespace, fresh=store.generation_or_previous(())[0] == State())
    for warning in check(store.system, state):
        module.warn(warning)
    rehearse(store, state)
    return {"changed": False}


def _commit(module: AnsibleModule, store: Store) -> dict:
    identifier, numbers, source = module.params["transaction"], module.params["numbers"], ""
    if numbers is None:
        rehearsed = kept(store, identifier, ())
        numbers, source = rehearsed.numbers, rehearsed.source
    changes = () if module.check_mode else commit(store, identifier, numbers, source, module.params["confirm"])
    forget(store, identifier)
    return {**result(module, changes), "unconfirmed": not module.check_mode and store.unconfirmed() is not None}


def _confirm(module: AnsibleModule, store: Store) -> dict:
    if not module.check_mode:
        confirm(store, module.params["transaction"])
    return {"changed": False}


def _roll_back(module: AnsibleModule, store: Store) -> dict:
    identifier = module.params["transaction"]
    changes = () if module.check_mode else roll_back(store, identifier)
    forget(store, identifier)
    return result(module, changes)


def _remove(module: AnsibleModule, store: Store) -> dict:
    if module.check_mode:
        planned = drift(store, State())
        return result(module, tuple(change for changes in planned.values() for change in changes))
    return result(module, remove_all(store, module.params["who"]))


STATES = {
    "begin": _begin,
    "rehearse": _rehearse,
    "commit": _commit,
    "confirm": _confirm,
    "rollback": _roll_back,
    "absent": _remove,
}


if __name__ == "__main__":
    main()
