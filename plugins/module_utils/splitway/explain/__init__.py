# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a client's packets to a destination go where they go. Pure: what only the host knows comes in as Facts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Optional

from ..state import FAMILIES, MarkPolicy, Marks, State
from .judge import Judge, Verdict
from .model import DECIDES, HIDDEN, Decision, ExplainError, Explanation, Facts, Hop, Resolved
from .names import METADATA, fill_of
from .paths import Egresses, first_refusal
from .refusals import notes, refusal
from .subject import Client, Destination, check_service, find_client, read_destination, require_marks

__all__ = ["NOTHING_KNOWN", "Decision", "ExplainError", "Explanation", "Facts", "Hop", "Resolved", "explain"]

NOTHING_KNOWN = Facts()


def explain(
    state: State,
    client: str,
    destination: str,
    facts: Facts = NOTHING_KNOWN,
    port: Optional[int] = None,
    protocol: Optional[str] = None,
) -> Explanation:
    """Return what happens to a client's new flows to a name or an address, by a state with its choices.

    `client` is a client's name or one of its addresses, a LAN client's address, or `host`: the gateway itself. A port
    without a protocol is TCP's.
    Raises ExplainError.
    """
    marks = require_marks(state)
    check_service(port, protocol)
    who, what = find_client(state, client), read_destination(destination)
    named = what.family is None
    fill = fill_of(state.dns.lines if state.dns and named else (), what.text)
    judge = Judge(state, fill, facts, named, port, protocol)
    egresses = Egresses(state, marks)
    decisions = tuple(
        _decide(marks, who, family, address, judge, egresses) for family, address in _addresses(who, what, facts)
    )
    return Explanation(
        client=who.name,
        policy=_policy_name(marks, who),
        destination=what.text,
        port=port,
        protocol=protocol,
        mask=f"{marks.mask:#x}",
        line=fill.line or None,
        decisions=decisions,
        notes=(*_notes(what, fill.line, facts), *notes(marks, who, port)),
    )


def _addresses(who: Client, what: Destination, facts: Facts) -> Iterator[tuple[int, Optional[str]]]:
    """Yield family and address of all there is to decide on; no address: whatever the name resolves to."""
    if what.family is not None:
        yield what.family, what.text
    elif facts.resolved is None or facts.resolved.failure is not None:
        yield from ((family, None) for family in FAMILIES if family in who.sources)
    else:
        yield from ((6 if ":" in address else 4, address) for address in facts.resolved.addresses)


def _decide(
    marks: Marks, who: Client, family: int, address: Optional[str], judge: Judge, egresses: Egresses
) -> Decision:
    source = who.sources.get(family)
    if source is None:
        return Decision(family, None, address, blocked=f"{who.name} has no IPv{family} address on this gateway")
    policy = _policy(marks, family, who)
    if policy is None:
        why = f"no client has the address {source}: the guard refuses what is not classified"
        return Decision(family, source, address, blocked=why)
    verdict = judge.verdict(family, marks.family(family), policy, address, egresses.name)
    paths = egresses.paths(verdict.number, family, None if address is None else (source, address), judge.facts)
    held = partial(judge.in_networks, address=address or "")
    blocked = refusal(marks, who, address, judge.port, held) or first_refusal(paths)
    deciding = next((step for step in verdict.steps if step.part == DECIDES), None)
    if blocked and deciding and deciding.words == METADATA:
        blocked = "cloud metadata is the gateway's own: only a network rule inside it lets a client there"
    return Decision(
        family=family,
        source=source,
        address=address,
        special=verdict.special,
        rules=verdict.steps,
        egress=egresses.name(verdict.number),
        number=verdict.number,
        by_default=verdict.by_default,
        fallback=egresses.fallback(verdict.number),
        paths=paths,
        blocked=blocked,
        notes=tuple(_decision_notes(verdict)),
    )


def _decision_notes(verdict: Verdict) -> Iterator[str]:
    for name in verdict.missing:
        yield f"the set {name} is missing in the kernel: run site.yml"
    for step in verdict.steps:
        if step.part in (DECIDES, HIDDEN):
            return
        for entry in step.sets:
            if entry.learned and entry.by is not None and not entry.missing:
                yield (
                    f"{step.words} has the name, by {entry.by}, but {entry.set} does not hold this address now: "
                    "it will when dnsmasq asks for the name again, at the latest after max_ttl"
                )


def _policy(marks: Marks, family: int, who: Client) -> Optional[MarkPolicy]:
    number = who.policy(marks, family)
    return next((policy for policy in marks.family(family).policies if policy.number == number), None)


def _policy_name(marks: Marks, who: Client) -> Optional[str]:
    found = (_policy(marks, family, who) for family in sorted(who.sources))
    return next((policy.name for policy in found if policy is not None), None)


def _notes(what: Destination, line: str, facts: Facts) -> Iterator[str]:
    if what.family is not None:
        return
    if facts.in_hosts_file:
        yield "the name is in the gateway's /etc/hosts: it is answered from there, and no set learns its addresses"
    if facts.resolved is not None and facts.resolved.failure is not None:
        yield f"our dnsmasq does not answer ({facts.resolved.failure}): judged by the name alone"
    elif facts.resolved is not None and not facts.resolved.addresses:
        yield "our dnsmasq knows no address of this name: clients do not get there"
    if not line:
        yield "no list or rule has the name or a parent of it: no set learns its addresses"
