# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's section: versions side by side, one in use, and an agent that is restarted only when it must be."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path
from typing import NoReturn, Optional

import pytest

from splitway import engine
from splitway.reconcile import agent
from splitway.reconcile.agent import versions
from splitway.reconcile.agent.countries import TIMER
from splitway.reconcile.agent.text import AGENT, GUARD, places
from splitway.reconcile.base import ReconcileError, additions, removals
from splitway.reconcile.services import Units
from splitway.state import Agent, CountryData, CountrySource
from splitway.system import System


class PretendedUnits(Units):
    """systemd, as far as the agent's units need it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.texts: dict[str, str] = {}
        self.on: set[str] = set()
        self.runs: set[str] = set()
        self.restarts = 0

    def read(self, name: str) -> Optional[str]:
        return self.texts.get(name)

    def write(self, name: str, text: str) -> None:
        self.texts[name] = text

    def remove(self, name: str) -> None:
        assert name not in self.runs | self.on
        del self.texts[name]

    def active(self, name: str) -> bool:
        return name in self.runs

    def enabled(self, name: str) -> bool:
        return name in self.on

    def enable(self, name: str) -> None:
        self.on.add(name)

    def disable(self, name: str) -> None:
        self.on.discard(name)

    def restart(self, name: str) -> None:
        """Do what the unit's ExecStartPre does."""
        if name == TIMER:
            self.runs.add(name)
            return
        where = places(self.host)
        link = self.host.read_link(where.current)
        assert link is not None
        assert (where.library / link).is_dir()
        self.restarts += 1
        self.runs.add(name)
        where.started.unlink(missing_ok=True)
        where.started.symlink_to(link)
        where.started_unit.write_text(self.texts[name])

    def stop(self, name: str) -> None:
        self.runs.discard(name)


class Host(System):
    """A host in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "etc", folder / "run", folder / "log", folder / "data")
        self.root = folder / "root"
        self.shipped = folder / "shipped"
        self.pretended = PretendedUnits(self)
        for part in ("usr/local/sbin", "etc/logrotate.d"):
            (self.root / part).mkdir(parents=True)
        for made in (self.runtime, self.data):
            made.mkdir()

    @property
    def units(self) -> PretendedUnits:
        return self.pretended

    def _run(self, argv: tuple[str, ...], text: Optional[str], timeout: float) -> str:
        del text, timeout
        assert "compileall" in argv
        return ""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def shipped(host: Host, content: str) -> Agent:
    """Install an engine of one file on the host; return the section that wants it."""
    source = host.shipped / content
    source.mkdir(parents=True)
    (source / "state.py").write_text(content)
    archive = host.shipped / f"{content}.tar.gz"
    archive.write_bytes(engine.archive(source))
    wanted = engine.version(source)
    versions.install(host, wanted, archive)
    return Agent(engine=wanted)


def bring(host: Host, desired: Optional[Agent]) -> list[str]:
    """Bring the section; return what changed. A second time nothing does."""
    changes = agent.plan(desired, agent.read(host, desired))
    agent.apply(host, changes)
    assert agent.plan(desired, agent.read(host, desired)) == ()
    return [f"{change.action} {change.what}" for change in changes]


def there(host: Host) -> set[str]:
    return set(versions.installed(host))


def test_the_first_version_is_installed_enabled_and_running(host: Host) -> None:
    first = shipped(host, "one")
    bring(host, first)
    assert host.units.on == {GUARD, AGENT}
    assert host.units.runs == {AGENT}
    assert (places(host).current / "splitway/state.py").read_text() == "one"
    assert places(host).program.stat().st_mode & 0o777 == 0o755


def test_what_was_not_shipped_is_planned_and_refused(host: Host) -> None:
    desired = Agent(engine="0123456789abcdef")
    changes = agent.plan(desired, agent.read(host, desired))
    assert changes[0].what == "engine 0123456789abcdef"
    with pytest.raises(ReconcileError, match=r"run site\.yml"):
        agent.apply(host, changes)
    assert host.units.restarts == 0


def test_another_version_restarts_the_agent_once_and_rolls_back(host: Host) -> None:
    first, second = shipped(host, "one"), shipped(host, "two")
    bring(host, first)
    bring(host, second)
    assert host.units.restarts == 2
    bring(host, first)
    assert host.units.restarts == 3
    assert there(host) == {first.engine, second.engine}


def test_versions_that_nobody_comes_back_to_go(host: Host) -> None:
    all_ = []
    for number in range(5):
        all_.append(shipped(host, f"version{number}"))
        bring(host, all_[-1])
    assert there(host) == {section.engine for section in all_[-3:]}


def test_the_version_before_stays_however_many_runs_have_failed_since(host: Host) -> None:
    """Who commits and is not confirmed goes back to it."""
    first = shipped(host, "one")
    bring(host, first)
    for word in ("failed", "failed again", "and again"):
        shipped(host, word)
    last = shipped(host, "last")
    agent.apply(host, additions(agent.plan(last, agent.read(host, last))))
    agent.apply(host, removals(agent.plan(last, agent.read(host, last))))  # the commit
    bring(host, first)
    assert host.read_link(places(host).current) == first.engine


@pytest.mark.parametrize("fault", ["link", "program", "rotation", "unit", "enabled"])
def test_an_agent_that_heals_itself_does_not_restart_itself(host: Host, fault: str) -> None:
    first = shipped(host, "one")
    bring(host, first)
    where = places(host)
    if fault == "link":
        where.current.unlink()
    elif fault == "program":
        where.program.write_text("exit")
    elif fault == "rotation":
        where.rotation.unlink()
    elif fault == "unit":
        host.units.texts[AGENT] = "[Service]"
    else:
        host.units.disable(GUARD)
    assert len(bring(host, first)) == 1
    assert host.units.restarts == 1


def test_an_agent_started_from_another_unit_is_restarted_once(host: Host) -> None:
    first = shipped(host, "one")
    bring(host, first)
    host.units.texts[AGENT] = "[Service]"
    host.units.restart(AGENT)
    bring(host, first)
    assert host.units.restarts == 3


def test_a_damaged_version_is_noticed_and_shipped_anew(host: Host) -> None:
    first = shipped(host, "one")
    bring(host, first)
    (places(host).current / "splitway/state.py").write_text("on")
    with pytest.raises(ReconcileError, match="not whole"):
        bring(host, first)
    versions.install(host, first.engine, host.shipped / "one.tar.gz")
    assert bring(host, first) == []


def test_without_an_agent_nothing_stays(host: Host) -> None:
    before = set(host.root.rglob("*"))
    bring(host, shipped(host, "one"))
    (host.data / "journal.db").touch()
    assert len(bring(host, None)) == 1
    assert set(host.root.rglob("*")) - before == {host.root / "usr/lib"}
    assert not host.data.exists()
    assert list(host.runtime.iterdir()) == []
    assert (host.units.texts, host.units.on, host.units.runs) == ({}, set(), set())


def test_a_plan_writes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shipped(host, "one")

    def refuse(*what: object, **_: object) -> NoReturn:
        raise AssertionError(what)

    for writer in ("write_file", "write_link", "write_folder", "remove_folder", "remove_file", "run"):
        monkeypatch.setattr(host, writer, refuse)
    assert agent.plan(first, agent.read(host, first))


def test_the_archive_is_the_same_for_the_same_engine_and_holds_all_of_it() -> None:
    assert engine.archive() == engine.archive()
    files = engine.contents(engine.archive())
    assert files["splitway/store.py"] == (engine.HERE / "store.py").read_bytes()
    assert len(files) == len(list(engine.HERE.rglob("*.py")))


def test_the_version_tells_content_and_place(tmp_path: Path) -> None:
    found = set()
    for name, content in (("a.py", "1"), ("a.py", "2"), ("b.py", "2"), ("b.txt", "2")):
        folder = tmp_path / f"{name}{content}"
        folder.mkdir()
        (folder / name).write_text(content)
        found.add(engine.version(folder))
    assert len(found) == 4


def tar_of(name: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.type = kind
        tar.addfile(entry, io.BytesIO())
    return stream.getvalue()


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        engine.archive()[:-100],
        engine.archive()[:5000] + b"splitway" + engine.archive()[5008:],
        tar_of("splitway/../../etc/passwd.py"),
        tar_of("/splitway/state.py"),
        tar_of("other/state.py"),
        tar_of("splitway/state.sh"),
        tar_of("splitway/state.py", tarfile.SYMTYPE),
    ],
    ids=range(8),  # an archive has the time in it, and is another in each process
)
def test_an_archive_that_is_not_the_engines_installs_nothing(host: Host, archive: bytes) -> None:
    source = host.root / "engine.tar.gz"
    source.write_bytes(archive)
    with pytest.raises(ReconcileError, match=r"the engine.s archive"):
        versions.install(host, "0123456789abcdef", source)
    assert there(host) == set()


def test_an_archive_of_another_version_installs_nothing(host: Host) -> None:
    source = host.root / "engine.tar.gz"
    source.write_bytes(engine.archive())
    with pytest.raises(ReconcileError, match="does not hold the version"):
        versions.install(host, "0123456789abcdef", source)
    assert there(host) == set()


def test_a_timer_reads_countries_anew_only_while_a_rule_names_one(host: Host) -> None:
    first = shipped(host, "one")
    data = CountryData((CountrySource("tor-geoipdb"),), 7200)
    with_countries = dataclasses.replace(first, countries=data)
    assert bring(host, with_countries)[-2:] == [f"add unit {TIMER}", f"change service {AGENT}"]
    assert host.units.on == {GUARD, AGENT, TIMER}
    assert "OnUnitActiveSec=7200\n" in host.units.texts[TIMER]
    # Another time of day for it does not restart the agent.
    assert bring(host, dataclasses.replace(first, countries=dataclasses.replace(data, refresh=9000))) == [
        f"change unit {TIMER}"
    ]
    host.units.stop(TIMER)
    assert bring(host, dataclasses.replace(first, countries=dataclasses.replace(data, refresh=9000))) == [
        f"change unit {TIMER}"
    ]
    assert bring(host, first) == [f"remove unit {TIMER}"]
    assert {*host.units.texts} == {GUARD, AGENT}
    bring(host, with_countries)
    bring(host, None)
    assert host.units.texts == {}
    assert host.units.runs == set()
