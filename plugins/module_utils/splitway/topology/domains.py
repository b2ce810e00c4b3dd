# SPDX-License-Identifier: GPL-3.0-or-later
"""Domain names in their canonical spelling. Nothing that dnsmasq could read otherwise gets through."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

from .errors import TopologyError, shown
from .scalars import text

LONGEST_NAME = 253  # characters; RFC 1035, 2.3.4, without the root's dot
LONGEST_LABEL = 63

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# A last label of digits only would be (a part of) an IPv4 address. `$` is not used: it lets a newline pass.
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")


def domain(value: Any) -> str:
    """Return the canonical spelling of a domain that may be written in any way."""
    return canonical_domain(text(value, "a domain name"))


def canonical_domain(written: str) -> str:
    """Return a domain in lower case, in ASCII (IDNA 2008, UTS 46), without a leading ``*.`` and the root's dot.

    Raises TopologyError. Single labels and underscores are domains; addresses are not.
    """
    spelling = written.lower()
    if len(spelling) <= LONGEST_NAME and _DOMAIN.fullmatch(spelling):
        return spelling
    spelling = _ascii(written)
    if spelling.startswith("*."):
        spelling = spelling[2:]
    if spelling.endswith("."):
        spelling = spelling[:-1]
    if len(spelling) > LONGEST_NAME:
        raise TopologyError(f"{shown(written)} is not a domain name: it has more than {LONGEST_NAME} characters")
    if not _DOMAIN.fullmatch(spelling):
        raise TopologyError(f"{shown(written)} is not a domain name{_why_not(spelling)}")
    return spelling


def _ascii(written: str) -> str:
    """Return a name with each label in ASCII; labels of ASCII are taken as they are, in lower case."""
    if written.isascii():
        return written.lower()
    # A name is not longer than its ASCII form. More would only keep the library busy.
    if len(written) > LONGEST_NAME + len("*.."):
        raise TopologyError(f"{shown(written)} is not a domain name: it has more than {LONGEST_NAME} characters")
    try:
        import idna
    except ImportError:
        raise TopologyError(f"{shown(written)} needs the Python package idna on the controller") from None
    try:
        mapped = idna.uts46_remap(written, std3_rules=False, transitional=False)
        return ".".join(label if label.isascii() else idna.alabel(label).decode() for label in mapped.split("."))
    except UnicodeError:  # idna's errors are UnicodeErrors, too
        raise TopologyError(f"{shown(written)} is not a domain name") from None


def _why_not(spelling: str) -> str:
    if "*" in spelling:
        return ": a wildcard stands in front only, as in *.example.com"
    if any(len(label) > LONGEST_LABEL for label in spelling.split(".")):
        return f": a label has more than {LONGEST_LABEL} characters"
    try:
        ip_address(spelling.partition("/")[0])
    except ValueError:
        return ""
    return ": it is an address"
