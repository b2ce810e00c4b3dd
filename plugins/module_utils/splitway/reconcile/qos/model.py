# SPDX-License-Identifier: GPL-3.0-or-later
"""What a section of rates is in the kernel: queues, classes, and our table that gives each packet its class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Optional, Union

from ...state import Qos

DEVICE = "splitway-rates"
"""The ifb device through which passes what rated clients send: only what leaves a device can be queued."""

HANDLE = 0x5377  # of our root queues, by which we know them
DOWN, UP = "down", "up"
MAPS = {(DOWN, 4): "down4", (DOWN, 6): "down6", (UP, 4): "up4", (UP, 6): "up6"}

_BURST_SECONDS, LEAST_BURST = 0.01, 4096  # bytes: what may pass at once, at least two packets
_QUEUE_SECONDS = 0.15
# Bytes. With 72,000, connections of 1 mbit get 0.7 to 1.0 of it in their first seconds, with these 0.95 to 1.0
# (measured): what was lost is sent again, and comes in, only after all that is queued.
LEAST_QUEUE = 20_000
SHORTEST_TARGET = 5  # milliseconds, fq_codel's own


class Leaf(NamedTuple):
    """The queue of a class: its kind, and the bytes that it holds where that is how it is bounded."""

    kind: str
    limit: int = 0


@dataclass(frozen=True)
class Class:
    """One class as the kernel has it."""

    rate: int  # bytes per second
    leaf: Optional[Leaf] = None


@dataclass(frozen=True)
class Root:
    """The root queue of an interface; handle 0 is the kernel's default, which is nobody's."""

    kind: str
    handle: int

    @property
    def ours(self) -> bool:
        return (self.kind, self.handle) == ("htb", HANDLE)


@dataclass(frozen=True)
class Chain:
    """A chain of our table: what it says, in nft's words, without what names devices by their numbers."""

    base: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Our table: map → address → class, and chain → what its rules are known by."""

    maps: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What a section asks for, by device and direction."""

    devices: Mapping[str, str] = field(default_factory=dict)  # direction → the interface that queues
    classes: Mapping[str, Mapping[int, tuple[str, int]]] = field(default_factory=dict)  # interface → class → name, rate
    maps: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    chains: Mapping[str, Chain] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceStep:
    """The ifb device is made, or removed."""

    wanted: bool


@dataclass(frozen=True)
class RootStep:
    """An interface's root queue becomes ours, or is removed."""

    interface: str
    wanted: bool


@dataclass(frozen=True)
class ClassStep:
    """A class of an interface is made, changed, or removed (rate 0)."""

    interface: str
    number: int
    rate: int  # bytes per second
    new: bool = False
    leaf: str = ""  # the kind of its queue now; "": none but HTB's own


@dataclass(frozen=True)
class ChainStep:
    """A chain of our table is written, or removed (None)."""

    name: str
    found: bool
    wanted: Optional[Chain]
    interface: str = ""


@dataclass(frozen=True)
class MapStep:
    """A map of our table is made or removed."""

    name: str
    wanted: bool


@dataclass(frozen=True)
class EntriesStep:
    """Entries of a map: address → class as it is (0: none), class wanted (0: removed)."""

    name: str
    entries: tuple[tuple[str, int, int], ...]


Step = Union[DeviceStep, RootStep, ClassStep, ChainStep, MapStep, EntriesStep]


def wanted_of(qos: Optional[Qos]) -> Wanted:
    """Return what a section asks for; nothing where no client has a rate."""
    if qos is None or not qos.clients:
        return Wanted()
    devices: dict[str, str] = {}
    classes: dict[str, dict[int, tuple[str, int]]] = {}
    maps: dict[str, dict[str, int]] = {}
    chains: dict[str, Chain] = {}
    for direction, interface in ((DOWN, qos.interface), (UP, DEVICE)):
        rated = [(client, client.down if direction == DOWN else client.up) for client in qos.clients]
        if not any(rate for _, rate in rated):
            continue
        devices[direction] = interface
        classes[interface] = {client.number: (client.name, on_the_wire(rate)) for client, rate in rated if rate}
        chains[direction] = _chain(direction, qos.interface)
        for version in (4, 6):
            maps[MAPS[direction, version]] = {
                address: client.number
                for client, rate in rated
                if rate
                for address in client.addresses
                if (6 if ":" in address else 4) == version
            }
    return Wanted(devices, classes, maps, chains)


def _chain(direction: str, interface: str) -> Chain:
    hook, field_, end = ("egress", "daddr", "") if direction == DOWN else ("ingress", "saddr", f' fwd to "{DEVICE}"')
    words = {4: "ip", 6: "ip6"}
    return Chain(
        f'type filter hook {hook} device "{interface}" priority 0; policy accept;',
        tuple(
            # A packet of nobody with a rate ends the rule at the map: it goes its way as if there were no rates.
            f"meta priority set {words[version]} {field_} map @{MAPS[direction, version]}{end}"
            for version in (4, 6)
        ),
    )


def on_the_wire(rate: int) -> int:
    """Return the bytes per second that a class has for a client's bits per second.

    It counts whole packets, of which TCP and IP take 3.7 % (IPv4) to 5.1 % (IPv6) for their headers at an MTU of 1420;
    an operator means what a transfer moves. So a class has 4 % more.
    """
    return rate * 13 // 100


def as_written(rate: int) -> int:
    """Return the bits per second of a client whose class has so many bytes per second."""
    return round(rate * 100 / 13)


def burst(rate: int) -> int:
    """Return the bytes that a class may send at once; `rate` in bytes per second."""
    return max(LEAST_BURST, int(rate * _BURST_SECONDS))


def queue(rate: int) -> int:
    """Return the bytes of a class's plain queue: 150 ms of them, and at the least what TCP begins with."""
    return max(LEAST_QUEUE, int(rate * _QUEUE_SECONDS))


def target(rate: int) -> int:
    """Return fq_codel's target in milliseconds: at low rates two packets alone take longer than its own."""
    return max(SHORTEST_TARGET, 2 * 1514 * 1000 // rate)
