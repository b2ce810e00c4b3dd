# SPDX-License-Identifier: GPL-3.0-or-later
"""How properties are searched: without a clock, so that a busy machine fails nothing."""

from hypothesis import HealthCheck, settings

settings.register_profile("splitway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("splitway")
