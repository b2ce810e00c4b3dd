# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_client_bundle`: where clients' bundles are written, and what is in them."""

from __future__ import annotations

from typing import Any

from .client_folder import DESTINATIONS, directory, gateway_directory
from .errors import Report
from .model import BundleFolder
from .networks import host
from .reading import Fields
from .scalars import boolean, choice

KEYS = ("destination", "directory", "qr", "passwords", "address", "ca")


def read_client_bundle(report: Report, value: Any) -> BundleFolder:
    """Return where the bundles are written; no value is the usual place."""
    fields = Fields(report, "splitway_client_bundle", value, KEYS)
    destination = fields.get_or("destination", choice("a destination", DESTINATIONS), BundleFolder.destination)
    return BundleFolder(
        destination=destination,
        directory=fields.get("directory", gateway_directory if destination == "gateway" else directory),
        qr=fields.get_or("qr", boolean, default=BundleFolder.qr),
        passwords=fields.get_or("passwords", boolean, default=BundleFolder.passwords),
        address=fields.get("address", lambda written: str(host(written))),
        ca=fields.get("ca", directory),
    )
