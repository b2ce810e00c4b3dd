# SPDX-License-Identifier: GPL-3.0-or-later
"""The largest TCP segment (MSS) that both ends of a connection are told: what the narrower side of the gateway takes.

The kernel's own clamp takes the smaller MTU of the route that the packet takes and of the route back to its sender. It
looks the second up without a mark: what comes in by a tunnel and has an answer's sender from the Internet is taken for
what came by the uplink. So answers that come in by a tunnel get the tunnel's number; neither way ever raises an MSS.
"""

from __future__ import annotations

from ...state import Marks

IPTABLES_SYN = "-p tcp -m tcp --tcp-flags SYN,RST SYN"
IPTABLES_CLAMP = f"{IPTABLES_SYN} -j TCPMSS --clamp-mss-to-pmtu"
IPTABLES_CHAIN = "SPLITWAY-SEGMENTS"

NFTABLES_SYN = "tcp flags & (syn|rst) == syn"
NFTABLES_CLAMP = f"{NFTABLES_SYN} tcp option maxseg size set rt mtu"

_HEADERS = {4: 40, 6: 60}  # bytes of IP and TCP without options


def iptables_chains(marks: Marks, version: int) -> dict[str, list[str]]:
    """Return the chain that clamps what comes in by each tunnel; none where no tunnel's MTU is known."""
    lines = [
        f"-i {tunnel.interface} {IPTABLES_SYN} -j TCPMSS --set-mss {tunnel.mtu - _HEADERS[version]}"
        for tunnel in marks.tunnel_mtus
    ]
    return {IPTABLES_CHAIN: lines} if lines else {}


def iptables_jumps(marks: Marks) -> list[str]:
    """Return the rule that leads there, for chains of what comes in by tunnels."""
    return [f"{IPTABLES_SYN} -j {IPTABLES_CHAIN}"] if marks.tunnel_mtus else []


def nftables_chains(marks: Marks) -> dict[str, list[str]]:
    """Return the chain of each MTU that a tunnel has."""
    return {
        _chain(mtu): [
            f"meta nfproto ipv{version} tcp option maxseg size set {mtu - headers}"
            for version, headers in _HEADERS.items()
        ]
        for mtu in sorted({tunnel.mtu for tunnel in marks.tunnel_mtus})
    }


def nftables_jumps(marks: Marks) -> list[str]:
    """Return the rule that leads there, for chains of what comes in by tunnels."""
    pairs = ", ".join(f'"{tunnel.interface}" : jump {_chain(tunnel.mtu)}' for tunnel in marks.tunnel_mtus)
    return [f"{NFTABLES_SYN} iifname vmap {{ {pairs} }}"] if pairs else []


def _chain(mtu: int) -> str:
    return f"segments_{mtu}"
