# SPDX-License-Identifier: GPL-3.0-or-later
"""What blocks or changes the host has a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from splitway.agent.daemon import Daemon
from splitway.system import System


def test_names_that_nobody_answers_do_not_keep_the_agent_from_healing(tmp_path: Path) -> None:
    async def run() -> str:
        daemon = Daemon(System(tmp_path / "etc", tmp_path / "run", tmp_path / "log", tmp_path / "data"))
        answered = threading.Event()
        late = threading.Timer(60, answered.set)
        late.start()
        asked = [asyncio.get_running_loop().run_in_executor(None, answered.wait) for _ in range(100)]
        done = await daemon._work("{}{}".format, "heal", "ed")
        assert not answered.is_set()
        late.cancel()
        answered.set()
        await asyncio.wait(asked)
        return str(done)

    assert asyncio.run(run()) == "healed"
