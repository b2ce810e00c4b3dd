# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's control socket: one line with a question in, one JSON document out."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any, Callable

from ..system import System
from .errors import AgentError

PATIENCE = 5.0  # seconds that an answer may take

Answerers = Mapping[str, Callable[[], Awaitable[Any]]]
"""Question → what makes its answer, in plain data."""


def path(system: System) -> Path:
    """Return where the socket is."""
    return system.runtime / "agent.sock"


async def serve(system: System, answerers: Answerers) -> asyncio.AbstractServer:
    """Return the server of the control socket, which only root may use."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = (await asyncio.wait_for(reader.readline(), PATIENCE)).decode().strip()
            if question in answerers:
                writer.write(json.dumps(await answerers[question]()).encode())
                await writer.drain()
        except (asyncio.TimeoutError, ConnectionError, UnicodeDecodeError):
            pass  # whoever asked is gone, or is not us
        finally:
            writer.close()

    where = path(system)
    where.unlink(missing_ok=True)
    mask = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(answer, path=str(where))
    finally:
        os.umask(mask)


def ask(system: System, question: str) -> Any:
    """Return the running agent's answer. Raises AgentError when there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(PATIENCE)
        try:
            channel.connect(str(path(system)))
            channel.sendall(f"{question}\n".encode())
            text = b"".join(iter(lambda: channel.recv(65536), b""))
            return json.loads(text)
        except PermissionError as error:
            raise AgentError("only root may ask the agent: run this with sudo") from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise AgentError("the agent does not run on this host: systemctl start splitway") from error
        except (OSError, ValueError) as error:
            raise AgentError("the agent does not answer: see journalctl -u splitway") from error
