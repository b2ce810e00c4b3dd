# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard keys: those that the host makes itself, and the public key of a private one.

A key made here stays in ``<configuration>/keys`` (0600) and is used again: an interface's in
``<interface>.key``, a client's in ``clients/<name>.key`` with its public key beside it (``.pub``),
so that thousands of clients cost one small file each and no process.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional
from urllib.parse import quote

from ...system import System
from ..base import ReconcileError

NONE = base64.b64encode(bytes(32)).decode()  # to wg: no preshared key


def interface_path(system: System, interface: str) -> Path:
    """Return the file of the private key that was made for an interface."""
    return system.configuration / "keys" / f"{interface}.key"


def client_path(system: System, name: str) -> Path:
    """Return the file of the private key that was made for a client."""
    return system.configuration / "keys" / "clients" / f"{quote(name, safe='')}.key"


def stored(system: System, path: Path) -> Optional[str]:
    """Return a private key that was made before, None when there is none."""
    text = system.read_file(path)
    return canonical(text.strip(), f"the key in {path}") if text else None


def stored_public(system: System, path: Path) -> Optional[str]:
    """Return the public key of a private key that was made before, None when there is none."""
    public = system.read_file(path.with_suffix(".pub"))
    if public:
        return public.strip()
    private = stored(system, path)
    return None if private is None else public_of(system, private)


def client_private_key(system: System, name: str) -> Optional[str]:
    """Return the private key that the host made for a client: for the client's own configuration."""
    return stored(system, client_path(system, name))


def make(system: System, path: Path) -> tuple[str, str]:
    """Return (private, public) of the key at this path; it is made when there is none."""
    private = stored(system, path)
    if private is None:
        private = canonical(base64.b64encode(secrets.token_bytes(32)).decode(), "a new key")
        system.write_file(path, private + "\n")
    public = public_of(system, private)
    if system.read_file(path.with_suffix(".pub")) != public + "\n":
        system.write_file(path.with_suffix(".pub"), public + "\n")
    return private, public


def make_clients(system: System, names: list[str]) -> dict[str, str]:
    """Return client's name → public key; keys are made for those that have none, several at a time."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        made = pool.map(lambda name: make(system, client_path(system, name))[1], names)
        return dict(zip(names, made))


def public_of(system: System, private: str) -> str:
    """Return the public key of a private key. Raises SystemFailure when `wg` is not installed."""
    return system.read("wg", "pubkey", input=private + "\n").strip()


def canonical(private: str, what: str) -> str:
    """Return a private key as the kernel keeps it, some bits fixed (RFC 7748, 5); it compares equal to what is read.

    Raises ReconcileError that names `what` and never shows the key.
    """
    raw = bytearray(_decode(private, what))
    raw[0] &= 248
    raw[31] = (raw[31] & 127) | 64
    return base64.b64encode(raw).decode()


def check(key: str, what: str) -> str:
    """Return a public or preshared key. Raises ReconcileError: wg would print a damaged key."""
    _decode(key, what)
    return key


def _decode(key: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32 or len(key) != 44:
        raise ReconcileError(f"{what} is not a WireGuard key: 32 bytes in base64 are expected")
    return raw
