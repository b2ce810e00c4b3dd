# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's journal at work, and nothing else of the agent, as a process of its own.

`journal.py FOLDER OWNER`: the gateway's folders are below FOLDER, its units are plain processes that OWNER started.
It reads each answer to the client, and writes what it read to the journal and the sets, until SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
sys.path[:0] = [str(REPOSITORY / folder) for folder in ("plugins/module_utils", "tests/kernel")]

from namespaces import NamespaceSystem  # noqa: E402

from splitway.agent.names.journal import Journal  # noqa: E402
from splitway.agent.names.learning import Learning  # noqa: E402
from splitway.store import Store  # noqa: E402


async def main() -> None:
    """Read and write until SIGTERM."""
    system = NamespaceSystem(Path(sys.argv[1]), int(sys.argv[2]))
    store = Store(system)
    learning = Learning(store, Journal(system.data / "journal.db"))
    learning.configure(store.generation())
    work = asyncio.create_task(learning.run(asyncio.to_thread))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    print("reads", flush=True)
    try:
        await work
    except asyncio.CancelledError:
        learning.close()


if __name__ == "__main__":
    asyncio.run(main())
