# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `marks`: client → policy → mark, the guard in the forward hook, NAT, MSS clamping.

A packet from a client meets, in both backends: INVALID is dropped; a flow that was classified before gets
its mark back; else the client's address gives its policy, whose chain decides by the first match.
What stays unclassified is refused twice: by the guard rule of policy routing, and in the forward hook.
What holds for every client, whatever its policy, is in …_clients.py: the DNS guard, isolation, the gateway's ports.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import pwd
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Optional

from ...state import PROXY_ACCOUNT, Host, Marks
from ...system import System
from .. import accounts
from ..base import ADD, CHANGE, REMOVE, Change, additions, removals
from ..routes.sysctl import forwarded_nothing
from ..sets.model import IPSET, NFTABLES
from . import iptables, nftables, nftables_live
from .model import ChainStep, ClientsStep, Line, LookupStep, Ruleset, Step

USERS = "users"
"""In the place of a backend."""


@dataclass(frozen=True)
class UserStep:
    """A user of the system is made, and the section planned again with its number."""

    user: str
    desired: Optional[Marks]
    backend: str


@dataclass(frozen=True)
class Current:
    """Our rules in both backends, and which of the two is wanted."""

    backend: str
    rulesets: Mapping[str, Ruleset]
    forwarded_nothing: tuple[int, ...] = ()  # families in which the host did not forward before us
    accounts: Mapping[str, int] = field(default_factory=dict)  # the numbers of users that the rules name


def read(system: System, desired: Optional[Marks], backend: str) -> Current:
    """Return our rules in the kernel, of both backends. Raises ReconcileError when a tool fails."""
    rulesets = {IPSET: iptables.read(system), NFTABLES: nftables_live.read(system)}  # what is ours is known by its name
    asked = desired is not None and desired.guard.others_as_before
    users = _users_of(system, desired.host) if desired is not None and desired.host is not None else {}
    return Current(backend, rulesets, forwarded_nothing(system) if asked else (), users)


def _users_of(system: System, host: Host) -> dict[str, int]:
    """Return the numbers of those users that are there: a package that makes one may not be installed yet."""
    found = {proxy.user: accounts.number(system, proxy.user) for proxy in host.proxies}
    for user in host.users:
        with contextlib.suppress(KeyError):
            found[user] = pwd.getpwnam(user).pw_uid
    return {user: number for user, number in found.items() if number is not None}


def plan(desired: Optional[Marks], current: Current) -> tuple[Change, ...]:
    """Return the changes that make the kernel's rules the desired ones; None: nothing of ours stays."""
    changes = list(_users(desired, current))
    for backend, found in current.rulesets.items():
        wanted = Ruleset()
        if desired is not None and backend == current.backend:
            wanted = (iptables if backend == IPSET else nftables).render(_here(desired, current))
        changes += _lookups(backend, wanted, found)
        changes += _chains(backend, wanted, found)
        changes += _clients(backend, wanted, found)
    return additions(tuple(changes)) + removals(tuple(changes))


def _users(desired: Optional[Marks], current: Current) -> Iterator[Change]:
    """Yield the users that are made first: rules know them by their numbers, and no proxy runs without its rules."""
    for proxy in desired.host.proxies if desired is not None and desired.host is not None else ():
        if proxy.user not in current.accounts:
            payload = (USERS, UserStep(proxy.user, desired, current.backend))
            yield Change(ADD, f"user {proxy.user}", "", proxy.user, payload)


def _here(desired: Marks, current: Current) -> Marks:
    """Return what is desired on this host: packets of others are refused where it forwarded none before us."""
    families = tuple(sorted({*desired.guard.refuse_others, *current.forwarded_nothing}))
    guard = dataclasses.replace(desired.guard, refuse_others=families)
    return dataclasses.replace(desired, guard=guard, host=desired.host and _with_accounts(desired.host, current))


def _with_accounts(host: Host, current: Current) -> Host:
    """Return the host's own part with the numbers that users have here."""
    exempt = tuple(current.accounts[user] for user in host.users if user in current.accounts)
    proxies = tuple(dataclasses.replace(proxy, account=current.accounts.get(proxy.user)) for proxy in host.proxies)
    return dataclasses.replace(host, accounts=exempt, proxies=proxies)


def _lookups(backend: str, wanted: Ruleset, found: Ruleset) -> Iterator[Change]:
    for family in sorted({*wanted.lookups, *found.lookups}):
        kind, there = wanted.lookups.get(family, ""), found.lookups.get(family, "")
        if kind != there:
            what = f"lookup of clients (v{family})"
            yield _change(backend, what, there, kind, LookupStep(family, there, kind))


def _chains(backend: str, wanted: Ruleset, found: Ruleset) -> Iterator[Change]:
    differing = [
        place
        for place in itertools.chain(wanted.chains, (place for place in found.chains if place not in wanted.chains))
        if not _same(wanted.chains.get(place, ()), found.chains.get(place))
    ]
    # nftables tells of a rule only whose it is; what it does is known where it is wanted still, here or elsewhere.
    texts = {line.key: line.text for lines in wanted.chains.values() for line in lines} if differing else {}
    for place in differing:
        lines, there = wanted.chains.get(place, ()), found.chains.get(place)
        before = "\n".join(texts.get(line.key, line.text) for line in there or ())
        step = ChainStep(place, there or (), lines)
        yield _change(backend, f"chain {place}", before, _text(lines), step, there is None)


def _same(lines: tuple[Line, ...], there: Optional[tuple[Line, ...]]) -> bool:
    return there is not None and bool(lines) and [line.key for line in lines] == [line.key for line in there]


def _text(lines: tuple[Line, ...]) -> str:
    return "\n".join(line.text for line in lines)


def _clients(backend: str, wanted: Ruleset, found: Ruleset) -> Iterator[Change]:
    for family in sorted({*wanted.clients, *found.clients}):
        want, have = wanted.clients.get(family, {}), found.clients.get(family, {})
        if wanted.lookups.get(family) != found.lookups.get(family):
            have = {}  # entries come and go with their lookup
        added = [(client, "", entry) for client, entry in want.items() if client not in have]
        moved = [(client, have[client], entry) for client, entry in want.items() if have.get(client, entry) != entry]
        gone = [(client, entry, "") for client, entry in have.items() if client not in want]
        for entries in filter(None, (added, moved, gone)):
            yield _change_of_clients(backend, family, entries)


def _change_of_clients(backend: str, family: int, entries: list[tuple[str, str, str]]) -> Change:
    names = ", ".join(client for client, _, _ in entries[:3]) + (f" and {len(entries) - 3} more" if entries[3:] else "")
    before = "\n".join(f"{client} {was}" for client, was, _ in entries if was)
    after = "\n".join(f"{client} {now}" for client, _, now in entries if now)
    return _change(backend, f"clients {names} (v{family})", before, after, ClientsStep(family, tuple(entries)))


def _change(backend: str, what: str, before: str, after: str, step: Step, new: bool = False) -> Change:
    added = new or (after and not before)
    action = ADD if added else CHANGE if after else REMOVE
    return Change(action, f"{what} ({backend})", before, after, (backend, step))


def apply(system: System, changes: tuple[Change, ...]) -> None:
    """Carry out the changes, additions first. Raises ReconcileError that names the rule or the entry."""
    made = [change.payload[1] for change in changes if change.payload[0] == USERS]
    if made:
        for step in made:
            accounts.make(system, step.user, PROXY_ACCOUNT)
        # Now their numbers are known; what of it is not to be changed yet is not.
        whole = plan(made[0].desired, read(system, made[0].desired, made[0].backend))
        changes = whole if len(removals(changes)) else additions(whole)
    for part in (additions(changes), removals(changes)):
        for backend, tool in ((IPSET, iptables), (NFTABLES, nftables)):
            steps = [change.payload[1] for change in part if change.payload[0] == backend]
            if steps:
                tool.write(system, steps)
