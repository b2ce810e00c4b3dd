# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge from an action plugin to the lists of a topology that come from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.splitway.gateway.plugins.module_utils.splitway.sources.library import ListLibrary
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.sources.loading import Places
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.sources.memo import Memo
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.sources.report import summary, warnings

CACHE = "~/.cache/splitway/lists"


def library_of(variables: Mapping[str, Any], task_vars: Mapping[str, Any], temporary: str) -> ListLibrary:
    """Return the library of a host's topology. `temporary` is Ansible's folder of this run on the controller."""
    memo = Memo(Path(temporary) / "splitway-lists")
    cache = variables.get("splitway_list_cache")
    copies = Path(os.path.expanduser(cache if isinstance(cache, str) and cache else CACHE))
    near = [task_vars.get("inventory_dir"), task_vars.get("playbook_dir"), str(Path.cwd())]
    folders = [Path(folder) for folder in near if isinstance(folder, str)]
    within = tuple(dict.fromkeys(place for folder in folders for place in (folder, folder / "files")))
    return ListLibrary(Places(within, copies, memo.started), memo)


def tell(library: ListLibrary, display: Any) -> None:
    """Say once a run what is to be known about the lists that were read."""
    news = {name: library.loaded[name] for name in library.news}
    for name, found in news.items():
        for warning in warnings(name, found):
            display.warning(warning)
        for skipped in found.entries.skipped:
            display.v(f"splitway_lists.{name}: left out: {skipped}")
    text = summary(news)
    if text:
        display.display(text, stderr=True)
