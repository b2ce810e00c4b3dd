# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway in another network than its host's: what operators write, and what units are told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import changed
from ansible_collections.splitway.gateway.tests.unit.topology.test_adopt import ADOPTED
from splitway.agent import following
from splitway.agent.following import to_be_stopped
from splitway.compiler import compile_state
from splitway.network_namespace import FOLLOWER, choose, chosen, follower_text, path_of, process_of, unit_text
from splitway.reconcile.services import FOLDER, Units
from splitway.system import System, SystemFailure
from splitway.topology import TopologyError, parse

INSIDE = (*ADOPTED, ("splitway_upstreams[0].endpoint", "198.51.100.7:51820"))
NAME = "splitway_network_namespace"


@pytest.mark.parametrize(
    ("written", "found", "path"),
    [
        ("container:wg-easy", "container:wg-easy", "/run/netns/splitway-wg-easy"),
        ("vpn", "vpn", "/run/netns/vpn"),
        ("/run/netns/vpn", "vpn", "/run/netns/vpn"),
    ],
)
def test_where_a_gateway_is(written: str, found: str, path: str) -> None:
    state = compile_state(parse(changed(*INSIDE, (NAME, written))), {})
    assert (state.network_namespace, path_of(found)) == (found, Path(path))
    assert state.agent is not None
    assert state.agent.follows == ("wg-easy" if ":" in written else "")


WRONG: dict[str, tuple[tuple[tuple[str, Any], ...], str]] = {
    "a path": ((*INSIDE, (NAME, "/proc/1/ns/net")), f'{NAME}: "/proc/1/ns/net" is neither container:NAME nor'),
    "a number": ((*INSIDE, (NAME, 7)), f"{NAME}: 7 is neither container:NAME nor"),
    "a way out": ((*INSIDE, (NAME, "../x")), f'{NAME}: "../x" is neither'),
    "its own interface": (
        (("splitway_upstreams[0].endpoint", "198.51.100.7:51820"), (NAME, "vpn")),
        f"{NAME}: needs splitway_server.adopt: true",
    ),
    "the host's resolvers": (
        (*INSIDE, (NAME, "vpn"), ("splitway_dns", {})),
        f"{NAME}: needs splitway_dns.servers",
    ),
    "an endpoint's name": (
        (*ADOPTED, (NAME, "vpn")),
        'splitway_upstreams[0].endpoint: "us.example.com" is a name, which cannot be asked for',
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    changes, message = WRONG[case]
    with pytest.raises(TopologyError) as raised:
        parse(changed(*changes))
    assert message in str(raised.value)


class Pretended(System):
    """A host whose files are in memory, and whose container engines say what a test says."""

    def __init__(self, **engines: Optional[str]) -> None:
        super().__init__()
        self.files: dict[Path, str] = {}
        self.engines = engines

    def has(self, program: str) -> bool:
        return program in self.engines

    def read(self, *argv: str, **_: object) -> str:
        said = self.engines[argv[0]]
        if said is None:
            raise SystemFailure("no such container")
        return said

    def run(self, *argv: str, **_: object) -> str:
        self.commands.append(" ".join(argv))
        return ""

    def list_files(self, folder: Path) -> tuple[str, ...]:
        return tuple(sorted({path.relative_to(folder).parts[0] for path in self.files if folder in path.parents}))

    def read_file(self, path: Path) -> Optional[str]:
        return self.files.get(path)

    def write_file(self, path: Path, content: str | bytes, *_: object) -> None:
        self.files[path] = str(content)

    def remove_file(self, path: Path) -> None:
        self.files.pop(path, None)


def test_a_unit_runs_where_its_gateway_is() -> None:
    host = Pretended()
    units, beside = Units(host), FOLDER / "splitway-dnsmasq.service.d" / "network-namespace.conf"
    units.write("splitway-dnsmasq.service", "text")
    assert host.files == {FOLDER / "splitway-dnsmasq.service": "text"}
    choose(host, "container:wg-easy")
    assert chosen(host) == "container:wg-easy"
    units.write("splitway-dnsmasq.service", "text")
    assert host.files[beside] == unit_text("container:wg-easy")
    for line in ("NetworkNamespacePath=/run/netns/splitway-wg-easy", f"Wants={FOLLOWER}", f"After={FOLLOWER}"):
        assert line in host.files[beside].splitlines()
    assert host.commands == ["systemctl daemon-reload"] * 2
    units.write("splitway-dnsmasq.service", "text")
    assert host.commands == ["systemctl daemon-reload"] * 2, "nothing is as it was not"
    assert units.named("splitway-") == ("splitway-dnsmasq.service",)
    for outside in ("splitway-guard.service", "splitway-countries.service", "splitway-countries.timer", FOLLOWER):
        units.write(outside, "text")
        assert FOLDER / f"{outside}.d" / "network-namespace.conf" not in host.files
    units.remove("splitway-dnsmasq.service")
    assert beside not in host.files
    assert FOLLOWER not in unit_text("vpn")


def test_a_containers_process_is_asked_of_whoever_knows_it() -> None:
    assert process_of(Pretended(docker="4711\n"), "wg-easy") == 4711
    assert process_of(Pretended(docker="0\n"), "wg-easy") is None
    assert process_of(Pretended(docker=None, podman="12\n"), "wg-easy") == 12
    with pytest.raises(SystemFailure, match="neither docker nor podman is installed"):
        process_of(Pretended(), "wg-easy")


def test_its_follower_starts_with_the_host_and_what_it_stops_is_ours() -> None:
    text = follower_text(Path("/usr/local/sbin/splitway"), "wg-easy")
    assert "ExecStart=/usr/local/sbin/splitway follow\n" in text
    assert "Type=notify\n" in text
    files = ("splitway-guard.service", FOLLOWER, "splitway-dnsmasq.service", "splitway-wireguard@.service", "x.timer")
    assert to_be_stopped(files) == ("splitway-dnsmasq.service", "splitway-wireguard@*.service")


class Recorded(Units):
    """Units of which is only noted what is asked for."""

    def active(self, name: str) -> bool:
        return name == "splitway.service"

    def named(self, prefix: str) -> tuple[str, ...]:
        return (f"{prefix}dnsmasq.service",)

    def stop_all(self, names: Sequence[str]) -> None:
        self.system.commands.append(f"stop {' '.join(names)}")

    def restart(self, name: str) -> None:
        self.system.commands.append(f"restart {name}")


class Restarting(Pretended):
    """A host whose agent has the gateway for a moment still."""

    busy = 1

    @property
    def units(self) -> Recorded:
        return Recorded(self)

    def run(self, *argv: str, **_: object) -> str:
        super().run(*argv)
        self.busy -= 1
        if self.busy >= 0:
            raise SystemFailure("a run of site.yml is changing this gateway")
        return ""


def test_in_a_new_network_the_guard_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    host, guard = Restarting(), "nsenter --net=/run/netns/splitway-wg-easy /usr/local/sbin/splitway restore --early"
    monkeypatch.setattr(following, "PAUSE", 0.0)
    monkeypatch.setattr(following, "pin", lambda *_: True)
    assert following.look(host, "container:wg-easy")
    assert host.commands == [guard, guard, "stop splitway-dnsmasq.service", "restart splitway.service"]
    monkeypatch.setattr(following, "pin", lambda *_: False)
    assert not following.look(host, "container:wg-easy")
    assert len(host.commands) == 4
