# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent knows at one moment, as plain data: for `splitway status`, and for the metrics.

Times are seconds since the epoch, durations seconds, sizes bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ... import clients
from ...clients import Holders
from ...state import Device, Peer, State, from_data, to_data
from ...transports import AUTO, WEBSOCKET, way_of
from ..healing.peers import PeerReading, Readings
from ..upstreams.health import Health
from .dns_statistics import DnsStatistics
from .flow_table import FlowTable
from .resolving import PinnedStatus, ResolverStatus
from .traffic import Key
from .transports import Carriage, ModeStatus, TransportStatus

ACTIVE = 180.0  # seconds since the last handshake within which a client counts as connected (REJECT_AFTER_TIME)


@dataclass(frozen=True)
class UpstreamStatus:
    """One upstream that is enabled."""

    name: str
    interface: str
    number: Optional[int]  # its egress number; None: no rule leads to it alone
    state: str  # up | down | unknown
    since: float  # when it came to this state
    latency: Optional[float] = None
    loss: float = 0.0  # the share of the last probes, 0 … 1
    handshake: Optional[float] = None  # when it was; None: never
    received: int = 0
    sent: int = 0
    restarts: int = 0  # since the agent started
    silent: tuple[str, ...] = ()  # probe targets that never answered
    why: str = ""  # what the last bad round of probes said
    mtu: Optional[int] = None  # bytes; None: WireGuard's default
    full_size: Optional[bool] = None  # whether packets of the MTU come back through it; None: not known
    way: str = "udp"  # udp | websocket: how the tunnel's own packets travel
    fallen_back: bool = False  # on its WebSocket since UDP does not work
    way_changes: int = 0  # since the agent started


@dataclass(frozen=True)
class GroupStatus:
    """One upstream group, or an upstream that has another way when it is down."""

    name: str
    mode: str
    ways: dict[str, int]  # where new flows go → weight; empty: they are blocked
    direct: bool = False  # they leave by the host's own routes
    switches: int = 0  # since the agent started


@dataclass(frozen=True)
class ClientStatus:
    """One client."""

    name: str
    addresses: tuple[str, ...]
    seen: Optional[float] = None  # its last handshake
    endpoint: Optional[str] = None
    received: int = 0  # from it, through the tunnel
    sent: int = 0  # to it
    bytes: dict[str, int] = field(default_factory=dict)  # way → bytes of both directions since the agent started
    expires: Optional[float] = None  # when it ceases, or ceased, to be a peer; None: never
    expired: bool = False
    key: str = ""  # which of its keys has its addresses, while it has two: new | previous


@dataclass(frozen=True)
class SetStatus:
    """One set of learned addresses or of networks."""

    name: str
    comment: str
    family: int
    learned: bool
    entries: int
    added: Optional[float] = None  # learned: when something was added last, as far as the agent saw it


@dataclass(frozen=True)
class CountryStatus:
    """One country that rules name."""

    code: str
    networks: dict[str, int] = field(default_factory=dict)  # family → how many
    problem: str = ""  # why there are none


@dataclass(frozen=True)
class CountriesStatus:
    """The countries that rules name, and the data of them."""

    countries: tuple[CountryStatus, ...] = ()
    refresh: int = 0  # seconds from one look at the sources to the next
    good: Optional[float] = None  # when one last found nothing wrong; None: never
    problem: str = ""  # why the last one kept older data


@dataclass(frozen=True)
class Drift:
    """What the agent found changed."""

    healed: dict[str, int] = field(default_factory=dict)  # section → changes brought back since the start
    refilled: int = 0  # learned addresses put back since the start
    failures: dict[str, str] = field(default_factory=dict)  # section → why it cannot be healed
    since: dict[str, float] = field(default_factory=dict)  # such a section → when that was first so


@dataclass(frozen=True)
class Snapshot:
    """Everything at one moment."""

    taken: float
    started: float  # the agent
    engine: str  # its version
    generation: str  # a fingerprint of what site.yml left; "" where it has not run
    applied: Optional[float]  # when it did
    problem: str = ""  # what is wrong with the generation's file
    upstreams: tuple[UpstreamStatus, ...] = ()
    groups: tuple[GroupStatus, ...] = ()
    clients: tuple[ClientStatus, ...] = ()
    sets: tuple[SetStatus, ...] = ()
    rules: dict[str, int] = field(default_factory=dict)  # kind → entries that rules match
    expired_clients: int = 0  # of those above
    split_clients: int = 0  # clients whose policy is more than "everything directly"
    drift: Drift = Drift()
    dns: Optional[DnsStatistics] = None  # None: dnsmasq does not answer
    failed_additions: dict[str, int] = field(default_factory=dict)  # set → additions since the start
    lost_flows: int = 0  # times that flows ended faster than they were counted
    flow_table: Optional[FlowTable] = None  # None: the kernel has none
    lost: dict[str, int] = field(default_factory=dict)  # kind → what came faster than it could be kept, since the start
    countries: CountriesStatus = CountriesStatus()
    resolvers: tuple[ResolverStatus, ...] = ()
    pinned: PinnedStatus = field(default_factory=PinnedStatus)
    transports: tuple[TransportStatus, ...] = ()
    mode: ModeStatus = field(default_factory=ModeStatus)


@dataclass(frozen=True)
class Sources:
    """What a snapshot is made of, from all over the agent. `state` is the generation with the choices."""

    state: State
    started: float
    generation: str
    applied: Optional[float]
    problem: Optional[str] = None
    holders: Holders = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)  # by upstream
    readings: Readings = field(default_factory=Readings)
    passes: Mapping[str, bool] = field(default_factory=dict)  # by upstream: whether full-size packets do
    restarts: Mapping[str, int] = field(default_factory=dict)  # by upstream
    switches: Mapping[str, int] = field(default_factory=dict)  # by group
    traffic: Mapping[Key, int] = field(default_factory=dict)
    entries: Mapping[str, int] = field(default_factory=dict)  # by set
    added: Mapping[str, float] = field(default_factory=dict)  # by set
    drift: Drift = Drift()
    dns: Optional[DnsStatistics] = None
    failed_additions: Mapping[str, int] = field(default_factory=dict)
    lost_flows: int = 0
    flow_table: Optional[FlowTable] = None
    lost: Mapping[str, int] = field(default_factory=dict)
    countries: CountriesStatus = CountriesStatus()
    resolvers: tuple[ResolverStatus, ...] = ()
    pinned: PinnedStatus = field(default_factory=PinnedStatus)
    carriage: Carriage = field(default_factory=Carriage)


def take(sources: Sources, now: float, clock: float) -> Snapshot:
    """Return the snapshot of now: `now` by the wall's clock, `clock` by the one of health (time.monotonic())."""
    state = sources.state
    return Snapshot(
        taken=now,
        started=sources.started,
        engine=state.agent.engine if state.agent else "",
        generation=sources.generation,
        applied=sources.applied,
        problem=sources.problem or "",
        upstreams=tuple(_upstream(device, sources, now - clock) for device in state.upstreams),
        groups=_groups(sources),
        clients=_clients(sources, now),
        sets=tuple(
            SetStatus(
                item.name,
                item.comment,
                item.family,
                item.timeout is not None,
                sources.entries.get(item.name, len(item.members)),
                sources.added.get(item.name),
            )
            for item in state.sets
        ),
        rules=rules_by_kind(state),
        expired_clients=sum(clients.expired(peer, now) for peer in state.server.peers) if state.server else 0,
        split_clients=split_clients(state),
        drift=sources.drift,
        dns=sources.dns,
        failed_additions=dict(sources.failed_additions),
        lost_flows=sources.lost_flows,
        flow_table=sources.flow_table,
        lost=dict(sources.lost),
        countries=sources.countries,
        transports=sources.carriage.transports,
        mode=sources.carriage.mode,
        resolvers=sources.resolvers,
        pinned=sources.pinned,
    )


def _upstream(device: Device, sources: Sources, epoch: float) -> UpstreamStatus:
    marks = sources.state.marks
    numbers = [egress.number for egress in (marks.egresses if marks else ()) if egress.name == device.name]
    health = sources.health.get(device.name)
    reading = sources.readings.first(device.interface)
    way = way_of(device.name, device.transport, sources.carriage.carried)
    return UpstreamStatus(
        name=device.name,
        interface=device.interface,
        number=numbers[0] if numbers else None,
        state=health.state if health else "unknown",
        since=epoch + health.since if health else sources.started,
        latency=health.latency if health else None,
        loss=health.loss if health else 0.0,
        handshake=_time(reading),
        received=reading.received if reading else 0,
        sent=reading.sent if reading else 0,
        restarts=sources.restarts.get(device.name, 0),
        silent=tuple(f"{target.kind} {target.address}" for target in health.silent) if health else (),
        why=health.why if health else "",
        mtu=device.mtu,
        full_size=sources.passes.get(device.name),
        way=way,
        fallen_back=device.transport == AUTO and way == WEBSOCKET,
        way_changes=sources.carriage.way_changes.get(device.name, 0),
    )


def _time(reading: Optional[PeerReading]) -> Optional[float]:
    return None if reading is None or reading.handshake is None else float(reading.handshake)


def _groups(sources: Sources) -> tuple[GroupStatus, ...]:
    state = sources.state
    groups = state.agent.groups if state.agent else ()
    egresses = {egress.number: egress for egress in (state.marks.egresses if state.marks else ())}
    upstreams = {device.interface: device.name for device in state.upstreams}
    found = []
    for group in groups:
        egress = egresses.get(group.number)
        if egress is None:
            continue
        ways: dict[str, int] = {}
        for way in egress.ways:
            there = egresses.get(way.number)
            if there is not None and there.interface is not None:
                name = upstreams.get(there.interface, there.name)
                ways[name] = ways.get(name, 0) + way.weight
        switches = sources.switches.get(group.name, 0)
        found.append(GroupStatus(group.name, group.mode, ways, egress.direct, switches))
    return tuple(found)


def _clients(sources: Sources, now: float) -> tuple[ClientStatus, ...]:
    server = sources.state.server
    if server is None:
        return ()
    # By its networks, which only one peer of an interface can have: the keys of many clients are in files.
    readings = {network: peer for peer in sources.readings.of(server.interface) for network in peer.networks}
    moved: dict[str, dict[str, int]] = {}
    for (client, way), count in sources.traffic.items():
        moved.setdefault(client, {})[way] = count
    found = []
    for peer in server.peers:
        reading = readings.get(peer.allowed_ips[0]) if peer.allowed_ips else None
        found.append(
            ClientStatus(
                name=peer.name,
                addresses=tuple(network.split("/")[0] for network in peer.allowed_ips),
                seen=_time(reading),
                endpoint=reading.endpoint if reading else None,
                received=reading.received if reading else 0,
                sent=reading.sent if reading else 0,
                bytes=moved.get(peer.name, {}),
                expires=None if peer.expires is None else float(peer.expires),
                expired=clients.expired(peer, now),
                key=_key(peer, sources.holders) if clients.in_grace(peer, now) else "",
            )
        )
    return tuple(found)


def _key(peer: Peer, holders: Holders) -> str:
    return "new" if peer.public_key is not None and holders.get(peer.name) == peer.public_key else "previous"


def rules_by_kind(state: State) -> dict[str, int]:
    """Return how many domains and networks the rules match: dnsmasq's lines, and the members of static sets."""
    special = {family.special for family in (state.marks.v4, state.marks.v6)} if state.marks else set()
    networks = sum(len(item.members) for item in state.sets if item.timeout is None and item.name not in special)
    return {"domain": len(state.dns.lines) if state.dns else 0, "network": networks}


def split_clients(state: State) -> int:
    """Return how many clients have a policy that is more than "everything directly"."""
    if state.marks is None or state.server is None:
        return 0
    names = {network.split("/")[0]: peer.name for peer in state.server.peers for network in peer.allowed_ips}
    found = set()
    for family in (state.marks.v4, state.marks.v6):
        split = {policy.number for policy in family.policies if policy.rules or policy.default}
        found |= {names.get(client, client) for client, policy in family.clients.items() if policy in split}
    return len(found)


class Additions:
    """When something was added to each set last, from how their sizes change."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}  # by set
        self._entries: Mapping[str, int] = {}

    def note(self, entries: Mapping[str, int], now: float) -> None:
        """Take the sets' sizes of now; what the first call sees was added before."""
        if entries is self._entries:
            return
        for name, count in entries.items():
            if count > self._entries.get(name, count):
                self.times[name] = now
        self.times = {name: time for name, time in self.times.items() if name in entries}
        self._entries = entries


def to_plain(snapshot: Snapshot) -> Any:
    """Return the snapshot as plain data, for JSON."""
    return to_data(snapshot)


def from_plain(data: Any) -> Snapshot:
    """Return the snapshot read from plain data. Raises ValueError."""
    return from_data(Snapshot, data)
