# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's certificates, made by a real authority and read by the real openssl."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from splitway.reconcile import certificates
from splitway.reconcile.base import ReconcileError
from splitway.system import System

sys.path.insert(0, str(Path(__file__).parents[2] / "lab"))

from labkit.authority import Authority, Issued

DAY = 86400
SYSTEM = System()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def good(authority: Authority) -> Issued:
    return authority.issue("exit", "exit.example.net", "*.front.example.net", "198.51.100.7", "2001:db8::7")


def _check(issued: Issued, key: object = None) -> None:
    certificate = certificates.read(SYSTEM, str(issued.certificate))
    certificates.check(SYSTEM, certificate, str(key or issued.key), SYSTEM.now())


def test_a_good_certificate(good: Issued) -> None:
    _check(good)
    certificate = certificates.read(SYSTEM, str(good.certificate))
    assert 29.9 < certificate.days_left(SYSTEM.now()) < 30
    assert certificate.warning(SYSTEM.now()) == ""
    assert certificate.warning(SYSTEM.now() + 20 * DAY) == f"{good.certificate} expires in 10 days"


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("exit.example.net", True),
        ("a.front.example.net", True),
        ("a.b.front.example.net", False),
        ("example.net", False),
        ("198.51.100.7", True),
        ("2001:db8:0::7", True),
        ("198.51.100.8", False),
    ],
)
def test_whom_it_is_for(good: Issued, host: str, covered: bool) -> None:
    assert certificates.covers(SYSTEM, certificates.read(SYSTEM, str(good.certificate)), host) is covered


@pytest.mark.parametrize(("begin", "message"), [(-2 * DAY, "expired on 20"), (DAY, "is not valid before 20")])
def test_out_of_its_time(authority: Authority, begin: int, message: str) -> None:
    issued = authority.issue(f"at{begin}", "exit.example.net", seconds=DAY, from_now=begin)
    with pytest.raises(ReconcileError, match=message):
        _check(issued)


def test_what_is_no_certificate_or_no_key(authority: Authority, good: Issued, tmp_path: Path) -> None:
    other = authority.issue("other", "other.example.net")
    text = tmp_path / "text.pem"
    text.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    locked = tmp_path / "locked.key"
    locking = ["openssl", "pkey", "-in", good.key, "-aes128", "-passout", "pass:secret", "-out", locked]
    subprocess.run(locking, check=True)
    for issued, key, message in (
        (Issued(tmp_path / "none.pem", good.key), None, "none.pem: there is no such file"),
        (Issued(text, good.key), None, "text.pem is not a certificate"),
        (good, tmp_path / "none.key", "none.key: there is no such file"),
        (good, text, "text.pem is not a private key"),
        (good, locked, "locked.key is not a private key without a password"),
        (good, other.key, "other.key is not the key of .*exit.pem"),
    ):
        with pytest.raises(ReconcileError, match=message):
            _check(issued, key)
