# SPDX-License-Identifier: GPL-3.0-or-later
"""One spelling for each domain, and none that dnsmasq could read as something else."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from splitway.topology import TopologyError, canonical_domain


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("google.com", "google.com"),
        ("WWW.Google.COM.", "www.google.com"),
        ("*.google.com", "google.com"),
        ("*.Google.com.", "google.com"),
        ("cn", "cn"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("r3---sn-4g5e6nsz.googlevideo.com", "r3---sn-4g5e6nsz.googlevideo.com"),
        ("9gag.com", "9gag.com"),
        ("1.1.1.1.in-addr.arpa", "1.1.1.1.in-addr.arpa"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("straße.de", "xn--strae-oqa.de"),  # IDNA 2003 would have said strasse.de, another name
        ("*.中国", "xn--fiqs8s"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("ｇｏｏｇｌｅ．ｃｏｍ", "google.com"),
        ("_srv.bücher.example", "_srv.xn--bcher-kva.example"),
        ("пример.рф.", "xn--e1afmkfd.xn--p1ai"),
        ("a" * 63 + ".com", "a" * 63 + ".com"),
        (".".join(["a" * 63] * 3 + ["b" * 61]) + ".", ".".join(["a" * 63] * 3 + ["b" * 61])),
    ],
)
def test_canonical_spelling(written: str, canonical: str) -> None:
    assert canonical_domain(written) == canonical


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("goo gle.com", '"goo gle.com" is not a domain name'),
        ("", '"" is not a domain name'),
        (".", '"." is not a domain name'),
        (".google.com", '".google.com" is not a domain name'),
        ("google..com", '"google..com" is not a domain name'),
        ("google.com..", '"google.com.." is not a domain name'),
        ("-google.com", '"-google.com" is not a domain name'),
        ("google-.com", '"google-.com" is not a domain name'),
        ("https://google.com/", '"https://google.com/" is not a domain name'),
        ("google.com/8.8.8.8", '"google.com/8.8.8.8" is not a domain name'),
        ("google.com#53", '"google.com#53" is not a domain name'),
        ("google.com,gstatic.com", '"google.com,gstatic.com" is not a domain name'),
        ("google.com\n", '"google.com\\n" is not a domain name'),
        ("google.com\nserver=6.6.6.6", '"google.com\\nserver=6.6.6.6" is not a domain name'),
        ("ℂ℀.com", '"ℂ℀.com" is not a domain name'),  # UTS 46 maps the second to "a/c"
        ("a\u202egro.com", '"a\\u202egro.com" is not a domain name'),
        ("\ud800.com", '"\\ud800.com" is not a domain name'),
        ("*", '"*" is not a domain name: a wildcard stands in front only, as in *.example.com'),
        ("*google.com", '"*google.com" is not a domain name: a wildcard stands in front only, as in *.example.com'),
        ("a.*.com", '"a.*.com" is not a domain name: a wildcard stands in front only, as in *.example.com'),
        ("8.8.8.8", '"8.8.8.8" is not a domain name: it is an address'),
        ("8.8.8.0/24", '"8.8.8.0/24" is not a domain name: it is an address'),
        ("2001:db8::1", '"2001:db8::1" is not a domain name: it is an address'),
        ("１.１.１.１", '"１.１.１.１" is not a domain name: it is an address'),
        ("1.2.3", '"1.2.3" is not a domain name'),
        ("{{ domain }}", '"{{ domain }}" is not a domain name'),
        ("a" * 64 + ".com", '"' + "a" * 64 + '.com" is not a domain name: a label has more than 63 characters'),
        (
            "abcd." * 50 + "efgh",
            '"' + "abcd." * 15 + 'abcd…" is not a domain name: it has more than 253 characters',
        ),
        ("ü" * 5000, '"' + "ü" * 79 + '…" is not a domain name: it has more than 253 characters'),
    ],
)
def test_refused(written: str, message: str) -> None:
    with pytest.raises(TopologyError) as error:
        canonical_domain(written)
    assert str(error.value) == message


LABEL = st.text("abcXYZ019-_.*", max_size=12) | st.text(max_size=8)


@given(st.lists(LABEL, max_size=6).map(".".join))
@example("\u212aelvin.com")  # the Kelvin sign, whose lower case is an ASCII k
def test_what_passes_is_canonical_and_harmless(written: str) -> None:
    try:
        canonical = canonical_domain(written)
    except TopologyError:
        return
    assert canonical_domain(canonical) == canonical
    for spelling in (f"*.{canonical}", f"{canonical}.", canonical.upper()):
        assert canonical_domain(spelling) == canonical
    assert re.fullmatch(r"[a-z0-9_.-]+", canonical)
    assert len(canonical) <= 253
    assert all(0 < len(label) <= 63 and label.strip("-") == label for label in canonical.split("."))
    assert not canonical.rpartition(".")[2].isdigit()
