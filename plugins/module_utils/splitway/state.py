# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of one gateway: plain data, one section a reconciler; to and from plain dicts and lists.

The compiler makes a State, the modules carry its sections to the host, the reconcilers bring them
into the kernel. Addresses and networks are canonical strings here (``ipaddress``'s spelling).
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, TypeVar, Union, cast

from .schedules import Schedule
from .services import Ports

SCHEMA = 1

# The spelling of a family everywhere in the state: the IP version.
FAMILIES = (4, 6)

STATIC_SIZE = 1048576  # networks that a set holds; an upper bound only: it takes memory for what is in it

DIRECT = 0  # the egress number of `direct`: classified, no table of its own


@dataclass(frozen=True)
class Peer:
    """One WireGuard peer of a device."""

    name: str
    public_key: Optional[str]  # None: derived from the key that the host makes for this peer
    allowed_ips: tuple[str, ...]
    preshared_key: Optional[str] = field(default=None, repr=False)
    endpoint: Optional[str] = None  # "host:port" or "[v6]:port"
    persistent_keepalive: int = 0  # seconds, 0 = off


@dataclass(frozen=True)
class Device:
    """One WireGuard interface: the server's ``wg0`` or an upstream's ``wg-up-N``."""

    name: str  # the word of the topology: the upstream's name, or "server"
    interface: str
    private_key: Optional[str] = field(repr=False)  # None: made on the host once and kept there
    addresses: tuple[str, ...]  # with prefix length
    peers: tuple[Peer, ...]
    listen_port: Optional[int] = None
    mtu: Optional[int] = None
    mark: Optional[int] = None  # of its own encrypted packets; None: whatever it has
    mtu_from_path: bool = False  # an upstream's: what the agent finds comes before `mtu`


@dataclass(frozen=True)
class Table:
    """The routing table of one egress, both families; it always ends in a floor."""

    number: int
    egress: str
    interface: Optional[str]  # None: only the floor
    families: tuple[int, ...] = FAMILIES  # families that have a route through the interface
    floor: str = "unreachable"  # unreachable | prohibit | throw
    may_go_direct: bool = False  # on_down: direct; a choice may replace the floor by `throw`


@dataclass(frozen=True)
class Rule:
    """One ip rule, in both families unless it says which."""

    priority: int
    action: str  # lookup | goto | unreachable | nop
    table: Optional[int] = None  # lookup
    target: Optional[int] = None  # goto
    mark: Optional[int] = None
    mask: Optional[int] = None
    iif: Optional[str] = None
    oif: Optional[str] = None
    source: Optional[str] = None  # a network; with it or a destination the rule is of one family
    destination: Optional[str] = None
    family: Optional[int] = None  # None: both


@dataclass(frozen=True)
class Routes:
    """Policy routing: tables are loaded before rules."""

    tables: tuple[Table, ...] = ()
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class AddressSet:
    """One kernel set. With a timeout it holds learned addresses, without one static networks.

    With a country it only stands for one: its networks are the host's to know (present.py).
    """

    name: str
    family: int
    timeout: Optional[int] = None  # seconds; None: static
    members: tuple[str, ...] = ()  # static networks; learned members are the kernel's own
    seed_from: Optional[str] = None  # learned: a set whose addresses a new set starts with
    comment: str = ""  # what it holds, in the operator's words
    country: str = ""  # ISO 3166-1 alpha-2, lower case


@dataclass(frozen=True)
class Way:
    """Where a share of an egress's new flows goes: they get this number's mark."""

    number: int
    weight: int = 1


@dataclass(frozen=True)
class Egress:
    """One way out: its number is its mark and its table.

    An upstream group has a number, and one for each of its members ("group/upstream"), so that a flow's mark
    tells which member it is on. Flows have the group's own number only while none of its members is up.
    """

    number: int
    name: str
    interface: Optional[str] = None  # None: direct (number 0), block, or a group
    nat: bool = True
    ways: tuple[Way, ...] = ()  # what new flows get; empty: this number, always. Else a choice may replace them
    may_use: tuple[int, ...] = ()  # numbers that a choice may give, beside its own
    may_go_direct: bool = False  # on_down: direct
    direct: bool = False  # by a choice: leaves by the host's own routes now
    families: tuple[int, ...] = FAMILIES  # those that its table leads anywhere; packets of the others are refused


@dataclass(frozen=True)
class MarkRule:
    """The first of a policy's rules that a flow's first packet meets in all its parts gives the egress number."""

    sets: tuple[str, ...]  # one of them holds the destination; none: any destination does
    egress: int
    also: tuple[tuple[str, ...], ...] = ()  # as do one of these, and one of these, …
    protocols: tuple[str, ...] = ()
    ports: tuple[Ports, ...] = ()  # of the destination
    schedule: Optional[Schedule] = None
    active: bool = True  # whether the schedule is in force: the host's to know (present.py)


@dataclass(frozen=True)
class MarkPolicy:
    """One distinct policy, for one family."""

    number: int  # stable on this host, 1 … capacity of the mask
    name: str  # one of its owners, in the operator's words
    rules: tuple[MarkRule, ...]
    default: int
    # Rules for destinations inside the special (private, link-local, …) ranges; after them: direct.
    special: tuple[MarkRule, ...] = ()


@dataclass(frozen=True)
class FamilyMarks:
    """Client → policy → mark, for one family."""

    clients: dict[str, int] = field(default_factory=dict)  # address → policy number
    policies: tuple[MarkPolicy, ...] = ()
    special: str = ""  # the set of ranges that ordinary rules do not reach


@dataclass(frozen=True)
class LanNetwork:
    """A network of clients that come in by another interface than the server's."""

    interface: str
    network: str
    policy: int  # its number


@dataclass(frozen=True)
class Host:
    """The gateway's own connections under a policy."""

    policy: int  # its number
    resolvers: tuple[str, ...]  # where our dnsmasq answers: at most one address a family
    users: tuple[str, ...] = ()  # of our own resolvers, whose questions go out as they are
    accounts: tuple[int, ...] = ()  # the numbers of these users, which the host knows


@dataclass(frozen=True)
class OpenPort:
    """Ports of the gateway that clients may reach."""

    protocol: str  # tcp | udp
    low: int
    high: int


@dataclass(frozen=True)
class ClientGuard:
    """What holds for every client, whatever its policy says, and for what the gateway forwards for others."""

    redirect_dns: bool = False  # the gateway answers what clients send to port 53, wherever they send it
    refuse_dot: bool = False  # DNS over TLS and over QUIC
    doh_v4: str = ""  # the set of resolvers over HTTPS that are refused; empty: none
    doh_v6: str = ""
    isolate: bool = False  # clients do not reach each other
    ports: Optional[tuple[OpenPort, ...]] = None  # of the gateway, beside DNS and ping; None: all
    resolvers: tuple[str, ...] = ()  # the gateway's addresses at which clients may ask
    protect_clients: bool = False  # only clients begin connections to clients
    refuse_others: tuple[int, ...] = ()  # families in which nothing is forwarded that is neither from nor to clients
    others_as_before: bool = False  # such a family is also one in which this host forwarded nothing before us
    foreign_drop: str = "ignore"  # fail | warn | ignore: what a run does where rules of others stop clients' packets

    def doh(self, version: int) -> str:
        return self.doh_v4 if version == 4 else self.doh_v6


@dataclass(frozen=True)
class TunnelMtu:
    """How large a packet in a tunnel may be."""

    interface: str
    mtu: int  # bytes
    endpoint: str = ""  # what the agent finds for the path to there comes before `mtu`; "": nothing does


@dataclass(frozen=True)
class Marks:
    """Classification of what comes in from clients, the guard in the forward hook, and NAT."""

    interface: str  # the clients' interface
    tunnels: str  # prefix of upstream interfaces, e.g. "wg-up-"
    mask: int
    egresses: tuple[Egress, ...]
    v4: FamilyMarks
    v6: FamilyMarks
    # Static networks by set name, where the backend keeps them in the chains (nftables).
    networks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tunnel_mtus: tuple[TunnelMtu, ...] = ()  # to which TCP segments are clamped
    lan: tuple[LanNetwork, ...] = ()  # the longest prefixes first: the first that holds a source decides
    host: Optional[Host] = None
    countries: dict[str, str] = field(default_factory=dict)  # set name → the country that it stands for
    guard: ClientGuard = ClientGuard()

    def family(self, version: int) -> FamilyMarks:
        return self.v4 if version == 4 else self.v6


@dataclass(frozen=True)
class Through:
    """Whom names are asked at while their egress takes one way."""

    number: int
    servers: tuple[str, ...]


@dataclass(frozen=True)
class Forward:
    """Names that are asked at resolvers of their own, and at no others."""

    domains: tuple[str, ...]  # each with all below it; the longest that matches counts
    servers: tuple[str, ...]  # "address[#port]", "…@interface" through a tunnel only, "#" as the rest; none: nowhere
    egress: int = DIRECT  # the number of the egress that the names lead to
    ways: tuple[Through, ...] = ()  # where it has a choice: the resolvers by each of its ways
    directly: tuple[str, ...] = ()  # the resolvers while it goes directly; none: it never does


@dataclass(frozen=True)
class Dns:
    """Our own dnsmasq instance: bound to the clients' interface, filling the learned sets."""

    interface: str
    servers: tuple[str, ...]  # empty: the host's own resolvers (/etc/resolv.conf)
    lines: tuple[str, ...]  # complete ipset=/nftset= lines, one a domain
    max_ttl: int = 600  # seconds
    cache_size: int = 10000
    forwards: tuple[Forward, ...] = ()
    absent: tuple[str, ...] = ("use-application-dns.net",)  # names that do not exist for clients
    filtered: tuple[str, ...] = ("HTTPS", "SVCB")  # kinds of records that are left out of answers
    tls: tuple[str, ...] = ()  # "address@port#name": the servers are asked over TLS, by our forwarder
    lan: tuple[str, ...] = ()  # further interfaces of clients
    for_host: bool = False  # whether the host's own questions come here


@dataclass(frozen=True)
class Target:
    """What a probe asks for through a tunnel."""

    kind: str  # icmp | tcp | dns
    address: str
    port: Optional[int] = None  # tcp, dns
    name: Optional[str] = None  # dns: whose A record is asked for


@dataclass(frozen=True)
class Watch:
    """How the agent finds out whether an upstream is up."""

    upstream: str
    interface: str
    targets: tuple[Target, ...]
    interval: int = 2000  # milliseconds from one round of probes to the next
    timeout: int = 1500  # milliseconds
    down_after: int = 3  # failed rounds, one after the other
    up_after: int = 3  # good rounds, one after the other
    restart: bool = True  # whether an upstream that is down is restarted


@dataclass(frozen=True)
class Member:
    """One upstream of a group, under the number that its flows have there."""

    number: int
    upstream: str
    weight: int = 1


@dataclass(frozen=True)
class Group:
    """An upstream group; or an upstream with another way when it is down: a group of itself, with its own number."""

    number: int
    name: str
    mode: str  # failover | balance | latency
    members: tuple[Member, ...]  # failover: the best first
    on_down: str = "block"  # block | direct | egress
    fallback: Optional[int] = None  # on_down: egress; the number of an upstream or of another group
    hold: int = 60  # seconds that a better member has been up before new flows go to it
    margin: int = 20  # milliseconds by which a member must be faster than the one in use (latency)


@dataclass(frozen=True)
class CountrySource:
    """One file, or two, that say which addresses belong to which country."""

    location: str  # tor-geoipdb (Debian's package), a path, or a URL
    format: str = "tor"  # tor | rir | maxmind | csv
    checksum: str = ""  # SHA-256 that it must have; "": any


@dataclass(frozen=True)
class CountryData:
    """Where the gateway has its data of countries from."""

    sources: tuple[CountrySource, ...]
    refresh: int = 86400  # seconds from one look at them to the next


@dataclass(frozen=True)
class Agent:
    """The agent on the gateway: which engine it runs, and what it looks after."""

    engine: str  # the engine's version: a digest of its files
    watches: tuple[Watch, ...] = ()
    groups: tuple[Group, ...] = ()
    retention: int = 43200  # seconds
    warm_up: bool = True  # whether the lists' names are resolved at start
    metrics: Optional[str] = None  # "address:port" of the exporter
    access_log: Optional[int] = None  # days that it is kept; None: off
    countries: Optional[CountryData] = None  # where the data of countries in use comes from; None: none is in use


@dataclass(frozen=True)
class RatedClient:
    """How fast one client may receive and send, all its addresses together. None: as fast as it can."""

    name: str
    number: int  # of its class: stable on this host, 1 … 65534
    addresses: tuple[str, ...]
    down: Optional[int] = None  # bits per second, towards the client
    up: Optional[int] = None  # bits per second


@dataclass(frozen=True)
class Qos:
    """The clients that have a rate."""

    interface: str  # the clients' interface
    clients: tuple[RatedClient, ...] = ()


@dataclass(frozen=True)
class State:
    """Everything one gateway must be. The default is a host on which nothing is ours."""

    backend: str = "ipset"  # ipset | nftables
    numbers: dict[str, int] = field(default_factory=dict)  # the allocation: egresses, sets, policies by key
    server: Optional[Device] = None
    upstreams: tuple[Device, ...] = ()
    routes: Routes = Routes()
    sets: tuple[AddressSet, ...] = ()
    dns: Optional[Dns] = None
    marks: Optional[Marks] = None
    agent: Optional[Agent] = None
    qos: Optional[Qos] = None
    source: str = ""  # a fingerprint of what it was compiled from: variables and engine; "": not known
    schema: int = SCHEMA


SECTIONS = ("upstreams", "routes", "sets", "dns", "marks", "server", "qos", "agent")
"""The sections in the order in which they are applied; removals go in reverse."""


def number_field(mask: int) -> tuple[int, int]:
    """Return (shift, classified bit) of a contiguous mask; the bit is in the number's own scale."""
    shift = (mask & -mask).bit_length() - 1
    return shift, ((mask >> shift) + 1) >> 1


def mark_of(number: int, mask: int) -> int:
    """Return the mark of an egress number: the classified bit and the number, inside the mask."""
    shift, classified = number_field(mask)
    return (classified | number) << shift


def classified_bit(mask: int) -> int:
    """Return the bit that says "classified", in place."""
    shift, classified = number_field(mask)
    return classified << shift


def exempt_mark(mask: int) -> int:
    """Return the mark of the gateway's own packets that no policy concerns: no egress's, and not classified."""
    return mask & ~classified_bit(mask)


T = TypeVar("T")
Reader = Callable[[Any, str], Any]  # plain data and where it stands → the value


def to_data(value: Any) -> Any:
    """Return plain dicts, lists and scalars of a state, a section or a part of one."""
    if isinstance(value, (str, int)) or value is None:
        return value
    if dataclasses.is_dataclass(value):
        return {name: to_data(getattr(value, name)) for name in _field_names(cast(Any, type(value)))}
    if isinstance(value, (tuple, list)):
        return [to_data(item) for item in value]
    if isinstance(value, dict):
        return {key: to_data(item) for key, item in value.items()}
    return value


@functools.cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def from_data(kind: type[T], data: Any) -> T:
    """Return the dataclass `kind` read from plain data. Raises ValueError that names the field."""
    return cast(T, _reader(cast(Any, kind))(data, kind.__name__))


def section_from_data(section: str, data: Any) -> Any:
    """Return one section of a State read from plain data. Raises ValueError that names the field."""
    return _reader(_hints(State)[section])(data, section)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


@functools.cache
def _reader(kind: Any) -> Reader:
    """Return how values of a type are read; made once a type, since a state has ten thousands of values."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Union:  # Optional[X]
        inner = _reader(arguments[0])
        return lambda data, where: None if data is None else inner(data, where)
    if origin is tuple:
        return _tuple_reader(arguments[0])
    if origin is dict:
        return _dict_reader(arguments[1])
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    return _scalar_reader(kind)


def _scalar_reader(kind: Any) -> Reader:
    def read(data: Any, where: str) -> Any:
        if not isinstance(data, kind):
            raise ValueError(f"{where}: {kind.__name__} was expected")
        return data

    return read


def _tuple_reader(kind: Any) -> Reader:
    inner, scalars = _reader(kind), {kind}

    def read(data: Any, where: str) -> Any:
        if not isinstance(data, (list, tuple)):
            raise ValueError(f"{where}: a list was expected")
        if {*map(type, data)} <= scalars:  # ten thousands of lines and addresses
            return tuple(data)
        return tuple([inner(item, where) for item in data])

    return read


def _dict_reader(kind: Any) -> Reader:
    inner, scalars = _reader(kind), {kind}

    def read(data: Any, where: str) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"{where}: a mapping was expected")
        if {*map(type, data.values())} <= scalars and {*map(type, data)} <= {str}:
            return dict(data)
        return {str(key): inner(item, where) for key, item in data.items()}

    return read


def _dataclass_reader(kind: Any) -> Reader:
    readers = {name: _reader(hint) for name, hint in _hints(kind).items()}
    # Module arguments leave out what is None.
    absent = {name: None for name, hint in _hints(kind).items() if typing.get_origin(hint) is Union}

    def read(data: Any, where: str) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"{where}: a mapping was expected")
        try:
            return kind(**{**absent, **{key: readers[key](item, key) for key, item in data.items()}})
        except KeyError as error:
            raise ValueError(f"{where}: unknown field {error}") from error
        except ValueError as error:
            raise ValueError(f"{where}.{error}") from error
        except TypeError as error:
            raise ValueError(f"{where}: {error}") from error

    return read


def without_keys(state: State) -> State:
    """Return the state as it may be shown: without private and preshared keys."""

    def bare(device: Device) -> Device:
        peers = tuple(dataclasses.replace(peer, preshared_key=None) for peer in device.peers)
        return dataclasses.replace(device, private_key=None, peers=peers)

    server = None if state.server is None else bare(state.server)
    return dataclasses.replace(state, server=server, upstreams=tuple(map(bare, state.upstreams)))
