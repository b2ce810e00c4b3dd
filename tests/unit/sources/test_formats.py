# SPDX-License-Identifier: GPL-3.0-or-later
"""Each format as it is published: what is taken, what is left out and named, by line."""

from __future__ import annotations

import contextlib
import time
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitway.sources.entries import Entries
from splitway.sources.errors import SourceError
from splitway.sources.formats import FORMATS, READERS, V2FLY, recognise, v2fly
from splitway.sources.text import decoded


def nothing_beside(name: str) -> v2fly.Text:
    raise SourceError(f"there is no file {name}")


def read(format_: str, text: str, attributes: tuple[str, ...] = ()) -> Entries:
    if format_ == V2FLY:
        return v2fly.read(text, "list", v2fly.Shelf(nothing_beside), v2fly.filter_of(attributes))
    return READERS[format_](text)


def left_out(entries: Entries) -> list[tuple[str, str]]:
    """Return where and of what kind the entries are that are left out."""
    return [(entry.place, entry.kind) for entry in entries.skipped]


def networks(*written: str) -> tuple[object, ...]:
    return tuple(map(ip_network, written))


V2FLY_TEXT = """\
\ufeff# a comment
Google.com
domain:example.org @cn # behind it
full:www.Only.example @!cn @ads
keyword:analytics
regexp:^(.+\\.)?exact\\.example$
regexp:(^|\\.)also\\.example$ @cn
regexp:^alone\\.example$
regexp:^ad[0-9]+\\.example\\.com$ @ads
bücher.example &books
xn--80AGLFYFK.xn--p1ai
dmain:wrong.example
foo bar
goo..gle
"""


def test_v2fly() -> None:
    found = read("v2fly", V2FLY_TEXT.replace("\n", "\r\n"))
    assert found.domains == (
        "google.com",
        "example.org",
        "www.only.example",
        "exact.example",
        "also.example",
        "alone.example",
        "xn--bcher-kva.example",
        "xn--80aglfyfk.xn--p1ai",
    )
    assert found.widened == 2  # full: and the expression of one name
    assert left_out(found) == [
        ("line 5", "keyword"),
        ("line 9", "regexp"),
        ("line 12", "mistake"),
        ("line 13", "mistake"),
        ("line 14", "mistake"),
    ]
    assert '"dmain:wrong.example" is neither a name nor domain:, full:' in str(found.mistakes[0])
    assert str(found.mistakes[2]) == 'list line 14: "goo..gle" is not a domain name'


def test_v2flys_releases_write_attributes_otherwise() -> None:
    text = "domain:a.example:@ads\nfull:b.example:@ads,@cn\ndomain:c.example\n"
    assert recognise(text) == "v2fly"
    assert read("v2fly", text, ("ads",)).domains == ("a.example", "b.example")
    assert read("v2fly", text, ("-cn",)).domains == ("a.example", "c.example")


@pytest.mark.parametrize(
    ("attributes", "domains", "kinds"),
    [
        (("cn",), ["example.org", "also.example"], {}),
        (("-cn", "-!cn"), ["google.com", "exact.example", "alone.example"], {"keyword": 1, "regexp": 1, "mistake": 3}),
        (("ads",), ["www.only.example"], {"regexp": 1}),
        (("ads", "-!cn"), [], {"regexp": 1}),
    ],
)
def test_v2flys_attributes_choose(attributes: tuple[str, ...], domains: list[str], kinds: dict[str, int]) -> None:
    found = read("v2fly", V2FLY_TEXT, attributes)
    assert [name for name in found.domains if not name.startswith("xn--")] == domains
    assert found.counted() == kinds


@pytest.mark.parametrize(
    "expression",
    [r"(^|\.)a\.example", r"^(.+\.)?a.example$", r"^(.+)?a\.example$", r"a\.example$", r"^(.+\.)a\.example$"],
)
def test_expressions_that_mean_more_or_less_than_a_name_stay_out(expression: str) -> None:
    assert not read("v2fly", f"regexp:{expression}").domains


DNSMASQ = """\
# accelerated-domains
server=/0-100.com/114.114.114.114
server=/a.example/B.example/1.1.1.1#53
server=/c.example/# # by the usual ones
ipset=/d.example/e.example/set4,set6
nftset=/f.example/4#inet#table#set
address=/ads.example/0.0.0.0
address=/.dotted.example/
local=/lan/
address=/#/1.2.3.4
server=/*tail.example/9.9.9.9
server=8.8.8.8
no-resolv
server=/open.example
???
"""


def test_dnsmasq() -> None:
    found = read("dnsmasq", DNSMASQ)
    assert found.domains == (
        *("0-100.com", "a.example", "b.example", "c.example", "d.example", "e.example", "f.example"),
        *("ads.example", "dotted.example", "lan"),
    )
    assert not found.widened
    assert left_out(found) == [
        ("line 10", "pattern"),
        ("line 11", "pattern"),
        ("line 12", "line without names"),
        ("line 13", "line without names"),
        ("line 14", "mistake"),
        ("line 15", "mistake"),
    ]


PLAIN = """\
; comments of all
// kinds
! are known
Example.COM # here, too
*.wild.example
.dot.example
+.plus.example
trailing.example.
9.9.9.9
2001:DB8::/32
10.0.0.0/255.0.0.0
192.0.2.1-192.0.2.6
https://www.example.com/path
example.net/path
example.net:8080
a*.example
8.8.8.8/24
two words
- 'yaml.example'
  - "+.yaml2.example"
payload:
DOMAIN-SUFFIX,suffix.example
DOMAIN,alone.example,PROXY
DOMAIN-KEYWORD,word
IP-CIDR,198.51.100.0/24,no-resolve
PROCESS-NAME,curl
one.example,two.example
192.0.2.7:8080
"""


def test_plain() -> None:
    found = read("plain", PLAIN)
    assert found.domains == (
        *("example.com", "wild.example", "dot.example", "plus.example", "trailing.example"),
        *("yaml.example", "yaml2.example", "suffix.example", "alone.example"),
    )
    assert found.networks == networks(
        *("9.9.9.9/32", "2001:db8::/32", "10.0.0.0/8", "192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/31", "192.0.2.6/32"),
        "198.51.100.0/24",
    )
    assert found.widened == 1
    assert left_out(found) == [
        ("line 13", "path or URL"),
        ("line 14", "path or URL"),
        ("line 15", "port"),
        ("line 16", "pattern"),
        ("line 17", "mistake"),
        ("line 18", "mistake"),
        ("line 24", "keyword"),
        ("line 26", "condition other than the destination"),
        ("line 27", "mistake"),
        ("line 28", "port"),
    ]
    assert "did you mean 8.8.8.0/24?" in str(found.mistakes[0])


HOSTS = """\
127.0.0.1 localhost localhost.localdomain
::1 ip6-localhost ip6-loopback
0.0.0.0 0.0.0.0
0.0.0.0 ads.Example  tracker.example # two
127.0.0.1\tpopup.example
:: six.example
0 zero.example
140.82.114.4 github.example
0.0.0.0
ads.example
0.0.0.0 https://ads.example/x
0.0.0.0 bad..example
fe80::1%lo0 localhost
"""


def test_hosts() -> None:
    found = read("hosts", HOSTS)
    assert found.domains == (
        *("ads.example", "tracker.example", "popup.example", "six.example", "zero.example", "github.example"),
    )
    assert found.widened == 6
    assert found.counted() == {"name of the host itself": 6, "mistake": 3, "path or URL": 1}
    assert [entry.place for entry in found.mistakes] == ["line 9", "line 10", "line 12"]


ADBLOCK = """\
[Adblock Plus 2.0]
! Title: a list
||ads.example^
||third.example^$third-party
||important.example^$important
||with-path.example/banner
||root.example/
||port.example:8080^
||wild*.example^
||*.stars.example^
||192.0.2.7^
|https://exact.example^
plain.example
||script.example^$script
||page.example^$domain=other.example
/banner[0-9]+/
/ads/banner.
-ad-banner.
banner.min.js
example.com##.ad
example.com#@#.ad
##.advert
@@||good.example^
@@||ok.ads.example^
||good.example^
||www.good.example^
0.0.0.0 mixed.example
||bad..example^
"""


def test_adblock() -> None:
    found = read("adblock", ADBLOCK)
    assert found.domains == (
        *("ads.example", "third.example", "important.example", "root.example", "stars.example", "exact.example"),
        *("plain.example", "mixed.example"),
    )
    assert found.networks == networks("192.0.2.7/32")
    assert found.widened == 4  # requests of other sites only; three names that are meant alone
    assert left_out(found) == [
        ("line 6", "path or URL"),
        ("line 8", "port"),
        ("line 9", "pattern"),
        ("line 14", "condition other than the destination"),
        ("line 15", "condition other than the destination"),
        ("line 16", "regexp"),
        ("line 17", "path or URL"),
        ("line 18", "pattern"),
        ("line 19", "pattern"),
        ("line 20", "element of a page"),
        ("line 21", "element of a page"),
        ("line 22", "element of a page"),
        ("line 23", "exception"),
        ("line 24", "exception"),
        ("line 28", "mistake"),
    ]


CIDR = """\
; Spamhaus has its comments so
192.0.2.0/24 ; SBL123
2001:db8::/32
198.51.100.7
ip-cidr,203.0.113.0/24
IP-CIDR6,2001:db8:1::/48,no-resolve
10.0.0.0 - 10.0.1.255
2001:db8:2::-2001:db8:2::1
172.16.0.0/255.240.0.0
10.0.0.9-10.0.0.1
192.0.2.1-2001:db8::
192.0.2.9/24
example.com
1.2.3.4/33
"""


def test_cidr() -> None:
    found = read("cidr", CIDR)
    assert found.networks == networks(
        *("192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32", "203.0.113.0/24", "2001:db8:1::/48", "10.0.0.0/23"),
        *("2001:db8:2::/127", "172.16.0.0/12"),
    )
    assert [entry.place for entry in found.mistakes] == [f"line {number}" for number in range(10, 15)]
    assert "host bits" in str(found.mistakes[2])


def test_csv_by_columns() -> None:
    text = '\ufeffRank;Domain;Network;Comment\r\n1;"Example.com";;"a; b"\r\n2;;192.0.2.0/24;\r\n3;bad..example;;\r\n'
    found = read("csv", text.lstrip("\ufeff"))
    assert (found.domains, found.networks) == (("example.com",), networks("192.0.2.0/24"))
    assert left_out(found) == [("line 4", "mistake")]


def test_csv_by_type() -> None:
    rows = (
        "domain,a.example",
        "FULL,b.example",
        "cidr,2001:db8::/32",
        "keyword,x",
        "colour,red",
        "domain,",
        "ip,1.2.3.4",
    )
    found = read("csv", "type,value,comment\n" + "".join(f"{row},\n" for row in rows))
    assert (found.domains, found.networks) == (("a.example", "b.example"), networks("2001:db8::/32", "1.2.3.4/32"))
    assert found.widened == 1
    assert left_out(found) == [("line 5", "keyword"), ("line 6", "mistake"), ("line 7", "mistake")]


def test_csv_has_one_name_in_a_cell() -> None:
    found = read("csv", 'domain,note\n"a.example\nb.example",two lines\nc.example,\n')
    assert found.domains == ("c.example",), "and not a.exampleb.example"
    assert left_out(found) == [("line 3", "mistake")]


def test_csv_needs_a_header() -> None:
    with pytest.raises(SourceError, match="line 1: the header names no column domain or network"):
        read("csv", "1,google.com\n2,youtube.com\n")


@pytest.mark.parametrize(
    ("text", "domains", "found_networks"),
    [
        ('["A.example", "192.0.2.0/24"]', ("a.example",), ("192.0.2.0/24",)),
        ('{"domains": ["a.example"], "networks": ["2001:db8::/32"]}', ("a.example",), ("2001:db8::/32",)),
        (
            '[{"type": "domain", "value": "a.example"}, {"type": "ip", "value": "9.9.9.9"}]',
            ("a.example",),
            ("9.9.9.9/32",),
        ),
        ('{"prefixes": [{"ip_prefix": "192.0.2.0/24", "region": "eu"}]}', (), ("192.0.2.0/24",)),
        (
            '{"prefixes": [{"ipv4Prefix": "192.0.2.0/24"}, {"ipv6Prefix": "2001:db8::/32"}]}',
            (),
            ("192.0.2.0/24", "2001:db8::/32"),
        ),
        (
            '{"version": 2, "rules": [{"domain": "a.example", "domain_suffix": [".b.example"]}]}',
            ("a.example", "b.example"),
            (),
        ),
    ],
)
def test_json(text: str, domains: tuple[str, ...], found_networks: tuple[str, ...]) -> None:
    found = read("json", text)
    assert (found.domains, found.networks) == (domains, networks(*found_networks))
    assert not found.skipped


def test_what_json_cannot_say_is_named_by_its_place() -> None:
    found = read("json", '{"domains": ["a.example", 7, "b c"], "rules": [{"domain": ["c.example"], "port": [443]}]}')
    assert found.domains == ("a.example",)
    assert left_out(found) == [
        ("domains[1]", "mistake"),
        ("domains[2]", "mistake"),
        ("rules[0]", "condition other than the destination"),
    ]
    with pytest.raises(SourceError, match="line 2: this is not JSON"):
        read("json", '{"domains":\n oops}')


def test_json_with_several_values_of_a_type() -> None:
    found = read(
        "json", '[{"type": "full", "value": ["a.example", "b.example"]}, {"type": "keyword", "value": ["ads"]}]'
    )
    assert (found.domains, found.widened) == (("a.example", "b.example"), 2)
    assert left_out(found) == [("[1][0]", "keyword")]


SAMPLES = {
    "v2fly": V2FLY_TEXT,
    "dnsmasq": DNSMASQ,
    "plain": "a.example\n9.9.9.9\n",
    "hosts": HOSTS,
    "adblock": ADBLOCK,
    "cidr": CIDR.replace("example.com\n", ""),
    "csv": "type,value\ndomain,a.example\n",
    "json": ' \n{"domains": []}',
}


@pytest.mark.parametrize("format_", FORMATS)
def test_a_format_is_recognised(format_: str) -> None:
    assert recognise(SAMPLES[format_]) == format_


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        ("## a heading\na.example ## and another\nb.example\n", "plain"),
        ("a.example\nb.example @ads\n", "v2fly"),
        ("payload:\n  - '+.a.example'\n", "plain"),
        ("IP-CIDR,192.0.2.0/24\n", "cidr"),
        ("! Title: x\n||a.example^\nb.example\n", "adblock"),
        ("||a.example^\n0.0.0.0 b.example\n0.0.0.0 c.example\n", "adblock"),
        ("[uBlock Origin]\n# Title\na.example\n", "adblock"),
        ("# hosts\n127.0.0.1 localhost\n0.0.0.0 a.example\n", "hosts"),
        ("domain\na.example\n", "csv"),
    ],
)
def test_look_alikes_are_told_apart(text: str, format_: str) -> None:
    assert recognise(text) == format_


@pytest.mark.parametrize("text", ["||a.example^\nserver=/b.example/1.1.1.1\n", "0.0.0.0 a.example\nfull:b.example\n"])
def test_what_may_be_two_formats_is_asked_back(text: str) -> None:
    with pytest.raises(SourceError, match=r"its format is not clear .line 1 like .*, line 2 like .*: say it"):
        recognise(text)


def test_what_is_no_list_is_not_recognised() -> None:
    with pytest.raises(SourceError, match="nothing in it looks like a list"):
        recognise("Once upon a time there was a prince.\n# and a comment\n")


LINES = st.sampled_from(
    [line for text in SAMPLES.values() for line in text.splitlines()]
    + ["\x00", "||", "@@", "a" * 300, "include:../x", "/"]
) | st.text(max_size=30)


@given(st.sampled_from(FORMATS), st.lists(LINES, max_size=12).map("\n".join))
def test_whatever_stands_in_a_source(format_: str, text: str) -> None:
    """Entries in canonical spelling or the one exception; each line that is left out has its place."""
    for name in (format_, None):
        try:
            found = read(name or recognise(text), text)
        except SourceError:
            continue
        assert all(domain == domain.lower().strip(".*") for domain in found.domains)
        assert all(entry.place and entry.kind and str(entry).isprintable() for entry in found.skipped)


LONG = ("a" + " " * 100_000 + "b#c", "||" + "a." * 500_000 + "^", "0.0.0.0 " + "a-" * 500_000, "a" * 1_000_000)


@pytest.mark.parametrize("line", LONG, ids=["spaces", "labels", "hyphens", "letters"])
def test_a_long_line_takes_no_longer_than_many(line: str) -> None:
    started = time.process_time()
    for format_ in FORMATS:
        with contextlib.suppress(SourceError):
            assert not read(format_, f"{line}\n").networks
    assert time.process_time() - started < 5


def test_comments_of_a_page_are_looked_at_once() -> None:
    started = time.process_time()
    assert decoded(b"<!---->" * 500 + b"a.example")
    with pytest.raises(SourceError, match="it is an HTML page"):
        decoded(b"<!-- a --> <!-- b\n -- > -->\n" * 50 + b"<HTML>")
    assert time.process_time() - started < 5


def test_a_hundred_thousand_lines_are_read_at_once() -> None:
    text = "\n".join(f"server=/name{number}.example{number % 97}.com/114.114.114.114" for number in range(110_000))
    started = time.process_time()
    assert len(read(recognise(text), text).domains) == 110_000
    assert time.process_time() - started < 2
