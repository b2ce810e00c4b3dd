# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a file of `wg-quick`: its sections, their settings by line, and what comments call peers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Optional

from ..topology.errors import shown
from .entries import Refused

# How those who write such files name a peer: exporters of metrics, installers, wg-easy, people.
_NAMED = re.compile(
    r"(?:friendly_name\s*=|(?:client|begin_peer|begin|peer|user|name)\b\s*[:=]?)\s*(?P<name>.+?)\s*(?:\([\w-]+\))?#*",
    re.IGNORECASE,
)
_END = re.compile(r"(?:end_peer|end)\b.*", re.IGNORECASE)
_OFF = re.compile(r"\[.*|[A-Za-z0-9]+\s*=.*")  # a setting or a section that somebody has switched off
_LONGEST_NAME = 63


@dataclass(frozen=True)
class Setting:
    """One line `word = value`."""

    word: str
    value: str = field(repr=False)
    line: int

    @property
    def key(self) -> str:
        """The word in lower case: its case does not matter."""
        return self.word.lower()


@dataclass
class Section:
    """[Interface], or one [Peer]."""

    begin: int  # its line
    settings: list[Setting] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    def get(self, key: str) -> Optional[str]:
        """Return the last value of a key; None without one."""
        return next((setting.value for setting in reversed(self.settings) if setting.key == key), None)

    def line(self, key: str) -> int:
        return next((setting.line for setting in reversed(self.settings) if setting.key == key), self.begin)

    def word(self, key: str) -> str:
        return next((setting.word for setting in reversed(self.settings) if setting.key == key), key)

    def entries(self, key: str) -> Iterator[tuple[int, str]]:
        """Yield line and text of all entries of a key that may be there several times, with commas."""
        for setting in self.settings:
            if setting.key == key:
                yield from ((setting.line, text) for part in setting.value.split(",") if (text := part.strip()))

    def texts(self, key: str) -> list[str]:
        return [text for _, text in self.entries(key)]

    @property
    def name(self) -> str:
        """What a comment calls it, or "": what says that it is a name, else the only thing that is said."""
        texts = [text.strip("# \t") for text in self.comments]
        said = [found["name"] for text in texts if (found := _NAMED.fullmatch(text))]
        other = [text for text in texts if text and not _OFF.fullmatch(text) and not _END.fullmatch(text)]
        if said:
            return said[0]
        return other[0] if len(other) == 1 and len(other[0]) <= _LONGEST_NAME else ""


@dataclass(frozen=True)
class Configuration:
    """One file."""

    file: str
    interface: Section
    peers: tuple[Section, ...]

    @property
    def name(self) -> str:
        """The interface's: the file's without its ending."""
        return self.file.rpartition(".")[0]


def read_configuration(file: str, text: str, refused: Refused) -> Optional[Configuration]:
    """Return what a file says; None after lines that are no setting, or a file without [Interface], were refused."""
    sections: list[tuple[str, Section]] = []
    comments: list[str] = []  # that belong to what follows
    before = len(refused.lines)
    for number, line in enumerate(text.splitlines(), 1):
        content, mark, comment = line.partition("#")
        content = content.strip()
        if mark and not content:
            comments.append(comment)
        elif content.startswith("["):
            sections.append((content.lower(), Section(number, comments=comments)))
            comments = []
            if content.lower() not in ("[interface]", "[peer]"):
                refused.line(file, number, "", f"{shown(content)} is no section of wg-quick's")
        elif content:
            word, equals, value = content.partition("=")
            if not equals or not sections:
                refused.line(file, number, "", "is no setting in a section")
                continue
            section = sections[-1][1]
            section.settings.append(Setting(word.strip(), value.strip(), number))
            section.comments += [*comments, *([comment] if mark else [])]
            comments = []
    interfaces = [section for kind, section in sections if kind == "[interface]"]
    if len(interfaces) != 1 and len(refused.lines) == before:
        refused.line(file, 1, "", f"has {len(interfaces)} sections [Interface]: is this a file of wg-quick's?")
    if len(refused.lines) > before:
        return None
    return Configuration(file, interfaces[0], tuple(section for kind, section in sections if kind == "[peer]"))
