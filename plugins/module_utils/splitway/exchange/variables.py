# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of variables: what it says of our kinds, as it is written, and its text with other values of them.

Templates and vaulted values are kept as they stand. Of the text only the variables that change are replaced: what
else is in the file stays to the letter, with its comments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .kinds import KINDS, SERVER
from .yaml_text import Tagged, variable_text

if TYPE_CHECKING:
    import yaml

HEADER = "---\n"
_VAULT = "$ANSIBLE_VAULT;"
VARIABLES = (SERVER, *(kind.variable for kind in KINDS))


class VariablesError(ValueError):
    """A file of variables cannot be changed; the message says why and what to do."""


@dataclass(frozen=True)
class VariablesFile:
    """A file's text, and what it says of the variables that are exchanged."""

    text: str
    values: dict[str, Any]
    blocks: dict[str, tuple[int, int]]  # variable → its first line and the one after its last, from 0


def read_variables(text: str) -> VariablesFile:
    """Return what a file says; no text is an empty file. Raises VariablesError."""
    import yaml

    if text.lstrip("\ufeff").startswith(_VAULT):
        raise VariablesError("is encrypted as a whole: name another, in which single values may be vaulted")
    try:
        loader = _loader()(text)
        node = loader.get_single_node()
        values = None if node is None else loader.construct_document(node)
    except VariablesError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise VariablesError(f"is not YAML: {_flat(error)}") from None
    if values is None:
        return VariablesFile(text, {}, {})
    if values == {}:  # a flow mapping, which nothing can be added to line by line
        return VariablesFile(text[: node.start_mark.index] + text[node.end_mark.index :], {}, {})
    if not isinstance(node, yaml.MappingNode) or node.flow_style or node.start_mark.column:
        raise VariablesError("is not a mapping of variables, each at the beginning of a line")
    blocks = _blocks(node, text.splitlines())
    return VariablesFile(text, {name: values[name] for name in VARIABLES if name in values}, blocks)


def replaced(file: VariablesFile, values: dict[str, Any]) -> str:
    """Return the file's text with other values of some variables. Raises VariablesError."""
    lines = (file.text or HEADER).splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    new = [name for name in VARIABLES if name in values and name not in file.blocks]
    end = next((index for index, line in enumerate(lines) if line.rstrip() == "..."), len(lines))
    for name in new:
        apart = "" if not end or lines[end - 1].strip() in ("", "---") else "\n"
        lines.insert(end, apart + variable_text(name, values[name]))
        end += 1
    for name, (first, after) in sorted(file.blocks.items(), key=lambda block: -block[1][0]):
        if name in values:
            lines[first:after] = [variable_text(name, values[name])]
    text = "".join(lines)
    if read_variables(text).values != {**file.values, **values}:
        raise VariablesError("is written so that its variables cannot be changed one by one: anchors, or merge keys")
    return text


def _blocks(node: yaml.MappingNode, lines: list[str]) -> dict[str, tuple[int, int]]:
    """Return where each of our variables stands. Comments before a variable belong to it."""
    blocks: dict[str, tuple[int, int]] = {}
    for index, (key, value) in enumerate(node.value):
        if key.value not in VARIABLES:
            continue
        if key.value in blocks:
            raise VariablesError(f"has {key.value} twice")
        first = key.start_mark.line
        after = node.value[index + 1][0].start_mark.line if index + 1 < len(node.value) else len(lines)
        ended = next((line for line in range(first, after) if lines[line].rstrip() == "..."), after)
        while ended > value.start_mark.line + 1 and _is_between(lines[ended - 1]):
            ended -= 1
        blocks[key.value] = (first, ended)
    return blocks


def _is_between(line: str) -> bool:
    """Return whether a line is blank or a comment that does not belong to what is before it."""
    return not line.strip() or line.startswith("#")


def _flat(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or not problem:
        return type(error).__name__
    return f"line {mark.line + 1}: {problem}"


def _loader() -> Any:
    """Return the class that reads YAML without Ansible's tags."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        """Keeps what has a tag as it is written."""

    def tagged(_: Any, suffix: str, node: Any) -> Tagged:
        if not isinstance(node, yaml.ScalarNode):
            raise VariablesError(f"has a tag !{suffix} on something that is no text")
        return Tagged(f"!{suffix}", node.value)

    Loader.add_multi_constructor("!", tagged)
    return Loader
