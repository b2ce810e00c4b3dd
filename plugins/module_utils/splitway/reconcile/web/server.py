# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting our web server with another configuration, and back with the old one when it does not answer."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ...kept import Kept
from ...state import Web
from ...system import System, SystemFailure
from ..base import ReconcileError
from ..listening import Socket
from .text import UNIT, Paths, candidate_text, paths

PATIENCE = 10.0  # seconds that a started server has until it answers


@dataclass(frozen=True)
class Bring:
    """Part of a Change: a server that runs with this configuration and unit, at these ports."""

    desired: Web
    configuration: str
    unit: str
    picked: dict[str, int]


@dataclass(frozen=True)
class Remove:
    """Part of a Change: the server is stopped, and all of its files go."""


def bring(system: System, part: Bring) -> None:
    """Start the server. Raises ReconcileError, and SystemFailure when a file cannot be written."""
    if not system.has("nginx"):
        raise ReconcileError("nginx is not installed: splitway_pac needs the package nginx")
    where, units = paths(system), system.units
    old, was_running = (system.read_file(where.configuration), units.read(UNIT)), units.active(UNIT)
    try:
        _check_addresses(part.desired)
        _test(system, where, part.desired)
        Kept(system).ports.add(part.picked)
        system.write_file(where.configuration, part.configuration)
        units.write(UNIT, part.unit)
        units.restart(UNIT)
        _wait(system, part.desired)
    except (SystemFailure, ReconcileError) as error:
        _put_back(system, where, old, was_running)
        raise ReconcileError(f"the web server for PAC files did not start: {error}") from error


def _put_back(system: System, where: Paths, old: tuple[Optional[str], Optional[str]], was_running: bool) -> None:
    configuration, unit = old
    if configuration is None or unit is None:
        system.units.stop(UNIT)
        system.units.remove(UNIT)
        system.remove_file(where.configuration)
    elif (system.read_file(where.configuration), system.units.read(UNIT)) != old:
        system.write_file(where.configuration, configuration)
        system.units.write(UNIT, unit)
        if was_running:
            system.units.restart(UNIT)


def _check_addresses(desired: Web) -> None:
    """Raise ReconcileError for an address that this host has not."""
    for address in desired.listen:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as channel:
            try:
                channel.bind((address, 0))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    raise ReconcileError(f"splitway_web.listen: this host has no address {address}") from error
                raise


def _test(system: System, where: Paths, desired: Web) -> None:
    """Let nginx read the configuration, with its certificate. Raises SystemFailure with what it does not take."""
    folder = where.configuration.parent / "candidate"
    candidate = folder / where.configuration.name
    try:
        system.write_file(candidate, candidate_text(desired, where, folder))
        system.read("nginx", "-t", "-q", "-e", "stderr", "-c", str(candidate))
    finally:
        system.remove_folder(folder)


def _wait(system: System, desired: Web) -> None:
    """Wait until the first file comes from each address. Raises ReconcileError."""
    silent = [
        (Socket("tcp", address, port.port), secure)
        for port, secure in ((desired.http, False), (desired.https, True))
        for address in desired.listen
        if port is not None
    ]
    end = time.monotonic() + PATIENCE
    while True:
        silent = [place for place in silent if not _answers(*place)]
        if not silent:
            return
        if time.monotonic() > end or not system.units.active(UNIT):
            raise ReconcileError(f"it does not answer at {silent[0][0]}")
        time.sleep(0.02)


def _answers(place: Socket, secure: bool) -> bool:
    """Return whether the server gives the first file out here. Whom its certificate is for was checked before."""
    if secure:
        anybody = ssl._create_unverified_context()  # noqa: S323
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            place.address, place.port, timeout=1, context=anybody
        )
    else:
        connection = http.client.HTTPConnection(place.address, place.port, timeout=1)
    try:
        connection.request("HEAD", "/proxy.pac")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def remove(system: System) -> None:
    """Stop the server and remove its unit and files."""
    where = paths(system)
    system.units.stop(UNIT)
    system.units.remove(UNIT)
    system.remove_file(where.configuration)
    system.remove_folder(Path(where.published))
