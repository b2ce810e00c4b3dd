# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom our dnsmasq asks where the operator names nobody, so that no question comes back to it.

When the gateway's own connections have a policy, its own questions come to our dnsmasq, those of a resolver on this
host among them. If dnsmasq asked that one, each question would go round for ever. systemd's resolver, which stands in
/etc/resolv.conf by an address of its own, tells in another file whom it asks itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ...state import Dns
from ...system import System
from ..base import ReconcileError

OWN = Path("etc/resolv.conf")
SYSTEMD = Path("run/systemd/resolve/resolv.conf")


@dataclass(frozen=True)
class HostResolvers:
    """The resolvers that this host knows."""

    own: tuple[str, ...] = ()  # of /etc/resolv.conf
    systemd: tuple[str, ...] = ()  # whom systemd's resolver asks
    here: frozenset[str] = frozenset()  # the host's own addresses


def read(system: System, here: Collection[str]) -> HostResolvers:
    """Return the resolvers that this host knows; `here`: its addresses."""
    own, systemd = (servers_in(system.read_file(system.root / path) or "") for path in (OWN, SYSTEMD))
    return HostResolvers(own, systemd, frozenset(here))


def servers_in(text: str) -> tuple[str, ...]:
    """Return the resolvers that a file like /etc/resolv.conf names."""
    lines = (line.split() for line in text.splitlines())
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")


def resolver_file(desired: Dns, known: HostResolvers) -> Optional[Path]:
    """Return the file that dnsmasq reads in place of /etc/resolv.conf, None where that one is right.

    Raises ReconcileError where a question would come back and nobody else is known.
    """
    if not desired.for_host or desired.servers or desired.tls:
        return None
    back = [server for server in known.own if _is_here(server, known.here)]
    if known.own and not back:
        return None
    if known.systemd and not any(_is_here(server, known.here) for server in known.systemd):
        return Path("/") / SYSTEMD
    whom = f"leads dnsmasq to {back[0]}, on this host, whose own questions come to dnsmasq" if back else "names none"
    raise ReconcileError(
        f"splitway_host_policy needs resolvers elsewhere: /{OWN} {whom}. Name some in splitway_dns.servers"
    )


def _is_here(server: str, here: Collection[str]) -> bool:
    try:
        return server in here or ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False
