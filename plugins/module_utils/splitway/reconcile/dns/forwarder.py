# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking resolvers over TLS: an instance of Debian's unbound of our own, which our dnsmasq asks on this host.

It is there only when a resolver is to be asked over TLS. The package's own service is not touched.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ...state import Dns
from ...system import System, SystemFailure
from ..base import ADD, CHANGE, REMOVE, Change, ReconcileError
from ..services import GROUP, SANDBOX
from .port import answers
from .text import FORWARDER, FORWARDER_PORT, OWN_ADDRESS, OWN_NAME

UNIT = "splitway-unbound.service"
PACKAGES = ("ca-certificates", "unbound")
PATIENCE = 10.0  # seconds that a started unbound has until it answers

CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")  # of the package ca-certificates


@dataclass(frozen=True)
class Paths:
    """Where the forwarder's files are."""

    configuration: Path
    runtime: Path  # its own folder below /run
    certificates: Path

    @property
    def started(self) -> Path:
        return self.runtime / self.configuration.name


@dataclass(frozen=True)
class Current:
    """Our unbound as it is on the host."""

    where: Paths
    configuration: Optional[str] = None
    unit: Optional[str] = None
    running: bool = False
    started: Optional[str] = None  # what the running process was started with


@dataclass(frozen=True)
class Bring:
    """Part of a Change: these files, and an unbound that runs with them."""

    configuration: str
    unit: str


@dataclass(frozen=True)
class Remove:
    """Part of a Change: unbound is stopped and its unit and file go."""


def paths(system: System) -> Paths:
    """Return the paths on this host."""
    runtime = system.runtime.with_name(f"{system.runtime.name}-unbound")
    return Paths(system.configuration / "unbound" / "unbound.conf", runtime, system.root / CERTIFICATES)


def read(system: System) -> Current:
    """Return our unbound's file, unit and process. Raises SystemFailure."""
    where = paths(system)
    unit = system.units.read(UNIT)
    running = unit is not None and system.units.active(UNIT)
    started = system.read_file(where.started) if running else None
    return Current(where, system.read_file(where.configuration), unit, running, started)


def plan_additions(desired: Dns, current: Current) -> tuple[Change, ...]:
    """Return the change that makes the forwarder what it is to be, if one is needed."""
    if not desired.tls:
        return ()
    configuration, unit = configuration_text(desired, current.where), unit_text(current.where)
    as_it_is = (current.configuration, current.unit, current.running, current.started)
    if as_it_is == (configuration, unit, True, configuration):
        return ()
    action = ADD if current.unit is None else CHANGE
    before = "\n".join(_servers(current.configuration or ""))
    return (Change(action, f"service {UNIT}", before, "\n".join(_servers(configuration)), Bring(configuration, unit)),)


def plan_removals(desired: Optional[Dns], current: Current) -> tuple[Change, ...]:
    """Return the change that removes the forwarder, if it is there and not wanted."""
    wanted = desired is not None and desired.tls
    if wanted or (current.configuration, current.unit) == (None, None):
        return ()
    return (Change(REMOVE, f"service {UNIT}", "running" if current.running else "stopped", "", Remove()),)


def _servers(configuration: str) -> list[str]:
    return [line.strip() for line in configuration.splitlines() if "forward-addr:" in line]


def apply(system: System, part: Bring) -> None:
    """Start unbound with a new configuration; put the old one back when it does not answer with it.

    Raises ReconcileError, and SystemFailure when a file cannot be written.
    """
    if not system.has("unbound"):
        raise ReconcileError("unbound is not installed: splitway_dns.servers with tls:// needs the package unbound")
    where, units = paths(system), system.units
    old, was_running = (system.read_file(where.configuration), units.read(UNIT)), units.active(UNIT)
    try:
        _test(system, where, part.configuration)
        system.write_file(where.configuration, part.configuration)
        units.write(UNIT, part.unit)
        units.restart(UNIT)
        _wait(system)
    except (SystemFailure, ReconcileError) as error:
        if old[0] is None or old[1] is None:
            remove(system)
        elif (system.read_file(where.configuration), units.read(UNIT)) != old:
            system.write_file(where.configuration, old[0])
            units.write(UNIT, old[1])
            if was_running:
                units.restart(UNIT)
        raise ReconcileError(f"unbound did not start with its new configuration: {error}") from error


def _test(system: System, where: Paths, configuration: str) -> None:
    candidate = where.configuration.with_suffix(".candidate")
    try:
        system.write_file(candidate, configuration)
        system.read("unbound-checkconf", str(candidate))
    finally:
        system.remove_file(candidate)


def _wait(system: System) -> None:
    end = time.monotonic() + PATIENCE
    while not answers(FORWARDER, port=FORWARDER_PORT):
        if time.monotonic() > end or not system.units.active(UNIT):
            raise ReconcileError(f"it does not answer at {FORWARDER}, port {FORWARDER_PORT}")
        time.sleep(0.02)


def remove(system: System) -> None:
    """Stop unbound and remove its unit and file."""
    system.units.stop(UNIT)
    system.units.remove(UNIT)
    system.remove_file(paths(system).configuration)


def configuration_text(desired: Dns, where: Paths) -> str:
    """Return unbound.conf: whatever is asked goes to the resolvers, over TLS, their certificates checked."""
    forwards = "".join(f"    forward-addr: {server}\n" for server in desired.tls)
    return f"""\
# Made by splitway
server:
    interface: {FORWARDER}@{FORWARDER_PORT}
    access-control: 127.0.0.0/8 allow
    username: ""
    chroot: ""
    directory: ""
    pidfile: ""
    do-daemonize: no
    use-syslog: no
    logfile: ""
    # The resolvers validate; dnsmasq keeps the answers.
    module-config: "iterator"
    cache-max-ttl: {desired.max_ttl}
    tls-cert-bundle: "{where.certificates}"
    # By default it leaves a silent resolver alone for up to 15 minutes.
    infra-host-ttl: 30
    infra-keep-probing: yes
    outgoing-num-tcp: 100
    incoming-num-tcp: 200
    local-zone: "{OWN_NAME}." redirect
    local-data: "{OWN_NAME}. A {OWN_ADDRESS}"
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-tls-upstream: yes
{forwards}"""


def unit_text(where: Paths) -> str:
    """Return the unit. As dnsmasq's, it is started from a copy, which tells what it was started with, by its group.

    Debian's profile for AppArmor lets unbound read its own folder only: it is the package's service that it confines.
    It asks netlink for the host's interfaces even when it is told the one address to listen at.
    """
    return f"""\
# Made by splitway
[Unit]
Description=splitway: names over TLS
Documentation=man:unbound(8)
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
RuntimeDirectory={where.runtime.name}
RuntimeDirectoryMode=0750
ExecStartPre=+/usr/bin/install -D -m 0644 -t {where.runtime} {where.configuration}
ExecStart=/usr/sbin/unbound -d -p -c {where.started}
Restart=always
RestartSec=1
User=unbound
Group={GROUP}
AppArmorProfile=-unconfined
CapabilityBoundingSet=
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
SystemCallFilter=@system-service
{SANDBOX}"""
