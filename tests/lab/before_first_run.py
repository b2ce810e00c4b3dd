# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must happen before the first run of site.yml: the plain host is looked at, and its clients already knock.

The playbook is run with --check on the plain host. Then both clients get a configuration by hand, as if they had been
clients before, and their traffic is captured from before the gateway's interface exists until the tests stop it. What
was found is written to .cache/lab/first-run.json; test_1_first_run.py judges it.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import yaml
from labkit.clients import CLIENTS, start_client
from labkit.hosts import FILES, INVENTORY
from labkit.playbooks import playbook
from labkit.snapshots import snapshot
from labkit.traffic import start_traffic

CONFIGURATION = """\
[Interface]
PrivateKey = {private}
Address = 10.8.0.{number}/32, fdcc:ad94:bacf:61a4::{number}/128
DNS = 10.8.0.1
MTU = 1320

[Peer]
PublicKey = {server}
PresharedKey = {preshared}
Endpoint = 10.90.0.10:51820
AllowedIPs = 0.0.0.0/0, ::/0
PersistentKeepalive = 1
"""


def main() -> None:
    """Looks, checks, looks again, and leaves the clients' traffic running."""
    before = snapshot()
    check = playbook("site.yml", "--check", "--diff")
    found = {"before": before, "check": asdict(check), "after check": snapshot()}
    FILES.mkdir(parents=True, exist_ok=True)
    (FILES / "first-run.json").write_text(json.dumps(found), encoding="utf-8")

    keys = yaml.safe_load((INVENTORY / "group_vars" / "all" / "keys.yml").read_text(encoding="utf-8"))["lab_keys"]
    for number, name in enumerate(CLIENTS, start=2):
        start_client(
            name,
            CONFIGURATION.format(
                private=keys[name]["private"],
                preshared=keys[name]["preshared"],
                server=keys["server"]["public"],
                number=number,
            ),
        )
    start_traffic()


if __name__ == "__main__":
    main()
