# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_pac`: which of a browser's requests go through a proxy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from ..modes import WITH_PROXIES
from .domains import domain
from .errors import Report, TopologyError, shown
from .model import Pac, Proxy
from .reading import Claims, Fields, declared, good, mappings
from .scalars import boolean, choice, name, reference
from .words import Words

KEYS = ("name", "policy", "mode", "proxy", "fail_open", "local")
SMART, GLOBAL, DIRECTLY = MODES = ("smart", "global", "direct")
RESERVED = ("proxy", "wpad")  # what the first file is also called


def read_pac(
    report: Report,
    entries: Any,
    known: Words,
    proxies: Any,
    found_proxies: Sequence[Proxy],
    default_policy: Optional[str],
    gateway_modes: Sequence[str],
) -> tuple[Pac, ...]:
    """Return the PAC files. `proxies`: splitway_proxies as it was written, and what was read of it."""
    without_proxies = not any(mode in WITH_PROXIES for mode in gateway_modes)
    names = Claims(report, "is already the name of")
    by_name = {proxy.name: proxy for proxy in found_proxies}
    proxy_names = declared(proxies)
    parse_proxy = reference("a proxy (of splitway_proxies)", proxy_names)
    found = []
    for path, entry in mappings(report, "splitway_pac", entries):
        fields = Fields(report, path, entry, KEYS)
        called = fields.require("name", _name)
        if called is not None:
            names.claim(f"{path}.name", called.lower(), path, f'"{called}"')
        mode = fields.get_or("mode", choice("a mode of a PAC file", MODES), SMART)
        policy = fields.get("policy", known.policy)
        proxy = fields.get("proxy", parse_proxy)
        if mode != DIRECTLY and without_proxies:
            report.add(f"{path}.mode", f'splitway_mode "{gateway_modes[0]}" has no proxies: only "direct" needs none')
        elif mode != DIRECTLY and not fields.given("proxy"):
            proxy = _only(fields, proxy_names)
        used = by_name.get(proxy or "")
        if used is not None and mode != DIRECTLY:
            _check_usable(fields, used)
        if mode == SMART and not fields.given("policy"):
            policy = (used.policy if used else None) or default_policy
            if policy is None:
                report.add(f"{path}.policy", "is required: a file of the mode smart goes by a policy's rules")
        local = good(fields.entries("local", domain))
        fail_open = fields.get_or("fail_open", boolean, default=Pac.fail_open)
        found.append(Pac(called or "", mode, policy, proxy, fail_open, local))
    return tuple(found)


def _name(value: Any) -> str:
    """Return the name of a file, as its address has it."""
    word = name(value)
    if word.lower() in RESERVED:
        raise TopologyError(f"{shown(word)} is what the first file is called beside its own name: choose another")
    return word


def _only(fields: Fields, proxies: Optional[frozenset[str]]) -> Optional[str]:
    """Return the one proxy that there is; report that one has to be named."""
    if proxies is None:
        return None  # reported already
    if len(proxies) == 1:
        return next(iter(proxies))
    fields.report.add(
        f"{fields.path}.proxy",
        "is required: there is more than one in splitway_proxies"
        if proxies
        else "is required, and splitway_proxies has none; a file of the mode direct needs none",
    )
    return None


def _check_usable(fields: Fields, proxy: Proxy) -> None:
    protocols = {listener.protocol for listener in proxy.listeners}
    if not protocols:
        fields.report.add(f"{fields.path}.proxy", f'"{proxy.name}" has neither http nor socks5')
    elif proxy.users and "http" not in protocols:
        fields.report.add(
            f"{fields.path}.proxy",
            f'"{proxy.name}" has users and only socks5: browsers give no password to SOCKS5; give it http, or sources '
            "in the place of users",
        )
