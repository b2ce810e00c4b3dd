# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to a web server, bounded in time and size."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import IO, Any, Optional
from urllib.parse import urlsplit

from ..topology.errors import shown
from .errors import SourceError
from .kept import Copy

_PIECE = 1 << 16
SCHEMES = ("http", "https")
AGENT = "splitway (list updates)"


@dataclass(frozen=True)
class Limits:
    """How much of a server's answer is waited for."""

    silence: float = 10  # seconds without a byte
    seconds: float = 60  # for all of it
    size: int = 32 << 20  # bytes


USUAL = Limits()


class _SameSafety(urllib.request.HTTPRedirectHandler):
    """Follows a redirect, but to nothing else than HTTP(S), and from HTTPS to nothing less."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> Optional[urllib.request.Request]:
        scheme = urlsplit(newurl).scheme
        if scheme not in SCHEMES or (req.type == "https" and scheme == "http"):
            raise SourceError(f"it leads to {shown_url(newurl)}, which is not safe")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def ask(url: str, known: Optional[Copy], limits: Limits, now: float) -> Optional[Copy]:
    """Return what a URL answers; None when that is the known copy still. Raises SourceError."""
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if known and known.etag:
        headers["If-None-Match"] = known.etag
    if known and known.modified:
        headers["If-Modified-Since"] = known.modified
    try:
        if urlsplit(url).scheme not in SCHEMES:
            raise SourceError("it is neither http:// nor https://")
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  # its scheme was looked at
        with urllib.request.build_opener(_SameSafety).open(request, timeout=limits.silence) as answer:
            content = _all(answer, limits)
            return Copy(content, answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", ""), now)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.NOT_MODIFIED and known:
            return None
        raise SourceError(f"the server answers {error.code} {error.reason}".rstrip()) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceError(f"it cannot be fetched: {_why(error)}") from error


def shown_url(url: str) -> str:
    """Return a URL as messages show it: what may be a secret in it is not told."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return shown(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}{'?…' if parts.query else ''}"


def _all(answer: Any, limits: Limits) -> bytes:
    """Return the body of an answer."""
    deadline = time.monotonic() + limits.seconds
    pieces, size = [], 0
    while True:
        piece = answer.read1(_PIECE)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
        if size > limits.size:
            raise SourceError(f"it has more than {limits.size >> 20} MB")
        if time.monotonic() > deadline:
            raise SourceError(f"it is not complete after {limits.seconds:.0f} s")
    promised = answer.headers.get("Content-Length", "")
    if promised.isdigit() and int(promised) != size:
        raise SourceError(f"the answer breaks off after {size} of {promised} bytes")
    return b"".join(pieces)


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", "") or reason or type(error).__name__)
