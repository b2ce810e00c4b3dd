# SPDX-License-Identifier: GPL-3.0-or-later
"""How long site.yml takes on the lab's gateway at size: first run, unchanged, one rule changed. Nothing is asserted.

Run as `make bench` with the lab up and site.yml run once, so that packages are there. It ends with the topology of the
lab in force again.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "tests/bench"))

from sizes import variables  # noqa: E402

LAB = REPOSITORY / "inventories/lab"
OVERRIDES = REPOSITORY / ".cache/bench/topology.yml"


def main() -> None:
    """Print seconds and tasks of each run."""
    operator = variables(clients=1000, policies=50, upstreams=20, lists=50, domains=5000)
    operator["splitway_client_files"] = {"destination": "gateway"}
    run("first run of the topology", operator)
    for _ in range(3):
        run("unchanged", operator)
    operator["splitway_policies"]["policy1"]["rules"][0] = {"domain": "changed.example", "egress": "up1"}
    run("one rule changed", operator)
    run("the lab's topology again", {})


def run(title: str, operator: dict[str, Any]) -> None:
    """Run site.yml with these variables in place of the lab's."""
    OVERRIDES.parent.mkdir(parents=True, exist_ok=True)
    OVERRIDES.write_text(yaml.safe_dump(operator), encoding="utf-8")
    started = time.perf_counter()
    done = subprocess.run(
        ["ansible-playbook", "-i", str(LAB), "-e", f"@{OVERRIDES}", str(REPOSITORY / "playbooks/site.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stdout[-4000:] + done.stderr[-2000:])
    recap = re.search(r"gw\s+: ok=(\d+)\s+changed=(\d+)", done.stdout)
    print(
        f"{title:28}{seconds:8.1f} s{recap[1] if recap else '?':>6} tasks{recap[2] if recap else '?':>4} changed",
        flush=True,
    )


if __name__ == "__main__":
    main()
