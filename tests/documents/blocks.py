# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks and commands of the documents.

A block is indented or fenced. What has no language, or `bash`, is commands or YAML; anything else (an answer, a
drawing) is a fence that says so: ```text. In a fence with `console`, commands begin with `# ` and their answers follow.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
NOT_OURS_TO_RUN = ("docs/decisions/", "CHANGELOG.md")  # they tell of what was, measured or decided at their time
INLINE = re.compile(r"[a-z][a-z0-9_-]+ \S")
PIPELINE_KEYS = ("run", "script", "before_script", "after_script")


@dataclass(frozen=True)
class Block:
    """One block of a page: its first line's number, its language ("" when nothing says it) and its text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command as it stands in a page, joined to one line where it goes on with a backslash."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"

    @property
    def program(self) -> str:
        """The word that decides where it is run."""
        words = [word for word in self.text.split() if "=" not in word.partition("'")[0] and word != "sudo"]
        return words[0] if words else ""


@cache
def pages() -> tuple[str, ...]:
    """Return every page of the repository, by its path, new ones included."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    found = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return tuple(page for page in found if not page.startswith(NOT_OURS_TO_RUN) and (ROOT / page).exists())


@cache
def tokens(page: str) -> tuple[Any, ...]:
    """Return markdown-it's tokens of a page, those of tables included."""
    return tuple(MarkdownIt().enable("table").parse((ROOT / page).read_text(encoding="utf-8")))


def blocks(page: str) -> Iterator[Block]:
    """Yield a page's blocks, in order."""
    for token in tokens(page):
        if token.type in {"code_block", "fence"}:
            yield Block(page, token.map[0] + 1, token.info.strip(), token.content)


def is_yaml(block: Block) -> bool:
    """Tell whether a block without a language is a mapping or list in YAML, and no line of commands."""
    if block.language:
        return block.language == "yaml"
    try:
        documents = list(yaml.safe_load_all(block.text))
    except yaml.YAMLError:
        return False
    return bool(documents) and all(isinstance(document, (dict, list)) for document in documents)


def logical_lines(block: Block) -> Iterator[Command]:
    """Yield what a shell takes as one command each: continued lines and compound commands are joined, comments go."""
    kept: list[str] = []
    first = 0
    for number, line in enumerate(block.text.splitlines(), block.line):
        text = re.sub(r"(^|\s+)# .*$", "", line) if not kept else line
        if not text.strip() and not kept:
            continue
        first = first if kept else number
        kept.append(text)
        whole = "\n".join(kept)
        complete = subprocess.run(["bash", "-n"], input=whole, text=True, capture_output=True, check=False)
        if complete.returncode == 0 and not text.endswith("\\"):
            yield Command(block.page, first, re.sub(r"\s*\\\n\s*", " ", whole).strip())
            kept = []
    if kept:
        yield Command(block.page, first, "\n".join(kept))


def console_lines(block: Block) -> Iterator[Command]:
    """Yield the commands of a console; a remark behind three spaces goes."""
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith("# "):
            yield Command(block.page, number, re.sub(r"\s{3,}.*$", "", line[2:]))


def pipeline_lines(block: Block) -> Iterator[Command]:
    """Yield the commands of a pipeline of GitHub or GitLab in YAML."""

    def scripts(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, entry in value.items():
                if key in PIPELINE_KEYS:
                    yield from [entry] if isinstance(entry, str) else entry
                else:
                    yield from scripts(entry)
        elif isinstance(value, list):
            for entry in value:
                yield from scripts(entry)

    for document in yaml.safe_load_all(block.text):
        for script in scripts(document):
            for command in logical_lines(Block(block.page, block.line, "bash", script)):
                yield Command(block.page, block.line, command.text)


def block_commands(block: Block) -> Iterator[Command]:
    """Yield the commands of one block."""
    if block.language == "console":
        yield from console_lines(block)
    elif is_yaml(block):
        yield from pipeline_lines(block) if block.language == "yaml" else ()
    elif block.language in {"", "bash"}:
        yield from logical_lines(block)


def inline_commands(page: str, programs: frozenset[str]) -> Iterator[Command]:
    """Yield what stands in a page's sentences and tables as code and begins with one of these programs."""
    for token in tokens(page):
        for child in token.children or ():
            if child.type == "code_inline" and INLINE.match(child.content):
                command = Command(page, (token.map or [0])[0] + 1, child.content)
                if command.program in programs:
                    yield command


def commands(programs: frozenset[str]) -> list[Command]:
    """Return all commands of all pages; those in sentences where they begin with one of these programs."""
    found = []
    for page in pages():
        found += [command for block in blocks(page) for command in block_commands(block)]
        found += inline_commands(page, programs)
    return found
