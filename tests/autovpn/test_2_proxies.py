# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies for browsers: what they are asked for leaves by the ways of their policy, and nobody else is served."""

from __future__ import annotations

import pytest
from autovpnkit import gateway
from autovpnkit.browsing import HTTP, SOCKS5, USER, browse, with_proxy
from labkit.hosts import host

WAYS = {"google.com": "us", "youtube.com": "eu", "example.org": "direct", "maps.google.com": "direct"}
CURL_PROXY = 97  # curl's status: the proxy said no


@pytest.mark.parametrize("proxy", [SOCKS5, HTTP])
def test_each_name_leaves_by_its_way(proxy: str) -> None:
    assert {name: browse("alice", f"http://{name}/", *with_proxy(proxy)).way for name in WAYS} == WAYS


def test_tls_goes_through_connect() -> None:
    answers = {name: browse("alice", f"https://{name}/", *with_proxy(HTTP)) for name in WAYS}
    assert {name: (answer.connect, answer.way) for name, answer in answers.items()} == {
        name: (200, way) for name, way in WAYS.items()
    }


@pytest.mark.parametrize("user", [None, f"{USER}:wrong", "nobody:nothing", f"{USER}:"])
def test_the_http_proxy_asks_for_credentials(user: str | None) -> None:
    """As browsers understand it: 407, and what kind of credentials."""
    answer = browse("alice", "http://example.org/", *with_proxy(HTTP, user))
    assert (answer.code, answer.way == "direct") == (407, False)
    assert "proxy-authenticate: basic" in answer.headers.lower()
    assert browse("alice", "https://example.org/", *with_proxy(HTTP, user)).connect == 407


@pytest.mark.parametrize("user", [None, f"{USER}:wrong", "nobody:nothing"])
def test_the_socks5_proxy_wants_credentials(user: str | None) -> None:
    assert browse("alice", "http://example.org/", *with_proxy(SOCKS5, user)).status == CURL_PROXY


@pytest.mark.parametrize("port", [1080, 8080])
def test_nobody_outside_is_served(port: int) -> None:
    """On the wire the gateway does not listen there."""
    assert host("us").run(f"curl --silent --max-time 3 http://10.90.0.10:{port}/").rc != 0


def test_no_secret_is_logged() -> None:
    said = host("gw").check_output("journalctl --no-pager; cat /var/log/splitway/* 2>/dev/null || true")
    assert [secret for secret in (*gateway.private_keys(), gateway.path()) if secret in said] == []
