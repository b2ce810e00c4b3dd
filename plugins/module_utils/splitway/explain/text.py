# SPDX-License-Identifier: GPL-3.0-or-later
"""An explanation for people: short lines, aligned, for a terminal of 100 columns."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator

from .model import DECIDES, HIDDEN, POSSIBLE, RESTING, Decision, Explanation, Held, Path, RuleStep

MOST_TOLD = 8  # rules that hold the address, in a text; the data have all
MOST_POSSIBLE = 5  # rules that could come first, in a text
WIDTH = 100
INDENT = 11  # columns of the words on the left


def explanation_text(explanation: Explanation) -> str:
    """Return the explanation as lines of text. Addresses to which the same happens are told together."""
    lines = [*_head(explanation)]
    for decisions in _alike(explanation.decisions):
        lines += ["", *_decision(explanation, decisions)]
    lines += ["" for _ in explanation.notes[:1]]
    lines += [line for note in explanation.notes for line in _row("note", note)]
    return "\n".join(lines) + "\n"


def _head(explanation: Explanation) -> Iterator[str]:
    service = [explanation.protocol or "", f"port {explanation.port}" if explanation.port else ""]
    asked = ", ".join([explanation.destination, *(word for word in [" ".join(filter(None, service))] if word)])
    yield from _row("client", explanation.client)
    yield from _row("to", asked)
    if explanation.policy:
        yield from _row("policy", explanation.policy.partition("policy ")[2] or f"{explanation.policy}'s own")
    if explanation.line:
        yield from _row("names", f"dnsmasq fills sets by its line for {explanation.line}")


def _alike(decisions: tuple[Decision, ...]) -> list[list[Decision]]:
    """Return the decisions in groups that differ in the address only."""
    groups: dict[Decision, list[Decision]] = {}
    for decision in decisions:
        groups.setdefault(dataclasses.replace(decision, address=None), []).append(decision)
    return list(groups.values())


def _decision(explanation: Explanation, decisions: list[Decision]) -> Iterator[str]:
    first = decisions[0]
    addresses = ", ".join(decision.address for decision in decisions if decision.address)
    yield from _row("address", addresses or f"any IPv{first.family} address that the name resolves to")
    if first.special:
        yield from _row(
            "range", "special (private, link-local, a client's, …): only rules with networks inside it count"
        )
    if first.egress is not None:
        yield from _rules(first)
        yield from _ways(explanation, first)
    if first.blocked:
        yield from _row("BLOCKED", f"would be blocked because {first.blocked}")
    for note in first.notes:
        yield from _row("note", note)


def _rules(decision: Decision) -> Iterator[str]:
    """Yield the rows of the rules that hold the address, or could; the others are counted."""
    holding = [_step(step) for step in decision.rules if step.part in (DECIDES, HIDDEN)]
    told = holding[:MOST_TOLD]
    if len(holding) > MOST_TOLD:
        told.append(f"and {len(holding) - MOST_TOLD} more that are hidden by it")
    if decision.by_default:
        default = "direct, as its range is special" if decision.special else f"the default, {decision.egress}"
        told.append(f"no rule holds it: {default}")
    told += [f"{step.words} → {step.egress}: not at this hour" for step in decision.rules if step.part == RESTING]
    possible = [f"{step.words} → {step.egress}" for step in decision.rules if step.part == POSSIBLE]
    if possible:
        more = f", and {len(possible) - MOST_POSSIBLE} more" if len(possible) > MOST_POSSIBLE else ""
        told.append(
            f"unless an earlier one holds it, which cannot be known here: {', '.join(possible[:MOST_POSSIBLE])}{more}"
        )
    for index, text in enumerate(told):
        yield from _row("" if index else "rules", text)


def _step(step: RuleStep) -> str:
    held = ", ".join(_held(entry) for entry in step.sets if entry.holds)
    part = "decides" if step.part == DECIDES else "hidden by it"
    shared = "; by another name, which shares the address" if step.shared else ""
    return f"{step.words} → {step.egress}: {part}" + (f" ({held}{shared})" if held else "")


def _held(entry: Held) -> str:
    if entry.learned:
        return f"learned{f' for {entry.by}' if entry.by else ''}, set {entry.set}"
    return f"network {entry.by}, set {entry.set}"


def _ways(explanation: Explanation, decision: Decision) -> Iterator[str]:
    number = f" ({decision.number})" if decision.number else ""
    instead = f", which is down: {decision.fallback} in its place" if decision.fallback else ""
    yield from _row("egress", f"{decision.egress}{number}{instead}")
    for path in decision.paths:
        share = f"{path.share} % of new flows: " if len(decision.paths) > 1 else ""
        yield from _row("mark", f"{share}{_marked(explanation, path)}")
        if path.blocked is None:
            yield from _row("leaves", _leaves(path))
        elif decision.blocked is None:
            yield from _row("", f"blocked: {path.blocked}")


def _marked(explanation: Explanation, path: Path) -> str:
    rule = "" if path.priority is None else f", ip rule {path.priority}"
    table = "the host's own routes" if path.table is None else f"table {path.table}"
    return f"{path.mark}/{explanation.mask}{rule}, {table}"


def _leaves(path: Path) -> str:
    if path.interface is None:
        return f"to {path.next_hop}" if path.next_hop else "by the host's own routes"
    carried = ", which goes over its WebSocket" if path.websocket else ""
    return f"by {path.interface}{carried}" + (f", next hop {path.next_hop}" if path.next_hop else "")


def _row(label: str, text: str) -> Iterator[str]:
    wrapped = textwrap.wrap(text, WIDTH - INDENT, break_on_hyphens=False) or [""]
    yield f"{label:<{INDENT}}{wrapped[0]}".rstrip()
    for line in wrapped[1:]:
        yield " " * INDENT + line
