# SPDX-License-Identifier: GPL-3.0-or-later
"""WebSockets that carry WireGuard: real relays between a gateway and an exit, as units of ours."""

from __future__ import annotations

import dataclasses
import re
import signal
import socket
from pathlib import Path

import pytest
from namespaces import NamespaceSystem, ReadOnlySystem, wait_for
from relays import NAME
from transported import EXIT, PATH, PROGRAMS, Relay, ask, bring, planned, relay

from splitway.kept import Kept
from splitway.reconcile import accounts
from splitway.reconcile.base import ReconcileError
from splitway.reconcile.transports.about import about
from splitway.reconcile.transports.model import USER
from splitway.state import Transports

__all__ = ["relay"]
pytestmark = pytest.mark.parametrize("program", PROGRAMS)


def units(system: NamespaceSystem) -> dict[str, list[int]]:
    return {name: sorted(system.units.pids(name)) for name in system.units.named("splitway-transport-")}


def test_datagrams_come_through_and_a_second_run_changes_nothing(relay: Relay, program: str) -> None:
    relay.bring_exit(relay.server())
    assert bring(relay.system, relay.client())[0] == f"add user {USER}"
    with relay.answer() as target:
        assert all(ask(41000, target, size) for size in (1, 148, 1400))
    before = units(relay.system)
    with relay.exit_host.entered():
        assert planned(relay.exit, relay.server()) == []
    assert bring(relay.system, relay.client()) == []
    assert units(relay.system) == before


def test_secrets_are_roots_alone_and_processes_are_not_roots(relay: Relay, program: str) -> None:
    relay.bring_exit(relay.server())
    bring(relay.system, relay.client())
    for system in (relay.system, relay.exit):
        user = accounts.number(system, USER)
        assert units(system)
        for name, processes in units(system).items():
            assert PATH not in (system.units.read(name) or "")
            for process in processes:
                assert Path(f"/proc/{process}").stat().st_uid == user
                seen = Path(f"/proc/{process}/cmdline").read_text()
                assert (program == "websocat" and "wireguard-us" in name) or PATH not in seen
        kept = [path for path in system.configuration.rglob("*") if path.is_file()]
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept)
        copies = [path for path in system.runtime.parent.glob("run-transport-*/*") if path.is_file()]
        open_to_others = {path.name for path in copies if path.stat().st_mode & 0o077}
        assert open_to_others <= {"stamp", "nginx.pid"}


def test_removal_leaves_nothing(relay: Relay, program: str) -> None:
    relay.bring_exit(relay.server())
    bring(relay.system, relay.client())
    assert relay.bring_exit(None)[-1] == f"remove user {USER}"
    bring(relay.system, None)
    for system in (relay.system, relay.exit):
        assert units(system) == {}
        assert not list(system.runtime.parent.glob("run-transport-*"))
        assert not (system.configuration / "transports").exists()
        assert accounts.number(system, USER) is None
        assert planned(system, None) == []


def test_one_that_was_killed_is_brought_back(relay: Relay, program: str) -> None:
    relay.bring_exit(relay.server())
    bring(relay.system, relay.client("wss://127.0.0.1:9", "us", "eu"))
    (us, eu) = (name for name in reversed(relay.system.units.named("splitway-transport-")))
    kept = relay.system.units.pids(eu)
    relay.system.units.kill(us)
    assert bring(relay.system, relay.client("wss://127.0.0.1:9", "us", "eu")) == [f"change service {us}"]
    assert relay.system.units.pids(us)
    assert relay.system.units.pids(eu) == kept


def test_only_what_changed_is_started_again(relay: Relay, program: str) -> None:
    both = relay.client("wss://127.0.0.1:9", "us", "eu")
    bring(relay.system, both)
    before = units(relay.system)
    changed = dataclasses.replace(both, clients=(both.clients[0], dataclasses.replace(both.clients[1], ping=11)))
    (change,) = bring(relay.system, changed)
    assert change.startswith("change service splitway-transport-")
    assert change.endswith("-eu.service")
    after = units(relay.system)
    assert {name for name in after if after[name] != before[name]} == {change.split()[-1]}
    # A unit file that somebody changed is not what the process was started with.
    relay.system.units.write(change.split()[-1], "[Service]\nExecStart=/bin/true\n")
    assert bring(relay.system, changed) == [change]
    assert planned(relay.system, changed) == []


def test_a_port_that_is_taken_is_left_to_who_has_it(relay: Relay, program: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 41000))
        changes = bring(relay.system, relay.client("wss://127.0.0.1:9"))
        assert "add port of transport/us/wireguard" in changes
        assert Kept(relay.system).ports.read() == {"transport/us/wireguard": 41001}
        assert planned(relay.system, relay.client("wss://127.0.0.1:9")) == []
    assert planned(relay.system, relay.client("wss://127.0.0.1:9")) == [], "the stranger is gone, the port is kept"
    for unit in relay.system.units.named("splitway-transport-"):
        relay.system.units.kill(unit)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 41001))
        assert "change port of transport/us/wireguard" in bring(relay.system, relay.client("wss://127.0.0.1:9"))
        assert Kept(relay.system).ports.read() == {"transport/us/wireguard": 41000}


def test_who_has_a_port_that_was_passed_over_is_said(relay: Relay, program: str) -> None:
    desired = relay.server(443, 445)
    with relay.exit_host.entered():
        with socket.create_server(("0.0.0.0", 443)):  # noqa: S104
            bring(relay.exit, desired)
            said = about(relay.exit, desired, Kept(relay.exit).ports.read())
        assert said["ports"] == {"transport/server": 444}
        (warning,) = said["warnings"]
        assert re.fullmatch(
            r"transport/server has port 444: .+ \(process \d+\) listens on 0\.0\.0\.0:443 \(tcp\)", warning
        )
        assert about(relay.exit, desired, Kept(relay.exit).ports.read())["warnings"] == [], "the stranger is gone"


def test_a_certificate_that_ends_soon_is_warned_of(relay: Relay, program: str) -> None:
    soon = relay.authority.issue("soon", NAME, seconds=10 * 86400, from_now=-60)
    (server,) = relay.server().servers
    changed = dataclasses.replace(server, certificate=str(soon.certificate), key=str(soon.key))
    desired = dataclasses.replace(relay.server(), servers=(changed,))
    relay.bring_exit(desired)
    with relay.exit_host.entered():
        assert about(relay.exit, desired, {})["warnings"] == [f"{soon.certificate} expires in 10 days"]


def test_no_port_is_free(relay: Relay, program: str) -> None:
    with relay.exit_host.entered(), socket.create_server(("0.0.0.0", 443)):  # noqa: S104
        with pytest.raises(ReconcileError, match=r"port 443 is taken: .* \(process \d+\) listens on 0\.0\.0\.0"):
            bring(relay.exit, relay.server())
        assert "add port of transport/server" in bring(relay.exit, relay.server(443, 445))
        assert Kept(relay.exit).ports.read() == {"transport/server": 444}


def test_the_server_restarts_and_the_client_finds_it_again(relay: Relay, program: str) -> None:
    relay.bring_exit(relay.server())
    bring(relay.system, relay.client())
    with relay.answer() as target:
        assert ask(41000, target)
        with relay.exit_host.entered():
            for name in relay.exit.units.named("splitway-transport-"):
                relay.exit.units.kill(name)
            assert not ask(41000, target, patience=1)
            assert bring(relay.exit, relay.server())
        assert ask(41000, target)


def test_a_new_certificate_is_taken_without_a_restart(relay: Relay, program: str) -> None:
    relay.bring_exit(relay.server())
    with relay.exit_host.entered():
        before = served(relay)
        first = units(relay.exit)
        renewed = relay.authority.issue("renewed", NAME, EXIT)
        renewed.certificate.rename(relay.certificate)
        renewed.key.rename(relay.key)
        (change,) = bring(relay.exit, relay.server())
        assert change.startswith("change service")
        wait_for(lambda: served(relay) != before, "the new certificate")
        main = {name: processes[0] for name, processes in units(relay.exit).items()}
        assert main == {name: processes[0] for name, processes in first.items()}
        assert planned(relay.exit, relay.server()) == []


def served(relay: Relay) -> str:
    done = relay.exit_host.run("openssl", "s_client", "-connect", f"{EXIT}:443", check=False)
    return done.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0]


def test_what_does_not_start_is_put_back(relay: Relay, program: str) -> None:
    good = relay.client("wss://127.0.0.1:9")
    bring(relay.system, good)
    before = units(relay.system)
    broken = relay.exit.configuration.parent / "broken"
    broken.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec {relay.programs[0].path} --version\nexit 1\n')
    broken.chmod(0o755)
    wrong = dataclasses.replace(good, programs=(dataclasses.replace(relay.programs[0], path=str(broken)),))
    with pytest.raises(ReconcileError, match=r"upstream us: .* did not start: it ends at once"):
        bring(relay.system, wrong)
    assert planned(relay.system, good) == []
    assert units(relay.system).keys() == before.keys()
    missing = dataclasses.replace(good, programs=(dataclasses.replace(relay.programs[0], path="/nonexistent"),))
    with pytest.raises(ReconcileError, match="there is no program /nonexistent: see splitway_programs"):
        bring(relay.system, missing)


def test_check_mode_changes_nothing_and_says_the_same(relay: Relay, read_only: ReadOnlySystem, program: str) -> None:
    def would() -> list[str]:
        return planned(read_only, relay.client())

    said = would()
    assert bring(relay.system, relay.client()) == said
    assert would() == []
    relay.system.units.kill(relay.system.units.named("splitway-transport-")[0], signal.SIGTERM)
    assert would() == bring(relay.system, relay.client())


def test_another_path_or_certificate_is_no_way_in(relay: Relay, program: str) -> None:
    relay.bring_exit(relay.server())
    good = relay.client()
    other = dataclasses.replace(good.clients[0], path="another")
    bring(relay.system, dataclasses.replace(good, clients=(other,)))
    with relay.answer() as target:
        assert not ask(41000, target, patience=2)
        unknown = dataclasses.replace(good.clients[0], ca="")
        bring(relay.system, dataclasses.replace(good, clients=(unknown,)))
        assert not ask(41000, target, patience=2)
        bring(relay.system, good)
        assert ask(41000, target)


def test_an_empty_section_is_nothing(relay: Relay, program: str) -> None:
    assert planned(relay.system, Transports(programs=relay.programs)) == []


def test_a_certificate_that_nobody_would_believe_is_refused_before_anything_runs(relay: Relay, program: str) -> None:
    (server,) = relay.server().servers
    other = relay.authority.issue("other", "other.example.net")
    expired = relay.authority.issue("expired", NAME, seconds=60, from_now=-120)
    for changed, problem in (
        ({"key": str(other.key)}, "is not the key of"),
        ({"certificate": str(expired.certificate), "key": str(expired.key)}, "expired on"),
        ({"certificate": str(relay.key)}, "is not a certificate"),
    ):
        with pytest.raises(ReconcileError, match=f"server exit: .*{problem}"):
            relay.bring_exit(dataclasses.replace(relay.server(), servers=(dataclasses.replace(server, **changed),)))
        assert units(relay.exit) == {}
    distrusted = dataclasses.replace(relay.client().clients[0], ca=str(relay.key))
    with pytest.raises(ReconcileError, match=r"upstream us: .*is not a certificate"):
        bring(relay.system, dataclasses.replace(relay.client(), clients=(distrusted,)))
