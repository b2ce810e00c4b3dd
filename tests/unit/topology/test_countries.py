# SPDX-License-Identifier: GPL-3.0-or-later
"""Countries' codes, and where the data of countries comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.countries import (
    BESIDE_ISO,
    COUNTRIES,
    country,
    read_countries,
)
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.errors import Report
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.model import (
    CountrySettings,
    CountrySource,
)

ZONEINFO = Path("/usr/share/zoneinfo/iso3166.tab")


@pytest.mark.parametrize("written", ["cn", "CN", "Cn"])
def test_code_in_either_case(written: str) -> None:
    assert country(written) == "cn"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("UK", '"UK" is no country\'s code (ISO 3166-1); did you mean "gb"?'),
        ("zz", '"zz" is no country\'s code (ISO 3166-1)'),
        ("??", '"??" is not a country\'s code (two letters, ISO 3166-1, like cn)'),
        ("USA", '"USA" is not a country\'s code (two letters, ISO 3166-1, like cn); did you mean "us"?'),
        (False, "false is not a country's code: YAML reads it as a boolean, put it in quotes"),
        (86, "86 is not a country's code: YAML reads it as a number, put it in quotes"),
        ("cn\n", '"cn\\n" is not a country\'s code (two letters, ISO 3166-1, like cn)'),
    ],
)
def test_what_is_no_code(written: object, said: str) -> None:
    with pytest.raises(TopologyError) as caught:
        country(written)
    assert str(caught.value) == said


@pytest.mark.skipif(not ZONEINFO.exists(), reason="needs tzdata's table of countries")
def test_all_of_iso_and_no_others() -> None:
    table = ZONEINFO.read_text(encoding="utf-8").splitlines()
    assert frozenset(line[:2].lower() for line in table if not line.startswith("#")) == COUNTRIES - {*BESIDE_ISO}


def read(value: Any) -> tuple[CountrySettings, list[str]]:
    report = Report()
    return read_countries(report, value), report.errors


def test_data_is_debians_unless_said_otherwise() -> None:
    assert read(None) == (CountrySettings((CountrySource("tor-geoipdb", "tor"),), 86400, "gateway"), [])
    assert read({"source": "tor-geoipdb", "refresh": "12h"})[0].refresh == 43200


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("/srv/geoip6", "tor"),
        ("https://ftp.ripe.net/ripe/stats/delegated-ripencc-extended-latest", "rir"),
        ("/srv/GeoLite2-Country.mmdb", "maxmind"),
        ("https://example.com/a/dbip.csv.gz", "csv"),
    ],
)
def test_name_tells_the_format(name: str, kind: str) -> None:
    settings, errors = read({"source": name})
    assert ([source.format for source in settings.sources], errors) == ([kind], [])


def test_several_sources_on_the_controller() -> None:
    settings, errors = read({"source": ["/srv/a", "/srv/b"], "format": "rir", "where": "controller"})
    assert (settings.sources, errors) == ((CountrySource("/srv/a", "rir"), CountrySource("/srv/b", "rir")), [])
    assert settings.where == "controller"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"source": "/srv/data"}, 'source: "/srv/data" does not say its format: add format (tor or rir or '),
        ({"source": ["tor-geoipdb", "geo.csv"]}, 'source[1]: "geo.csv" is not a source (tor-geoipdb, a path that '),
        ({"source": "file:///etc/passwd"}, 'source: "file:///etc/passwd" is not a source'),
        ({"source": "https://"}, 'source: "https://" is not a source'),
        ({"source": []}, "source: is empty"),
        ({"format": "mmdb"}, 'format: "mmdb" is not a format (tor or rir or maxmind or csv)'),
        ({"refresh": "5m"}, "refresh: "),
        ({"where": "controller", "refresh": "1d"}, "refresh: is of no use on the controller"),
        ({"source": ["/a.csv", "/b.csv"], "checksum": "0" * 64}, "checksum: is of no use for several sources"),
        ({"checksum": "sha256:abc"}, 'checksum: "sha256:abc" is not a checksum'),
        ({"sources": "tor-geoipdb"}, 'sources: unknown key; did you mean "source"?'),
    ],
)
def test_what_is_wrong_is_named(value: Any, said: str) -> None:
    [error] = read(value)[1]
    assert error.startswith(f"splitway_countries.{said}")
