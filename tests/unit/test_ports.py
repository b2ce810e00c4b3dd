# SPDX-License-Identifier: GPL-3.0-or-later
"""Which port a daemon of ours takes, and that whoever depends on it follows."""

from __future__ import annotations

import dataclasses

import pytest

from splitway.ports import Wanted, filled, passed_over, pick
from splitway.reconcile.base import ReconcileError
from splitway.reconcile.listening import Listener
from splitway.reconcile.sockets import Holder
from splitway.state import Forwarding, PortRange, TransportClient

OURS = 990
ANY = "0.0.0.0"  # noqa: S104
WEB = PortRange("transport/server", 443, 445)
SERVER = Wanted(WEB, "tcp", (ANY, "::"))


def stranger(port: int, address: str = ANY, protocol: str = "tcp", user: int = 33) -> Listener:
    return Listener(protocol, address, port, 7, user, holder=Holder("apache2", "812"))


def chosen(wanted: Wanted, port: int) -> Wanted:
    return dataclasses.replace(wanted, range=dataclasses.replace(wanted.range, chosen=port))


def test_the_first_that_nobody_has() -> None:
    assert pick([SERVER], []) == {WEB.key: 443}
    assert pick([SERVER], [stranger(443)]) == {WEB.key: 444}
    assert pick([SERVER], [stranger(443, "127.0.0.1"), stranger(444, "::1")]) == {WEB.key: 445}
    assert pick([SERVER], [stranger(443, protocol="udp")]) == {WEB.key: 443}


def test_the_one_that_was_chosen_stays_when_the_stranger_goes_and_while_it_is_ours() -> None:
    assert pick([chosen(SERVER, 444)], []) == {WEB.key: 444}
    assert pick([chosen(SERVER, 444)], [stranger(443), stranger(444, user=OURS)], OURS) == {WEB.key: 444}


def test_the_one_that_was_chosen_is_left_to_a_stranger() -> None:
    assert pick([chosen(SERVER, 444)], [stranger(444)], OURS) == {WEB.key: 443}


def test_two_of_ours_never_get_the_same() -> None:
    first, second = (Wanted(PortRange(key, 41000, 41003), "udp", ("127.0.0.1",)) for key in ("us", "eu"))
    assert pick([first, second], []) == {"us": 41000, "eu": 41001}
    # The one who has it already keeps it, also while it is not running.
    assert pick([first, chosen(second, 41000)], []) == {"us": 41001, "eu": 41000}
    other = dataclasses.replace(second, protocol="tcp")
    assert pick([first, other], []) == {"us": 41000, "eu": 41000}


def test_none_is_free() -> None:
    with pytest.raises(ReconcileError) as error:
        pick([SERVER], [stranger(port) for port in (443, 444, 445)])
    assert str(error.value).startswith(
        "transport/server: all ports of 443-445 are taken: apache2 (process 812) listens"
    )


def test_who_was_passed_over_is_named() -> None:
    found = [stranger(443), stranger(444), stranger(445)]
    assert [listener.port for listener in passed_over(SERVER, 445, found)] == [443, 444]


def test_what_depends_on_it_follows() -> None:
    forwarding = Forwarding("wireguard", "udp", PortRange("us/wireguard", 41000, 41099), "127.0.0.1:51820")
    client = TransportClient("us", "wg-up-1", "websocat", ("wss://exit.example:443",), "secret", (forwarding,))
    assert filled(client, {"us/wireguard": 41007}).forwardings[0].port.port == 41007
    assert filled(client, {"us/wireguard": 99}) is client, "beside its range"
