# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the scenario's certificates: `make_certificates.py FOLDER`. Those that are there stay."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from labkit.authority import Authority

SERVERS = ("us", "eu", "names")


def main() -> None:
    """Issues one for each server, and one in the name of us by an authority that nobody here trusts."""
    folder = Path(sys.argv[1])
    authority, stranger = Authority(folder), Authority(folder, "stranger")
    for server in SERVERS:
        if not (folder / f"{server}.pem").exists():
            authority.issue(server, f"{server}.autovpn.example")
    if not (folder / "middlebox.pem").exists():
        stranger.issue("middlebox", "us.autovpn.example")


if __name__ == "__main__":
    main()
