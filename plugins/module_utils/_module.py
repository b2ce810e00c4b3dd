# SPDX-License-Identifier: GPL-3.0-or-later
"""The one bridge between AnsibleModule and the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Optional

from ansible.module_utils.basic import AnsibleModule

from .splitway.failures import FAILURES
from .splitway.network_namespace import chosen, enter
from .splitway.reconcile.base import Change
from .splitway.rehearsal import kept
from .splitway.state import section_from_data
from .splitway.store import Store
from .splitway.system import System
from .splitway.transaction import bring, preview

TRANSACTION = {"transaction": {"type": "str"}}
SECTION = {**TRANSACTION, "purge": {"type": "bool", "default": False}, "rehearsed": {"type": "bool", "default": False}}
BACKEND = {"backend": {"type": "str", "choices": ["ipset", "nftables"]}}

# A port of ours, of which the host chooses one (state.PortRange). Its key is a word, no secret.
PORT_RANGE = {
    "key": {"type": "str", "required": True, "no_log": False},
    "low": {"type": "int", "required": True},
    "high": {"type": "int", "required": True},
}

PEER = {
    "name": {"type": "str", "required": True},
    "public_key": {"type": "str"},
    "preshared_key": {"type": "str", "no_log": True},
    "allowed_ips": {"type": "list", "elements": "str", "required": True},
    "endpoint": {"type": "str"},
    "persistent_keepalive": {"type": "int", "default": 0},
}

CLIENT = {
    **PEER,
    "expires": {"type": "int"},
    "previous": {
        "type": "dict",
        "options": {
            "public_key": {"type": "str", "required": True},
            "preshared_key": {"type": "str", "no_log": True},
            "until": {"type": "int", "required": True},
        },
    },
}

DEVICE = {
    "name": {"type": "str", "required": True},
    "interface": {"type": "str", "required": True},
    "private_key": {"type": "str", "no_log": True},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "peers": {"type": "list", "elements": "dict", "default": [], "options": PEER},
    "listen_port": {"type": "int"},
    "mtu": {"type": "int"},
    "mark": {"type": "int"},
}


def run_section(
    module: AnsibleModule,
    section: str,
    arguments: Any,
    about: Callable[[Store, Any], dict[str, Any]] = lambda *_: {},
) -> NoReturn:
    """Reconcile one section as the module's arguments or the transaction's rehearsal say, and exit.

    `about`: what else is returned of the section, once it is there; what it has as `warnings` is shown as such.
    """
    parameters = module.params
    system = System()
    system.check_mode = module.check_mode
    try:
        desired, backend = _desired(module, Store(system), section, arguments)
        enter(system, _namespace(module, Store(system)))
        if module.check_mode:
            changes = preview(Store(system), section, desired, backend=backend, purge=parameters["purge"])
        else:
            changes = bring(
                Store(system),
                section,
                desired,
                backend=backend,
                transaction=parameters["transaction"],
                purge=parameters["purge"],
            )
    except (*FAILURES, ValueError) as error:
        module.fail_json(msg=str(error))
    more = about(Store(system), desired)
    for warning in more.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**result(module, changes), commands=system.commands, **more)


def needs(*options: str) -> dict[str, Any]:
    """Return AnsibleModule's keywords for options that a section needs unless it was rehearsed."""
    return {
        "required_if": [("rehearsed", False, list(options)), ("rehearsed", True, ["transaction"])],
        "supports_check_mode": True,
    }


def _namespace(module: AnsibleModule, store: Store) -> str:
    """Return the network namespace of the gateway; a run in check mode has it from its rehearsal only."""
    if module.params["rehearsed"]:
        return kept(store, module.params["transaction"], ()).network_namespace
    return chosen(store.system)


def _desired(module: AnsibleModule, store: Store, section: str, arguments: Any) -> tuple[Any, Optional[str]]:
    """Return the section that is wanted, and its backend if it has one. Raises ValueError and StoreError."""
    if not module.params["rehearsed"]:
        return section_from_data(section, without_none(arguments)), module.params.get("backend")
    state = kept(store, module.params["transaction"], (section,))
    return getattr(state, section), state.backend if "backend" in module.params else None


def result(module: AnsibleModule, changes: tuple[Change, ...]) -> dict[str, Any]:
    """Return what every module says of its changes: changed, before, after, and the diff when asked."""
    before = "".join(f"{change.before}\n" for change in changes if change.before)
    after = "".join(f"{change.after}\n" for change in changes if change.after)
    answer: dict[str, Any] = {
        "changed": bool(changes),
        "changes": [f"{change.action} {change.what}" for change in changes],
    }
    if module._diff and changes:
        answer["diff"] = {"before": before, "after": after}
    return answer


def without_none(value: Any) -> Any:
    """Return arguments without the options that were left out, which Ansible gives as None."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value
