# SPDX-License-Identifier: GPL-3.0-or-later
"""Random topologies of everything that can be exchanged, right in all."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.topology.samples import key

SERVER = {"addresses": ["10.8.0.1/16", "fd00:8::1/64"]}

# What a table or YAML could take for something else; WireGuard's keys begin with anything.
NAMES = ["us", "EU-2", "10", "1e3", "0x1f", "true", "Null", "no", "_", "a.b", "2026-11-22", "12:30"[:2], "x" * 63]
LIST_NAMES = [*NAMES, "geolocation-!cn", "apple@cn"]
SHARED = st.integers(0, 9).map(lambda number: key(f"shared {number}"))
KEYS = st.integers(0, 400).map(lambda number: key(f"key {number}")) | st.sampled_from(
    ["+" + key("plus")[1:], "/" + key("slash")[1:]]
)
RESOLVERS = st.sampled_from([["9.9.9.9"], ["9.9.9.9#53", "2620:fe::fe"]])
RATES = st.sampled_from([{"down": "20mbit"}, {"down": "20mbit", "up": "5mbit"}])
DOMAINS = st.sampled_from(
    ["example.com", "*.example.org", "bücher.example", "xn--bcher-kva.example", "163.com", "_dns.lan", "no", "1e3.com"]
)
NETWORKS = st.sampled_from(["8.8.8.0/24", "2001:db8::/32", "1.1.1.1", "::/0", "2001:db8::7", "0.0.0.0/0"])


def one_or_many(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3)


def schedules() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"days": st.sampled_from(["mon-fri", "sat, sun", ["mon", "tue-thu"]])},
        optional={
            "hours": st.sampled_from(["22:00-06:00", ["09:00-12:00", "13:00-17:30"]]),
            "time_zone": st.sampled_from(["Europe/Berlin", "UTC"]),
        },
    )


def rules(egresses: list[str], lists: list[str], named: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    matches: dict[str, Any] = {
        "domain": one_or_many(DOMAINS),
        "network": one_or_many(NETWORKS),
        "country": one_or_many(st.sampled_from(["cn", "no", "de"])),
        "schedule": schedules() | (st.sampled_from(named) if named else st.nothing()),
        "port": one_or_many(st.sampled_from([80, 443, "53", "8000-8100"])),
    }
    if lists:
        matches["list"] = one_or_many(st.sampled_from(lists))

    def rule(match: str) -> st.SearchStrategy[dict[str, Any]]:
        optional = {name: values for name, values in matches.items() if name != match}
        optional["protocol"] = one_or_many(st.sampled_from(["tcp", "udp"]))
        optional["enabled"] = st.booleans() | st.sampled_from(["yes", "off", "True"])
        needed = {match: matches[match], "egress": st.sampled_from(egresses)}
        return st.fixed_dictionaries(needed, optional=optional)

    return st.sampled_from(sorted(matches)).flatmap(rule)


SEED_RULES = st.sampled_from(
    [
        {"type": "domain", "value": "*.google.com", "action": "direct"},
        {"type": "ip", "value": "8.8.8.8/32", "action": "block", "enabled": False},
    ]
)


@st.composite
def topologies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the variables of a gateway."""
    tunnels = draw(st.lists(st.sampled_from(NAMES), unique_by=str.lower, max_size=3))
    egresses = ["direct", "block", *tunnels]
    lists = draw(
        st.dictionaries(
            st.sampled_from(LIST_NAMES),
            st.fixed_dictionaries(
                {},
                optional={
                    "domains": st.lists(DOMAINS, max_size=4),
                    "networks": st.lists(NETWORKS, max_size=4),
                    "resolvers": RESOLVERS
                    | st.fixed_dictionaries({"servers": RESOLVERS}, optional={"egress": st.just("direct")}),
                    "source": st.sampled_from(["lists/site.txt", ["a.txt", "https://lists.example/b, c"], "-a.txt"]),
                },
            ),
            max_size=3,
        )
    )
    named = draw(st.dictionaries(st.sampled_from(["night", "10"]), schedules()))
    rule = rules(egresses, list(lists), list(named))
    policies = draw(
        st.dictionaries(
            st.sampled_from(LIST_NAMES),
            st.fixed_dictionaries(
                {"rules": st.lists(rule, min_size=1, max_size=4)},
                optional={"default": st.sampled_from(egresses), "rate": RATES},
            ),
            max_size=3,
        )
    )
    own = st.fixed_dictionaries(
        {}, optional={"rules": st.lists(rule | SEED_RULES, max_size=3), "default": st.sampled_from(egresses)}
    )
    shared = st.fixed_dictionaries({"policy": st.sampled_from(list(policies))}) if policies else own
    clients = []
    for index, name in enumerate(draw(st.lists(st.sampled_from(NAMES), unique_by=str.lower, max_size=4))):
        addresses = [f"10.8.1.{index}", f"fd00:8::1:{index}"][: draw(st.integers(1, 2))]
        optional = {
            "private_key": st.just(key(f"client {index}")),
            "preshared_key": SHARED,
            "enabled": st.booleans() | st.sampled_from(["on", "false"]),
            "persistent_keepalive": st.sampled_from([0, 25, "25"]),
            "rate": RATES,
        }
        said = draw(st.fixed_dictionaries({}, optional=optional))
        clients.append({"name": name, "addresses": addresses, **said, **draw(shared | own)})
    lan = {"name": "hall", "interface": "eth1", "networks": ["192.168.7.0/24", "fd00:7::/64"], **draw(shared | own)}
    members = [{"upstream": tunnels[0], "weight": 2}, *tunnels[1:]] if tunnels else []
    group = {"name": "all", "mode": "balance", "members": members, "resolvers": ["9.9.9.9"], "hold": "1m"}
    return {
        "splitway_server": SERVER,
        "splitway_upstream_groups": [group] if members and draw(st.booleans()) else [],
        "splitway_lan_clients": [lan] if draw(st.booleans()) else [],
        "splitway_upstreams": [draw(upstream(name)) for name in tunnels],
        "splitway_lists": lists,
        "splitway_schedules": named,
        "splitway_policies": policies,
        "splitway_clients": clients,
    }


def upstream(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "name": st.just(name),
            "endpoint": st.sampled_from(["us.example.com:51820", "[2001:db8::7]:443", "192.0.2.1:1"]),
            "public_key": KEYS,
        },
        optional={
            "preshared_key": SHARED,
            "addresses": st.sampled_from([["10.64.0.2/32"], ["10.64.0.2/32", "fd64::2/128"], []]),
            "allowed_ips": st.sampled_from([["0.0.0.0/0", "::/0"], ["0.0.0.0/0"]]),
            "mtu": st.sampled_from([1420, "1380", "auto"]),
            "enabled": st.booleans(),
            "on_down": st.sampled_from(["direct", "block"]),
            "health": st.just({"interval": 0.5, "timeout": 0.4, "restart": True}),
        },
    )
