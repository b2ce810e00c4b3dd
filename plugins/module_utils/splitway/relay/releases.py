# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of wstunnel: where they are, and the checksums of their files as far as we know them."""

from __future__ import annotations

RELEASE = "10.6.2"
"""The release that a host is given when the operator names no other."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The kernel's word for a machine → the one in the names of releases."""

_URL = "https://github.com/erebe/wstunnel/releases/download/v{version}/wstunnel_{version}_linux_{architecture}.tar.gz"
_CHECKSUMS = {
    ("10.6.2", "amd64"): "db6064cca0515b67f8652e201cff8e27553b8cbb7216b2e19241311e34868e6e",
}


def url(version: str, architecture: str) -> str:
    """Return where the file of a release is."""
    return _URL.format(version=version, architecture=architecture)


def checksum(version: str, architecture: str) -> str:
    """Return the SHA-256 of a release's file; "" when it is not known here: then the operator must give it."""
    return _CHECKSUMS.get((version, architecture), "")


def pinned(version: str) -> bool:
    """Return whether the checksum of a release is known for some architecture."""
    return any(known == version for known, _ in _CHECKSUMS)
