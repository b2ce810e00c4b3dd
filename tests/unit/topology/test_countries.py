# SPDX-License-Identifier: GPL-3.0-or-later
"""Countries' codes, and where the data of countries comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology.countries import (
    BESIDE_ISO,
    COUNTRIES,
    country,
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
