# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small certificate authority, for tests: openssl, and files in one folder."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path


@dataclass(frozen=True)
class Issued:
    """Files of a certificate."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates; `certificate` is what those who trust it are given."""

    def __init__(self, folder: Path, name: str = "lab") -> None:
        """Makes the authority in a folder, or takes the one that is there."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.certificate = folder / f"{name}.authority.pem"
        self.key = folder / f"{name}.authority.key"
        if not self.certificate.exists():
            _new_key(self.key)
            usage = ("-addext", "keyUsage=critical,keyCertSign", "-addext", "basicConstraints=critical,CA:TRUE")
            _openssl(
                *("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name} authority", "-days", "3650"),
                *("-out", self.certificate, *usage),
            )

    def issue(self, name: str, *hosts: str, seconds: int = 30 * 86400, from_now: int = -60) -> Issued:
        """Returns a certificate for hosts (names and addresses), valid for so many seconds from a moment on.

        Without hosts it is a client's: its common name is all that counts.
        """
        issued = Issued(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        extensions = ["basicConstraints=CA:FALSE"]
        if hosts:
            alternatives = ",".join(f"{_kind(host)}:{host}" for host in hosts)
            extensions += [f"subjectAltName={alternatives}", "extendedKeyUsage=serverAuth"]
        else:
            extensions += ["extendedKeyUsage=clientAuth"]
        _new_key(issued.key)
        request, wished = self.folder / f"{name}.csr", self.folder / f"{name}.cnf"
        wished.write_text("\n".join(extensions) + "\n", encoding="utf-8")
        _openssl("req", "-new", "-key", issued.key, "-subj", f"/CN={name}", "-out", request)
        # The dates need `openssl ca`, which keeps a list: a fresh one each time.
        index, settings = self.folder / f"{name}.index", self.folder / f"{name}.ca"
        index.write_text("", encoding="utf-8")
        settings.write_text(
            f"[ca]\ndefault_ca=a\n[a]\ndatabase={index}\nnew_certs_dir={self.folder}\nrand_serial=yes\n"
            "default_md=sha256\npolicy=p\nunique_subject=no\nemail_in_dn=no\n[p]\ncommonName=supplied\n",
            encoding="utf-8",
        )
        _openssl(
            *("ca", "-batch", "-notext", "-config", settings, "-cert", self.certificate, "-keyfile", self.key),
            *("-in", request, "-out", issued.certificate, "-extfile", wished),
            *("-startdate", _date(from_now), "-enddate", _date(from_now + seconds)),
        )
        for left in (request, wished, index, settings, *self.folder.glob(f"{name}.index.*")):
            left.unlink(missing_ok=True)
        return issued


def _new_key(path: Path) -> None:
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def _kind(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        return "DNS"
    return "IP"


def _date(seconds: int) -> str:
    command = ["date", "--utc", f"--date=now {seconds} seconds", "+%Y%m%d%H%M%SZ"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
