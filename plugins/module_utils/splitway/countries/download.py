# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching a file by HTTP, whole or not at all."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from .errors import CountryError

LARGEST = 1 << 29  # bytes
PATIENCE = 30.0  # seconds that the server may be silent
LONGEST = 300.0  # seconds for all of it
_PIECE = 1 << 18  # bytes


def download(url: str, to: Path, known: str) -> str:
    """Write what an address gives into a file; return its version: "" when the server tells of none.

    `known` is the version that is there: nothing is written when it is the server's still. Raises CountryError.
    """
    if not url.startswith(("https://", "http://")):
        raise CountryError(f"{url} is not an address that begins with https:// or http://")
    request = urllib.request.Request(url, headers={"User-Agent": "splitway", "Accept-Encoding": "identity"})  # noqa: S310
    if known:
        request.add_header("If-None-Match" if '"' in known else "If-Modified-Since", known)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            _write(answer, to)
            return str(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
    except urllib.error.HTTPError as error:
        if error.code == http.client.NOT_MODIFIED:
            return known
        raise CountryError(f"{url}: the server says {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        to.unlink(missing_ok=True)
        raise CountryError(f"{url} cannot be fetched: {getattr(error, 'reason', error)}") from error


def _write(answer: http.client.HTTPResponse, to: Path) -> None:
    deadline, size = time.monotonic() + LONGEST, 0
    with to.open("wb") as stream:
        while True:
            piece = answer.read(_PIECE)
            if not piece:
                break
            size += len(piece)
            stream.write(piece)
            if size > LARGEST or time.monotonic() > deadline:
                raise OSError(f"more than {LARGEST >> 20} MB, or {LONGEST:.0f} s")
        told = answer.headers.get("Content-Length")
        if told and told.isdigit() and size < int(told):
            raise OSError(f"it broke off at {size} of {told} bytes")
