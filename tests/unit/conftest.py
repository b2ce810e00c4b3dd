# SPDX-License-Identifier: GPL-3.0-or-later
"""How properties are searched: without a clock, and each time in the same places.

So neither a busy machine nor luck fails anything. `pytest --hypothesis-profile search` looks elsewhere each time.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("splitway", settings.get_profile("search"), derandomize=True)
settings.load_profile("splitway")
