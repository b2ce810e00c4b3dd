# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's variables → Topology, or every error in them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, TypeVar

from .agent import read_agent
from .client_bundle import read_client_bundle
from .client_folder import read_client_folder
from .clients import read_clients
from .countries import read_countries
from .dns import check_no_loop, check_own_addresses, read_dns
from .dns_guard import read_dns_guard
from .errors import Report, TopologyError
from .groups import check_fallbacks, read_groups
from .hardening import read_hardening
from .kept_keys import read_kept_keys
from .lan_clients import read_lan_clients
from .lists import Library, Lists, NoLibrary
from .model import NO_SERVER, Topology
from .modes import check_modes, has_wireguard, read_modes
from .network_namespace import read_network_namespace
from .numbering import counted, number_owners
from .pac import read_pac
from .plain import plain
from .policies import read_policies
from .programs import needed_programs, read_programs
from .proxies import read_proxies
from .reading import Claims, Parse, check_slips, parse_value
from .resolving import read_resolving
from .scalars import choice, duration, mark_mask, number, text
from .schedules import read_schedules, read_time_zone
from .server import read_server
from .upstreams import read_upstreams
from .web import read_web
from .words import words

VARIABLES = (
    "splitway_server",
    "splitway_upstreams",
    "splitway_upstream_groups",
    "splitway_lists",
    "splitway_list_cache",
    "splitway_policies",
    "splitway_schedules",
    "splitway_time_zone",
    "splitway_clients",
    "splitway_keys",
    "splitway_default_policy",
    "splitway_backend",
    "splitway_dns",
    "splitway_retention",
    "splitway_mark_mask",
    "splitway_table_base",
    "splitway_rule_priority",
    "splitway_client_files",
    "splitway_client_bundle",
    "splitway_agent",
    "splitway_countries",
    "splitway_dns_guard",
    "splitway_hardening",
    "splitway_lan_clients",
    "splitway_host_policy",
    "splitway_programs",
    "splitway_resolving",
    "splitway_pac",
    "splitway_web",
    "splitway_mode",
    "splitway_fallback_modes",
    "splitway_proxies",
    "splitway_network_namespace",
)
BACKENDS = ("ipset", "nftables")

RESERVED_TABLES = (253, 254, 255)  # default, main, local
LAST_PRIORITY = 32720  # five priorities, ten apart, stay below the kernel's own 32766
LONGEST_RETENTION = 2_000_000  # seconds; an ipset entry lives 2,147,483 at most, and max_ttl comes on top
T = TypeVar("T")


def parse(variables: Mapping[str, Any], library: Optional[Library] = None) -> Topology:
    """Return the topology that an operator's variables describe; other variables than `splitway_…` are not looked at.

    Lists that ship and the sources of lists come from the library; without one there are none.
    Raises TopologyError with all that is wrong.
    """
    report = Report()
    if not isinstance(variables, Mapping):
        raise TopologyError("the variables of a topology are not a mapping")
    check_slips(report, variables, VARIABLES)
    values = {key: plain(variables[key], key, report) for key in VARIABLES if key in variables}

    zone = read_time_zone(report, values.get("splitway_time_zone"))
    schedules = read_schedules(report, values.get("splitway_schedules"), zone)
    bundles = Lists(values.get("splitway_lists"), library or NoLibrary())
    declared = (values.get(f"splitway_{kind}") for kind in ("upstreams", "upstream_groups", "policies"))
    known = words(*declared, lists=bundles.word, schedules=schedules, zone=zone)
    modes = read_modes(
        report, values.get("splitway_mode"), values.get("splitway_fallback_modes"), values.get("splitway_proxies")
    )
    server = read_server(report, values.get("splitway_server"), known, required=has_wireguard(modes))
    names = Claims(report, "is already the name of")
    kept_keys = read_kept_keys(report, values.get("splitway_keys"))
    upstreams = read_upstreams(report, values.get("splitway_upstreams"), server, known, names, kept_keys["upstreams"])
    groups = read_groups(report, values.get("splitway_upstream_groups"), known, names)
    check_fallbacks(report, values.get("splitway_upstreams"), values.get("splitway_upstream_groups"))
    lists = bundles.read(report, known)
    _read(report, values, "splitway_list_cache", lambda value: text(value, "a folder"), None)
    policies = read_policies(report, values.get("splitway_policies"), known)
    default_policy = _read(report, values, "splitway_default_policy", known.policy, None)
    clients = read_clients(report, values.get("splitway_clients"), server, known, default_policy, kept_keys["clients"])
    proxies = read_proxies(report, values.get("splitway_proxies"), known, upstreams, tunnels=has_wireguard(modes))
    check_modes(report, modes, proxies, values.get("splitway_proxies"))
    dns = read_dns(report, values.get("splitway_dns"))
    check_own_addresses(report, values, server)
    needed = needed_programs(upstreams, server)
    topology = Topology(
        server=server or NO_SERVER,  # without one that is needed, finish() raises
        upstreams=upstreams,
        lists=(*lists, *bundles.shipped(report)),  # after all that may name one
        policies=policies,
        clients=clients,
        backend=_read(report, values, "splitway_backend", choice("a backend", BACKENDS), Topology.backend),
        dns=dns,
        retention=_read(report, values, "splitway_retention", duration(60, LONGEST_RETENTION), Topology.retention),
        mark_mask=_read(report, values, "splitway_mark_mask", mark_mask, Topology.mark_mask),
        table_base=_read(
            report, values, "splitway_table_base", number("a table number", 1, 2**31 - 1), Topology.table_base
        ),
        rule_priority=_read(
            report, values, "splitway_rule_priority", number("a priority", 1, LAST_PRIORITY), Topology.rule_priority
        ),
        client_files=read_client_folder(report, values.get("splitway_client_files")),
        client_bundle=read_client_bundle(report, values.get("splitway_client_bundle")),
        groups=groups,
        agent=read_agent(report, values.get("splitway_agent")),
        countries=read_countries(report, values.get("splitway_countries")),
        dns_guard=read_dns_guard(report, values.get("splitway_dns_guard")),
        hardening=read_hardening(report, values.get("splitway_hardening")),
        lan_clients=read_lan_clients(report, values.get("splitway_lan_clients"), server, known, default_policy),
        resolving=read_resolving(report, values.get("splitway_resolving")),
        host_policy=_read(report, values, "splitway_host_policy", known.policy, None),
        pac=read_pac(
            report, values.get("splitway_pac"), known, values.get("splitway_proxies"), proxies, default_policy, modes
        ),
        web=read_web(report, values.get("splitway_web"), values.get("splitway_pac"), server),
        mode=modes[0],
        fallback_modes=modes[1:],
        proxies=proxies,
        programs=read_programs(report, values.get("splitway_programs"), needed),
        network_namespace=read_network_namespace(
            report, values.get("splitway_network_namespace"), server, dns, upstreams
        ),
    )
    _check_numbers(report, topology)
    if dns.max_ttl > topology.retention:
        report.add("splitway_dns.max_ttl", f"{dns.max_ttl} is longer than splitway_retention ({topology.retention} s)")
    if topology.host_policy is not None:
        check_no_loop(report, values.get("splitway_dns"))
    report.finish()
    return topology


def _read(report: Report, values: dict[str, Any], key: str, parse_one: Parse[T], default: T) -> T:
    """Return a variable of one value; the default if it is absent or wrong."""
    value = values.get(key)
    parsed = None if value is None else parse_value(report, key, value, parse_one)
    return default if parsed is None else parsed


def _check_numbers(report: Report, topology: Topology) -> None:
    """Report tables that do not fit: `block` has the base, the other egresses one each above it; all are marks, too."""
    base, needed = topology.table_base, len(number_owners(topology))
    if base in RESERVED_TABLES:
        report.add("splitway_table_base", f"{base} is one of the kernel's own tables ({RESERVED_TABLES[0]}-255)")
    bits = bin(topology.mark_mask).count("1")
    largest = (1 << (bits - 1)) - 1  # the highest bit says "classified"
    last = base + needed
    for reserved in RESERVED_TABLES:  # they are passed over
        last += base < reserved <= last
    if last > largest:
        report.add(
            "splitway_table_base",
            f"{base} and {counted(topology)} need the numbers up to {last}, "
            f"splitway_mark_mask {topology.mark_mask:#x} ends at {largest}",
        )
