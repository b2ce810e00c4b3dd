# SPDX-License-Identifier: GPL-3.0-or-later
"""The topology as dataclasses: what the operator wrote, checked and in canonical spelling.

Domains are lower case, in their ASCII (IDNA 2008) form, without a leading ``*.`` or a trailing dot.
Disabled upstreams stay (their egress must not leak), disabled clients and rules are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Optional, Union

from ..addresses import at_port
from ..schedules import Schedule
from ..services import Ports

Address = Union[IPv4Address, IPv6Address]
Interface = Union[IPv4Interface, IPv6Interface]
Network = Union[IPv4Network, IPv6Network]

DIRECT, BLOCK = "direct", "block"
"""The egresses that are always there; no upstream and no group may take their names."""

HTTP, HTTPS = Ports(80, 80), Ports(443, 443)
LOCAL = Ports(41000, 41099)  # on the gateway's loopback, where nobody else needs to know them


@dataclass(frozen=True)
class Endpoint:
    """Where a WireGuard peer answers. `host` is a name, an IPv4 or an IPv6 address without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return at_port(self.host, self.port)


@dataclass(frozen=True)
class WebsocketServer:
    """The far end of WebSockets, on an exit or on the gateway for its own clients."""

    path: str = field(repr=False)  # below which it answers: a secret
    certificate: str  # files on that host
    key: str
    program: str = "wstunnel"  # wstunnel | websocat
    listen: tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104 the world is to reach it
    ports: Ports = HTTPS  # the first that is free
    client_ca: Optional[str] = None  # clients must have a certificate of it
    proxies: bool = False  # whether its clients reach proxies of this host


@dataclass(frozen=True)
class Websocket:
    """The near end of an upstream's WebSocket."""

    servers: tuple[str, ...]  # "wss://host:port": the first, and backups
    path: str = field(repr=False)
    program: str = "wstunnel"  # wstunnel | websocat
    verify: bool = True
    ca: Optional[str] = None  # files on the gateway
    server_name: Optional[str] = None
    certificate: Optional[str] = None
    key: Optional[str] = None
    minimum_idle: int = 5
    ping: int = 30  # seconds
    target: str = "127.0.0.1:51820"  # the exit's WireGuard, as its own host sees it
    ports: Ports = LOCAL  # on the gateway's loopback


@dataclass(frozen=True)
class ProgramSource:
    """How a program comes to a host."""

    name: str  # wstunnel | websocat
    version: Optional[str] = None  # a release of its makers'
    url: Optional[str] = None
    checksum: Optional[str] = None  # SHA-256 of what is fetched
    path: Optional[str] = None  # it is on the host already
    source: Optional[str] = None  # a file on the controller


@dataclass(frozen=True)
class ProxyUser:
    """Somebody who may use a proxy."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class ProxyListener:
    """Where a proxy is spoken to."""

    protocol: str  # socks5 | http
    listen: tuple[Address, ...]
    ports: Ports


@dataclass(frozen=True)
class Proxy:
    """A SOCKS5 proxy, an HTTP proxy, or both under one name."""

    name: str
    listeners: tuple[ProxyListener, ...]
    users: tuple[ProxyUser, ...] = ()
    sources: tuple[Network, ...] = ()
    policy: Optional[str] = None  # of its own connections
    upstream: Optional[str] = None  # at whose far end they come out


@dataclass(frozen=True)
class Pac:
    """A PAC file: which of a browser's requests go through a proxy."""

    name: str
    mode: str = "smart"  # smart | global | direct
    policy: Optional[str] = None  # smart: whose rules it goes by
    proxy: Optional[str] = None  # one of the proxies; always there unless the mode is direct
    fail_open: bool = False
    local: tuple[str, ...] = ()  # domains that are asked directly


@dataclass(frozen=True)
class WebServer:
    """What gives PAC files out."""

    listen: tuple[Address, ...] = ()  # empty: the server's addresses
    http: Optional[Ports] = HTTP
    https: Optional[Ports] = None
    certificate: Optional[str] = None  # files on the gateway
    key: Optional[str] = None
    name: Optional[str] = None  # by which browsers reach this gateway
    wpad: tuple[str, ...] = ()  # domains in which they find it by themselves
    directory: Optional[str] = None  # where copies are written


@dataclass(frozen=True)
class Server:
    """The gateway's side that clients connect to."""

    interface: str
    listen_port: int
    addresses: tuple[Interface, ...]
    private_key: Optional[str] = field(default=None, repr=False)  # None: made on the gateway once
    endpoint: Optional[Endpoint] = None  # what client configurations say; the port defaults to listen_port
    mtu: Optional[int] = None
    nat: bool = True
    websocket: Optional[WebsocketServer] = None
    adopt: bool = False  # somebody else makes the interface and its peers
    unknown_clients: str = BLOCK  # block | direct | a policy: what those of its peers get that are no clients


NO_SERVER = Server("", 0, ())
"""In the place of a server: a gateway that has proxies only."""


@dataclass(frozen=True)
class Probe:
    """What is asked for through a tunnel to see whether it moves data."""

    kind: str  # icmp | tcp | dns
    address: Address
    port: Optional[int] = None  # tcp
    name: Optional[str] = None  # dns: whose A record is asked for


@dataclass(frozen=True)
class Health:
    """How the agent finds out whether an upstream is up."""

    probes: tuple[Probe, ...] = ()  # empty: the usual ones
    interval: int = 2000  # milliseconds
    timeout: int = 1500  # milliseconds
    down: int = 3  # failed rounds, one after the other
    up: int = 3  # good rounds, one after the other
    restart: bool = True


@dataclass(frozen=True)
class Resolvers:
    """Whom the names of a list are asked at."""

    servers: tuple[str, ...]  # "address" or "address#port"
    egress: Optional[str] = None  # through which, whatever rules say; None: through that of the rules


@dataclass(frozen=True)
class Upstream:
    """One WireGuard tunnel out of the gateway."""

    name: str
    endpoint: Endpoint
    public_key: str
    allowed_ips: tuple[Network, ...]
    addresses: tuple[Interface, ...] = ()
    private_key: Optional[str] = field(default=None, repr=False)  # None: made on the gateway once
    preshared_key: Optional[str] = field(default=None, repr=False)
    mtu: Optional[int] = None  # None: as wide as its path
    persistent_keepalive: int = 25
    enabled: bool = True
    nat: bool = True
    health: Health = Health()
    on_down: str = BLOCK  # the egress of what would go there while it is down
    resolvers: tuple[str, ...] = ()  # who are asked, through the tunnel, for names that lead here
    transport: str = "udp"  # udp | wstunnel | websocat | auto
    websocket: Optional[Websocket] = None


@dataclass(frozen=True)
class Member:
    """An upstream's part in a group."""

    upstream: str
    weight: int = 1


@dataclass(frozen=True)
class Group:
    """Several upstreams used as one egress."""

    name: str
    members: tuple[Member, ...]  # failover: the best first
    mode: str = "failover"  # failover | balance | latency
    on_down: str = BLOCK  # the egress while no member is up
    hold: int = 60  # seconds that a better member has been up before new flows go to it
    margin: int = 20  # milliseconds by which another member must be faster (latency)
    resolvers: tuple[str, ...] = ()  # who are asked, through the members, for names that lead here


@dataclass(frozen=True)
class List:
    """A named bundle of domains and networks."""

    name: str
    domains: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    resolvers: Optional[Resolvers] = None
    pin: bool = False  # its names are answered with their best addresses


@dataclass(frozen=True)
class Rule:
    """What a flow has to match, and the egress that it leads to.

    Of each kind that is given one value must match; a rule has at least one.
    """

    egress: str
    domains: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    lists: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()  # ISO 3166-1 alpha-2, lower case
    protocols: tuple[str, ...] = ()
    ports: tuple[Ports, ...] = ()  # with protocols that have some
    schedule: Optional[Schedule] = None


@dataclass(frozen=True)
class Rate:
    """How fast a client may receive and send, in bits per second; None: as fast as it can."""

    down: Optional[int] = None
    up: Optional[int] = None


@dataclass(frozen=True)
class Policy:
    """An ordered list of rules and a default egress."""

    rules: tuple[Rule, ...] = ()
    default: str = DIRECT
    rate: Optional[Rate] = None  # of each client that has this policy


@dataclass(frozen=True)
class PreviousKey:
    """The key that a client had before its present one, and may still come with."""

    public_key: str
    until: int  # seconds since the epoch
    preshared_key: Optional[str] = field(default=None, repr=False)


@dataclass(frozen=True)
class Client:
    """One peer of the server's interface. It has the named policy, or one of its own."""

    name: str
    addresses: tuple[Address, ...]
    policy: Union[str, Policy]
    public_key: Optional[str] = None  # always there with a private_key; None: the key pair is made on the gateway
    private_key: Optional[str] = field(default=None, repr=False)
    preshared_key: Optional[str] = field(default=None, repr=False)
    persistent_keepalive: int = 25  # seconds, in its configuration file
    rate: Optional[Rate] = None  # its own, in place of its policy's
    priority: int = 1  # of this gateway among those of the client, in the name of its file; 1: its first
    expires: Optional[int] = None  # seconds since the epoch, from which on it is no peer; None: never
    previous: Optional[PreviousKey] = None
    refused: bool = False  # disabled, and may still be a peer of an adopted interface: nothing of it gets anywhere


@dataclass(frozen=True)
class LanClients:
    """Clients without WireGuard: what comes in by an interface from networks of theirs."""

    name: str
    interface: str
    networks: tuple[Network, ...]
    policy: Union[str, Policy]


@dataclass(frozen=True)
class Names:
    """The gateway's resolver for its clients."""

    servers: tuple[str, ...] = ()  # "address" or "address#port"; empty: the host's own
    max_ttl: int = 600  # seconds
    cache_size: int = 10000
    tls: tuple[str, ...] = ()  # "address@port#name": asked over TLS, instead of servers
    direct: tuple[str, ...] = ()  # for names that rules lead to direct; empty: as the rest
    proxied: tuple[str, ...] = ()  # for names that lead to an upstream or group without resolvers of its own
    filter_aaaa: bool = False


@dataclass(frozen=True)
class ClientFolder:
    """Where clients' configuration files are written."""

    destination: str = "gateway"  # gateway | controller
    directory: Optional[str] = None  # None: the place that the role clients has for them
    qr: bool = True


@dataclass(frozen=True)
class BundleFolder:
    """Where clients' bundles are written, and what is in them."""

    destination: str = "controller"  # gateway | controller
    directory: Optional[str] = None  # None: the place that the role clients has for them
    qr: bool = True
    passwords: bool = False  # whether a client's own password of a proxy is in the page
    address: Optional[str] = None  # of the gateway, for WebSockets; None: that of the server's endpoint
    ca: Optional[str] = None  # a file on the controller: who signed the gateway's certificate


@dataclass(frozen=True)
class AgentSettings:
    """What the agent does beside its duties."""

    metrics: Optional[str] = "127.0.0.1:9586"  # where Prometheus asks; None: nowhere
    access_log: Optional[int] = None  # days that it is kept; None: off
    warm_up: bool = True  # whether the lists' names are resolved at start
    log_level: str = "info"  # debug | info | warning | error


@dataclass(frozen=True)
class Resolving:
    """How the agent asks for the lists' names, and tries the addresses of those that are pinned."""

    servers: tuple[str, ...] = ()  # "address" or "address#port"; empty: those of the clients' resolver
    interval: int = 10000  # milliseconds within which a dead address is replaced
    timeout: int = 2000  # milliseconds
    tries: int = 3
    concurrency: int = 50  # questions at once
    port: int = 443
    countries: tuple[str, ...] = ()  # where addresses are preferred


@dataclass(frozen=True)
class CountrySource:
    """A file that says which addresses belong to which country."""

    location: str  # tor-geoipdb (Debian's package), a path, or a URL
    format: str = "tor"  # tor | rir | maxmind | csv
    checksum: str = ""  # SHA-256 that it must have; "": any


@dataclass(frozen=True)
class CountrySettings:
    """Where data of countries comes from."""

    sources: tuple[CountrySource, ...] = (CountrySource("tor-geoipdb"),)
    refresh: int = 86400  # seconds from one look at them to the next, on the gateway
    where: str = "gateway"  # gateway | controller: who has or fetches the files


@dataclass(frozen=True)
class DnsGuard:
    """What is done about clients that would ask other resolvers than the gateway."""

    redirect: bool = True  # the gateway answers what clients send to port 53, wherever they send it
    canary: bool = True  # use-application-dns.net does not exist, so that browsers leave their own DoH off
    filter_https: bool = True  # HTTPS and SVCB answers, whose addresses never reach a set, are left out
    refuse_dot: bool = False  # DNS over TLS and over QUIC
    refuse_doh: bool = False  # the well known resolvers over HTTPS


@dataclass(frozen=True)
class OpenPort:
    """Ports of the gateway that clients may reach."""

    protocol: str  # tcp | udp
    low: int
    high: int


@dataclass(frozen=True)
class Hardening:
    """What clients may reach beside the way out, and what the gateway forwards for others."""

    client_isolation: bool = False  # clients do not reach each other
    gateway_ports: Optional[tuple[OpenPort, ...]] = ()  # beside DNS and ping; None: all
    reach_clients: bool = False  # whether others than clients may begin connections to clients
    forward_others: str = "auto"  # auto | allow | refuse; auto: as it was before forwarding was switched on for us
    foreign_drop: str = "fail"  # fail | warn | ignore


@dataclass(frozen=True)
class Topology:
    """One gateway's topology."""

    server: Server
    upstreams: tuple[Upstream, ...] = ()
    lists: tuple[List, ...] = ()
    policies: tuple[tuple[str, Policy], ...] = ()  # (name, policy)
    clients: tuple[Client, ...] = ()
    backend: str = "ipset"  # ipset | nftables
    dns: Names = Names()
    retention: int = 43200  # seconds
    mark_mask: int = 0x3FFF  # contiguous bits; the highest says "classified"
    table_base: int = 100  # table of `block`; upstreams follow
    rule_priority: int = 5000  # the first of our ip rules' five priorities
    client_files: ClientFolder = ClientFolder()
    groups: tuple[Group, ...] = ()
    agent: AgentSettings = AgentSettings()
    countries: CountrySettings = CountrySettings()
    dns_guard: DnsGuard = DnsGuard()
    hardening: Hardening = Hardening()
    lan_clients: tuple[LanClients, ...] = ()
    resolving: Resolving = Resolving()
    host_policy: Optional[str] = None  # the policy of the gateway's own connections; None: they are left alone
    mode: str = "wireguard"  # proxy | wireguard | combined
    fallback_modes: tuple[str, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    pac: tuple[Pac, ...] = ()
    web: WebServer = WebServer()
    programs: tuple[ProgramSource, ...] = ()
    client_bundle: BundleFolder = BundleFolder()
    network_namespace: str = ""  # container:NAME, or the name of one; "": the host's own


@dataclass(frozen=True)
class ExitGateway:
    """A gateway as its exit knows it: the peer at the other end of the upstream."""

    name: str
    public_key: str
    addresses: tuple[Network, ...]  # of the upstream, and networks behind it
    preshared_key: Optional[str] = field(default=None, repr=False)


@dataclass(frozen=True)
class ExitNode:
    """The far end of upstreams."""

    addresses: tuple[Interface, ...]
    interface: str = "wg-exit"
    listen_port: int = 51820
    private_key: Optional[str] = field(default=None, repr=False)  # None: made on the exit once
    mtu: int = 1420
    gateways: tuple[ExitGateway, ...] = ()
    websocket: Optional[WebsocketServer] = None
    programs: tuple[ProgramSource, ...] = ()
