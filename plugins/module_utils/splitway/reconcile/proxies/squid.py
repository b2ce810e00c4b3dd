# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a proxy's squid: an HTTP proxy that keeps nothing, and what is behind SOCKS5."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Optional

from ...addresses import at_port
from ...state import Proxy

AUTHENTICATION = "/usr/lib/squid/basic_ncsa_auth"
CREDENTIALS = 10  # seconds that a password is taken to be right without another test

# Of this host itself: what listens there only is for nobody else.
OWN = ("0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128")
# What is no address of the Internet: an exit's own networks are not its gateways'.
_PRIVATE4 = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
_NAT64 = IPv6Network("64:ff9b::/96")


def _translated(network: IPv4Network) -> str:
    """Return the addresses that NAT64 makes of a network's (RFC 6052)."""
    first = int(_NAT64.network_address) | int(network.network_address)
    return str(IPv6Network((first, _NAT64.prefixlen + network.prefixlen)))


PRIVATE = (*_PRIVATE4, "fc00::/7", "fe80::/10", *(_translated(IPv4Network(network)) for network in _PRIVATE4))


def configuration(
    proxy: Proxy,
    *,
    listen: tuple[str, ...],
    port: Optional[int],
    inner: Optional[int],
    far: Optional[int],
    resolvers: tuple[str, ...],
    users: str,
    log: bool,
    own: tuple[str, ...],
) -> str:
    """Return squid.conf.

    `port`: where HTTP is spoken; `inner`: for our own SOCKS5; `far`: of an exit's proxy. None: there is none.
    `users`: a file; `own`: the host's public addresses.
    """
    return "\n".join(
        (
            "# Made by splitway",
            *(f"http_port {at_port(address, port)}" for address in listen if port is not None),
            *_inside(inner),
            *_ALWAYS,
            f"access_log {'syslog:daemon.info squid' if log else 'none'}",
            *([f"dns_nameservers {' '.join(resolvers)}"] if resolvers else []),
            *_way(far),
            *_access(proxy, far, users, own),
            "",
        )
    )


_ALWAYS = (
    "visible_hostname splitway",
    "httpd_suppress_version_string on",
    "via off",
    "forwarded_for delete",
    "cache deny all",
    "cache_mem 0",
    "digest_generation off",
    "memory_pools off",
    "cache_log /dev/null",  # what matters goes to the journal as well (-s)
    "logfile_rotate 0",
    "strip_query_terms on",
    "pid_filename none",
    "coredump_dir none",
    "netdb_filename none",
    "pinger_enable off",
    "max_filedescriptors 16384",
    "shutdown_lifetime 1 seconds",
    # An address is asked for again before it can have left its set.
    "positive_dns_ttl 1 minutes",
    "negative_dns_ttl 1 seconds",
)


def _inside(inner: Optional[int]) -> Iterator[str]:
    """Yield the port for our own SOCKS5, which says whom it asks for."""
    if inner is not None:
        yield f"http_port 127.0.0.1:{inner} require-proxy-header"
        yield "proxy_protocol_access allow localhost"


def _way(far: Optional[int]) -> Iterator[str]:
    """Yield how connections go on where they come out at the far end of a WebSocket: no other way, ever."""
    if far is not None:
        yield f"cache_peer 127.0.0.1 parent {far} 0 no-query no-digest no-netdb-exchange default name=far"
        yield "never_direct allow all"


def _access(proxy: Proxy, far: Optional[int], users: str, own: tuple[str, ...]) -> Iterator[str]:
    """Yield who may use the proxy, and what is reached by nobody. A stranger makes it ask for no name."""
    yield "http_access deny manager"  # squid tells there of all users what they asked for
    # Squid speaks FTP and Gopher for its clients; most of its holes were in such parts, and nobody asks it for them.
    yield "acl connect method CONNECT"
    yield "acl web proto HTTP HTTPS"
    yield "http_access deny !connect !web"
    if proxy.sources:
        yield f"acl sources src {' '.join(proxy.sources)}"
        yield "http_access deny !sources"
    if proxy.users:
        yield f"auth_param basic program {AUTHENTICATION} {users}"
        yield "auth_param basic children 5 startup=1 idle=1"
        yield "auth_param basic realm proxy"
        yield "auth_param basic casesensitive on"  # else it makes the letters of names small, and finds no Alice
        yield f"auth_param basic credentialsttl {CREDENTIALS} seconds"
        yield "acl users proxy_auth REQUIRED"
        yield "http_access deny !users"
    if far is None:  # else the far end refuses: to test an address a name would have to be asked for here
        # What comes to an exit from itself, by whatever address, its firewall lets through.
        refused = (*OWN, *((*PRIVATE, *own) if proxy.public_only else ()))
        yield f"acl refused dst {' '.join(refused)}"
        yield "http_access deny refused"
    yield "http_access allow all"
