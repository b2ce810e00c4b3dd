# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator writes: read, validated and brought into canonical spelling, before any host is touched."""

from .domains import canonical_domain
from .errors import TopologyError
from .exit_node import parse_exit
from .parse import parse

__all__ = ["TopologyError", "canonical_domain", "parse", "parse_exit"]
