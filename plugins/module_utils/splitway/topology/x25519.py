# SPDX-License-Identifier: GPL-3.0-or-later
"""The public half of a Curve25519 key pair (RFC 7748), on controllers with and without `cryptography`."""

from __future__ import annotations

PRIME = 2**255 - 19
A24 = 121665
BASE_POINT = 9


def public(private: bytes) -> bytes:
    """Return the 32 bytes of the public key."""
    try:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    except ImportError:
        return ladder(private)
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def ladder(private: bytes, u: int = BASE_POINT) -> bytes:
    """Return the scalar multiple of a point by the Montgomery ladder of RFC 7748, section 5, in about a millisecond.

    Its time depends on the key: for an operator's own controller, which holds the key anyway.
    """
    scalar = int.from_bytes(private, "little")
    scalar = scalar & ~7 & ~(1 << 255) | 1 << 254
    x2, z2, x3, z3 = 1, 0, u, 1
    for bit in range(254, -1, -1):
        swap = scalar >> bit & 1
        if swap:
            x2, x3, z2, z3 = x3, x2, z3, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % PRIME, b * b % PRIME, d * a % PRIME, c * b % PRIME
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % PRIME, u * (da - cb) ** 2 % PRIME
        x2, z2 = aa * bb % PRIME, e * (aa + A24 * e) % PRIME
        if swap:
            x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, PRIME - 2, PRIME) % PRIME).to_bytes(32, "little")
