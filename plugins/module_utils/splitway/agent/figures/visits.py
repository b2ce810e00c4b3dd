# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way an answered name goes for a client: by the rules, as its next packet would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

from ...services import Service
from ...state import MarkPolicy, Marks, State
from ...verdict import decide, holder
from ..names.answers import Answer
from ..names.learned import Names

WEB = Service(protocol=6, port=443)
"""What a name is asked for, mostly."""


class Ways:
    """The rules of one generation, asked by client, name and address."""

    def __init__(self, state: State, marks: Marks, names: Names) -> None:
        static = {item.name: item.members for item in state.sets if item.timeout is None}
        self._marks, self._names = marks, names
        self._in_networks = holder({**static, **marks.networks}, {})
        self._egresses = {egress.number: egress.name for egress in marks.egresses}
        self._policies: Mapping[int, Mapping[int, MarkPolicy]] = {
            version: {policy.number: policy for policy in marks.family(version).policies} for version in (4, 6)
        }
        peers = state.server.peers if state.server else ()
        self._clients = {network.split("/")[0]: peer.name for peer in peers for network in peer.allowed_ips}

    def of(self, answer: Answer) -> Optional[tuple[str, str]]:
        """Return the client's name and the egress of the answer's first address; None when it is no client's."""
        client, address = self._clients.get(answer.client), answer.addresses[0]
        if client is None:
            return None
        version = 6 if ":" in address else 4
        family = self._marks.family(version)
        # The client asks by either of its families; its addresses of both have the same policy.
        numbers = (self._marks.family(family_).clients.get(answer.client) for family_ in (4, 6))
        policy = next((self._policies[version].get(number) for number in numbers if number is not None), None)
        if policy is None:
            return None
        learned = self._names.sets_of(answer.name, address)
        number = decide(family, policy, address, lambda name, at: name in learned or self._in_networks(name, at), WEB)
        return client, self._egresses.get(number, str(number))
