# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of the section `agent`: how it resolves the lists' names, and which it answers with the best addresses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pinned:
    """Names that are answered with their best addresses, and the egress through which these are tried."""

    egress: int  # its number
    names: tuple[str, ...]


@dataclass(frozen=True)
class Resolving:
    """How the agent asks for names, and tries their addresses."""

    servers: tuple[str, ...] = ()  # "address[#port]", for names without resolvers of their own; none: dnsmasq's
    interval: int = 10000  # milliseconds within which a dead address is replaced
    timeout: int = 2000  # milliseconds that an answer, and a connection, may take
    tries: int = 3  # questions for one answer
    concurrency: int = 50  # questions that wait for answers
    port: int = 443  # of the connections that are tried
    countries: tuple[str, ...] = ()  # ISO 3166-1 alpha-2, lower case: where addresses are preferred
    pinned: tuple[Pinned, ...] = ()
