# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that an operator gives for our daemons: do they fit their key and their host, and until when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..addresses import is_address
from ..system import System, SystemFailure
from .base import ReconcileError

FEW_DAYS = 14  # from here on an operator is warned
DAY = 86400.0  # seconds

_DATE = re.compile(r"^(notBefore|notAfter)=(.+)Z$", re.MULTILINE)
_PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


@dataclass(frozen=True)
class Certificate:
    """A certificate in a file on this host: the first of those in it, which is the daemon's own."""

    path: str
    since: float  # seconds since the epoch
    until: float
    public_key: str

    def days_left(self, now: float) -> float:
        """Return for how many days it is valid; below 0 when it has expired."""
        return (self.until - now) / DAY

    def warning(self, now: float) -> str:
        """Return what an operator should know of a certificate that is valid, "" for nothing."""
        days = self.days_left(now)
        return f"{self.path} expires in {days:.0f} days" if days < FEW_DAYS else ""


def read(system: System, path: str) -> Certificate:
    """Return the certificate in a file. Raises ReconcileError when there is none, SystemFailure without openssl."""
    if system.read_file(Path(path)) is None:
        raise ReconcileError(f"{path}: there is no such file")
    if not system.has("openssl"):
        raise SystemFailure("openssl is not installed")
    try:
        told = system.read(
            "openssl", "x509", "-in", path, "-noout", "-dates", "-dateopt", "iso_8601", "-pubkey", timeout=10
        )
    except SystemFailure as error:
        raise ReconcileError(f"{path} is not a certificate (PEM)") from error
    dates = {name: _seconds(written) for name, written in _DATE.findall(told)}
    key = _PUBLIC_KEY.search(told)
    if key is None or len(dates) < 2:
        raise ReconcileError(f"{path} is a certificate that openssl does not read")
    return Certificate(path, dates["notBefore"], dates["notAfter"], key[0])


def check(system: System, certificate: Certificate, key: str, now: float) -> None:
    """Raise ReconcileError when a daemon cannot serve with a certificate and the key in a file, or no client would
    believe it. Nothing of the key is told."""
    if system.read_file(Path(key)) is None:
        raise ReconcileError(f"{key}: there is no such file")
    try:
        told = system.read("openssl", "pkey", "-in", key, "-passin", "pass:", "-pubout", timeout=10)
    except SystemFailure:
        raise ReconcileError(f"{key} is not a private key without a password (PEM)") from None
    if told.strip() != certificate.public_key:
        raise ReconcileError(f"{key} is not the key of {certificate.path}")
    check_time(certificate, now)


def check_time(certificate: Certificate, now: float) -> None:
    """Raise ReconcileError when a certificate is not valid now."""
    if certificate.until <= now:
        raise ReconcileError(f"{certificate.path} expired on {_day(certificate.until)}")
    if certificate.since > now:
        raise ReconcileError(f"{certificate.path} is not valid before {_day(certificate.since)}")


def covers(system: System, certificate: Certificate, host: str) -> bool:
    """Return whether a certificate is for a host, a name or an address. Raises SystemFailure."""
    question = "-checkip" if is_address(host) else "-checkhost"
    told = system.read("openssl", "x509", "-in", certificate.path, "-noout", question, host, timeout=10)
    return "does match" in told


def _seconds(written: str) -> float:
    return datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc).timestamp()


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d")
