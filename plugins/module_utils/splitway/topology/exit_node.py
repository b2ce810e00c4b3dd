# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_exit`: the far end of upstreams. Not a gateway's topology, but written, checked and told like one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Optional

from .errors import Report, TopologyError
from .kept_keys import KeptKeys, read_kept_keys
from .keys import public_key, wireguard_key
from .model import ExitGateway, ExitNode, Interface, Network
from .networks import not_a_host, peer_network, server_address
from .plain import plain
from .programs import read_programs
from .reading import Claims, Fields, check_slips, good, mappings, parse_value
from .scalars import choice, exit_interface, name, port
from .server import check_overlaps, mtu_parser
from .websocket import EXIT_KEYS, read_websocket_server

VARIABLES = ("splitway_exit", "splitway_keys", "splitway_programs", "splitway_state")
KEYS = ("interface", "listen_port", "addresses", "private_key", "mtu", "gateways", "websocket")
GATEWAY_KEYS = ("name", "public_key", "preshared_key", "addresses")
STATES = ("present", "absent")


def parse_exit(variables: Mapping[str, Any]) -> ExitNode:
    """Return the exit that an operator's variables describe; `splitway_state` is checked, too.

    Raises TopologyError with all that is wrong.
    """
    report = Report()
    if not isinstance(variables, Mapping):
        raise TopologyError("the variables of an exit are not a mapping")
    check_slips(report, variables, VARIABLES)
    values = {key: plain(variables[key], key, report) for key in VARIABLES if key in variables}
    value, state = values.get("splitway_exit"), values.get("splitway_state")
    if value is None:
        report.add("splitway_exit", "is required")
    fields = Fields(report, "splitway_exit", value, KEYS)
    kept_keys = read_kept_keys(report, values.get("splitway_keys"))["gateways"]
    found = _read_exit(fields, kept_keys) if isinstance(value, dict) else ExitNode(())  # then finish() raises
    needed = {found.websocket.program: "splitway_exit.websocket"} if found.websocket else {}
    found = replace(found, programs=read_programs(report, values.get("splitway_programs"), needed))
    if state is not None:
        parse_value(report, "splitway_state", state, choice("a state", STATES))
    report.finish()
    return found


def _read_exit(fields: Fields, kept_keys: KeptKeys) -> ExitNode:
    addresses = fields.require_entries("addresses", server_address)
    check_overlaps(fields.report, f"{fields.path}.addresses", addresses)
    private = fields.get("private_key", wireguard_key)
    reader = GatewayReader(fields.report, good(addresses), private, kept_keys)
    gateways = reader.read_all(f"{fields.path}.gateways", fields.values.get("gateways"))
    networks = (*good(addresses), *(network for gateway in gateways for network in gateway.addresses))
    v6 = any(network.version == 6 for network in networks)  # a gateway's route needs an interface that takes IPv6
    return ExitNode(
        addresses=good(addresses),
        interface=fields.get_or("interface", exit_interface, ExitNode.interface),
        listen_port=fields.get_or("listen_port", port, ExitNode.listen_port),
        private_key=private,
        mtu=fields.get_or("mtu", mtu_parser(v6=v6), ExitNode.mtu),
        gateways=gateways,
        websocket=read_websocket_server(fields, EXIT_KEYS),
    )


class GatewayReader:
    """Reads the gateways of one exit and knows what they must not have in common.

    WireGuard would give a key or an address that two of them have to the last one, without a word. A network
    may lie in another's: the longest prefix decides, and wg-quick makes routes for all of them.
    """

    def __init__(
        self, report: Report, own: tuple[Interface, ...], private_key: Optional[str], kept_keys: KeptKeys
    ) -> None:
        self.report = report
        self.kept_keys = kept_keys
        self.own = own
        self.own_key = public_key(private_key) if private_key else None
        self.names = Claims(report, "is already the name of")
        self.addresses = Claims(report, "is already an address of")
        self.keys = Claims(report, "is already the key of")

    def read_all(self, path: str, entries: Any) -> tuple[ExitGateway, ...]:
        return good(
            [
                self._read(Fields(self.report, at, entry, GATEWAY_KEYS))
                for at, entry in mappings(self.report, path, entries)
            ]
        )

    def _read(self, fields: Fields) -> Optional[ExitGateway]:
        gateway_name = fields.require("name", name)
        if gateway_name is not None:
            self.names.claim(f"{fields.path}.name", gateway_name.lower(), fields.path, f'"{gateway_name}"')
        keys = self.kept_keys.get(gateway_name or "", fields)
        public = keys.require("public_key", wireguard_key)
        if public is not None and public == self.own_key:
            self.report.add(f"{fields.path}.public_key", "belongs to splitway_exit.private_key: give the gateway's")
        elif public is not None:
            self.keys.claim(f"{fields.path}.public_key", public, fields.path)
        preshared = keys.get("preshared_key", wireguard_key)
        addresses = fields.require_entries("addresses", peer_network)
        for index, entry in enumerate(addresses):
            if entry is not None:
                self._check_address(f"{fields.path}.addresses[{index}]", entry, fields.path)
        if gateway_name is None or public is None:
            return None
        return ExitGateway(gateway_name, public, good(addresses), preshared)

    def _check_address(self, path: str, entry: Network, gateway: str) -> None:
        self.addresses.claim(path, entry, gateway, f'"{entry}"')
        alone = entry.network_address if entry.prefixlen == entry.max_prefixlen else None
        own = next((own for own in self.own if alone is not None and alone in own.network), None)
        if own is None or alone is None:
            return
        problem = "is the exit's own address" if alone == own.ip else not_a_host(alone, own.network)
        if problem:
            self.report.add(path, f'"{entry}" {problem}')
