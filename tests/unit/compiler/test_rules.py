# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole policies, from the operator's variables to the verdict, against a matcher that knows only the variables."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timezone
from typing import Any, Optional
from zoneinfo import ZoneInfo

import netaddr
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from splitway.compiler import compile_state
from splitway.present import as_of
from splitway.reconcile.base import ReconcileError
from splitway.services import Service
from splitway.state import State, from_data, to_data
from splitway.topology import parse
from splitway.verdict import holder, verdict

KEY = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
OTHER_KEY = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
NAMES = ["example.com", "www.example.com", "cdn.example.com", "example.org", "a.b.example.org", "com", "single.example"]
PUBLIC = ["198.51.100.0/24", "198.51.100.128/25", "203.0.113.7", "2001:db8:1::/48", "2001:db8::/32", "192.0.2.0/30"]
PRIVATE = ["10.0.0.0/8", "10.20.0.0/16", "192.168.1.1", "fd00:77::/32", "169.254.169.254"]
ADDRESSES = [
    *("198.51.100.1", "198.51.100.200", "203.0.113.7", "203.0.113.8", "192.0.2.1", "10.20.0.1", "10.30.0.1"),
    *("192.168.1.1", "169.254.169.254", "2001:db8:1::1", "2001:db8:2::1", "fd00:77::1", "fd12::1", "10.8.0.1"),
]
COUNTRIES = {
    ("aa", 4): ("198.51.100.0/25", "203.0.113.0/24"),
    ("aa", 6): ("2001:db8:1::/48",),
    ("bb", 4): ("198.51.100.128/25",),
    ("bb", 6): (),
}
AS_WRITTEN = {"aa": "de", "bb": "cn"}  # what the variables call them
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": None, "gre": 47}
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata"]
DAY_NAMES = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SPECIAL = ["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4"]
SPECIAL6 = ["::1/128", "fc00::/7", "fe80::/10", "ff00::/8"]
LISTS = {
    "films": {"domains": ["example.com"], "networks": ["198.51.100.128/25"]},
    "home": {"domains": ["a.b.example.org"], "networks": ["10.20.0.0/16", "2001:db8:2::/48"]},
    "empty": {},
}


def one_or_more(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from(values), st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


spans = st.tuples(st.integers(0, 23), st.integers(0, 24)).filter(lambda pair: pair[0] != pair[1])
hours = spans.map(lambda pair: f"{clock(60 * pair[0])}-{clock(60 * pair[1])}")
schedules = st.fixed_dictionaries(
    {"hours": st.one_of(hours, st.lists(hours, min_size=1, max_size=2)), "time_zone": st.sampled_from(ZONES)},
    optional={"days": st.lists(st.sampled_from(DAY_NAMES), min_size=1, unique=True)},
)
ports = one_or_more([9, 443, "443", "400-500", "1-65535", "8000-9000"])
kinds = {
    "domain": one_or_more(NAMES),
    "network": one_or_more(PUBLIC + PRIVATE),
    "list": one_or_more(list(LISTS)),
    "country": one_or_more(list(AS_WRITTEN.values())),
    "protocol": one_or_more(list(PROTOCOLS)),
    "port": ports,
    "schedule": schedules,
}


def sensible(rule: dict[str, Any]) -> bool:
    return any(key in rule for key in kinds) and not (
        "port" in rule and {"icmp", "gre"} & set(several(rule, "protocol"))
    )


egresses = st.sampled_from(["us", "eu", "direct", "block"])
rules = st.fixed_dictionaries({"egress": egresses}, optional=kinds).filter(sensible)
policies = st.fixed_dictionaries({"rules": st.lists(rules, max_size=5), "default": egresses})
flows = st.tuples(st.sampled_from(ADDRESSES), st.sampled_from(list(PROTOCOLS)), st.sampled_from([9, 443, 450, 8500]))
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda when: when.replace(tzinfo=timezone.utc))
answers = st.dictionaries(st.sampled_from([*NAMES, "x.www.example.com"]), st.lists(st.sampled_from(ADDRESSES)))


def several(rule: dict[str, Any], key: str) -> list[Any]:
    value = rule.get(key, [])
    return value if isinstance(value, list) else [value]


def variables(policy: dict[str, Any], backend: str = "ipset") -> dict[str, Any]:
    return {
        "splitway_server": {"listen_port": 51820, "addresses": ["10.8.0.1/24", "fdcc::1/64"]},
        "splitway_upstreams": [
            {
                "name": name,
                "endpoint": f"{name}.example.com:51820",
                "public_key": OTHER_KEY,
                "addresses": [f"10.9{index}.0.2/32", f"fd9{index}::2/128"],
            }
            for index, name in enumerate(("us", "eu"))
        ],
        "splitway_lists": LISTS,
        "splitway_policies": {"tried": policy},
        "splitway_clients": [
            {"name": "alice", "addresses": ["10.8.0.2", "fdcc::2"], "public_key": KEY, "policy": "tried"}
        ],
        "splitway_backend": backend,
    }


def matcher(
    policy: dict[str, Any], address: str, protocol: str, port: int, now: datetime, answered: dict[str, list[str]]
) -> str:
    """Return the egress by the rules as they are written."""
    destination = netaddr.IPAddress(address)
    special = any(destination in netaddr.IPNetwork(network) for network in [*SPECIAL, *SPECIAL6])
    names = [name for name, addresses in answered.items() if address in addresses]

    def named(domains: list[str]) -> bool:
        return not special and any(f".{name}".endswith(f".{domain}") for name in names for domain in domains)

    def inside(networks: list[str]) -> bool:
        """A special destination is named only by a network inside its range."""
        ranges = [netaddr.IPNetwork(network) for network in [*SPECIAL, *SPECIAL6]]
        found = [netaddr.IPNetwork(network) for network in networks if destination in netaddr.IPNetwork(network)]
        return any(not special or any(network in parent for parent in ranges) for network in found)

    def in_country(code: str) -> bool:
        written = next(key for key, value in AS_WRITTEN.items() if value == code)
        return not special and inside(list(COUNTRIES[written, destination.version]))

    def in_force(schedule: dict[str, Any]) -> bool:
        wall = now.astimezone(ZoneInfo(schedule["time_zone"]))
        minute, days = wall.hour * 60 + wall.minute, schedule.get("days", DAY_NAMES)
        for text in several(schedule, "hours"):
            first, last = (int(part[:2]) * 60 for part in text.split("-"))
            today, yesterday = DAY_NAMES[wall.weekday()], DAY_NAMES[wall.weekday() - 1]
            if first < last and today in days and first <= minute < last:
                return True
            if first > last and ((today in days and minute >= first) or (yesterday in days and minute < last)):
                return True
        return False

    def meets(rule: dict[str, Any]) -> bool:
        lists = [LISTS[name] for name in several(rule, "list")]
        listed = [named(entry.get("domains", [])) or inside(entry.get("networks", [])) for entry in lists]
        wanted = several(rule, "protocol") or (["tcp", "udp"] if "port" in rule else [])
        bounds = [str(part).split("-") for part in several(rule, "port")]
        asked = {
            "domain": named(several(rule, "domain")),
            "network": inside(several(rule, "network")),
            "list": any(listed),
            "country": any(map(in_country, several(rule, "country"))),
            "protocol": protocol in wanted,
            "port": protocol in wanted and any(int(part[0]) <= port <= int(part[-1]) for part in bounds),
            "schedule": "schedule" in rule and in_force(rule["schedule"]),
        }
        names_a_place = any(key in rule for key in ("domain", "network", "list", "country"))
        return all(asked[key] for key in kinds if key in rule) and (names_a_place or not special)

    for rule in policy["rules"]:
        if meets(rule):
            return str(rule["egress"])
    if special:
        return "block" if destination in netaddr.IPNetwork("169.254.0.0/16") else "direct"
    return str(policy["default"])


def learned(state: State, answered: dict[str, list[str]]) -> dict[str, set[str]]:
    """Return what dnsmasq puts into the sets: by the one line of a name, the longest."""
    assert state.dns is not None
    lines = [line.split("/") for line in state.dns.lines]
    found: dict[str, set[str]] = {target.rsplit("#", 1)[-1]: set() for line in lines for target in line[2].split(",")}
    for name, addresses in answered.items():
        matching = [line for line in lines if f".{name}".endswith(f".{line[1]}")]
        for target in max(matching, key=lambda line: len(line[1]))[2].split(",") if matching else ():
            own = target.rsplit("#", 1)[-1]
            found[own].update(address for address in addresses if (":" in address) == (own[2] == "6"))
    return found


def decided(state: State, address: str, protocol: str, port: int, answered: dict[str, list[str]]) -> str:
    """Return the egress by the state, as flows are judged."""
    assert state.marks is not None
    version = ipaddress.ip_address(address).version
    static = {item.name: item.members for item in state.sets if item.timeout is None}
    holds = holder({**static, **state.marks.networks}, learned(state, answered))
    number: Optional[int] = PROTOCOLS[protocol]
    service = Service({4: 1, 6: 58}[version] if number is None else number, port)
    family = state.marks.family(version)
    found = verdict(family, next(iter(family.clients.values())), address, holds, service)
    return next(egress.name for egress in state.marks.egresses if egress.number == found)


def known(country: str, family: int) -> tuple[str, ...]:
    return COUNTRIES[next(key for key, value in AS_WRITTEN.items() if value == country), family]


NIGHT = {"rules": [{"schedule": {"hours": "22:00-06:00", "time_zone": "UTC"}, "egress": "block"}], "default": "us"}


@settings(max_examples=600, deadline=None)
@given(policies, st.lists(flows, min_size=1, max_size=12), moments, answers, st.sampled_from(["ipset", "nftables"]))
@example(NIGHT, [("198.51.100.1", "tcp", 443)], datetime(2026, 1, 1, 23, tzinfo=timezone.utc), {}, "ipset")
def test_the_first_rule_that_a_flow_meets_in_all_its_parts_decides(
    policy: dict[str, Any],
    tried: list[tuple[str, str, int]],
    now: datetime,
    answered: dict[str, list[str]],
    backend: str,
) -> None:
    compiled = compile_state(parse(variables(policy, backend)), {})
    assert from_data(State, to_data(compiled)) == compiled
    state = as_of(compiled, {}, now.timestamp(), known)
    for address, protocol, port in tried:
        expected = matcher(policy, address, protocol, port, now, answered)
        assert decided(state, address, protocol, port, answered) == expected, (address, protocol, port)


def test_the_same_topology_with_the_same_numbers_is_the_same_state() -> None:
    policy = {"rules": [{"list": "films", "country": "de", "port": 443, "egress": "us"}], "default": "direct"}
    first = compile_state(parse(variables(policy)), {})
    assert compile_state(parse(variables(policy)), first.numbers) == first


def test_a_country_without_data_is_named() -> None:
    policy = {"rules": [{"country": "de", "egress": "us"}], "default": "direct"}

    def nothing(country: str, family: int) -> tuple[str, ...]:
        raise ReconcileError(f"no data of {country} {family}")

    with pytest.raises(ReconcileError, match="no data of de"):
        as_of(compile_state(parse(variables(policy)), {}), {}, 0.0, nothing)


def test_other_data_of_a_country_are_another_set() -> None:
    policy = {"rules": [{"country": "de", "egress": "us"}], "default": "direct"}
    compiled = compile_state(parse(variables(policy)), {})
    before = as_of(compiled, {}, 0.0, lambda country, family: known(country, family)[:1])
    after = as_of(compiled, {}, 0.0, known)
    names = [{item.name for item in state.sets if item.name.startswith("sw4g")} for state in (before, after)]
    assert names[0] != names[1]
    assert [len(item) for item in names] == [1, 1]
