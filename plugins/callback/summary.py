# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes one JSON document at the end of a run: what became of each host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: One JSON document on what a run has come to
version_added: 0.1.0
description:
  - At the end of any playbook, writes for each host how many tasks changed something, the changes by section of the
    gateway, which task failed and why, whether the host was unreachable, rolled back or is not confirmed, and how long
    it took.
  - Of tasks with C(no_log) it has neither results nor messages; arguments of tasks are never in it.
requirements:
  - Enable it, for example by the environment's C(ANSIBLE_CALLBACKS_ENABLED=splitway.gateway.summary).
options:
  path:
    description:
      - The file. A relative path begins where Ansible was started. C(-) writes the document as one line to the output.
      - The extra variable C(splitway_summary) comes before it.
    type: str
    default: splitway-summary.json
    env:
      - name: SPLITWAY_SUMMARY
    ini:
      - section: callback_splitway_summary
        key: path
author:
  - splitway contributors (@splitway)
"""

import json
import os
import time
from datetime import datetime, timezone
from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible_collections.splitway.gateway.plugins.module_utils._exchange import absolute
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.system import System, SystemFailure
from ansible_collections.splitway.gateway.plugins.plugin_utils.summaries import HostSummary, message_of, summary


class CallbackModule(CallbackBase):
    """See the documentation above."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "splitway.gateway.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._hosts: dict[str, HostSummary] = {}
        self._begun: dict[tuple[str, str], float] = {}  # host, task → when
        self._playbook, self._asked = "", ""
        self._started, self._clock = _now(), time.monotonic()

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._playbook = os.path.basename(playbook._file_name)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._asked = str(play.get_variable_manager().extra_vars.get("splitway_summary") or self._asked)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._begun[host.get_name(), task._uuid] = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        host, task = self._of(result)
        module, state = task.action.rpartition(".")[2], task.args.get("state", "")
        host.ok(module, str(state), _result(result))

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._of(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        host, task = self._of(result)
        if not ignore_errors:
            host.failed(task.get_name(), _result(result))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        host, _ = self._of(result)
        host.unreachable = message_of(_result(result))

    def v2_playbook_on_stats(self, stats: Any) -> None:
        failed = frozenset(name for name in stats.processed if stats.summarize(name)["failures"])
        seconds = time.monotonic() - self._clock
        document = summary(self._playbook, self._hosts, failed, (self._started, _now()), seconds)
        path = self._asked or self.get_option("path")
        if path == "-":
            self._display.display(json.dumps(document, ensure_ascii=False))
            return
        try:
            System().write_file(absolute(path), json.dumps(document, indent=2, ensure_ascii=False) + "\n", 0o644)
        except (OSError, SystemFailure) as error:
            self._display.warning(f"the summary cannot be written: {error}")

    def _of(self, result: Any) -> tuple[HostSummary, Any]:
        """Return the host and the task of a result, with the task's time counted."""
        # Before ansible-core 2.19 they have an underscore.
        name = (result.host if hasattr(result, "host") else result._host).get_name()
        task = result.task if hasattr(result, "task") else result._task
        host = self._hosts.setdefault(name, HostSummary())
        host.seconds += time.monotonic() - self._begun.pop((name, task._uuid), time.monotonic())
        return host, task


def _result(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = result.result if hasattr(result, "result") else result._result
    return found


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
