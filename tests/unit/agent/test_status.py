# SPDX-License-Identifier: GPL-3.0-or-later
"""What `splitway status` prints, and what a snapshot is made of."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import pytest

from splitway.agent import control
from splitway.agent.commands import status, tables
from splitway.agent.errors import AgentError
from splitway.agent.figures.snapshot import Additions, Snapshot, Sources, from_plain, take, to_plain
from splitway.agent.healing.peers import Counted, Readings
from splitway.agent.upstreams.health import Health
from splitway.sizes import size
from splitway.state import (
    AddressSet,
    Agent,
    Device,
    Dns,
    Egress,
    FamilyMarks,
    Group,
    MarkPolicy,
    MarkRule,
    Marks,
    Member,
    Peer,
    State,
    Target,
    Watch,
    Way,
)
from splitway.system import System

sys.path.insert(0, str(Path(__file__).parent))
from snapshots import NOW, snapshot

FOR_PEOPLE = """\
generation fedcba987654, applied 2 h ago
agent 0123456789ab, running for 1 d 1 h

UPSTREAMS
NAME  INTERFACE  STATE        FOR  LATENCY  LOSS      HANDSHAKE  RECEIVED     SENT  RESTARTS   MTU
us    wg-up-1    up     1 h 6 min  31.2 ms    1%  1 min 1 s ago   5.00 GB  70.0 MB         1  1412
eu    wg-up-2    down         5 s        -  100%          never       0 B      0 B         0     -
  us: packets of its MTU do not come back, small ones do: large transfers hang
  us: over its WebSocket, since UDP does not work
  eu: none of 2 targets answered
  eu: never answered: icmp 192.0.2.1

WEBSOCKETS
UPSTREAM  STATE  SERVER                           RTT  LOSS  RECONNECTS  RECEIVED    SENT  RESTARTS
us        up     wss://exit.example.net:8443  41.2 ms  1.3%           2   9.00 MB  800 kB         3
eu        down   wss://192.0.2.9:443                -     -           0       0 B     0 B         0
  us: not its first server, of 2
  us: wss://exit.example.net:8443: no answer by TLS
  us: its certificate expires in 4 d
  us: somebody else has the first port of its range: wireguard 41002

MODE: proxy, since combined moves no data

GROUPS
NAME   MODE      NEW CONNECTIONS GO TO  SWITCHES
video  failover  us                            3
eu     failover  direct                        1

CLIENTS
NAME      ADDRESS   LAST SEEN  RECEIVED     SENT   DIRECT       us
client-0  10.8.0.2    0 s ago   1.00 MB  2.00 MB  1.00 kB  2.50 MB
client-1  10.8.0.3    1 s ago   1.00 MB  2.00 MB  1.00 kB  2.50 MB

THEIR TIMES AND KEYS
NAME      TIME IS UP  COMES WITH
client-0  in 1 d 1 h

SETS
SET    HOLDS        FAMILY  KIND     ENTRIES  LAST ADDED  FAILED
sw4d1  list video   IPv4    learned      812    30 s ago       4
sw6d1  list video   IPv6    learned        0           -       0
sw4n1  list office  IPv4    static        12

COUNTRIES: cn (6612 IPv4 and 5136 IPv6 networks), jp (0 IPv4 and 0 IPv6 networks); data of 2 h ago
  https://example.com/geo.csv: the server says 503 Service Unavailable
  country jp: there is no data

DNS: 5000 queries, 80% from the cache, 0.4 ms, 3 evictions
PINNED: 19 of 20 names, 4 of 63 addresses do not answer (splitway names)
RESOLVERS that do not answer: 1.1.1.1#53 through wg-up-1
CONNECTIONS: 250000 of 262144, 7 packets refused for want of room
LOST: 3 of answers
HEALED: routes 2, sets 1; 17 learned addresses put back
DRIFT: dns: port 53 is taken: named listens on 0.0.0.0 (udp) (for 3 min)
"""


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, data: object, *words: str) -> str:
    parser = argparse.ArgumentParser()
    status.arguments(parser)
    monkeypatch.setattr(control, "ask", lambda _system, question: data if question == "status" else None)
    assert status.run(parser.parse_args(words), System()) == 0
    return capsys.readouterr().out


def test_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.loads(json.dumps(to_plain(snapshot())))
    assert printed(capsys, monkeypatch, data) == FOR_PEOPLE


def test_lines_fit_a_terminal_whatever_they_hold() -> None:
    long = snapshot(3)
    client = dataclasses.replace(
        long.clients[0],
        name="客户" * 40,
        addresses=("2001:db8:1111:2222:3333:4444:5555:6666",),
        bytes={f"way-{n}": 10**n for n in range(9)},
    )
    for clients in (long.clients, (client,)):
        wide = dataclasses.replace(long, clients=clients)
        for line in status.render(wide):
            assert tables._width(line) <= tables.COLUMNS


def test_for_programs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.loads(printed(capsys, monkeypatch, to_plain(snapshot()), "--json"))
    assert from_plain(data) == snapshot()
    assert data["clients"][1]["bytes"] == {"direct": 1001, "us": 2_500_000}


def test_an_agent_of_another_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AgentError, match="systemctl restart splitway"):
        printed(capsys, monkeypatch, {"taken": 1})


def test_without_an_agent(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="systemctl start splitway"):
        status.run(argparse.Namespace(json=False), System(runtime=tmp_path))


def test_of_a_host_without_anything() -> None:
    empty = take(Sources(State(), NOW, "", None), NOW, 5.0)
    assert list(status.render(empty)) == [
        "no generation: site.yml has not run on this host",
        "agent of no version, running for 0 s",
        "",
        "DNS: our dnsmasq does not answer",
        "HEALED: nothing; 0 learned addresses put back",
        "DRIFT: none",
    ]


WATCH = Watch("us", "wg-up-1", (Target("icmp", "192.0.2.1"), Target("icmp", "192.0.2.2")))
FAMILY = FamilyMarks(
    {"10.8.0.2": 1, "10.8.0.3": 2},
    (MarkPolicy(1, "a", (MarkRule(("sw4d1",), 105),), 0), MarkPolicy(2, "b", (), 0)),
    "sw4s",
)
STATE = State(
    server=Device(
        "server",
        "wg0",
        None,
        (),
        (Peer("alice", None, ("10.8.0.2/32", "fd00::2/128")), Peer("bob", "B", ("10.8.0.3/32",))),
    ),
    upstreams=(Device("us", "wg-up-1", None, (), ()), Device("eu", "wg-up-2", None, (), ())),
    sets=(
        AddressSet("sw4d1", 4, 60, comment="list video"),
        AddressSet("sw4n1", 4, None, ("192.0.2.0/24",)),
        AddressSet("sw4s", 4, None, ("10.0.0.0/8",)),
    ),
    dns=Dns("wg0", (), ("ipset=/video.example/sw4d1",)),
    marks=Marks(
        "wg0",
        "wg-up-",
        0x3FFF,
        (
            Egress(0, "direct"),
            Egress(101, "us", "wg-up-1"),
            Egress(105, "video", None, ways=(Way(106, 2), Way(107))),
            Egress(106, "video/us", "wg-up-1"),
            Egress(107, "video/eu", "wg-up-2"),
            Egress(108, "dead", None, ways=(Way(108),)),
        ),
        FAMILY,
        FamilyMarks({"fd00::2": 1}, FAMILY.policies),
    ),
    agent=Agent(
        "v1",
        groups=(
            Group(105, "video", "balance", (Member(106, "us", 2), Member(107, "eu"))),
            Group(108, "dead", "failover", ()),
        ),
    ),
)


def test_a_snapshot_of_everything() -> None:
    health = dataclasses.replace(
        Health(WATCH, 90.0, "down"), latency=0.02, probes=4, lost=3, asked={WATCH.targets[1]: 5}
    )
    readings = Readings(
        configured={
            "wg0": {"A": ("(none)", "10.8.0.2/32,fd00::2/128", "off")},
            "wg-up-1": {"X": ("(none)", "0.0.0.0/0", "25")},
        },
        counted={
            "wg0": Counted(["A"], ["192.0.2.9:1"], [str(int(NOW) - 3)], ["10"], ["20"]),
            "wg-up-1": Counted(["X"], ["192.0.2.8:1"], ["0"], ["30"], ["40"]),
        },
    )
    found = take(
        Sources(
            STATE,
            started=NOW - 50,
            generation="g",
            applied=NOW - 9,
            health={"us": health},
            readings=readings,
            restarts={"us": 2},
            switches={"video": 3},
            traffic={("alice", "us"): 7, ("alice", "direct"): 8},
            entries={"sw4d1": 4},
            added={"sw4d1": NOW - 1},
        ),
        NOW,
        clock=100.0,
    )
    us, eu = found.upstreams
    assert (us.state, us.since, us.latency, us.loss, us.handshake) == ("down", NOW - 10, 0.02, 0.5, None)
    assert (us.received, us.sent, us.restarts, us.silent) == (30, 40, 2, ("icmp 192.0.2.2",))
    assert (eu.state, eu.number, eu.received) == ("unknown", None, 0)
    video, dead = found.groups
    assert (video.ways, video.switches, dead.ways) == ({"us": 2, "eu": 1}, 3, {})
    alice, bob = found.clients
    assert (alice.seen, alice.endpoint, alice.received, alice.sent) == (NOW - 3, "192.0.2.9:1", 10, 20)
    assert alice.bytes == {"us": 7, "direct": 8}
    assert (bob.seen, bob.bytes) == (None, {})
    assert [(item.entries, item.added) for item in found.sets] == [(4, NOW - 1), (1, None), (1, None)]
    assert found.rules == {"domain": 1, "network": 1}
    assert found.split_clients == 1
    assert from_plain(json.loads(json.dumps(to_plain(found)))) == found


def test_when_something_was_added_last() -> None:
    additions = Additions()
    for now, sizes in ((1.0, {"a": 5, "b": 1}), (2.0, {"a": 6, "b": 0}), (3.0, {"a": 6, "b": 1}), (4.0, {"b": 1})):
        additions.note(sizes, now)
    assert additions.times == {"b": 3.0}


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (9_999, "10.0 kB"), (999_600, "1.00 MB"), (123_456_789, "123 MB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0 s"), (61, "1 min 1 s"), (3600, "1 h"), (90061, "1 d 1 h")])
def test_durations(seconds: float, text: str) -> None:
    assert tables.duration(seconds) == text


def test_the_plain_form_is_whole() -> None:
    assert set(to_plain(snapshot())) == {field.name for field in dataclasses.fields(Snapshot)}
