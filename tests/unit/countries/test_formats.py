# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of countries' ranges: what each format says, what is refused, and that networks hold exactly the ranges."""

from __future__ import annotations

import bisect
import contextlib
import gzip
import ipaddress
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.countries import CountryError
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.countries.formats import FORMATS, Found, read
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.countries.ranges import merged, networks_of
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import countries as topology

DEBIAN = Path("/usr/share/tor")

TOR = """\
# a comment
16777216,16777471,AU
16777472,16778239,CN
2001:250::,2001:252:ffff:ffff:ffff:ffff:ffff:ffff,CN
2001:253::,2001:253:ffff:ffff:ffff:ffff:ffff:ffff,??
"""
RIR = """\
#comment
2.3|apnic|20261122|6|19830613|20261121|+1000
apnic|*|ipv4|*|3|summary
apnic|*|ipv6|*|1|summary
apnic|CN|asn|4608|4|20110414|allocated
apnic|CN|ipv4|1.0.1.0|768|20110414|allocated|A92E1062
apnic|CN|ipv4|1.0.8.0|2048|20110414|assigned
apnic||ipv4|1.1.0.0|256||reserved
apnic|CN|ipv4|1.2.0.0|256|20110414|available
apnic|CN|ipv6|2001:250::|35|20000426|allocated
"""
CSV = """\
network,country_code,continent
1.0.1.0/24,CN,AS
"1.0.2.0","1.0.3.255","CN"
16778240;16779263;AU
2001:250::/35,cn
2001:db8::/32,
42540766411282592856903984951653826560,42540766490510755371168322545197776895,CN
"""


def networks(tmp_path: Path, text: str, kind: str, *codes: str) -> dict[tuple[str, int], tuple[str, ...]]:
    path = tmp_path / "data"
    path.write_text(text, encoding="utf-8")
    return of_file(path, kind, *codes)


def of_file(path: Path, kind: str, *codes: str) -> dict[tuple[str, int], tuple[str, ...]]:
    found = Found(frozenset(codes))
    read(path, kind, found)
    return {key: networks_of(ranges, key[1]) for key, ranges in found.ranges.items()}


def test_tor(tmp_path: Path) -> None:
    assert networks(tmp_path, TOR, "tor", "cn") == {
        ("cn", 4): ("1.0.1.0/24", "1.0.2.0/23"),
        ("cn", 6): ("2001:250::/31", "2001:252::/32"),
    }


def test_registry_counts_addresses(tmp_path: Path) -> None:
    """768 addresses are no network; what is reserved or available is nobody's."""
    assert networks(tmp_path, RIR, "rir", "cn", "au") == {
        ("cn", 4): ("1.0.1.0/24", "1.0.2.0/23", "1.0.8.0/21"),
        ("cn", 6): ("2001:250::/35",),
    }


def test_csv_of_networks_and_of_ranges(tmp_path: Path) -> None:
    found = networks(tmp_path, CSV, "csv", "cn", "au")
    assert found["cn", 4] == ("1.0.1.0/24", "1.0.2.0/23")
    assert found["au", 4] == ("1.0.4.0/22",)
    assert found["cn", 6] == ("2001:250::/35", "2001:db8::/32")


def test_ipv4_in_the_clothes_of_ipv6(tmp_path: Path) -> None:
    """Some files have IPv4 once more, mapped; the kernel's tools would spell it otherwise than we do."""
    text = (
        "281470698521088,281470698521343,CN\n::ffff:1.0.2.0,::ffff:1.0.3.255,CN\n::1.0.8.0/120,CN\n2001:250::/35,CN\n"
    )
    assert networks(tmp_path, text, "csv", "cn") == {
        ("cn", 4): ("1.0.2.0/23",),
        ("cn", 6): ("2001:250::/35",),
    }


def test_packed_by_gzip(tmp_path: Path) -> None:
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode()))
    assert of_file(path, "csv", "au") == {("au", 4): ("1.0.4.0/22",)}
    path.write_bytes(gzip.compress(CSV.encode())[:-20])
    with pytest.raises(CountryError, match="is damaged"):
        of_file(path, "csv", "au")


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("tor", "<!DOCTYPE html>\n<html>", "is a web page, no data of the format tor"),
        ("rir", "\n<html>", "is a web page, no data of the format rir"),
        ("csv", "<html>\n<body>", "is a web page, no data of the format csv"),
        ("tor", "", "has no ranges"),
        ("tor", "# nothing\n", "has no ranges"),
        ("csv", "network,country\n", "has no ranges"),
        ("tor", TOR + "167772", 'line 6: "167772" is nothing of the format tor'),
        ("tor", "5,4,CN\n", 'line 1: "5,4,CN" is nothing of the format tor'),
        ("tor", "5,4294967296,CN\n", 'line 1: "5,4294967296,CN" is nothing of the format tor'),
        ("csv", CSV + "1.2.3.0/24,China\n", 'line 8: "1.2.3.0/24,China" is nothing of the format csv'),
        ("csv", CSV + "1.2.3.1/24,CN\n", "line 8"),
        ("rir", RIR + "apnic|CN|ipv4|1.3.0", "line 11"),
        ("rir", RIR.replace("|6|1983", "|9|1983"), "was cut off: it has 6 records of 9"),
        ("tor", "\x00\x01\x02", "is nothing of the format tor"),
    ],
)
def test_what_is_no_data_is_refused_whole(tmp_path: Path, kind: str, text: str, said: str) -> None:
    with pytest.raises(CountryError) as caught:
        networks(tmp_path, text, kind, "cn")
    assert said in str(caught.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CountryError, match="is damaged"):
        of_file(tmp_path / "data", "csv", "cn")


PIECES = (
    "|",
    ",",
    "\n",
    "CN",
    "ipv4",
    "ipv6",
    "allocated",
    "1.0.1.0",
    "2001:250::",
    "/24",
    "256",
    "-9",
    "9" * 30,
    "²",
    '"',
)


@given(
    st.sampled_from(("tor", "rir", "csv")),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=25).map("".join),
)
def test_nothing_in_a_file_is_more_than_an_error(
    tmp_path_factory: pytest.TempPathFactory, kind: str, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz"
    path.write_text(text, encoding="utf-8", errors="replace")
    with contextlib.suppress(CountryError):
        of_file(path, kind, "cn")


@pytest.mark.parametrize("line", ["-5,-4,CN", "apnic|CN|ipv6|2001:250::|-99999999999|20000426|allocated"])
def test_numbers_without_bounds(tmp_path: Path, line: str) -> None:
    with pytest.raises(CountryError, match="line 1"):
        networks(tmp_path, f"{line}\n", "rir" if "|" in line else "tor", "cn")


def test_a_damaged_database_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("maxminddb")
    writer, netaddr = pytest.importorskip("mmdb_writer"), pytest.importorskip("netaddr")
    made = writer.MMDBWriter(ip_version=6, ipv4_compatible=True)
    made.insert_network(netaddr.IPSet(["1.0.1.0/24", "2001:250::/35"]), {"country": {"iso_code": "CN"}})
    path = tmp_path / "data.mmdb"
    made.to_db_file(str(path))
    whole, chance, errors = path.read_bytes(), random.Random(3), 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 3, 20))):
            damaged[chance.randrange(len(whole))] = chance.randrange(256)
        path.write_bytes(bytes(damaged))
        try:
            of_file(path, "maxmind", "cn")
        except CountryError:
            errors += 1
    assert errors > 50


RANGES = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)).map(lambda pair: (pair[0], sum(pair))), max_size=9)


@given(RANGES, st.sampled_from((0, (1 << 32) - 361)))
def test_networks_hold_exactly_the_ranges(ranges: list[tuple[int, int]], base: int) -> None:
    shifted = [(base + first, base + last) for first, last in ranges]
    found = [ipaddress.IPv4Network(network) for network in networks_of(shifted, 4)]
    held = sorted(int(address) for network in found for address in network)
    assert held == sorted({address for first, last in shifted for address in range(first, last + 1)})
    # And they are the fewest: the standard library, which takes far longer, finds no other.
    fewest = (
        network
        for first, last in merged(shifted)
        for network in ipaddress.summarize_address_range(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last))
    )
    assert found == list(fewest)


def test_all_addresses_are_one_network() -> None:
    assert networks_of([(0, (1 << 32) - 1)], 4) == ("0.0.0.0/0",)
    assert networks_of([(0, (1 << 128) - 1)], 6) == ("::/0",)


@pytest.mark.skipif(not (DEBIAN / "geoip").exists(), reason="needs Debian's package tor-geoipdb")
@pytest.mark.parametrize(("name", "family"), [("geoip", 4), ("geoip6", 6)])
def test_debians_data_against_its_own_lines(name: str, family: int) -> None:
    """The country of an address, looked up line by line in the file, is the one whose networks hold it."""
    codes = ("cn", "hk", "us", "de", "li")
    found = of_file(DEBIAN / name, "tor", *codes)
    held = {code: {*map(ipaddress.ip_network, found[code, family])} for code in codes}
    address_of = int if family == 4 else lambda text: int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    entries = []
    for line in (DEBIAN / name).read_text().splitlines():
        if not line.startswith("#"):
            first, last, code = line.split(",")
            entries.append((address_of(first), address_of(last), code.lower()))
    chance = random.Random(5)
    wanted = [entry for entry in entries if entry[2] in codes]
    picked = [*(chance.choice(entries) for _ in range(100)), *(chance.choice(wanted) for _ in range(100))]
    # The ends of ranges, what is next to them, and something inside.
    asked = sorted(
        {near for first, last, _ in picked for near in (first - 1, first, chance.randint(first, last), last, last + 1)}
    )
    countries: dict[int, set[str]] = {address: set() for address in asked}
    for first, last, code in entries:
        for address in asked[bisect.bisect_left(asked, first) : bisect.bisect_right(asked, last)]:
            countries[address].add(code)
    for address in asked:
        assert countries[address] & {*codes} == holders(held, address, family), address


def holders(held: Mapping[str, set[Any]], address: int, family: int) -> set[str]:
    spelling = ipaddress.IPv4Network if family == 4 else ipaddress.IPv6Network
    above = {spelling((address, length), strict=False) for length in range(33 if family == 4 else 129)}
    return {code for code, networks in held.items() if networks & above}


def test_formats_are_those_of_the_topology() -> None:
    assert {*FORMATS} == {*topology.FORMATS}
