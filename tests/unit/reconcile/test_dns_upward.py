# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom dnsmasq asks when the host's own questions come to it: nobody who would ask it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitway.reconcile.base import ReconcileError
from splitway.reconcile.dns.text import options_text
from splitway.reconcile.dns.upward import HostResolvers, resolver_file
from splitway.state import Dns

HERE = frozenset({"127.0.0.1", "::1", "192.168.1.5"})
DNS = Dns("wg0", (), (), for_host=True)
SYSTEMD = Path("/run/systemd/resolve/resolv.conf")


@pytest.mark.parametrize("own", [("192.168.1.1",), ("9.9.9.9", "2620:fe::9"), ("fe80::1%eth0",)])
def test_resolvers_elsewhere_are_asked_as_ever(own: tuple[str, ...]) -> None:
    assert resolver_file(DNS, HostResolvers(own, here=HERE)) is None


@pytest.mark.parametrize("own", [("127.0.0.53",), ("::1",), ("192.168.1.5",), ("192.168.1.1", "127.0.0.1"), ()])
def test_in_place_of_one_on_this_host_those_are_asked_that_systemd_s_asks(own: tuple[str, ...]) -> None:
    assert resolver_file(DNS, HostResolvers(own, ("192.168.1.1",), HERE)) == SYSTEMD
    assert f"resolv-file={SYSTEMD}\n" in options_text(DNS, None, SYSTEMD)


@pytest.mark.parametrize(
    ("own", "systemd", "said"),
    [(("127.0.0.1",), (), "leads dnsmasq to 127.0.0.1"), (("192.168.1.5",), ("::1",), "192.168.1.5"), ((), (), "none")],
)
def test_a_question_that_would_come_back_ends_the_run(
    own: tuple[str, ...], systemd: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ReconcileError, match=rf"{said}.*Name some in splitway_dns\.servers"):
        resolver_file(DNS, HostResolvers(own, systemd, HERE))


@pytest.mark.parametrize("dns", [Dns("wg0", (), ()), Dns("wg0", ("9.9.9.9",), (), for_host=True)])
def test_it_is_nobody_s_matter_without_such_questions_or_with_servers(dns: Dns) -> None:
    assert resolver_file(dns, HostResolvers(("127.0.0.1",), (), HERE)) is None
