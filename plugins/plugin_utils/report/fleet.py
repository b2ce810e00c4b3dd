# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks at gateways found, in the shape that the report is made of. Pure.

Times are seconds since the epoch, sizes bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Optional

from ..looks import sound
from ..verdicts import FAILED, LOOKED, UNREACHABLE, Verdict, judge

GOOD, ATTENTION, BAD, IDLE = "good", "attention", "bad", "idle"
"""How urgent something is; IDLE: nothing is known of it, or nothing is there yet."""

ACTIVE = 180.0  # seconds since the last handshake within which a client counts as connected (WireGuard's REJECT_AFTER)
DIRECT, BLOCK = "direct", "block"
NO_RULES, OWN_RULES = "no rules", "rules of their own"
_OF_A_CLIENT = "client "  # how the state names the policy of a client's own rules

LACKING: Mapping[str, Mapping[str, Any]] = {
    "upstreams": {
        "name": "",
        "interface": "",
        "state": "unknown",
        "since": None,
        "latency": None,
        "loss": None,
        "handshake": None,
        "received": 0,
        "sent": 0,
        "restarts": 0,
        "mtu": None,
        "way": "udp",
    },
    "groups": {"name": "", "ways": {}, "direct": False},
    "clients": {"name": "", "addresses": (), "seen": None, "received": 0, "sent": 0, "bytes": {}},
    "sets": {"name": "", "comment": "", "family": 4, "learned": False, "entries": 0, "added": None},
}
"""What stands for a figure that an agent does not tell: it may be of a version before or after this collection's."""


@dataclass(frozen=True)
class Client:
    """One client of one gateway."""

    name: str
    gateway: str
    policy: str
    addresses: tuple[str, ...] = ()
    seen: Optional[float] = None  # None: never, or nobody knows
    connected: bool = False
    received: int = 0  # from it
    sent: int = 0  # to it
    moved: Mapping[str, int] = field(default_factory=dict)  # way → bytes of both directions since the agent started
    expires: Optional[float] = None  # when its time is up, or was; None: never


@dataclass(frozen=True)
class Gateway:
    """One gateway."""

    name: str
    region: str
    tone: str  # GOOD | ATTENTION | BAD | IDLE
    words: str  # what is the matter, in a few words
    problems: tuple[tuple[str, str], ...]  # tone and sentence
    verdict: Verdict
    clients: tuple[Client, ...] = ()
    policies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # policy → where its flows may go now
    agent: Mapping[str, Any] = field(default_factory=dict)  # what `splitway status --json` says; empty: nothing
    audit: tuple[Mapping[str, Any], ...] = ()
    installed: bool = False  # as far as anybody knows


def gateway_of(name: str, found: Mapping[str, Any], sections: tuple[str, ...], now: str) -> Gateway:
    """Return a gateway from what was found of it: as `judge` takes it, and `region`."""
    found = sound(found)
    look: Mapping[str, Any] = found.get("look") or {}
    figures: Mapping[str, Any] = look.get("figures") or {}
    agent = _complete(figures.get("agent") or {})
    verdict = judge(name, found, sections, now)
    problems = tuple(_problems(look, agent, str(figures.get("agent_problem") or ""), verdict))
    tone, words = _tone(look, verdict, problems)
    return Gateway(
        name=name,
        region=str(found.get("region") or ""),
        tone=tone,
        words=words,
        problems=problems,
        verdict=verdict,
        clients=_clients(name, figures, agent),
        policies=_policies(figures, agent),
        agent=agent,
        audit=tuple(look.get("audit") or ()),
        installed=bool(look.get("installed")),
    )


def _complete(agent: Mapping[str, Any]) -> dict[str, Any]:
    told = {kind: [{**lacking, **item} for item in agent.get(kind, ())] for kind, lacking in LACKING.items()}
    return {**agent, **told} if agent else {}


def seconds(text: str) -> Optional[float]:
    """Return a time of ISO 8601; None where it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def policy_name(name: str) -> str:
    """Return what the report calls a policy of the state; clients with rules of their own are one kind."""
    if name.startswith(_OF_A_CLIENT):
        return OWN_RULES
    return name.split(" ", 1)[-1] if name else NO_RULES


def _tone(look: Mapping[str, Any], verdict: Verdict, problems: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    if verdict.status == UNREACHABLE:
        return BAD, "unreachable"
    if "drift" not in look and verdict.status == FAILED:
        return BAD, "cannot be looked at"
    if not look.get("installed"):
        return IDLE, "site.yml has never run"
    tones = [tone for tone, _ in problems]
    if BAD in tones:
        return BAD, "needs help"
    return (ATTENTION, "needs a look") if tones else (GOOD, "as it should be")


def _problems(
    look: Mapping[str, Any], agent: Mapping[str, Any], silent: str, verdict: Verdict
) -> list[tuple[str, str]]:
    """Return what somebody should know of, the worst first."""
    if verdict.status == UNREACHABLE or ("drift" not in look and verdict.status == FAILED):
        return [(BAD, " ".join(text.split())) for one in verdict.differences for text in one.what]
    if not look.get("installed"):
        wrong = [(ATTENTION, text) for one in verdict.differences if one.check == LOOKED for text in one.what]
        return [*wrong, (IDLE, "site.yml has never run on this host")]
    found = [(BAD, silent)] if silent else []
    blocked = [group["name"] for group in agent.get("groups", ()) if not group["ways"] and not group["direct"]]
    found += [(BAD, f"group {name}: none of its members is up, its traffic is blocked") for name in blocked]
    for upstream in agent.get("upstreams", ()):
        if upstream["state"] == "down":
            why = f": {upstream['why']}" if upstream.get("why") else ""
            found.append((ATTENTION, f"upstream {upstream['name']} is down{why}"))
    for one in verdict.differences:
        first = one.what[0] if one.what else ""
        more = f" (and {len(one.what) - 1} more)" if len(one.what) > 1 else ""
        found.append((ATTENTION, f"{one.check}: {first}{more}"))
    for section, why in sorted((agent.get("drift") or {}).get("failures", {}).items()):
        found.append((ATTENTION, f"{section} cannot be healed: {why}"))
    return found


def _clients(gateway: str, figures: Mapping[str, Any], agent: Mapping[str, Any]) -> tuple[Client, ...]:
    policies: Mapping[str, str] = figures.get("clients") or {}
    known = {client["name"]: client for client in agent.get("clients", ())}
    taken = float(agent.get("taken") or 0)
    found = []
    for name in sorted({*policies, *known}):
        client = known.get(name, {})
        seen = client.get("seen")
        found.append(
            Client(
                name,
                gateway,
                policy_name(policies.get(name, "")),
                tuple(client.get("addresses", ())),
                seen,
                seen is not None and taken - seen <= ACTIVE,
                client.get("received", 0),
                client.get("sent", 0),
                client.get("bytes", {}),
                client.get("expires"),
            )
        )
    return tuple(found)


def _policies(figures: Mapping[str, Any], agent: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return by policy where its flows may go now, a group's where the agent has them go; nothing without an agent."""
    found: dict[str, list[str]] = {}
    if not agent:
        return {}
    groups = {group["name"]: group for group in agent.get("groups", ())}
    for name, egresses in (figures.get("policies") or {}).items():
        ways = found.setdefault(policy_name(name), [])
        for egress in egresses:
            group = groups.get(egress)
            leads = [egress]
            if group is not None:
                leads = [DIRECT] if group["direct"] else list(group["ways"]) or [BLOCK]
            ways += [way for way in leads if way not in ways]
    if NO_RULES in {policy_name(name) for name in (figures.get("clients") or {}).values()}:
        found[NO_RULES] = [DIRECT]
    return {name: tuple(ways) for name, ways in found.items()}
