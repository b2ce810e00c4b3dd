# SPDX-License-Identifier: GPL-3.0-or-later
"""The benches run, at sizes at which they measure nothing: what they would say is not judged here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

BENCHES = Path(__file__).parents[1] / "bench"
SMALL = {
    "compile": "--clients 3,5,9 --policies 2 --upstreams 2 --names 20 --networks 8 --rounds 1",
    "apply": "--clients 5 --policies 2 --upstreams 2 --lists 8 --domains 16 --networks 16 --peer-clients 2 --rounds 1",
    "boot": "--clients 5 --policies 2 --upstreams 2 --lists 8 --domains 16 --networks 16 --rounds 1",
    "rates": "--clients 2 --seconds 1 --rated 1,3 --flows 20 --packets 100 --rounds 1",
    "pac": "--names 10 --rounds 1",
    "resolving": "--names 5 --many 5 --delay 0.001 --rounds 1",
    "websocket": "--seconds 1 --streams 1 --pings 5 --rounds 1",
    "packets": "--clients 2 --policies 1 --egresses 2 --flows 20 --seconds 0.01 --rounds 1",
}


@pytest.mark.parametrize("name", SMALL)
def test_a_bench_runs_and_writes_its_result(name: str, tmp_path: Path) -> None:
    argv = [str(BENCHES / f"{name}.py"), *SMALL[name].split(), "--results", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    result = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert result["rows"]
    assert all(row["median"] >= 0 for row in result["rows"])
