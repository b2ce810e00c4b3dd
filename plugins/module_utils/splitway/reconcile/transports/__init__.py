# SPDX-License-Identifier: GPL-3.0-or-later
"""The section `transports`: WebSockets that carry WireGuard and proxies, their near ends and their far ends.

Each program has a unit of its own, and is started again only when what concerns it changed: connections of the others
go on. Ports are picked before anything is started, and remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Optional

from ...ports import filled, pick
from ...relay import RelayError, check
from ...state import Transports
from .. import accounts
from ..base import ADD, CHANGE, REMOVE, Change, ReconcileError
from .live import read, wanted
from .model import ABOUT, PREFIX, USER, Current, Found, Process, stamp, stamped_copies, without_copies
from .processes import processes
from .units import environment_text, unit_text
from .write import Account, Bring, Enable, NoAccount, NoPort, Ports, Reload, Stop, apply

PORTS = "transport/"  # what the keys of this section's ports begin with

__all__ = ["Current", "apply", "plan", "read"]


def plan(desired: Optional[Transports], current: Current) -> tuple[Change, ...]:
    """Return the changes: the user, ports, processes in the order of their start; then what is to be removed.

    Raises ReconcileError for a range without a free port, a program that lacks a flag, a file that is not there, a
    certificate that has expired or another key.
    """
    if desired is None or desired == Transports(programs=desired.programs):
        return tuple(_removals(frozenset(), frozenset(), current))
    desired = _here(desired, current)
    ports = pick(wanted(desired), current.listeners, current.user)
    desired = filled(desired, ports)
    wanted_processes = processes(desired, lambda name: current.where(name).runtime)
    for process in wanted_processes:
        _check(process, current)
    changes = [*_account(current), *_ports(ports, current)]
    for process in wanted_processes:
        changes += _process(process, current)
    names = frozenset(process.name for process in wanted_processes)
    return (*changes, *_removals(names, frozenset(ports), current))


def _here(desired: Transports, current: Current) -> Transports:
    """Return the section without addresses that a kernel without IPv6 does not know. Raises ReconcileError."""
    if current.ipv6:
        return desired
    servers = []
    for server in desired.servers:
        listen = tuple(address for address in server.listen if ":" not in address)
        if not listen:
            raise ReconcileError(f"server {server.name}: this host has no IPv6: give it an IPv4 address to listen on")
        servers.append(replace(server, listen=listen))
    return replace(desired, servers=tuple(servers))


def _check(process: Process, current: Current) -> None:
    """Raise ReconcileError for what a process cannot run with. A program that is not there yet is apply's to miss."""
    found = current.versions.get(process.program)
    if found is not None:
        try:
            check(process.program, found, process.command)
        except RelayError as error:
            raise ReconcileError(f"{process.about}: {error}") from error


def _check_certificates(process: Process, current: Current) -> None:
    """Raise ReconcileError for a certificate that is not there or that nobody would believe.

    What runs with one goes on: the agent does not see what lies in somebody's home.
    """
    for path in process.copies.values():
        if path not in current.copies:
            raise ReconcileError(f"{process.about}: there is no file {path}")
        if path in current.problems:
            raise ReconcileError(f"{process.about}: {current.problems[path]}")


def _account(current: Current) -> Iterator[Change]:
    if current.user is None or current.declared != accounts.text(USER, ABOUT):
        yield Change(ADD, f"user {USER}", after=ABOUT, payload=Account())


def _ports(ports: dict[str, int], current: Current) -> Iterator[Change]:
    """Yield the changes that remember ports."""
    for key, port in ports.items():
        before = current.remembered.get(key)
        if before != port:
            action = ADD if before is None else CHANGE
            yield Change(action, f"port of {key}", str(before or ""), str(port), Ports({key: port}))


def _process(process: Process, current: Current) -> Iterator[Change]:
    where, found = current.where(process.name), current.processes.get(process.name, Found())
    unit = unit_text(process, where)
    texts = {**process.texts}
    environment = environment_text(process)
    if environment:
        texts["environment"] = environment
    seen = {name: current.copies[path] for name, path in process.copies.items() if path in current.copies}
    copies = {**stamped_copies(found.texts.get("stamp", "")), **seen}
    copies = {name: state for name, state in copies.items() if name in process.copies}
    stamped = stamp(unit, texts, copies)
    texts["stamp"] = stamped
    what = f"service {process.unit}"
    as_it_is = found.running and found.unit == unit and dict(found.texts) == texts
    if not as_it_is or found.started != stamped:
        _check_certificates(process, current)
        action = ADD if found.unit is None else CHANGE
        files = dict(found.texts), found.started
        rereads = process.rereads and found.running and found.unit == unit and _same_but_copies(files, texts, stamped)
        if rereads:
            yield Change(CHANGE, what, "", f"{process.about}: new certificates", Reload(process, unit, texts))
        else:
            before = "" if found.unit is None else _state(found)
            yield Change(action, what, before, process.about, Bring(process, unit, texts))
    if process.at_boot and not found.enabled:
        yield Change(
            CHANGE, f"{what} at boot", "" if found.unit is None else "disabled", "enabled", Enable(process.unit)
        )


def _same_but_copies(found: tuple[dict[str, str], Optional[str]], texts: dict[str, str], stamped: str) -> bool:
    files, started = found
    same = {name: text for name, text in files.items() if name != "stamp"} == {
        name: text for name, text in texts.items() if name != "stamp"
    }
    return same and started is not None and without_copies(started) == without_copies(stamped)


def _state(found: Found) -> str:
    return "running" if found.running else "stopped"


def _removals(wanted_names: frozenset[str], wanted_ports: frozenset[str], current: Current) -> Iterator[Change]:
    for name, found in sorted(current.processes.items(), reverse=True):
        if name not in wanted_names:
            yield Change(REMOVE, f"service {PREFIX}{name}.service", _state(found), "", Stop(name))
    for key, port in current.remembered.items():
        if key.startswith(PORTS) and key not in wanted_ports:
            yield Change(REMOVE, f"port of {key}", str(port), "", NoPort(key))
    if not wanted_names and current.declared is not None:
        yield Change(REMOVE, f"user {USER}", ABOUT, "", NoAccount())
