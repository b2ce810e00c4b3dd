# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway countries`: what it lists, and that its refresh never comes in the middle of a run."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from splitway.agent import cli
from splitway.compiler import compile_state
from splitway.countries import kept, networks
from splitway.failures import FAILURES
from splitway.store import Store
from splitway.system import System
from splitway.topology import parse


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """Return a host whose generation has a rule for China, and its data in a file."""
    made = System(tmp_path / "etc", tmp_path / "run", tmp_path / "log", tmp_path / "data")
    made.runtime.mkdir()
    monkeypatch.setattr(cli, "System", lambda: made)
    data(tmp_path, "1.0.0.0/16,cn")
    publish(made, tmp_path, "cn")
    return made


def publish(host: System, folder: Path, *countries: str) -> None:
    rules = [{"country": list(countries), "egress": "block"}] if countries else []
    variables: dict[str, Any] = {
        "splitway_server": {"addresses": ["10.8.0.1/24"]},
        "splitway_clients": [{"name": "alice", "addresses": ["10.8.0.2"], "rules": rules}],
        "splitway_countries": {"source": str(folder / "geo.csv")},
    }
    Store(host).publish(compile_state(parse(variables), {}))


def data(folder: Path, *lines: str) -> None:
    (folder / "geo.csv").write_text("".join(f"{line}\n" for line in lines))


def test_list_and_refresh(host: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["countries"]) == 0
    assert (
        "country cn: there is no data of it on this host: splitway countries refresh gets it" in capsys.readouterr().out
    )
    assert cli.main(["countries", "refresh"]) == 0
    assert capsys.readouterr().out == "other networks: cn\n"
    assert cli.main(["countries", "refresh"]) == 0
    assert capsys.readouterr().out == "other networks: none\n"
    assert cli.main(["countries", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["countries"]["cn"]["networks"] == {"4": 1, "6": 0}
    assert listed["problem"] == ""
    data(tmp_path, "1.0.0.0/18,cn")
    assert cli.main(["countries", "refresh"]) == 1
    assert "would lose 75%" in capsys.readouterr().err
    assert cli.main(["countries"]) == 0
    shown = capsys.readouterr().out
    assert "cn" in shown
    assert "65536" in shown
    assert "older data is kept: " in shown
    assert cli.main(["countries", "refresh", "--accept"]) == 0
    assert networks(host, "cn", 4) == ("1.0.0.0/18",)


def test_where_no_rule_names_a_country(host: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(host, tmp_path)
    assert cli.main(["countries"]) == 2
    assert "no rule names a country" in capsys.readouterr().err
    assert cli.main(["countries", "refresh"]) == 0, "the timer may come while the last rule goes"


def test_a_country_without_data_is_an_error(host: System, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(host, tmp_path, "cn", "jp")
    assert cli.main(["countries", "refresh"]) == 2
    assert "does not know the country jp" in capsys.readouterr().err


def test_a_run_of_site_yml_is_not_disturbed(host: System, tmp_path: Path) -> None:
    cli.main(["countries", "refresh"])
    store = Store(host)
    store.open("run")
    data(tmp_path, "1.0.0.0/15,cn")
    refreshing = threading.Thread(target=cli.main, args=(["countries", "refresh"],))
    refreshing.start()
    time.sleep(0.5)
    assert networks(host, "cn", 4) == ("1.0.0.0/16",)
    assert refreshing.is_alive()
    store.close()
    refreshing.join(60)
    assert networks(host, "cn", 4) == ("1.0.0.0/15",)


def test_what_it_raises_ends_in_one_line() -> None:
    assert issubclass(kept.CountryError, FAILURES)
