# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway's clients from the database of wg-easy, which goes on making them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: wg_easy
short_description: Clients of a gateway from the database of wg-easy 15
version_added: 0.1.0
description:
  - Reads the SQLite database of wg-easy (15.0 to 15.4), while wg-easy runs, and gives one gateway the variables
    C(splitway_server) and C(splitway_clients).
  - The database is only read. Nothing in it is locked, and no file is made beside it. What is read is its last
    commit, also while somebody writes.
  - What has no place in our variables (hooks, networks behind clients, MTUs of single clients) is said by name in a
    warning, and never run.
  - When the database cannot be read, both variables become errors, too. A run of C(site.yml) then fails before it
    touches a host, and does not take a gateway without clients for what you want.
  - Variables in C(host_vars) files come before those of this plugin, those in C(group_vars) after them.
author:
  - splitway contributors (@splitway)
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [splitway.gateway.wg_easy, wg_easy]
  database:
    description:
      - The database on the controller. wg-easy has it at C(/etc/wireguard/wg-easy.db) in its container.
      - A relative path begins at this file's folder.
      - From another host it comes by the playbook C(splitway.gateway.wg_easy_copy).
    type: str
    required: true
  gateway:
    description: The host that gets the variables. It is added when no other source has it.
    type: str
    required: true
  groups:
    description: The groups that the host is put into, made when they are not there.
    type: list
    elements: str
    default: [splitway_gateways]
  mode:
    description:
      - With V(adopt), C(wg0) and its peers stay wg-easy's, and splitting is ours. No secret leaves the database.
      - With V(migrate), everything becomes ours, also the private keys of the interface and of the clients.
        Those are then variables of the host, which C(ansible-inventory --host) prints.
    type: str
    choices: [adopt, migrate]
    default: adopt
  interface:
    description: Which of its interfaces is meant. Only needed if there are several.
    type: str
  tags:
    description:
      - >-
        From a tag to the policy of the clients that have it. A tag is a word with C(#) before it in the name that a
        client has on wg-easy's page, as in C(Alice's phone #work). Upper and lower case are the same.
      - A tag that is listed here is taken out of the client's name. Another word with C(#) is a part of the name.
      - Of several the first one counts.
    type: dict
    default: {}
  policies:
    description:
      - From a shell pattern of names on wg-easy's page, without tags, to a policy. The first pattern that fits counts.
        Upper and lower case are the same.
    type: dict
    default: {}
  default_policy:
    description: The policy of all other clients. Left out, they have C(splitway_default_policy).
    type: str
  server:
    description:
      - Keys of C(splitway_server) that come before those of the database, as C(unknown_clients), which says what
        clients get that were made since the last run.
      - Templates in it are filled in.
    type: dict
    default: {}
  ipv6:
    description:
      - Whether wg-easy does IPv6. V(false) for one that runs with C(DISABLE_IPV6), for its database has IPv6 addresses
        all the same.
    type: bool
    default: true
  wait:
    description: How many seconds are waited for a lock that keeps readers away, or for a moment without a write.
    type: float
    default: 5
  accept_newer:
    description:
      - Whether a database is taken that a newer wg-easy has made. All columns that are needed must be there.
      - What a newer version means by them cannot be known. Look at what C(ansible-inventory) says.
    type: bool
    default: false
"""

EXAMPLES = r"""
# home.wg_easy.yml: wg-easy stays the page where clients are made
plugin: splitway.gateway.wg_easy
database: /var/lib/docker/volumes/etc_wireguard/_data/wg-easy.db
gateway: home
mode: adopt
tags:
  work: office
policies:
  "kids *": children
default_policy: family

# home.wg_easy.yml: everything moves
---
plugin: splitway.gateway.wg_easy
database: .wg-easy/home.db
gateway: home
mode: migrate
default_policy: family
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

from ansible_collections.splitway.gateway.plugins.module_utils._variables import holds_template
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.errors import suggestion
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.wg_easy import (
    Assigning,
    DatabaseError,
    Variables,
    read_database,
    snapshot,
    variables,
)

ENDINGS = ("wg_easy.yml", "wg_easy.yaml")
SERVER, CLIENTS = "splitway_server", "splitway_clients"


class SourceError(ValueError):
    """The source says something wrong."""


class InventoryModule(BaseInventoryPlugin):
    """Gives one host its variables."""

    NAME = "splitway.gateway.wg_easy"
    trusted_by_default = True  # since what the database has is refused when it holds a template (ansible-core 2.19)

    def verify_file(self, path: str) -> bool:
        """Return whether a source is for this plugin, by its name."""
        return bool(super().verify_file(path)) and path.endswith(ENDINGS)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the host with its variables. Raises AnsibleParserError."""
        super().parse(inventory, loader, path, cache)
        given = self._read_config_data(path)
        gateway = self.get_option("gateway")
        self.inventory.add_host(gateway)
        for group in self.get_option("groups"):
            self.inventory.add_group(group)
            self.inventory.add_child(group, gateway)
        database = Path(path).parent.joinpath(Path(self.get_option("database")).expanduser())
        try:
            found = self._variables(database, self._assigning(given))
        except (SourceError, DatabaseError) as error:
            message = f"{path if isinstance(error, SourceError) else database}: {error}"
            self._refuse(gateway, message)
            raise AnsibleParserError(message) from error
        for note in found.notes:
            self.display.warning(f"{database}: {note}")
        self.inventory.set_variable(gateway, SERVER, {**found.server, **self.get_option("server")})
        self.inventory.set_variable(gateway, CLIENTS, [client.value for client in found.clients])

    def _assigning(self, given: Mapping[str, Any]) -> Assigning:
        """Return how policies are assigned. Raises SourceError for what is wrong with the source, unknown keys, too."""
        known = frozenset(self.get_options())
        for word in given:
            if word not in known:
                raise SourceError(f"{word}: unknown key{suggestion(word, known)}")
        return Assigning(
            tags=_texts("tags", self.get_option("tags")),
            patterns=_texts("policies", self.get_option("policies")),
            default=self.get_option("default_policy"),
        )

    def _variables(self, database: Path, assigning: Assigning) -> Variables:
        content = snapshot(database, self.get_option("wait"))
        read = read_database(content, self.get_option("interface"), accept_newer=self.get_option("accept_newer"))
        found = variables(read, self.get_option("mode"), assigning, ipv6=self.get_option("ipv6"))
        if holds_template(found.server):
            raise DatabaseError("the interface's host name holds a template, which Ansible would run")
        for client in found.clients:
            if holds_template(client.value):
                raise DatabaseError(f"client {client.number} holds a template, which Ansible would run")
        return found

    def _refuse(self, gateway: str, message: str) -> None:
        """Let whoever asks for the variables hear why there are none: a source that fails is only a warning."""
        hint = message.replace("\\", "/").replace('"', "'").replace("{", "(").replace("}", ")")
        for name in (SERVER, CLIENTS):
            self.inventory.set_variable(gateway, name, f'{{{{ undef(hint="{hint}") }}}}')


def _texts(option: str, value: dict[Any, Any]) -> dict[str, str]:
    """Return an option as texts: YAML reads some names of policies as numbers."""
    for key, policy in value.items():
        if isinstance(policy, (dict, list)) or policy is None:
            raise SourceError(f"{option}: {key}: is not the name of a policy")
    return {str(key): str(policy) for key, policy in value.items()}
