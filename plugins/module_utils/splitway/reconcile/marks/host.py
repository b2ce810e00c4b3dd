# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's own connections under policies, one for all or those of proxies: what both backends share.

Only what begins here is classified: never an answer, nor a connection that was there before. And never a packet with a
mark of its own: a program that marks its packets knows its way, and VPN programs do. So do our tunnels, which else
would carry their own handshakes. A packet gets its mark after its first routing and is routed again.

A proxy is known by the user that its programs run as. What it may begin on this host itself is listed: a question to
our dnsmasq, and what carries its connections further; else its users would reach whatever listens on loopback only.
"""

from __future__ import annotations

from ...state import Host, Marks, ProxyAccount, mark_of

# The first of the ports that the kernel gives to those who ask for any. After a loss of conntrack's table a packet in
# the midst of a connection looks as if the connection began with it: from a lower port it is a server's answer.
ANY_PORT = 32768

DHCP = {4: (68, 67), 6: (546, 547)}  # from, to: a server on a public network is asked there


def refused_marks(marks: Marks, version: int) -> tuple[int, ...]:
    """Return the marks whose tables lead nowhere in a family."""
    return tuple(
        mark_of(egress.number, marks.mask)
        for egress in marks.egresses
        if version not in egress.families and not egress.direct
    )


def proxies(host: Host) -> tuple[tuple[int, ProxyAccount], ...]:
    """Return the proxies whose users are there, by their numbers."""
    return tuple((proxy.account, proxy) for proxy in host.proxies if proxy.account is not None)


def keeps_from_clients(marks: Marks) -> bool:
    """Return whether nobody but a client may begin a connection to a client, and a proxy may not either."""
    return marks.guard.protect_clients or marks.guard.isolate


def resolver(host: Host, version: int) -> str:
    """Return the address of a family at which our dnsmasq answers, "" when there is none."""
    return next((address for address in host.resolvers if (":" in address) == (version == 6)), "")
