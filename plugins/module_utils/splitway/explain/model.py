# SPDX-License-Identifier: GPL-3.0-or-later
"""What an explanation is made from and what it says: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional

DECIDES, HIDDEN, POSSIBLE, PASSED, RESTING = "decides", "hidden", "possible", "passed", "resting"
"""The part of a rule: `possible` would come first if what cannot be known here were so; `resting`: not at this hour."""


class ExplainError(ValueError):
    """The question cannot be answered; the message is one line that says what to do."""


@dataclass(frozen=True)
class Resolved:
    """What our dnsmasq says of a name."""

    addresses: tuple[str, ...] = ()
    failure: Optional[str] = None  # why it did not answer


@dataclass(frozen=True)
class Hop:
    """Where the kernel leads a packet with a mark now."""

    interface: Optional[str] = None
    next_hop: Optional[str] = None  # None: the destination itself, or a tunnel
    local: bool = False  # the gateway itself
    refused: Optional[str] = None  # the kernel's words; then there is nothing else


@dataclass(frozen=True)
class Facts:
    """What only a running gateway knows. The default is what an inventory knows: nothing."""

    resolved: Optional[Resolved] = None  # of the name that is asked for
    in_hosts_file: bool = False  # the gateway's own /etc/hosts has the name
    holds: Optional[Callable[[str, str], Optional[bool]]] = None  # learned set, address; None: no such set
    route: Optional[Callable[[str, str, int], Hop]] = None  # client's address, destination, mark


@dataclass(frozen=True)
class Held:
    """One set of a rule."""

    set: str
    learned: bool  # else networks
    holds: Optional[bool]  # None: cannot be known here
    by: Optional[str] = None  # the domain whose line fills it with the name, or the network that holds the address
    missing: bool = False  # the kernel has no such set


@dataclass(frozen=True)
class RuleStep:
    """One rule of the policy. Neighbouring rules of its own with one egress are one."""

    position: int  # from 1
    words: str  # "list google"; "own rules"; "country cn and tcp port 443, mon-fri 09:00-17:00 UTC"
    egress: str
    sets: tuple[Held, ...]
    part: str  # DECIDES | HIDDEN | POSSIBLE | PASSED
    shared: bool = False  # it holds the address, but not for the name that was asked for


@dataclass(frozen=True)
class Path:
    """Where a share of the new flows goes."""

    number: int
    egress: str
    share: int  # percent
    mark: str
    priority: Optional[int]  # of the ip rule
    table: Optional[int]  # None: the host's own
    interface: Optional[str] = None  # None: not known here, or none
    next_hop: Optional[str] = None
    blocked: Optional[str] = None  # why nothing leaves
    websocket: bool = False  # whether the tunnel's own packets go over a WebSocket now


@dataclass(frozen=True)
class Decision:
    """What happens to packets to one address; or, without one, to those of a family that the name resolves to."""

    family: int
    source: Optional[str]  # the client's address
    address: Optional[str]
    special: Optional[bool] = None  # inside the ranges that ordinary rules do not reach; None: cannot be known here
    rules: tuple[RuleStep, ...] = ()
    egress: Optional[str] = None  # None: not classified
    number: Optional[int] = None
    by_default: bool = False  # no rule holds it
    fallback: Optional[str] = None  # the egress that is in force because the decided one is down
    paths: tuple[Path, ...] = ()
    blocked: Optional[str] = None  # why nothing leaves at all
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """Why a client's packets to a destination go where they go."""

    client: str
    policy: Optional[str]
    destination: str
    port: Optional[int]
    protocol: Optional[str]
    mask: str
    line: Optional[str]  # the domain of dnsmasq's line for the name
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...] = ()
