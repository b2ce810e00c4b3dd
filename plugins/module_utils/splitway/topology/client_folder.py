# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_client_files`: where clients' configuration files are written."""

from __future__ import annotations

from posixpath import normpath
from typing import Any

from .errors import Report, TopologyError, shown
from .model import ClientFolder
from .reading import Fields
from .scalars import boolean, choice, text

KEYS = ("destination", "directory", "qr")
DESTINATIONS = ("gateway", "controller")


def read_client_folder(report: Report, value: Any) -> ClientFolder:
    """Return where the files are written; no value is the usual place."""
    fields = Fields(report, "splitway_client_files", value, KEYS)
    destination = fields.get("destination", choice("a destination", DESTINATIONS))
    on_gateway = destination == "gateway" or not fields.given("destination")
    return ClientFolder(
        destination=destination or ClientFolder.destination,
        directory=fields.get("directory", gateway_directory if on_gateway else directory),
        qr=fields.get_or("qr", boolean, default=ClientFolder.qr),
    )


def directory(value: Any) -> str:
    """Return a folder, wherever it is."""
    written = text(value, "a path")
    if not written.strip() or not written.isprintable():
        raise TopologyError(f"{shown(written)} is not a path")
    return written


def gateway_directory(value: Any) -> str:
    """Return a folder on the gateway. It becomes the files' own, with the mode 0700."""
    written = directory(value)
    if not written.startswith(("/", "~/")):
        raise TopologyError(f"{shown(written)} is not a path on the gateway: it begins with / or ~/")
    if written.startswith("/") and normpath(written).strip("/").count("/") == 0:
        raise TopologyError(f"{shown(written)} would be closed to all but root: choose a folder further down")
    return written
