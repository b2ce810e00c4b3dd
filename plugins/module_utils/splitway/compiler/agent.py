# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent looks after: the health of upstreams, the groups, and what the operator set for it."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Optional

from ..network_namespace import container_of
from ..state import Agent, CountryData, Target, Watch
from ..state.web import PUBLISHED
from ..topology import model
from .countries import country_data
from .egress import families_of, interface_of
from .groups import Switchboard

# Two of the few addresses that answer pings everywhere, of two operators; two, so that one's fault is not ours.
USUAL = {4: ("1.1.1.1", "8.8.8.8"), 6: ("2606:4700:4700::1111", "2001:4860:4860::8888")}


def compile_agent(topology: model.Topology, numbers: Mapping[str, int], switchboard: Switchboard) -> Agent:
    """Return the agent's section, without the engine's version: whoever carries the engine to the host knows it."""
    return Agent(
        engine="",
        watches=tuple(
            _watch(upstream, interface_of(numbers[upstream.name], topology.table_base))
            for upstream in topology.upstreams
            if upstream.enabled
        ),
        groups=tuple(switchboard.groups.values()),
        retention=topology.retention,
        warm_up=topology.agent.warm_up,
        metrics=topology.agent.metrics,
        access_log=topology.agent.access_log,
        log_level=topology.agent.log_level,
        follows=container_of(topology.network_namespace),
        modes=(topology.mode, *topology.fallback_modes),
        folders=(PUBLISHED, *([topology.web.directory] if topology.web.directory else [])) if topology.pac else (),
    )


def compile_countries(settings: model.CountrySettings) -> Optional[CountryData]:
    """Return where the gateway has its data of countries from; None: from the controller."""
    return country_data(settings) if settings.where == "gateway" else None


def _watch(upstream: model.Upstream, interface: str) -> Watch:
    health = upstream.health
    targets = tuple(Target(probe.kind, str(probe.address), probe.port, probe.name) for probe in health.probes)
    return Watch(
        upstream=upstream.name,
        interface=interface,
        targets=targets or _usual(upstream),
        interval=health.interval,
        timeout=health.timeout,
        down_after=health.down,
        up_after=health.up,
        restart=health.restart,
    )


def _usual(upstream: model.Upstream) -> tuple[Target, ...]:
    """Return pings by IPv4, else by IPv6; none where the tunnel carries packets to neither."""
    for family in families_of(upstream)[:1]:
        reached = (
            address
            for address in USUAL[family]
            if any(ip_address(address) in network for network in upstream.allowed_ips)
        )
        return tuple(Target("icmp", address) for address in reached)
    return ()
