# SPDX-License-Identifier: GPL-3.0-or-later
"""What a state means on this host at this moment: with the agent's choices and findings, our daemons' ports, the time,
and countries' data.

A state says what a gateway must be, whoever has it and whenever. Whoever reconciles, a module or the agent, brings it
into the kernel as it is *present*: so a failover, an hour that begins and new data of countries are no drift, and a run
of site.yml undoes none of them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Optional

from .choices import Choices, with_choices
from .clients import with_clients
from .countries import networks
from .modes import with_mode
from .mtus import with_mtus
from .naming import static_name
from .ports import with_ports
from .reconcile.base import ReconcileError
from .schedules import Schedule, active
from .state import AddressSet, Device, FamilyMarks, MarkPolicy, MarkRule, Marks, State, Transports
from .store import Store
from .system import System
from .transports import with_transports

Networks = Callable[[str, int], tuple[str, ...]]
"""Country and family → its networks as this host knows them."""


def present(store: Store, state: State, choices: Optional[Choices] = None, now: Optional[float] = None) -> State:
    """Return the state as it is to be on this host now, with the choices in force or with others.

    `now`: another time than this one, in seconds since the epoch.

    Raises ReconcileError where this host knows no data of a country, or not a schedule's time zone.
    """
    system = store.system
    state = with_ports(with_mode(state, store.kept.fallen_to()), store.kept.ports.read())
    state = with_mtus(with_transports(state, store.kept.carried.read()), store.kept.mtus.read())
    chosen = store.kept.choices.read() if choices is None else choices
    at_time = system.now() if now is None else now
    return as_of(with_clients(state, store.kept.holders.read(), at_time), chosen, at_time, known_to(system))


def tunnels_of(store: Store, state: State) -> tuple[Device, ...]:
    """Return the upstreams' tunnels as they are carried now; whose MTU follows the path has what it begins with."""
    only = with_ports(State(upstreams=state.upstreams), store.kept.ports.read())
    return with_transports(only, store.kept.carried.read()).upstreams


def transports_of(store: Store, state: State) -> Transports:
    """Return the WebSockets' ends as they are now, with their ports and the servers in use."""
    only = with_ports(State(transports=state.transports), store.kept.ports.read())
    return with_transports(only, store.kept.carried.read()).transports or Transports()


def known_to(system: System) -> Networks:
    """Return what a host knows of countries."""
    return functools.partial(networks, system)


def as_of(state: State, choices: Choices, now: float, known: Networks) -> State:
    """Return the state with these choices, at a time in seconds since the epoch, with these networks of countries."""
    state = with_choices(state, choices)
    if state.marks is not None:
        state = dataclasses.replace(state, marks=at(state.marks, now))
    return with_countries(state, known)


def at(marks: Marks, now: float) -> Marks:
    """Return the marks with the rules whose schedule is not in force at a time (seconds since the epoch) at rest."""
    schedules = schedules_of(marks)
    if not schedules:
        return marks
    resting = resting_at(schedules, now)

    def timed(rule: MarkRule) -> MarkRule:
        awake = rule.schedule not in resting
        return rule if rule.active == awake else dataclasses.replace(rule, active=awake)

    return _with_rules(marks, timed)


def schedules_of(marks: Marks) -> frozenset[Schedule]:
    """Return the schedules that rules have."""
    policies = (*marks.v4.policies, *marks.v6.policies)
    rules = (rule for policy in policies for rule in (*policy.rules, *policy.special))
    return frozenset(rule.schedule for rule in rules if rule.schedule is not None)


def resting_at(schedules: Iterable[Schedule], now: float) -> frozenset[Schedule]:
    """Return the schedules that are not in force at a time, in seconds since the epoch. Raises ReconcileError."""
    return frozenset(schedule for schedule in schedules if not _in_force(schedule, now))


def _in_force(schedule: Schedule, now: float) -> bool:
    try:
        return active(schedule, now)
    except (KeyError, ValueError, OSError) as error:  # zoneinfo's own is a KeyError
        raise ReconcileError(f"this host does not know the time zone {schedule.zone}: install tzdata") from error


def with_countries(state: State, known: Networks) -> State:
    """Return the state with ordinary static sets in the place of those that stand for countries.

    Their names follow their content, as those of all static sets do: other data of a country are another set, and
    chains go over from one to the other in one step.
    """
    named: dict[str, str] = {}  # what stands for a country → the set in its place
    members: dict[str, tuple[str, ...]] = {}  # by the name of the set in its place

    def stand_in(name: str, country: str, family: int) -> str:
        if name not in named:
            found = known(country, family)
            named[name] = static_name(name, found)
            members[named[name]] = found
        return named[name]

    def of_country(item: AddressSet) -> AddressSet:
        name = stand_in(item.name, item.country, item.family)
        return dataclasses.replace(item, name=name, members=members[name], country="")

    sets = state.sets
    if any(item.country for item in sets):
        sets = tuple(of_country(item) if item.country else item for item in sets)
    marks = state.marks
    if marks is not None and marks.countries:
        for name, country in marks.countries.items():
            stand_in(name, country, int(name[2]))  # sw4g12: of IPv4
        static = {**marks.networks, **members} if state.backend == "nftables" else marks.networks
        marks = _with_rules(marks, lambda rule: _renamed(rule, named))
        marks = dataclasses.replace(marks, networks=static, countries={})
    return state if sets is state.sets and marks is state.marks else dataclasses.replace(state, sets=sets, marks=marks)


def _renamed(rule: MarkRule, named: Mapping[str, str]) -> MarkRule:
    if not named.keys() & {*rule.sets, *(name for group in rule.also for name in group)}:
        return rule
    sets, *also = (tuple(named.get(name, name) for name in group) for group in (rule.sets, *rule.also))
    return dataclasses.replace(rule, sets=sets, also=tuple(also))


def _with_rules(marks: Marks, change: Callable[[MarkRule], MarkRule]) -> Marks:
    """Return the marks with each rule changed; policies in which nothing changes stay the same objects."""

    def of_policy(policy: MarkPolicy) -> MarkPolicy:
        rules, special = tuple(map(change, policy.rules)), tuple(map(change, policy.special))
        same = all(new is old for new, old in zip((*rules, *special), (*policy.rules, *policy.special)))
        return policy if same else dataclasses.replace(policy, rules=rules, special=special)

    def of_family(family: FamilyMarks) -> FamilyMarks:
        return dataclasses.replace(family, policies=tuple(map(of_policy, family.policies)))

    return dataclasses.replace(marks, v4=of_family(marks.v4), v6=of_family(marks.v6))
