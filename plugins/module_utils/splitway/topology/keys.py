# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard's keys. No function here ever puts a key into a message."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Any

from .errors import TopologyError

# 32 bytes are 43 characters of base64; the last of them carries four bits, so that two are always zero.
_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
_NO_KEY = "A" * 43 + "="  # WireGuard takes zeros for "none"


def wireguard_key(value: Any) -> str:
    """Return a private, public or preshared key: 32 bytes in base64."""
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise TopologyError("is not a WireGuard key")
    if value == _NO_KEY:
        raise TopologyError("is not a WireGuard key: it is all zeros")
    return value


def public_key(private_key: str) -> str:
    """Return the public key of a private one. Runs on controllers, where ansible-core brings `cryptography`."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    private = X25519PrivateKey.from_private_bytes(b64decode(private_key))
    return b64encode(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
