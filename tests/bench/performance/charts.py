# SPDX-License-Identifier: GPL-3.0-or-later
"""Which plots docs/performance.md has."""

from __future__ import annotations

from performance.plots import Chart

CHARTS = (
    Chart(
        "packets-by-clients", "packets", "Packets of established flows, by clients", "packets/s",
        "established: ", "clients", sizes={"policies": 20, "egresses": 4}, logarithmic=True,
    ),
    Chart("packets-by-policies", "packets", "First packets of flows, by distinct policies", "packets/s",
        "new: ", "policies", sizes={"clients": 5000, "egresses": 4}),
    Chart("apply", "apply", "One run, by what has changed", "s", "run", label="run", split="backend"),
    Chart("memory", "memory", "Memory of a gateway (PSS)", "MB", "together", "clients", split="backend"),
    Chart("heal", "heal", "From fault to healed", "s", split="backend", sizes={"clients": 5000}, height=8),
)  # fmt: skip
