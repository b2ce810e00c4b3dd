# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet that nobody has: what looks at its gateways would find. The same numbers make the same fleet.

All addresses and names are those that are kept free for documentation.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from typing import Any

from splitway.findings import iso

NOW = 1795316400.0  # 2026-11-22T03:00:00Z
SECTIONS = ("transports", "upstreams", "routes", "sets", "dns", "marks", "server", "qos", "proxies", "web", "agent")
REGIONS = ("amsterdam", "frankfurt", "singapore", "tokyo")
UPSTREAMS = ("us", "eu", "jp", "uk")
POLICIES = {
    "policy family": ["us", "eu", "direct"],
    "policy work": ["video", "direct"],
    "policy guests": ["block", "direct"],
    "policy travel": ["jp", "uk", "eu"],
}
LISTS = ("list netflix", "list youtube", "list ai", "list office", "list google", "country jp")
PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj")
DEVICES = ("phone", "laptop", "tablet", "tv", "desk")


def fleet(gateways: int, clients: int, *, faults: bool = True, seed: int = 7) -> dict[str, Any]:
    """Return by gateway what was found; with faults some are away, never set up, drifted, or have a tunnel down."""
    chance = random.Random(seed)
    found = {}
    for number in range(gateways):
        name = f"gw{number + 1:0{len(str(gateways))}}"
        own = clients // gateways + (number < clients % gateways)
        found[name] = {
            "look": look(number, own, chance),
            "digest": fingerprint(number),
            "failure": "",
            "region": REGIONS[number % len(REGIONS)],
        }
    if faults:
        _break(found)
    return found


def fingerprint(number: int) -> str:
    return hashlib.sha256(f"generation {number}".encode()).hexdigest()


def look(number: int, clients: int, chance: random.Random) -> dict[str, Any]:
    """Return what splitway_info says of one gateway that is well."""
    names = [f"{PEOPLE[index % 12]}-{DEVICES[index // 12 % 5]}-{number}-{index}" for index in range(clients)]
    policies = {name: chance.choices([*POLICIES, f"client {name}", ""], (50, 25, 10, 10, 3, 2))[0] for name in names}
    return {
        "installed": True,
        "problem": "",
        "backend": "ipset",
        "digest": fingerprint(number),
        "applied": iso(NOW - 86400 * 3 - number * 60),
        "counts": {"clients": clients, "upstreams": len(UPSTREAMS)},
        "drift": {},
        "since": {},
        "upstreams": {name: {"state": "up", "mtu": 1420, "full_size": True} for name in UPSTREAMS},
        "figures": {
            "policies": {
                **POLICIES,
                **{policy: ["us", "direct"] for policy in policies.values() if "client" in policy},
            },
            "clients": policies,
            "agent": _agent(number, policies, chance),
            "agent_problem": "",
        },
        "audit": [_record(number, index, chance) for index in range(8)],
    }


def _agent(number: int, policies: Mapping[str, str], chance: random.Random) -> dict[str, Any]:
    return {
        "taken": NOW,
        "started": NOW - 86400 * 3,
        "engine": "0123456789abcdef",
        "generation": fingerprint(number),
        "applied": NOW - 86400 * 3,
        "problem": "",
        "upstreams": [_upstream(index, name, chance) for index, name in enumerate(UPSTREAMS)],
        "groups": [
            {"name": "video", "mode": "failover", "ways": {"us": 1, "uk": 1}, "direct": False, "switches": 1},
        ],
        "clients": [
            _client(number, index, name, policy, chance) for index, (name, policy) in enumerate(policies.items())
        ],
        "sets": [
            {
                "name": f"sw{family}{'d' if learned else 'n'}{index + 1}",
                "comment": comment,
                "family": family,
                "learned": learned,
                "entries": chance.randrange(5, 4000),
                "added": NOW - chance.randrange(1, 4000) if learned else None,
            }
            for index, comment in enumerate(LISTS)
            for family in (4, 6)
            for learned in (True, False)
        ],
        "failed_additions": {},
        "drift": {"healed": {"routes": chance.randrange(3)}, "refilled": 0, "failures": {}, "since": {}},
    }


def _upstream(index: int, name: str, chance: random.Random) -> dict[str, Any]:
    return {
        "name": name,
        "interface": f"wg-up-{index + 1}",
        "number": 101 + index,
        "state": "up",
        "since": NOW - chance.randrange(3600, 86400 * 3),
        "latency": round(chance.uniform(0.008, 0.24), 4),
        "loss": 0.0,
        "handshake": NOW - chance.randrange(120),
        "received": chance.randrange(10**9, 10**13),
        "sent": chance.randrange(10**8, 10**12),
        "restarts": 0,
        "silent": [],
        "why": "",
        "mtu": 1420,
        "full_size": True,
        "way": "udp",
        "fallen_back": False,
        "way_changes": 0,
    }


def _client(number: int, index: int, name: str, policy: str, chance: random.Random) -> dict[str, Any]:
    connected = chance.random() < 0.4
    ways = {"us": "us", "eu": "eu", "video": "us", "jp": "jp", "uk": "uk"}
    led = [ways[egress] for egress in POLICIES.get(policy, ["us"]) if egress in ways]
    moved = {way: chance.randrange(10**6, 10**11) for way in [*led, "direct"] if chance.random() < 0.8}
    return {
        "name": name,
        "addresses": [f"10.{64 + number % 64}.{index // 250}.{index % 250 + 2}", f"2001:db8:{number:x}::{index + 2:x}"],
        "seen": NOW - chance.randrange(150) if connected else NOW - chance.randrange(600, 10**6),
        "received": sum(moved.values()) // 8,
        "sent": sum(moved.values()),
        "bytes": moved,
    }


def _record(number: int, index: int, chance: random.Random) -> dict[str, Any]:
    time = iso(NOW - index * 4000 - number)
    if index % 3:
        return {
            "time": time,
            "who": "agent",
            "why": "healed",
            "section": "routes",
            "counts": {"add": 1},
            "objects": {"upstreams": [chance.choice(UPSTREAMS)]},
            "changes": ["add rule 5030 lookup 101 (v4)"],
        }
    return {
        "time": time,
        "who": "ansible as alice",
        "why": "run 4f0c1c2e9d0b4b6c",
        "section": "server",
        "counts": {"add": 1, "change": 2},
        "objects": {"clients": ["alice-phone-0-0"]},
        "changes": ["add peer alice-phone-0-0", "change wg0: addresses"],
    }


def _break(found: dict[str, Any]) -> None:
    """Give a fleet the troubles that fleets have; the first gateways stay well."""
    names = list(found)
    found[names[-1]]["look"] = {
        "unreachable": True,
        "msg": "ssh: connect to host 192.0.2.99 port 22: Connection timed out",
    }
    drifted = found[names[len(names) // 2]]["look"]
    drifted["drift"] = {
        "routes": ["add rule 5030 fwmark 0x2066/0x3fff lookup 102 (v4)"],
        "dns": ["change splitway.conf"],
    }
    drifted["since"] = {"routes": iso(NOW - 7200), "dns": iso(NOW)}
    drifted["figures"]["agent"]["drift"]["failures"] = {"routes": "table 102 is another's"}
    down = found[names[1]]["look"]["figures"]["agent"]["upstreams"][1]
    down.update(state="down", latency=None, loss=1.0, since=NOW - 900, why="none of 2 targets answered")
    if len(names) < 10:
        return
    found[names[-2]]["look"] = {
        "installed": False,
        "problem": "",
        "digest": "",
        "applied": None,
        "drift": {},
        "since": {},
        "upstreams": {},
        "counts": {},
        "figures": {"policies": {}, "clients": {}, "agent": None, "agent_problem": "no agent"},
        "audit": [],
    }
    silent = found[names[-3]]["look"]["figures"]
    silent.update(agent=None, agent_problem="the agent does not run on this host: systemctl start splitway")
    found[names[4]]["digest"] = "of the inventory since then"
    blocked = found[names[7]]["look"]["figures"]["agent"]
    blocked["groups"][0]["ways"] = {}
