# SPDX-License-Identifier: GPL-3.0-or-later
"""Description → dnsmasq's file of the seed's way, and what is run when it has changed."""

from __future__ import annotations

from seed_way.commands import Command, set_name
from seed_way.description import Description


def configuration(description: Description) -> str:
    """Return the text of `split-tunneling.conf`: one line a client's domain.

    Of several lines with one domain dnsmasq obeys only the first: as drawn, two clients cannot share a name.
    """
    lines = (f"ipset=/{domain}/{set_name(one)}\n" for one in description.clients for domain in one.domains)
    return "".join(lines)


def reload(process: int) -> Command:
    """Return step 5e for one dnsmasq, where `killall` would reach those of other namespaces.

    The signal clears the cache and does not read `ipset=` lines: for new lines to work, a bench restarts it.
    """
    return ("kill", "-HUP", str(process))
