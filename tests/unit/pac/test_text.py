# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of PAC files, run by two engines."""

from __future__ import annotations

import random
import re
import statistics
import string
import time
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.tests.unit.pac.engines import (
    answers,
    bracketed,
    loaded_by_pacparser,
    loaded_by_pypac,
)
from splitway.compiler.networks import SPECIAL
from splitway.compiler.pac_rules import Kind, PacRule, compile_tables
from splitway.pac import BLOCKED, DIRECT, LARGEST, PROXY, ProxyServer, pac_text, pack, unpack
from splitway.services import Ports

PROXIES = (ProxyServer("PROXY", "10.8.0.1", 8080), ProxyServer("SOCKS5", "fdcc::1", 1080))
THROUGH = "PROXY 10.8.0.1:8080; SOCKS5 [fdcc::1]:1080"
REFUSED = "PROXY 127.0.0.1:9"
LOCAL = ("local", "localhost")


def names(answer: str, *domains: str) -> PacRule:
    return PacRule(answer, (Kind(domains),))


def networks(answer: str, *written: str) -> PacRule:
    return PacRule(answer, (Kind((), tuple(map(ip_network, written))),))


def text(*rules: PacRule, default: str = DIRECT, local: tuple[str, ...] = LOCAL, **options: bool) -> str:
    return pac_text(compile_tables(rules, default, local, SPECIAL), PROXIES, **options)


def test_a_domain_is_itself_and_all_below_it_whatever_its_spelling() -> None:
    found = answers(
        text(names(PROXY, "google.com", "xn--bcher-kva.example")),
        [
            *("google.com", "WWW.Google.COM", "a.b.google.com.", "notgoogle.com", "google.com.evil.example"),
            *("google.co", "xn--bcher-kva.example", "www.XN--BCHER-KVA.example", "example", "google"),
        ],
    )
    assert [host for host, answer in found.items() if answer == THROUGH] == [
        "google.com",
        "WWW.Google.COM",
        "a.b.google.com.",
        "xn--bcher-kva.example",
        "www.XN--BCHER-KVA.example",
    ]
    assert set(found.values()) == {THROUGH, "DIRECT"}


def test_the_first_rule_decides_for_nested_names_too() -> None:
    nested = text(
        names(DIRECT, "maps.google.com"),
        names(BLOCKED, "ads.google.com"),
        names(PROXY, "google.com"),
        names(DIRECT, "mail.google.com"),  # comes too late
    )
    hosts = ["maps.google.com", "x.maps.google.com", "ads.google.com", "google.com", "mail.google.com", "example.com"]
    assert answers(nested, hosts) == {
        "maps.google.com": "DIRECT",
        "x.maps.google.com": "DIRECT",
        "ads.google.com": REFUSED,
        "google.com": THROUGH,
        "mail.google.com": THROUGH,
        "example.com": "DIRECT",
    }


def test_local_destinations_are_asked_directly_first_of_all() -> None:
    refused, listed = (
        names(BLOCKED, "printer.local", "x.intern.corp.example"),
        names(PROXY, "local", "corp.example", "com"),
    )
    anywhere = networks(PROXY, "0.0.0.0/0", "::/0")
    everything = text(refused, listed, anywhere, default=PROXY, local=(*LOCAL, "intern.corp.example"))
    local = ["intranet", "localhost", "printer.local", "a.localhost", "x.intern.corp.example", "127.0.0.1", "::1"]
    local += ["10.1.2.3", "192.168.1.1", "172.31.255.255", "169.254.1.1", "fe80::1", "fd00::1", "::ffff:192.168.1.1"]
    far = ["corp.example", "com.example", "172.32.0.1", "11.0.0.0", "9.255.255.255", "2001:db8::1", "::ffff:8.8.8.8"]
    found = answers(everything, local + far)
    assert {host for host, answer in found.items() if answer == "DIRECT"} == set(local)
    assert {found[host] for host in far} == {THROUGH}


def test_addresses_go_by_networks() -> None:
    rules = (
        networks(DIRECT, "8.8.8.0/24", "2001:db8:1::/48"),
        networks(PROXY, "8.0.0.0/8", "2001:db8::/32"),
        networks(BLOCKED, "10.9.0.0/16"),
    )
    assert answers(
        text(*rules),
        [
            *("8.8.8.8", "8.8.9.0", "8.8.7.255", "9.0.0.0", "10.9.255.255", "10.10.0.0", "0.0.0.0", "255.255.255.255"),  # noqa: S104
            *("2001:db8:1::", "2001:db8:1:ffff::1", "2001:DB8:2::1", "2001:db9::", "::", "ffff::", "[2001:db8::7]"),
            "2001:db8:0:0:1:2:8.8.8.8",
        ],
    ) == {
        "8.8.8.8": "DIRECT",
        "8.8.9.0": THROUGH,
        "8.8.7.255": THROUGH,
        "9.0.0.0": "DIRECT",
        "10.9.255.255": REFUSED,
        "10.10.0.0": "DIRECT",
        "0.0.0.0": "DIRECT",  # noqa: S104
        "255.255.255.255": "DIRECT",
        "2001:db8:1::": "DIRECT",
        "2001:db8:1:ffff::1": "DIRECT",
        "2001:DB8:2::1": THROUGH,
        "2001:db9::": "DIRECT",
        "::": "DIRECT",
        "ffff::": "DIRECT",
        "[2001:db8::7]": THROUGH,
        "2001:db8:0:0:1:2:8.8.8.8": THROUGH,
    }


PROTOTYPE = ["constructor", "__proto__", "hasOwnProperty", "toString", "valueOf", "watch", "prototype", "length"]


def test_names_that_objects_have_anyway_are_names_like_others() -> None:
    hosts = [f"{word}.{parent}" for word in PROTOTYPE for parent in ("example", "constructor", "__proto__")]
    assert set(answers(text(names(PROXY, "listed.example")), hosts).values()) == {"DIRECT"}
    listed = [f"{word.lower()}.example" for word in PROTOTYPE] + ["__proto__", "constructor"]
    found = answers(text(names(PROXY, *listed)), [*hosts, "other.example"])
    assert found.pop("other.example") == "DIRECT"
    assert set(found.values()) == {THROUGH}


HOSTILE = [
    "",
    ".",
    "..",
    "a..b",
    ".example.com",
    "example.com..",
    "1.2.3.4.5",
    "256.1.1.1",
    "1.2.3",
    "0x7f.0.0.1",
    "1e3.2",
]
HOSTILE += [
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7:8:9",
    "12345::",
    "g::1",
    "[",
    "]",
    "[::1",
    "fe80::1%eth0",
    "::1.2.3.4.5",
]
HOSTILE += ["a" * 300 + ".example", "a." * 126 + "com", "-.-", "x_y.z", "~!@$%^&*()+=.example", "\u0430pple.example"]
HOSTILE += ["google.com\u0000.evil.example", " google.com", "google.com/", "google.com:80", "*.google.com"]


@pytest.mark.parametrize("default", [DIRECT, PROXY])
def test_no_host_makes_a_file_fail(default: str) -> None:
    file = text(names(BLOCKED, "google.com"), networks(BLOCKED, "9.9.9.9/32"), default=default)
    with loaded_by_pacparser(file) as one, loaded_by_pypac(file) as other:
        for host in HOSTILE:
            assert other("http://example/", host) in ("DIRECT", THROUGH, REFUSED), host
            if host and "\0" not in host:  # which pacparser itself does not take
                assert one("http://example/", host) == other("http://example/", host), host


def test_a_rule_with_ports_looks_at_the_url() -> None:
    file = text(
        PacRule(BLOCKED, (), (Ports(25, 25), Ports(6000, 6010))),
        PacRule(PROXY, (Kind(("example.com",)),), (Ports(443, 443),)),
        default=DIRECT,
    )

    def ask(url: str, host: str = "example.com") -> str:
        with loaded_by_pacparser(file) as find:
            return find(url, host)

    assert ask("https://example.com/") == ask("HTTPS://example.com") == ask("wss://example.com/x") == THROUGH
    assert ask("http://example.com:443/a:80/") == ask("http://user:1@example.com:443?a:80") == THROUGH
    assert ask("http://example.com/") == ask("https://example.com:8443/") == ask("ftp://example.com/:443") == "DIRECT"
    assert ask("http://example.com:6005/") == ask("http://[2001:db8::1]:25/", "2001:db8::1") == REFUSED
    assert ask("constructor://example.com/") == ask("nonsense") == "DIRECT"


def test_what_a_browser_cannot_know_goes_to_the_proxy_unless_it_does_not_matter() -> None:
    night = PacRule(BLOCKED, (Kind(("games.example",)),), schedule=True)
    here = PacRule(DIRECT, address=True)
    combined = PacRule(BLOCKED, (Kind(("cdn.example",)), Kind((), (ip_network("8.8.8.0/24"),))))
    hosts = ["games.example", "cdn.example", "8.8.8.8", "other.example", "9.9.9.9", "10.0.0.1"]
    found = answers(text(night, combined, default=DIRECT), hosts)
    assert [host for host in hosts if found[host] == THROUGH] == ["games.example", "cdn.example", "8.8.8.8"]
    found = answers(text(names(DIRECT, "games.example"), here, default=PROXY), hosts)
    assert [host for host in hosts if found[host] == "DIRECT"] == ["games.example", "10.0.0.1"]
    found = answers(text(here, default=DIRECT), hosts)
    assert set(found.values()) == {"DIRECT"}


def test_direct_comes_after_the_proxies_only_where_it_is_wanted() -> None:
    file = text(names(BLOCKED, "bad.example"), names(DIRECT, "own.example"), default=PROXY, fail_open=True)
    assert answers(file, ["bad.example", "own.example", "other.example"]) == {
        "bad.example": REFUSED,
        "own.example": "DIRECT",
        "other.example": f"{THROUGH}; DIRECT",
    }


def test_a_direct_file_needs_no_proxy() -> None:
    file = pac_text(compile_tables((), DIRECT, LOCAL, SPECIAL), ())
    assert set(answers(file, ["example.com", "10.0.0.1", "x"]).values()) == {"DIRECT"}


def test_a_file_is_old_plain_and_always_the_same() -> None:
    domains = [f"{'x' * (number % 20)}{number}.example" for number in range(3000)]
    rules = [names(PROXY, *domains), networks(BLOCKED, "9.9.9.0/24")]
    file = text(*rules)
    assert file.isascii()
    assert max(map(len, file.splitlines())) < 5000
    assert not re.search(r"dnsResolve|isInNet|isResolvable|myIpAddress", file)
    random.Random(7).shuffle(domains)
    assert text(names(PROXY, *domains), rules[1]) == file


label = st.text("abxyz019-_", min_size=1, max_size=6)
domain = st.lists(label, min_size=1, max_size=5).map(".".join)


@given(st.sets(domain, max_size=40))
def test_what_is_packed_is_unpacked(domains: set[str]) -> None:
    assert sorted(unpack(pack(domains))) == sorted(domains)


def test_long_names_that_end_alike_are_packed() -> None:
    tail = ".".join(["y" * 60] * 3)
    domains = [f"{'x' * number}.{tail}" for number in range(1, 60)]
    assert sorted(unpack(pack(domains))) == sorted(domains)
    with loaded_by_pacparser(text(names(PROXY, *domains))) as ask:
        assert [ask(f"http://{host}/", host) for host in domains] == [THROUGH] * len(domains)
        assert ask("http://example/", f"z.{tail}") == "DIRECT"


def many(count: int, length: int) -> list[str]:
    """Return names of this mean length, nothing below anything: worse than any list that people use."""
    rnd = random.Random(4)
    letters = string.ascii_lowercase + string.digits
    suffixes = [".com"] * 5 + [".net", ".org", ".cn", ".co.uk", ".com.br", ".xyz", ".info"]
    found: set[str] = set()
    while len(found) < count:
        size = rnd.randint(length - 8, length + 8)
        suffix = rnd.choice(suffixes)
        found.add("".join(rnd.choices(letters, k=max(3, size - len(suffix)))) + suffix)
    return sorted(found)


def test_fifty_thousand_domains_fit_and_are_found_at_once() -> None:
    """v2fly's lists together have 13.8 characters a name; here are 20, at random."""
    domains = many(50_000, 20)
    started = time.perf_counter()
    file = text(names(PROXY, *domains))
    print(f"{len(file):,} bytes, made in {time.perf_counter() - started:.2f} s")
    assert len(file) < LARGEST
    started = time.perf_counter()
    with loaded_by_pacparser(file) as ask:
        print(f"loaded in {time.perf_counter() - started:.2f} s")
        chosen = random.Random(1).sample(domains, 1000)
        timed = {
            "hit": [f"www.{name}" for name in chosen],
            "miss": [f"www.{name}.example" for name in chosen],
            "miss of many labels": ["a." * 100 + "example"] * 200,
            "IPv4": ["8.8.8.8"] * 500,
        }
        times = {what: median(ask, hosts) for what, hosts in timed.items()}
        print({what: f"{seconds * 1e6:.1f} µs" for what, seconds in times.items()})
        assert all(ask(f"http://{host}/", host) == THROUGH for host in timed["hit"])
        assert all(ask(f"http://{host}/", host) == "DIRECT" for host in timed["miss"])
    assert max(times["hit"], times["miss"], times["IPv4"]) < 20e-6 * slowness()


def median(ask, hosts: list[str]) -> float:
    """Return the seconds that an answer takes."""
    taken = []
    for host in hosts * 3:
        url = f"http://{bracketed(host)}/"
        started = time.perf_counter()
        ask(url, host)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def slowness() -> float:
    """Return how much slower than it should an engine may be now, by a file of one line."""
    with loaded_by_pacparser('function FindProxyForURL(url, host) { return "DIRECT"; }') as ask:
        return max(1.0, median(ask, ["www.example.com"] * 1000) / 4e-6)
