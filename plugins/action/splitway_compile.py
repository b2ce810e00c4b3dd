# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles a topology on the controller: the only place where Ansible meets the compiler."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Optional

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.splitway.gateway.plugins.module_utils._countries import NamedCountries
from ansible_collections.splitway.gateway.plugins.module_utils._lists import library_of, tell
from ansible_collections.splitway.gateway.plugins.module_utils._programs import with_checksums
from ansible_collections.splitway.gateway.plugins.module_utils._variables import holds_template
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.client_bundle.offers import offers_of
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.client_files import client_files
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.compiler import CompileError, compile_state
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.compiler.proxies import (
    wanted as wanted_proxies,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.countries import CountryError
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.engine import version
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.reconcile.dns.forwarder import (
    PACKAGES as OVER_TLS,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.reconcile.proxies import (
    PACKAGES as PROXY_PACKAGES,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.reconcile.web.text import (
    packages as web_packages,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.rehearsal import packed
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.relay.delivery import delivery, packages
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.sealed import digest
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.sources.library import ListLibrary
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.sources.report import counted, described
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.state import (
    Agent,
    State,
    to_data,
    without_keys,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError, parse
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.clients import without_expired
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.model import Topology
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.parse import VARIABLES

PREFIX = "splitway_"
MOST_NAMED = 10  # clients in a warning
ABOUT = ("numbers", "returns", "checked", "published")
"""Options that are no part of the topology."""
CHECKED = ("source", "files", "client_folder", "bundle_folder", "interface", "countries", "packages", "programs")
"""What is said of every topology: nothing secret."""


class ActionModule(ActionBase):
    """See the module documentation of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        answer: dict[str, Any] = super().run(tmp, task_vars)
        options = {name: self._task.args.get(name) for name in ABOUT}
        answer.update(changed=False)
        if _is_published(options):
            answer.update({name: options["checked"][name] for name in CHECKED}, package="", client_files=[])
            return answer
        variables = self._variables(task_vars or {})
        library = library_of(variables, task_vars or {}, constants.DEFAULT_LOCAL_TMP)
        try:
            variables = with_checksums(variables, self._loader.path_dwim)
            topology, now = parse(variables, library), time.time()
            answer.update(_compiled(topology, variables, options, library, now))
            self._tell_expired(topology, now)
        except (TopologyError, CompileError, CountryError) as error:
            raise AnsibleActionFail(str(error)) from error
        finally:
            tell(library, self._display)
        return answer

    def _tell_expired(self, topology: Topology, now: float) -> None:
        """Warn of clients whose time is up: they are not peers, and whoever looks for the reason finds it here."""
        names = [client.name for client in topology.clients if client.expires is not None and client.expires <= now]
        if names:
            some = ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED))
            self._display.warning(f"the time of these clients is up (expires): {some}")

    def _variables(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """Return the topology's variables: the options', or, if there is no such option, the host's own."""
        given = {f"{PREFIX}{name}": value for name, value in self._task.args.items() if name not in ABOUT}
        variables = {name: value for name, value in given.items() if value is not None}
        if not given:
            variables = {name: self._templated(task_vars[name]) for name in VARIABLES if name in task_vars}
        # A variable of ours that no option takes may be a slip; its name is enough to tell.
        for name in task_vars:
            if name.startswith(PREFIX):
                variables.setdefault(name, None)
        return variables

    def _templated(self, value: Any) -> Any:
        """Return a variable without templates. Ansible's own walk takes a second for 5,000 clients."""
        return self._templar.template(value) if holds_template(value) else value


def _is_published(options: Mapping[str, Any]) -> bool:
    """Return whether a topology that was checked in this run is the published one, and no client has a file."""
    checked = options["checked"] or {}
    return bool(checked) and options["published"] == checked["source"] and not checked["files"]


def _compiled(
    topology: Topology, variables: Mapping[str, Any], options: Mapping[str, Any], library: ListLibrary, now: float
) -> dict[str, Any]:
    """Return what the module says of a topology at a time, in seconds since the epoch. Raises CompileError."""
    engine = version()
    countries = NamedCountries(topology)
    source = _source(engine, variables, {**library.digests, **countries.digests()})
    lasting = without_expired(topology, now)  # for whom is over no file is written, and the one there was is removed
    files = client_files(lasting)
    said = {
        "source": source,
        "files": len(files),
        "client_folder": to_data(topology.client_files),
        "bundle_folder": to_data(topology.client_bundle),
        "interface": topology.server.interface,
        "left_out": counted(library.loaded),
        "programs": [delivery(source) for source in topology.programs],
        **countries.said(),
    }
    said["packages"] += packages(topology.server.websocket) if topology.programs else ()
    said["packages"] += PROXY_PACKAGES if wanted_proxies(topology) else ()
    said["packages"] += OVER_TLS if topology.dns.tls else ()
    said["packages"] += web_packages(https=topology.web.https is not None) if topology.pac else ()
    returns = list(options["returns"] or [])
    if "lists" in returns:
        returns.remove("lists")
        said["lists"] = described(topology.lists, library.loaded)
        if not returns:
            return said
    if "package" in returns:
        said["client_files"] = to_data(files)
    if returns == ["package"] and options["published"] == source:
        return {**said, "package": ""}
    state = countries.filled(compile_state(topology, options["numbers"] or {}))
    # The gateway is to run the engine that compiled its state.
    agent = dataclasses.replace(state.agent or Agent(engine=""), engine=engine)
    state = dataclasses.replace(state, agent=agent, source=source)
    if "offers" in returns:
        returns.remove("offers")
        said["offers"] = to_data(offers_of(lasting, state))
    return {**said, **{name: RETURNS[name](state) for name in returns}}


def _source(engine: str, variables: Mapping[str, Any], elsewhere: Mapping[str, str]) -> str:
    """Return a fingerprint of all that a state is compiled from but the numbers: its own lead to it again.

    `elsewhere` has digests of what comes from there: those may be others tomorrow, from the same variables.
    """
    text = json.dumps([engine, variables, sorted(elsewhere.items())], default=str)
    return hashlib.sha256(text.encode()).hexdigest()


RETURNS: dict[str, Callable[[State], Any]] = {
    "digest": digest,
    "package": packed,
    "outline": lambda state: to_data(without_keys(state)),
}
