# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of all kinds as operators write them, and what is said of those that are wrong."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import changed
from splitway.schedules import Schedule, Span
from splitway.services import Ports
from splitway.topology import TopologyError, parse
from splitway.topology.model import Rule

RULES = "splitway_policies.family.rules"
FIRST = f"{RULES}[0]"


def read(*rules: dict[str, Any], **others: Any) -> tuple[Rule, ...]:
    more = [(f"splitway_{name}", value) for name, value in others.items()]
    return dict(parse(changed((RULES, list(rules)), *more)).policies)["family"].rules


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"domain": ["*.A.example", "b.example"]}, Rule("us", domains=("a.example", "b.example"))),
        ({"network": "8.8.8.8"}, Rule("us", networks=(ip_network("8.8.8.8/32"),))),
        ({"list": ["google"]}, Rule("us", lists=("google",))),
        ({"country": "CN"}, Rule("us", countries=("cn",))),
        ({"country": ["cn", "hk", "CN"]}, Rule("us", countries=("cn", "hk"))),
        ({"protocol": "ICMPv6"}, Rule("us", protocols=("icmp",))),
        ({"port": 443}, Rule("us", protocols=("tcp", "udp"), ports=(Ports(443, 443),))),
        (
            {"port": ["8000-8100", 22, "23", "8101:8200"], "protocol": "tcp"},
            Rule("us", protocols=("tcp",), ports=(Ports(22, 23), Ports(8000, 8200))),
        ),
        (
            {"list": "google", "country": "us", "port": 443, "protocol": "udp"},
            Rule("us", (), (), ("google",), ("us",), ("udp",), (Ports(443, 443),)),
        ),
        (
            {"schedule": {"days": "mon-wed, Sunday", "hours": ["9:00-12:00", "22:00-06:00"]}},
            Rule("us", schedule=Schedule((0, 1, 2, 6), (Span(540, 720), Span(1320, 1800)))),
        ),
        (
            {"schedule": {"days": ["fri-mon"], "time_zone": "Asia/Tokyo"}},
            Rule("us", schedule=Schedule((0, 4, 5, 6), zone="Asia/Tokyo")),
        ),
        ({"schedule": {"hours": "00:00-24:00"}}, Rule("us", schedule=Schedule())),
    ],
)
def test_a_rule(written: dict[str, Any], meant: Rule) -> None:
    assert read({**written, "egress": "us"}) == (meant,)


def test_a_schedule_by_its_name_in_the_time_zone_of_all() -> None:
    named = {"nights": {"hours": "22:00-06:00"}}
    rules = read({"schedule": "nights", "egress": "us"}, schedules=named, time_zone="Europe/Berlin")
    assert rules == (Rule("us", schedule=Schedule(hours=(Span(1320, 1800),), zone="Europe/Berlin")),)


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"domain": []}, f"{FIRST}.domain: is empty"),
        ({"domain": ["a.example", "b c"]}, f'{FIRST}.domain[1]: "b c" is not a domain name'),
        ({"country": "uk"}, f'{FIRST}.country: "uk" is no country\'s code (ISO 3166-1); did you mean "gb"?'),
        ({"country": ["cn", "zz"]}, f'{FIRST}.country[1]: "zz" is no country\'s code (ISO 3166-1)'),
        (
            {"protocol": "tpc"},
            f'{FIRST}.protocol: "tpc" is not a protocol (tcp, udp, icmp, sctp, gre, esp, ah); did you mean "tcp"?',
        ),
        ({"port": 0}, f"{FIRST}.port: 0 is not a port (1-65535)"),
        ({"port": "90-80"}, f'{FIRST}.port: "90-80" is not a range of ports: it ends before it begins'),
        ({"port": "http"}, f'{FIRST}.port: "http" is not a port or a range of ports, like 443 or "8000-8100"'),
        (
            {"port": 80, "protocol": ["tcp", "icmp"]},
            f"{FIRST}.port: icmp has no ports: leave it out, or give it a rule of its own",
        ),
        ({"schedule": {}}, f"{FIRST}.schedule: has neither days nor hours"),
        ({"schedule": {"days": []}}, f"{FIRST}.schedule.days: is empty"),
        ({"schedule": {"hours": 540}}, f"{FIRST}.schedule.hours: 540 is not hours, like 09:00-17:30: YAML reads it as"),
        ({"schedule": {"hours": "25:00-26:00"}}, f'{FIRST}.schedule.hours: "25:00-26:00": "25:00" is no time of a day'),
        ({"schedule": {"hours": ["09:00-09:00"]}}, f'{FIRST}.schedule.hours[0]: "09:00-09:00" is no time at all'),
        ({"schedule": {"hours": "9-17"}}, f'{FIRST}.schedule.hours: "9-17": "9" is no time of a day (00:00-24:00)'),
        ({"schedule": {"days": "mon-fry"}}, f'{FIRST}.schedule.days: "mon-fry" is not a day of the week'),
        (
            {"schedule": {"days": "mon", "time_zone": "Europe/Belrin"}},
            (
                f'{FIRST}.schedule.time_zone: "Europe/Belrin" is not a time zone, like Europe/Berlin; '
                'did you mean "Europe/Berlin"?'
            ),
        ),
        ({"schedule": {"hours": "09:00-10:00", "zone": "UTC"}}, f"{FIRST}.schedule.zone: unknown key"),
        ({"schedule": "nigths"}, f'{FIRST}.schedule: "nigths" is not a schedule: days and hours, or a name'),
        ({"schedule": 7}, f"{FIRST}.schedule: 7 is not a schedule: days and hours, or a name"),
    ],
)
def test_what_is_wrong_is_named(rule: dict[str, Any], error: str) -> None:
    with pytest.raises(TopologyError) as caught:
        read({**rule, "egress": "us"})
    (found,) = caught.value.errors
    assert found.startswith(error)


def test_a_named_schedule_without_anything_in_it_is_not_the_whole_week() -> None:
    with pytest.raises(TopologyError) as caught:
        read({"schedule": "nights", "egress": "us"}, schedules={"nights": None})
    assert caught.value.errors == ("splitway_schedules.nights: has neither days nor hours",)


def test_what_is_wrong_with_a_named_schedule_is_said_once() -> None:
    rules = [{"schedule": "nights", "egress": "us"}, {"schedule": "nights", "egress": "eu"}]
    with pytest.raises(TopologyError) as caught:
        read(*rules, schedules={"nights": {"hours": "99:00-06:00"}}, time_zone="Mars/Olympus")
    assert [error.partition(": ")[0] for error in caught.value.errors] == [
        "splitway_time_zone",
        "splitway_schedules.nights.hours",
    ]
