# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway's part of its fleet's clients."""

from __future__ import annotations

DOCUMENTATION = r"""
name: placed_clients
short_description: The clients of the fleet that are placed on a gateway
version_added: 0.1.0
description:
  - Gives the gateway whose variable it stands in those entries of C(splitway_fleet_clients) that the file of the
    placement, C(splitway_placement_file), has on it, each with its addresses there.
  - What an entry has beside C(gateway), C(region) and C(standby) is passed on as it is, templates and vaulted values
    filled in. A client for which this gateway is a standby has its C(priority) here, from 2 on.
  - Fails when the inventory has a client otherwise than the file, so that nobody is on a gateway that is not meant.
    C(splitway.gateway.placement) brings the file up to date. A client that is no more in the inventory is not given,
    whatever the file says.
author:
  - splitway contributors (@splitway)
options: {}
seealso:
  - module: splitway.gateway.splitway_placement
"""

EXAMPLES = r"""
# in group_vars/splitway_gateways.yml
splitway_clients: "{{ lookup('splitway.gateway.placed_clients') }}"

# a gateway with clients of its own beside them, in its host_vars
# splitway_clients: "{{ lookup('splitway.gateway.placed_clients') + my_own_clients }}"
"""

RETURN = r"""
_raw:
  description: One list, of entries as C(splitway_clients) takes them.
  type: list
  elements: list
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.splitway.gateway.plugins.module_utils._exchange import text_of
from ansible_collections.splitway.gateway.plugins.module_utils._variables import holds_template
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.placement.document import Kept, kept
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.placement.given import given
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.placement.reading import CLIENTS, READ_KEYS
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError
from ansible_collections.splitway.gateway.plugins.plugin_utils.fleet import FILE, PLACING, placement_path

GATEWAYS = "splitway_gateways"


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms: list[Any], variables: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> list[Any]:
        known = variables or {}
        if known.get(PLACING):
            return [[]]
        if terms or kwargs:
            raise AnsibleLookupError("placed_clients takes no arguments: it is about the gateway that it stands at")
        if CLIENTS not in known:
            raise AnsibleLookupError(f"{CLIENTS} is not defined for this gateway")
        path = placement_path(known, self._filled(known.get(FILE)))
        entries = known[CLIENTS]
        if isinstance(entries, str):
            entries = self._filled(entries)
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
            raise AnsibleLookupError(f"{CLIENTS} is not a list of mappings")
        gateway = str(known["inventory_hostname"])
        gateways = frozenset(known.get("groups", {}).get(GATEWAYS, ())) or {gateway}
        try:
            own = given(gateway, [self._placed_by(entry) for entry in entries], _kept(str(path)), gateways, str(path))
        except (TopologyError, OSError) as error:
            raise AnsibleLookupError(str(error)) from error
        # One element: of more, `lookup` would make a text, or a list, by what is in them.
        return [[self._filled(entry) for entry in own]]

    def _placed_by(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an entry with what it is placed by filled in."""
        templates = {key: entry[key] for key in READ_KEYS if key in entry and holds_template(entry[key])}
        return {**entry, **{key: self._filled(value) for key, value in templates.items()}} if templates else entry

    def _filled(self, value: Any) -> Any:
        return self._templar.template(value) if holds_template(value) else value


def _kept(path: str) -> Kept:
    text = text_of(Path(path))
    if text is None:
        raise TopologyError(f"{path} is not there: run splitway.gateway.placement first")
    return kept(text, path)
