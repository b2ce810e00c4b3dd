# SPDX-License-Identifier: GPL-3.0-or-later
"""The peer of the benches: split tunnelling as the first seed's description draws it, for the same topologies.

| of the description | here |
|---|---|
| 2.2, domains: one `ipset=` line a client's rule, the set's name beside it | `names.configuration` |
| 2.2, packets: mark by source and set, `fwmark N lookup N`, a default route | `commands.client` |
| 3.1, steps 5a to 5e in their order, each a program of its own | `commands.upstreams`, `.commands`, `run.apply` |
| 4.2, numbers from 101, priorities 1000 above them, tables of one route | `description`, `commands.client` |
| 4.3, PREROUTING of mangle, one commented rule a client | `commands.client` |

What is not drawn is read in its favour: an untyped set is a `hash:net`, since rules may be networks; tables go on above
the drawn 199, but not onto the kernel's own; a client of ours whose rules lead to several upstreams has the first of
them; IPv4 only. `run.load` makes the same kernel state in three batches, for benches that do not time the making.
"""

from __future__ import annotations

import benchkit  # noqa: F401  (makes the engine importable)

from seed_way.commands import commands, set_name, upstreams
from seed_way.description import Client, Description, Upstream, describe
from seed_way.names import configuration
from seed_way.run import apply, load

__all__ = [
    "Client",
    "Description",
    "Upstream",
    "apply",
    "commands",
    "configuration",
    "describe",
    "load",
    "set_name",
    "upstreams",
]
