# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the lab's WireGuard keys as a variables file (0600): `make_keys.py FILE [OWNER…]`.

A file that is there stays.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

OWNERS = (
    "server",
    "us",
    "eu",
    "gateway_to_us",
    "gateway_to_eu",
    "gateway_to_spare",
    "gateway_to_legacy",
    "alice",
    "bob",
    "carol",
)


def make_keys() -> dict[str, str]:
    """Returns a new private key, its public key and a preshared key, each as WireGuard writes them."""
    private = X25519PrivateKey.generate()
    return {
        "private": base64.b64encode(private.private_bytes_raw()).decode(),
        "public": base64.b64encode(private.public_key().public_bytes_raw()).decode(),
        "preshared": base64.b64encode(secrets.token_bytes(32)).decode(),
    }


def main() -> None:
    """Makes the file, readable by its owner only from the first byte on."""
    path = Path(sys.argv[1])
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.safe_dump({"lab_keys": {owner: make_keys() for owner in sys.argv[2:] or OWNERS}}, file)


if __name__ == "__main__":
    main()
