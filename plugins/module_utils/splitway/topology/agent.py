# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_agent`: what the agent does beside its duties."""

from __future__ import annotations

from typing import Any, Optional

from ..log_levels import LEVELS
from .endpoints import literal
from .errors import Report, TopologyError, shown
from .model import AgentSettings
from .reading import Fields
from .scalars import boolean, choice, number

KEYS = ("metrics", "access_log", "warm_up", "log_level")
DAYS = 7  # that an access log is kept where nothing else is said
LONGEST_LOG = 3650  # days


def read_agent(report: Report, value: Any) -> AgentSettings:
    """Return the settings of the agent."""
    fields = Fields(report, "splitway_agent", value, KEYS)
    metrics = AgentSettings.metrics
    if fields.given("metrics"):
        metrics = fields.get("metrics", _metrics)
    return AgentSettings(
        metrics=metrics,
        access_log=_access_log(fields),
        log_level=fields.get_or("log_level", choice("a log level", LEVELS), AgentSettings.log_level),
        warm_up=fields.get_or("warm_up", boolean, default=AgentSettings.warm_up),
    )


def _metrics(value: Any) -> Optional[str]:
    """Return where the exporter listens; None: nowhere."""
    switch = _switch(value)
    if switch is None:
        return str(literal(value, "where metrics are served"))
    return AgentSettings.metrics if switch else None


def _access_log(fields: Fields) -> Optional[int]:
    """Return the days that the access log is kept; None: off."""
    value = fields.values.get("access_log")
    if isinstance(value, dict):
        settings = Fields(fields.report, f"{fields.path}.access_log", value, ("days",))
        return settings.get_or("days", number("a number of days", 1, LONGEST_LOG), DAYS)
    return DAYS if fields.get_or("access_log", _log_switch, default=False) else None


def _log_switch(value: Any) -> bool:
    switch = _switch(value)
    if switch is None:
        raise TopologyError(f"{shown(value)} is not an access log (false, or like {{days: {DAYS}}})")
    return switch


def _switch(value: Any) -> Optional[bool]:
    """Return the boolean that a value is; None if it is none."""
    try:
        return boolean(value)
    except TopologyError:
        return None
