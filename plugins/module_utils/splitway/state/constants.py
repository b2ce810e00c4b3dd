# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that have one meaning everywhere in the state."""

from __future__ import annotations

FAMILIES = (4, 6)
"""The spelling of a family: the IP version."""

STATIC_SIZE = 1048576
"""Networks that a set holds; an upper bound only: it takes memory for what is in it."""

REST = "#"
"""dnsmasq's word for the resolvers of all names without their own."""

DIRECT = 0
"""The egress number of `direct`: classified, no table of its own."""
