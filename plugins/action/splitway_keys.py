# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes and rotates keys on the controller, and keeps them in a file of variables beside the inventory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils._exchange import absolute, text_of, topology_variables
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.keys import public_key, wireguard_key
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.scalars import duration
from ansible_collections.splitway.gateway.plugins.plugin_utils.keys import file as keys_file
from ansible_collections.splitway.gateway.plugins.plugin_utils.keys import sealing
from ansible_collections.splitway.gateway.plugins.plugin_utils.keys.making import Done, Pair, Wanted, make
from ansible_collections.splitway.gateway.plugins.plugin_utils.keys.model import KINDS, Keys, KeysError, Secret

NAME = "splitway_keys.yml"
LONGEST_GRACE = 366 * 86400  # seconds
OPTIONS: dict[str, Any] = {
    "missing": {"type": "bool", "default": True},
    "rotate": {"type": "list", "elements": "str", "default": []},
    "rotate_upstreams": {"type": "list", "elements": "str", "default": []},
    "grace": {"type": "str", "default": "7d"},
    "again": {"type": "bool", "default": False},
    "ask_gateway": {"type": "bool", "default": True},
    "path": {"type": "path"},
    "store": {"type": "str", "choices": list(sealing.STORES), "default": sealing.VAULT},
    "command": {"type": "list", "elements": "str", "default": []},
    "vault_id": {"type": "str"},
}
ALL = "all"


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        _, options = self.validate_argument_spec(OPTIONS)
        task_vars = task_vars or {}
        try:
            path = _place(options["path"], task_vars)
            answer.update(self._keys(options, path, task_vars))
        except (KeysError, TopologyError, OSError) as error:
            raise AnsibleActionFail(str(error)) from error
        return answer

    def _keys(self, options: Mapping[str, Any], path: Path, task_vars: dict[str, Any]) -> dict[str, Any]:
        variables = topology_variables(self._templar, task_vars)
        before = text_of(path)
        kept = keys_file.read(before or "", str(path))
        clients = _given(variables.get("splitway_clients"))
        upstreams = _given(variables.get("splitway_upstreams"), far=True)
        grace = duration(0, LONGEST_GRACE)(options["grace"])
        wanted = Wanted(
            missing=options["missing"],
            rotate=_named(options["rotate"], clients),
            again=options["again"],
            grace=grace,
        )
        mine = kept.get("clients", {})
        asked = [name for name in clients if _unknown(mine.get(name, clients[name])) and _concerns(wanted, name)]
        elsewhere = self._made_there(asked, task_vars) if asked and options["ask_gateway"] else {}
        done = make(clients, mine, elsewhere, wanted, time.time())
        far = Wanted(False, _named(options["rotate_upstreams"], upstreams), options["again"], grace, preshared=False)
        tunnels = make(upstreams, kept.get("upstreams", {}), {}, far, time.time())
        files = {path: {"clients": done.keys, "upstreams": tunnels.keys}}
        exits: dict[str, str] = {}
        # Those, too, whose exit was not told before a run was interrupted.
        waiting = {name: kept["upstreams"][name] for name in tunnels.waiting}
        for name, keys in {**waiting, **tunnels.keys}.items():
            for there, gateway, host in _exits(keys, task_vars):
                files.setdefault(there, {}).setdefault("gateways", {})[gateway] = _as_its_exit_knows(keys)
                exits[name] = host
        said = _said(done, tunnels, exits, path)
        seal = self._seal(options) if said["changed"] else sealing.openly
        diffs = [self._keep(options, seal, there, kinds) for there, kinds in files.items() if any(kinds.values())]
        return {**said, "diff": diffs} if self._task.diff and diffs else said

    def _keep(
        self, options: Mapping[str, Any], seal: sealing.Seal, path: Path, kinds: Mapping[str, Mapping[str, Keys]]
    ) -> dict[str, str]:
        """Write these keys into a file, beside what it has; return the diff."""
        before = text_of(path)
        kept = keys_file.read(before or "", str(path))
        after = {kind: {**kept.get(kind, {}), **kinds.get(kind, {})} for kind in KINDS}
        if not self._task.check_mode:
            mode = 0o600 if before is None or options["store"] == sealing.PLAIN else path.stat().st_mode & 0o777
            System().write_file(path, keys_file.text_of(sealing.sealed(after, seal)), mode)
        shown = keys_file.outline(after) if not self._task.check_mode else _foretold(kept, after)
        header = {"before_header": str(path), "after_header": str(path)}
        return {**header, "before": keys_file.outline(kept), "after": shown}

    def _seal(self, options: Mapping[str, Any]) -> sealing.Seal:
        if options["store"] == sealing.PLAIN:
            return sealing.openly
        if options["store"] == sealing.COMMAND:
            return sealing.by_command(options["command"])
        vault = getattr(self._loader, "_vault", None)
        return sealing.in_vault(getattr(vault, "secrets", None), options["vault_id"])

    def _made_there(self, names: list[str], task_vars: dict[str, Any]) -> dict[str, Pair]:
        """Return the key pairs that the gateway has made for these clients; they stay in this process."""
        asked = [{"name": name, "addresses": ["-"], "endpoint": "-"} for name in names]
        said = self._execute_module(
            module_name="splitway.gateway.wg_client_files",
            module_args={"destination": "controller", "clients": asked},
            task_vars=task_vars,
        )
        if said.get("unreachable") or said.get("failed"):
            raise KeysError(
                "the gateway cannot be asked which keys it has made for clients already "
                f"({said.get('msg', 'no answer')}); where it has made none: -e splitway_keys_ask_gateway=false"
            )
        return {name: (public_key(private), private) for name, private in said["private"].items() if private}


def _place(path: Optional[str], task_vars: Mapping[str, Any]) -> Path:
    """Return the file of keys. Raises KeysError where Ansible would not load it, or nothing else of the host then."""
    if path:
        return absolute(path)
    inventory, host = task_vars.get("inventory_dir"), task_vars["inventory_hostname"]
    if not inventory:
        raise KeysError("the inventory is no file: say where the keys are to be kept (splitway_keys_file)")
    folder = Path(inventory) / "host_vars"
    hidden = [name for name in (host, f"{host}.yml", f"{host}.yaml", f"{host}.json") if (folder / name).is_file()]
    if hidden:
        # Ansible reads host_vars/NAME/ or host_vars/NAME.yml, whichever it finds first, and never both.
        raise KeysError(
            f"{folder / hidden[0]} would not be read any more beside a folder {host}/: move it there (mkdir {host}; "
            f"git mv {hidden[0]} {host}/main.yml), or set splitway_keys_file"
        )
    return folder / host / NAME


def _given(entries: Any, *, far: bool = False) -> dict[str, Keys]:
    """Return the keys in entries of the topology, by name. `far`: the public key is the other end's."""
    found = {}
    for entry in entries or []:
        private = entry.get("private_key")
        private = None if private is None else wireguard_key(str(private))
        public = None if far else entry.get("public_key")
        if private is not None:
            public = public_key(private)
        shared = entry.get("preshared_key")
        found[str(entry["name"])] = Keys(
            None if public is None else str(public),
            None if private is None else Secret(private),
            None if shared is None else Secret(str(shared)),
        )
    return found


def _named(names: list[str], known: Mapping[str, Keys]) -> frozenset[str]:
    words = {part.strip() for name in names for part in name.split(",")} - {""}
    return frozenset(known) if ALL in words and ALL not in known else frozenset(words)


def _unknown(keys: Keys) -> bool:
    return keys.public_key is None


def _concerns(wanted: Wanted, name: str) -> bool:
    return wanted.missing or name in wanted.rotate


def _exits(keys: Keys, task_vars: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Yield the exits of this inventory that know an upstream by the key that it had: file of keys, gateway, host."""
    old = keys.previous.public_key if keys.previous else None
    for host in task_vars.get("groups", {}).get("splitway_exits", ()) if old else ():
        theirs = task_vars["hostvars"][host]
        kept = _mapping(_mapping(theirs.get("splitway_keys")).get("gateways"))
        for gateway in _mapping(theirs.get("splitway_exit")).get("gateways") or ():
            known = _mapping(kept.get(gateway["name"]) or gateway)
            if str(known.get("public_key")) == old:
                yield _place(theirs.get("splitway_keys_file"), theirs), str(gateway["name"]), host


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _as_its_exit_knows(keys: Keys) -> Keys:
    return Keys(keys.public_key, None, keys.preshared_key)


def _said(done: Done, tunnels: Done, exits: Mapping[str, str], path: Path) -> dict[str, Any]:
    return {
        "changed": bool(done.keys or tunnels.keys or exits),
        "path": str(path),
        "made": list(done.made),
        "taken": list(done.taken),
        "rotated": list(done.rotated),
        "waiting": [*done.waiting, *tunnels.waiting],
        "upstreams": {name: keys.public_key for name, keys in tunnels.keys.items()},
        "exits": dict(exits),
    }


def _foretold(kept: Mapping[str, Mapping[str, Keys]], after: Mapping[str, Mapping[str, Keys]]) -> str:
    """Return what a diff shows of keys that a real run would make: they would be other ones."""
    lines = []
    for kind, entries in after.items():
        for name, keys in sorted(entries.items()):
            old = kept.get(kind, {}).get(name)
            lines.append(keys_file.outline({kind: {name: keys}}) if keys == old else f"{kind} {name}: new keys\n")
    return "".join(lines)
