# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A translated page has the commands, the YAML and the sections of its original; only words differ."""

from __future__ import annotations

import re

import pytest
import yaml

from ansible_collections.splitway.gateway.tests.documents.blocks import ROOT, block_commands, blocks, is_yaml, pages

PAIRS = [(page.replace(".zh-CN.md", ".md"), page) for page in pages() if page.endswith(".zh-CN.md")]
ONLY_TRANSLATED = {"README.zh-CN.md": {"术语"}}  # the words of the field in both languages


def commands(page: str) -> list[str]:
    """Return a page's commands in order."""
    return [command.text for block in blocks(page) for command in block_commands(block)]


def topologies(page: str) -> list[object]:
    """Return what a page's YAML says."""
    return [yaml.safe_load(block.text) for block in blocks(page) if is_yaml(block)]


def sections(page: str) -> list[str]:
    """Return a page's headings of the second order."""
    return re.findall(r"^## (.*)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)


def test_there_are_translations() -> None:
    assert PAIRS == [("README.md", "README.zh-CN.md"), ("docs/quick-start.md", "docs/quick-start.zh-CN.md")]


@pytest.mark.parametrize(("original", "translated"), PAIRS)
def test_commands_are_the_same(original: str, translated: str) -> None:
    assert commands(translated) == commands(original)


@pytest.mark.parametrize(("original", "translated"), PAIRS)
def test_topologies_are_the_same(original: str, translated: str) -> None:
    assert topologies(translated) == topologies(original)


@pytest.mark.parametrize(("original", "translated"), PAIRS)
def test_there_are_as_many_sections(original: str, translated: str) -> None:
    own = [title for title in sections(translated) if title not in ONLY_TRANSLATED.get(translated, ())]
    assert len(own) == len(sections(original))
