# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a source → its text, unless they are something else."""

from __future__ import annotations

import re

from .errors import SourceError

# A comment ends at its first end: an end that may be any would be tried in as many ways as there are sums of comments.
_HTML = re.compile(r"\s*(<!--((?!-->).)*-->\s*)*<(!doctype|html|head|body|\?xml)", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>\s*([^<]{1,80})", re.IGNORECASE)
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_LOOKED_AT = 4096  # characters; a page or a program shows itself at once


def decoded(content: bytes) -> str:
    """Return the text of a source. Raises SourceError when it is empty, HTML or no text at all.

    Bytes that are no UTF-8 stay as replacement characters: old lists have such comments, and a name with one is a
    mistake with a line.
    """
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(encoding, errors="replace")
    if not text.strip():
        raise SourceError("it is empty")
    start = text[:_LOOKED_AT]
    if _HTML.match(start):
        title = _TITLE.search(start)
        raise SourceError("it is an HTML page, not a list" + (f' ("{" ".join(title[1].split())}")' if title else ""))
    if _BINARY.search(start):
        raise SourceError("it is not text")
    return text
