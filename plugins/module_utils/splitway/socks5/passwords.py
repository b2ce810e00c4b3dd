# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords as daemons keep them: SHA-512 hashes that crypt(3) knows.

Python's own module `crypt` is gone since 3.13. Source: Ulrich Drepper, Unix crypt using SHA-256 and SHA-512, 2008.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

ROUNDS = 5000  # crypt's own when none are written; 3 ms a login in C, which SOCKS5 needs for each connection
SALT = 16  # characters, the most that count

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def hashed(password: str, owner: str) -> str:
    """Return the hash of a password, always the same for the same owner, so that a second run changes nothing.

    The salt comes from the owner alone: made of the password it would be a fast test for guesses.
    """
    digest = hashlib.sha256(f"splitway proxy user\n{owner}".encode()).digest()
    salt = base64.b64encode(digest, b"./").decode()[:SALT]
    return _hash(password.encode(), salt)


def agrees(password: bytes, wanted: str) -> bool:
    """Return whether a hash that `hashed` made is that of a password."""
    return hmac.compare_digest(_hash(password, wanted.split("$")[2]), wanted)


def _hash(password: bytes, salt: str) -> str:
    return f"$6${salt}${_encoded(_digest(password, salt.encode()))}"


def _digest(key: bytes, salt: bytes) -> bytes:
    """Return the 64 bytes of the hash."""
    other = hashlib.sha512(key + salt + key).digest()
    first = hashlib.sha512(key + salt + _stretched(other, len(key)))
    length = len(key)
    while length:
        first.update(other if length & 1 else key)
        length >>= 1
    found = first.digest()
    keys = _stretched(hashlib.sha512(key * len(key)).digest(), len(key))
    salts = _stretched(hashlib.sha512(salt * (16 + found[0])).digest(), len(salt))
    for number in range(ROUNDS):
        parts = [keys if number & 1 else found]
        if number % 3:
            parts.append(salts)
        if number % 7:
            parts.append(keys)
        parts.append(found if number & 1 else keys)
        found = hashlib.sha512(b"".join(parts)).digest()
    return found


def _stretched(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length]


def _encoded(digest: bytes) -> str:
    """Return the hash in crypt's own alphabet: three bytes at a time, 21 apart, in an order that turns."""
    text = ""
    for index in range(21):
        group = [index, index + 21, index + 42]
        turn = index % 3
        first, second, third = (digest[position] for position in (*group[turn:], *group[:turn]))
        text += _characters(first << 16 | second << 8 | third, 4)
    return text + _characters(digest[63], 2)


def _characters(value: int, count: int) -> str:
    return "".join(_ALPHABET[value >> 6 * place & 0x3F] for place in range(count))
