# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says of the section beside its changes: ports, who has those before them, certificates that end soon."""

from __future__ import annotations

from typing import Any

from ...ports import Ports, filled, passed_over
from ...state import Transports
from ...system import System, SystemFailure
from .. import certificates, listening
from ..base import ReconcileError
from .live import pairs, wanted


def about(system: System, desired: Transports, chosen: Ports) -> dict[str, Any]:
    """Return the ports by key, and warnings in words. `chosen`: what this host remembers."""
    ports = {item.range.key: item.range.port for item in wanted(filled(desired, chosen))}
    ours = frozenset((*ports.values(), *chosen.values()))
    return {"ports": ports, "warnings": [*taken(system, desired, ports, ours), *ending(system, desired)]}


def taken(system: System, desired: Transports, ports: Ports, ours: frozenset[int]) -> list[str]:
    """Return a warning for each range of which the first ports are a stranger's. `ours`: all ports of our daemons."""
    before = {port for item in wanted(desired) for port in range(item.range.low, ports[item.range.key])}
    listeners = [found for found in listening.read(system, before) if found.port not in ours] if before else []
    warnings = []
    for item in wanted(desired):
        port = ports[item.range.key]
        found = passed_over(item, port, listeners)
        if found:
            warnings.append(f"{item.range.key} has port {port}: {'; '.join(map(str, found))}")
    return warnings


def ending(system: System, desired: Transports) -> list[str]:
    """Return a warning for each certificate that has expired or soon will."""
    now, warnings = system.now(), []
    for path in dict.fromkeys(path for path, _ in pairs(desired) if path):
        try:
            certificate = certificates.read(system, path)
            certificates.check_time(certificate, now)
            warnings.append(certificate.warning(now))
        except (ReconcileError, SystemFailure) as error:
            warnings.append(str(error))
    return [warning for warning in warnings if warning]
