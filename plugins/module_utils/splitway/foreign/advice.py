# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that let a packet pass the rules of others, in the words of the program that they are from."""

from __future__ import annotations

from .model import ESTABLISHED, Base, Packet

_HOOKS = {"forward": "FORWARD", "input": "INPUT", "output": "OUTPUT"}


def advice(base: Base, packet: Packet) -> tuple[str, ...]:
    """Return the commands."""
    chains = base.table.chains
    if any(chain.startswith(("ufw-before-", "ufw6-before-")) for chain in chains):
        return _ufw(packet)
    if "DOCKER-USER" in chains and packet.hook == "forward":
        return _iptables(base, packet, "DOCKER-USER")
    if base.table.name.endswith(" firewalld"):
        return _firewalld(packet)
    if base.table.name.startswith("nft "):
        return (f"nft insert rule {base.table.name[4:]} {base.chain} {_nft_match(packet)} accept",)
    return _iptables(base, packet, _HOOKS[packet.hook])


def _ufw(packet: Packet) -> tuple[str, ...]:
    if packet.hook == "forward":
        back = packet.state == ESTABLISHED
        return (f"ufw route allow {f'out on {packet.outgoing}' if back else f'in on {packet.incoming}'}",)
    if packet.hook == "output":
        return (f"ufw allow out on {packet.outgoing}",)
    if packet.port == 53 or packet.mark:
        return (f"ufw allow in on {packet.incoming} to any port {packet.port} proto {packet.protocol}",)
    return (f"ufw allow {packet.port}/{packet.protocol}",)


def _firewalld(packet: Packet) -> tuple[str, ...]:
    if packet.hook == "input" and not packet.mark:
        return (f"firewall-cmd --permanent --add-port={packet.port}/{packet.protocol}", "firewall-cmd --reload")
    clients = packet.outgoing if packet.state == ESTABLISHED else packet.incoming
    return (f"firewall-cmd --permanent --zone=trusted --add-interface={clients}", "firewall-cmd --reload")


def _iptables(base: Base, packet: Packet, chain: str) -> tuple[str, ...]:
    program, _, table = base.table.name.partition(" ")
    where = "" if table == "filter" else f"-t {table} "
    ways = [f"-i {packet.incoming}"] if packet.incoming else []
    if packet.state == ESTABLISHED:
        ways = [f"-o {packet.outgoing}", "-m conntrack --ctstate RELATED,ESTABLISHED"]
    elif packet.hook == "input":
        ways.append(f"-p {packet.protocol} --dport {packet.port}")
    return (f"{program} {where}-I {chain} {' '.join(ways)} -j ACCEPT",)


def _nft_match(packet: Packet) -> str:
    if packet.state == ESTABLISHED:
        return f'oifname "{packet.outgoing}" ct state established,related'
    if packet.hook == "input":
        return f'iifname "{packet.incoming}" {packet.protocol} dport {packet.port}'
    return f'iifname "{packet.incoming}"'
