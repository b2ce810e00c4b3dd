# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a host would make a run useless or lock its operator out, looked at before anything is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from . import foreign
from .reconcile.base import ReconcileError
from .state import State
from .system import System

_PROCESSES = Path("/proc")


def check(system: System, state: State) -> tuple[str, ...]:
    """Return warnings about what the run is to bring. Raises ReconcileError for what it should not begin with."""
    marks = state.marks
    if marks is None:
        return ()
    refusal = lockout(state, ssh_connection())
    if refusal:
        raise ReconcileError(refusal)
    if marks.guard.foreign_drop == "ignore":
        return ()
    found = foreign.findings(system, state)
    sure = [str(finding) for finding in found if finding.sure]
    if sure and marks.guard.foreign_drop == "fail":
        raise ReconcileError(
            "rules of others on this host stop what this gateway is for. "
            + "\n".join(sure)
            + "\nTo go on as it is: splitway_hardening: {foreign_drop: warn}"
        )
    return tuple(map(str, found))


def lockout(state: State, connection: Optional[tuple[str, int]]) -> str:
    """Return why the connection that the run itself comes by could not be made again, "" when it could.

    `connection`: where it comes from, and the gateway's port.
    """
    marks = state.marks
    if connection is None or marks is None or marks.guard.ports is None:
        return ""
    client, port = connection
    reached = any(opened.protocol == "tcp" and opened.low <= port <= opened.high for opened in marks.guard.ports)
    if reached or client not in {*marks.v4.clients, *marks.v6.clients}:
        return ""
    return (
        f"this run comes from the client {client} by tcp/{port}, which would be closed to clients: it could not come "
        f'again. Open it: splitway_hardening: {{gateway_ports: ["tcp/{port}"]}}'
    )


def ssh_connection(processes: Path = _PROCESSES, process: str = "self") -> Optional[tuple[str, int]]:
    """Return where the SSH connection that this process belongs to comes from, and the port it came to.

    sudo takes the variable out of the environment: it is looked for in that of the processes above.
    """
    while process not in ("0", "1", ""):
        folder = processes / process
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            status = (folder / "status").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has ended
            return None
        for variable in variables:
            name, _, value = variable.decode(errors="replace").partition("=")
            words = value.split()
            if name == "SSH_CONNECTION" and len(words) == 4 and words[3].isdigit():
                return words[0], int(words[3])
        process = next((line.split()[1] for line in status.splitlines() if line.startswith("PPid:")), "")
    return None
