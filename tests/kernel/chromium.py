# SPDX-License-Identifier: GPL-3.0-or-later
"""A Chromium that is driven by its own protocol, through a pipe: what a page shows, says and asks for."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = "/usr/bin/chromium"
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-pipe", "--hide-scrollbars"),
)
PATIENCE = 60.0  # seconds: a busy machine takes its time
_TO, _FROM = 3, 4  # where the browser reads commands and writes answers


class Page:
    """One page; `said` is what it wrote to the console or threw, `asked` every URL that it asked for."""

    def __init__(self, to: int, from_: int) -> None:
        self._to, self._from = to, from_
        self._buffer = b""
        self._number = 0
        self._session = ""
        self.said: list[str] = []
        self.asked: list[str] = []
        self._loaded = False
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def open(self, url: str, *, dark: bool = False, width: int = 1400, height: int = 1000) -> float:
        """Open a page; return the seconds until it had loaded and was drawn once."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._loaded = False
        began = time.monotonic()
        self._send("Page.navigate", url=url)
        while not self._loaded:
            self._receive()
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return time.monotonic() - began

    def evaluate(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        found = self._send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"])
        return found["result"].get("value")

    def picture(self, path: Path) -> None:
        """Keep what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self._send("Page.captureScreenshot", format="png")["data"]))

    def paper(self) -> bytes:
        """Return the page as it is printed, as PDF."""
        return base64.b64decode(self._send("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])

    def _send(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            with selectors.DefaultSelector() as waiting:  # a session of many tests has numbers beyond those of select
                waiting.register(self._from, selectors.EVENT_READ)
                part = os.read(self._from, 1 << 20) if waiting.select(PATIENCE) else b""
            if not part:
                raise AssertionError("the browser does not answer")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, about: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.asked.append(about["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.said.append(json.dumps(about["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.said.append(json.dumps(about["args"]))
        elif method == "Log.entryAdded":
            self.said.append(about["entry"]["text"])


@contextlib.contextmanager
def page(folder: Path) -> Iterator[Page]:
    """Run a browser with one page, in a network where nobody is."""
    to_read, to = os.pipe()
    from_, from_write = os.pipe()
    command = ["unshare", "--net", PROGRAM, *OPTIONS, f"--user-data-dir={folder / 'profile'}"]
    # The shell moves the pipes to where the browser looks for them, wherever they are here.
    moved = f'exec "$@" {_TO}<&{to_read} {_FROM}>&{from_write}'
    process = subprocess.Popen(
        ["bash", "-c", moved, "bash", *command],
        pass_fds=(to_read, from_write),
        env={**os.environ, "HOME": str(folder)},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(from_write)
    try:
        yield Page(to, from_)
    finally:
        os.close(to)  # it ends when nobody can command it any more
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_)
