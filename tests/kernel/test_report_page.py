# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on a fleet in a real browser: it asks for nothing, says no error, sorts, filters and prints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest

from ansible_collections.splitway.gateway.plugins.plugin_utils.report.page import report
from ansible_collections.splitway.gateway.tests.unit.fleet.simulated import NOW, SECTIONS, fleet

pytestmark = pytest.mark.skipif(not os.access(chromium.PROGRAM, os.X_OK), reason="not installed: chromium")

PROMISED = 2.0  # seconds until a report on 100 gateways and 5,000 clients is there
TRIES = 5  # somebody else may have the machine during some of them
EVIL = "</script><script>alert(1)</script>"
FIRST = "[...document.querySelectorAll('[data-place={}] tbody tr')].map(row => row.children[{}].textContent)"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    with chromium.page(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def shown(page: chromium.Page, tmp_path: Path) -> chromium.Page:
    """A large fleet, one of whose clients has a name that wants to be a script."""
    found = fleet(100, 5000)
    clients = found["gw001"]["look"]["figures"]["agent"]["clients"]
    clients[0]["name"] = EVIL
    file = tmp_path / "report.html"
    file.write_text(report(found, SECTIONS, "Gateways", NOW), encoding="utf-8")
    page.asked.clear()
    assert any(page.open(file.as_uri()) <= PROMISED for _ in range(TRIES))
    assert set(page.asked) == {file.as_uri()}
    return page


def column(page: chromium.Page, table: str, index: int) -> list[str]:
    found: list[str] = page.evaluate(FIRST.format(table, index))
    return found


def look_for(page: chromium.Page, table: str, words: str) -> str:
    """Filter a table as somebody who types; return what it says of how many rows there are."""
    found: str = page.evaluate(
        f"""(() => {{
            const place = document.querySelector('[data-place={table}]');
            const input = place.querySelector('input');
            input.value = {words!r};
            input.dispatchEvent(new Event('input'));
            return place.querySelector('output').textContent;
        }})()"""
    )
    return found


def click(page: chromium.Page, selector: str) -> None:
    page.evaluate(f"document.querySelector({selector!r}).dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")


def test_tables_sort_filter_and_turn_pages(shown: chromium.Page) -> None:
    assert len(column(shown, "clients", 0)) == 50
    click(shown, "[data-place=clients] th:nth-child(6) button")
    received = column(shown, "clients", 5)
    assert received[0].endswith(" GB")
    values = [float(text.split()[0]) for text in received if text.endswith(" GB")]
    assert values == sorted(values, reverse=True)
    assert len(values) == 50
    click(shown, "[data-place=clients] th:nth-child(6) button")
    assert column(shown, "clients", 5)[0] == "–"  # who has received nothing
    assert look_for(shown, "clients", "GW007 family") == f"{len(column(shown, 'clients', 0))} found, of 4,901"
    assert set(column(shown, "clients", 1)) == {"gw007"}
    assert set(column(shown, "clients", 2)) == {"family"}
    assert look_for(shown, "clients", "nobody has this name").startswith("0 found")
    assert look_for(shown, "clients", "") == "1–50 of 4,901"
    click(shown, "[data-place=clients] .tools button:last-child")
    assert shown.evaluate("document.querySelector('[data-place=clients] output').textContent") == "51–100 of 4,901"
    assert shown.said == []


def test_a_square_of_the_map_finds_its_gateway(shown: chromium.Page) -> None:
    click(shown, "svg .tile.bad rect")
    assert len(column(shown, "gateways", 0)) == 1
    assert column(shown, "gateways", 2)[0].startswith("✕")
    assert shown.said == []


def test_a_name_stays_a_name(shown: chromium.Page) -> None:
    assert look_for(shown, "clients", "alert(1)") == "1 found, of 4,901"
    assert column(shown, "clients", 0) == [EVIL]
    assert shown.evaluate("document.scripts.length") == 2
    assert shown.said == []


def test_it_is_dark_where_the_reader_wants_that_and_fits_on_paper(shown: chromium.Page) -> None:
    paint = "getComputedStyle(document.body).backgroundColor"
    assert shown.evaluate(paint) == "rgb(255, 255, 255)"
    shown.open(shown.evaluate("location.href"), dark=True)
    assert shown.evaluate(paint) != "rgb(255, 255, 255)"
    paper = shown.paper()
    assert paper.startswith(b"%PDF")
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # After printing the pages are short again.
    assert len(column(shown, "clients", 0)) == 50
    assert shown.said == []


def test_the_policy_lets_nothing_else_run(shown: chromium.Page) -> None:
    shown.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert shown.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in shown.said)
    shown.said.clear()
