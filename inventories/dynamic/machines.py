#!/usr/bin/env python3
# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the machines that there are, as Ansible asks a script for them: `machines.py --list`.

Put what asks your cloud or your inventory of machines in place of `machines()`.
"""

from __future__ import annotations

import json
import sys


def machines() -> list[dict[str, str]]:
    """Return the machines: name, address, and the labels that the cloud has of them."""
    return [
        {"name": "fra-1", "address": "192.0.2.11", "role": "gateway", "region": "eu", "network": "10.81.0"},
        {"name": "sgp-1", "address": "192.0.2.21", "role": "gateway", "region": "asia", "network": "10.83.0"},
        {"name": "us", "address": "198.51.100.9", "role": "exit", "region": "america"},
        {"name": "www", "address": "198.51.100.10", "role": "web", "region": "eu"},  # none of ours
    ]


def main() -> None:
    """Answer `--list` with all hosts and their variables; there is nothing to ask for one host alone."""
    hosts = {machine["name"]: {f"cloud_{key}": value for key, value in machine.items()} for machine in machines()}
    json.dump({"all": {"hosts": list(hosts)}, "_meta": {"hostvars": hosts}}, sys.stdout)


if __name__ == "__main__":
    main()
