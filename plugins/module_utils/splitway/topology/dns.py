# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_dns`: the clients' resolver; and the `resolvers` of upstreams, groups and lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from .domains import domain
from .endpoints import resolver
from .errors import Report, TopologyError, shown
from .model import Names, Network, Resolvers, Server
from .networks import address
from .plain import key_path
from .reading import Fields, good
from .scalars import boolean, number, port, text
from .words import Words

KEYS = ("servers", "direct", "proxied", "max_ttl", "cache_size", "filter_aaaa")
LONGEST_MAX_TTL = 86400  # seconds
TLS = "tls://"
TLS_PORT = 853
_TLS_FORM = "tls://ADDRESS#NAME or tls://ADDRESS@PORT#NAME"
_TLS = re.compile(r"tls://([^@#]+)(?:@([^@#]*))?#([^@#]+)")


def read_dns(report: Report, value: Any) -> Names:
    """Return the settings of the clients' resolver."""
    fields = Fields(report, "splitway_dns", value, KEYS)
    servers = good(fields.entries("servers", _server))
    tls = tuple(entry[len(TLS) :] for entry in servers if entry.startswith(TLS))
    plain = tuple(entry for entry in servers if not entry.startswith(TLS))
    if tls and plain:
        report.add(f"{fields.path}.servers", f"{shown(plain[0])} would be asked in the clear beside those of tls://")
    return Names(
        servers=plain,
        tls=tls,
        direct=good(fields.entries("direct", resolver)),
        proxied=good(fields.entries("proxied", _distant)),
        max_ttl=fields.get_or("max_ttl", number("a number of seconds", 1, LONGEST_MAX_TTL), Names.max_ttl),
        cache_size=fields.get_or("cache_size", number("a number of names", 0, 1_000_000), Names.cache_size),
        filter_aaaa=fields.get_or("filter_aaaa", boolean, Names.filter_aaaa),
    )


def _server(value: Any) -> str:
    """Return a DNS server as dnsmasq writes it, or one over TLS as unbound does, behind ``tls://``."""
    written = text(value, f"a DNS server (address, address#port or {_TLS_FORM})")
    if not written.startswith(TLS):
        return resolver(written)
    found = _TLS.fullmatch(written)
    if found is None:
        raise TopologyError(f"{shown(written)} is not {_TLS_FORM}: the name is that of the server's certificate")
    try:
        where, at = resolver(found[1]), TLS_PORT if found[2] is None else port(found[2])
        return f"{TLS}{where}@{at}#{domain(found[3])}"
    except TopologyError as error:
        raise TopologyError(f"{shown(written)} is not {_TLS_FORM}: {error}") from None


def _distant(value: Any) -> str:
    """Return a DNS server that can be behind a tunnel."""
    found = resolver(value)
    if address(found.partition("#")[0]).is_loopback:
        raise TopologyError(f"{shown(value)} is this host itself: no tunnel leads there")
    return found


def read_own(fields: Fields) -> tuple[str, ...]:
    """Return the `resolvers` of a group."""
    return good(fields.entries("resolvers", _distant))


def read_upstreams_own(fields: Fields, ways: tuple[Network, ...]) -> tuple[str, ...]:
    """Return the `resolvers` of an upstream, which its tunnel must carry packets to."""
    resolvers = fields.entries("resolvers", _distant)
    for index, entry in enumerate(resolvers):
        if entry is not None and not any(address(entry.partition("#")[0]) in network for network in ways):
            fields.report.add(
                f"{fields.path}.resolvers[{index}]",
                f"{shown(entry)} is not reached through this upstream: see its addresses and allowed_ips",
            )
    return good(resolvers)


def read_lists_own(fields: Fields, known: Words) -> Optional[Resolvers]:
    """Return the `resolvers` of a list: servers, or a mapping that says through which egress, too."""
    value = fields.values.get("resolvers")
    if value is None:
        return None
    if not isinstance(value, dict):
        servers = good(fields.require_entries("resolvers", resolver))
        return Resolvers(servers) if servers else None
    inner = Fields(fields.report, f"{fields.path}.resolvers", value, ("servers", "egress"))
    servers = good(inner.require_entries("servers", resolver))
    egress = inner.get("egress", known.egress)
    if egress == "block":
        fields.report.add(f"{inner.path}.egress", "nobody is asked through block; a rule blocks the list")
    return Resolvers(servers, egress) if servers else None


def check_own_addresses(report: Report, values: Mapping[str, Any], server: Optional[Server]) -> None:
    """Report resolvers that are the gateway itself: it would ask itself."""
    own = {str(entry.ip) for entry in server.addresses} if server else set()
    for path, entry in _written(values):
        if isinstance(entry, str) and re.split("[@#]", entry.replace(TLS, "", 1))[0] in own:
            report.add(path, f"{shown(entry)} is the gateway itself: it would ask itself")


def _written(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of each resolver that is written anywhere, be it right or wrong."""
    places: list[tuple[str, Any]] = []
    dns = values.get("splitway_dns")
    if isinstance(dns, dict):
        places += [(f"splitway_dns.{key}", dns.get(key)) for key in ("servers", "direct", "proxied")]
    for variable in ("splitway_upstreams", "splitway_upstream_groups"):
        entries = values.get(variable)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict):
                places.append((f"{variable}[{index}].resolvers", entry.get("resolvers")))
    resolving = values.get("splitway_resolving")
    if isinstance(resolving, dict):
        places.append(("splitway_resolving.servers", resolving.get("servers")))
    lists = values.get("splitway_lists")
    for name, entry in (lists if isinstance(lists, dict) else {}).items():
        if isinstance(entry, dict):
            path, found = f"{key_path('splitway_lists', name)}.resolvers", entry.get("resolvers")
            places.append((f"{path}.servers", found.get("servers")) if isinstance(found, dict) else (path, found))
    for path, entries in places:
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            yield f"{path}[{index}]", entry


def check_no_loop(report: Report, value: Any) -> None:
    """Report resolvers on this host: where the host's own questions come to our dnsmasq, theirs would, too."""
    for index, entry in enumerate(Fields(Report(), "", value, KEYS).entries("servers", _server)):
        where, _, at = (entry or "").partition("#")
        if where and not where.startswith(TLS) and at in ("", "53") and address(where).is_loopback:
            report.add(
                f"splitway_dns.servers[{index}]",
                f"{shown(entry)} is on this host: with splitway_host_policy its own questions would come back to it",
            )
