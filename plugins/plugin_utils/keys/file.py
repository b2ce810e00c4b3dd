# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of keys: YAML that Ansible loads as variables. What was sealed before is written as it was. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Optional

import yaml

from .model import KINDS, Before, Hidden, Kept, Keys, KeysError, Sealed, Secret

HEAD = """\
# Written by the playbook splitway.gateway.keys, which keeps no other content and no comments here.
# Private and preshared keys are secrets: see docs/keys.md.
---
"""


class _Loader(yaml.SafeLoader):
    """YAML with Ansible's vaulted texts, which stay as they are."""


def _vaulted(loader: yaml.SafeLoader, node: yaml.Node) -> Sealed:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, "!vault is for a text", node.start_mark)
    return Sealed(str(loader.construct_scalar(node)), vaulted=True)


_Loader.add_constructor("!vault", _vaulted)


def read(text: str, where: str) -> dict[str, dict[str, Keys]]:
    """Return the keys in a file's text. Raises KeysError that names the file and the entry, never a value."""
    try:
        data = yaml.load(text, _Loader) or {}  # noqa: S506 it is a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise KeysError(f"{where}{line}: no YAML: mend it, or take it back from your repository") from None
    others = sorted(map(str, data.keys() - {"splitway_keys"})) if isinstance(data, dict) else ["a list or a text"]
    if others:
        raise KeysError(
            f"{where} has {', '.join(others)}: the file is for splitway_keys alone, move the rest elsewhere"
        )
    kinds = _mapping(data.get("splitway_keys"), where, "splitway_keys")
    if not kinds.keys() <= set(KINDS):
        raise KeysError(f"{where}: splitway_keys has {', '.join(KINDS)}, and nothing else")
    return {
        kind: {
            str(name): _keys(_mapping(entry, where, f"splitway_keys.{kind}.{name}"), where)
            for name, entry in _mapping(entries, where, f"splitway_keys.{kind}").items()
        }
        for kind, entries in kinds.items()
    }


def _mapping(value: Any, where: str, path: str) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise KeysError(f"{where}: {path} is no mapping")
    return value


def _keys(entry: Mapping[str, Any], where: str) -> Keys:
    before = _mapping(entry.get("previous"), where, "previous")
    return Keys(
        public_key=_open(entry.get("public_key")),
        private_key=_hidden(entry.get("private_key")),
        preshared_key=_hidden(entry.get("preshared_key")),
        previous=Before(str(before.get("public_key")), str(before.get("until")), _hidden(before.get("preshared_key")))
        if before
        else None,
    )


def _open(value: Any) -> Optional[str]:
    return None if value is None else str(value)


def _hidden(value: Any) -> Optional[Hidden]:
    return value if value is None or isinstance(value, Sealed) else Sealed(str(value))


def text_of(kept: Kept) -> str:
    """Return a file's text; names in order, so that a repository shows what changed."""
    lines = [f"{HEAD}splitway_keys:"]
    for kind in KINDS:
        if kept.get(kind):
            lines.append(f"  {kind}:")
            for name, keys in sorted(kept[kind].items()):
                lines += [f"    {_quoted(name)}:", *_lines(keys, 6)]
    return "\n".join(lines) + ("\n" if len(lines) > 1 else " {}\n")


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, default_style='"', width=float("inf")).rstrip("\n")


def _lines(keys: Keys, depth: int) -> Iterator[str]:
    if keys.public_key is not None:
        yield f"{' ' * depth}public_key: {_quoted(keys.public_key)}"
    for name, value in (("private_key", keys.private_key), ("preshared_key", keys.preshared_key)):
        yield from _line(name, value, depth)
    if keys.previous is not None:
        yield f"{' ' * depth}previous:"
        yield f"{' ' * depth}  public_key: {_quoted(keys.previous.public_key)}"
        yield from _line("preshared_key", keys.previous.preshared_key, depth + 2)
        yield f"{' ' * depth}  until: {_quoted(keys.previous.until)}"


def _line(name: str, value: Optional[Hidden], depth: int) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, Secret):
        raise TypeError("a secret is sealed before it is written")
    if not value.vaulted:
        yield f"{' ' * depth}{name}: {_quoted(value.text)}"
        return
    yield f"{' ' * depth}{name}: !vault |"
    for line in value.text.splitlines():
        yield f"{' ' * depth}  {line.strip()}"


def outline(kept: Kept) -> str:
    """Return what a diff shows of keys: public ones, and that there are others."""
    lines = []
    for kind in KINDS:
        for name, keys in sorted(kept.get(kind, {}).items()):
            parts = [f"public key {keys.public_key or 'of the private one'}"]
            parts += ["preshared key"] * (keys.preshared_key is not None)
            if keys.previous is not None:
                parts.append(f"previously {keys.previous.public_key} until {keys.previous.until}")
            lines.append(f"{kind} {name}: {', '.join(parts)}\n")
    return "".join(lines)
