# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of one gateway: plain data, one section a reconciler; to and from plain dicts and lists.

The compiler makes a State, the modules carry its sections to the host, the reconcilers bring them
into the kernel. Addresses and networks are canonical strings here (``ipaddress``'s spelling).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Optional, cast

from .agent import Agent, CountryData, CountrySource, Group, Member, Target, Watch
from .constants import DIRECT, FAMILIES, REST, STATIC_SIZE
from .devices import Device, Peer, PreviousKey
from .dns import Dns, Forward, Record, Through
from .marks import (
    ClientGuard,
    Egress,
    FamilyMarks,
    Host,
    LanNetwork,
    MarkPolicy,
    MarkRule,
    Marks,
    OpenPort,
    ProxyAccount,
    TunnelMtu,
    Way,
)
from .mask import classified_bit, exempt_mark, mark_of, number_field
from .plain import from_data, to_data, value_from_data
from .ports import PortRange
from .proxies import PROXY_ACCOUNT, PROXY_USERS, Listener, Proxies, Proxy, ProxyUser
from .qos import Qos, RatedClient
from .resolving import Pinned, Resolving
from .routes import Routes, Rule, Table
from .sets import AddressSet
from .transports import (
    HTTP,
    SOCKS5,
    TRANSPORT_USER,
    WIREGUARD,
    Forwarding,
    Program,
    TransportClient,
    Transports,
    TransportServer,
    TransportTarget,
)
from .web import PacFile, PacServer, Web

__all__ = [
    "DIRECT",
    "FAMILIES",
    "HTTP",
    "PROXY_ACCOUNT",
    "PROXY_USERS",
    "REST",
    "SCHEMA",
    "SECTIONS",
    "SOCKS5",
    "STATIC_SIZE",
    "TRANSPORT_USER",
    "WIREGUARD",
    "AddressSet",
    "Agent",
    "ClientGuard",
    "CountryData",
    "CountrySource",
    "Device",
    "Dns",
    "Egress",
    "FamilyMarks",
    "Forward",
    "Forwarding",
    "Group",
    "Host",
    "LanNetwork",
    "Listener",
    "MarkPolicy",
    "MarkRule",
    "Marks",
    "Member",
    "OpenPort",
    "PacFile",
    "PacServer",
    "Peer",
    "Pinned",
    "PortRange",
    "PreviousKey",
    "Program",
    "Proxies",
    "Proxy",
    "ProxyAccount",
    "ProxyUser",
    "Qos",
    "RatedClient",
    "Record",
    "Resolving",
    "Routes",
    "Rule",
    "State",
    "Table",
    "Target",
    "Through",
    "TransportClient",
    "TransportServer",
    "TransportTarget",
    "Transports",
    "TunnelMtu",
    "Watch",
    "Way",
    "Web",
    "classified_bit",
    "devices_of",
    "exempt_mark",
    "from_data",
    "mark_of",
    "number_field",
    "section_from_data",
    "to_data",
    "without_keys",
]

SCHEMA = 1


@dataclass(frozen=True)
class State:
    """Everything one gateway must be. The default is a host on which nothing is ours."""

    backend: str = "ipset"  # ipset | nftables
    numbers: dict[str, int] = field(default_factory=dict)  # the allocation: egresses, sets, policies by key
    server: Optional[Device] = None
    upstreams: tuple[Device, ...] = ()
    routes: Routes = field(default_factory=Routes)
    sets: tuple[AddressSet, ...] = ()
    dns: Optional[Dns] = None
    marks: Optional[Marks] = None
    agent: Optional[Agent] = None
    qos: Optional[Qos] = None
    transports: Optional[Transports] = None
    proxies: Optional[Proxies] = None
    web: Optional[Web] = None
    network_namespace: str = ""  # where all of this is: container:NAME, or the name of one; "": the host's own
    source: str = ""  # a fingerprint of what it was compiled from: variables and engine; "": not known
    schema: int = SCHEMA


SECTIONS = (
    "transports",
    "upstreams",
    "routes",
    "sets",
    "dns",
    "marks",
    "server",
    "qos",
    "proxies",
    "web",
    "agent",
)
"""The sections in the order in which they are applied; removals go in reverse."""


def devices_of(state: State) -> tuple[Device, ...]:
    """Return the WireGuard interfaces that are ours."""
    server = () if state.server is None or state.server.adopted else (state.server,)
    return (*state.upstreams, *server)


def section_from_data(section: str, data: Any) -> Any:
    """Return one section of a State read from plain data. Raises ValueError that names the field."""
    return value_from_data(State, section, data)


def without_keys(state: State) -> State:
    """Return the state as it may be shown: without keys, secret paths and passwords."""
    return cast(State, _shown(state))


_SECRETS: dict[str, Optional[str]] = {"private_key": None, "preshared_key": None, "path": "", "hash": ""}


def _shown(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_shown, value))
    if not isinstance(value, _HOLDING_SECRETS):
        return value
    parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    holder: Any = value
    return dataclasses.replace(
        holder, **{name: _SECRETS[name] if name in _SECRETS else _shown(part) for name, part in parts.items()}
    )


_HOLDING_SECRETS = (
    State,
    Device,
    Peer,
    PreviousKey,
    Transports,
    TransportClient,
    TransportServer,
    Proxies,
    Proxy,
    ProxyUser,
)
