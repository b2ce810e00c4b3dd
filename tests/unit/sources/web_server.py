# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server for tests: what it answers is set by the test, what it was asked is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Optional


@dataclass
class Page:
    """What one path answers."""

    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""
    while_sending: Optional[Callable[[], object]] = None
    drops: float = 0  # seconds between its first bytes


@dataclass
class Web:
    """A running server."""

    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, path: str, content: str, **about: object) -> str:
        """Set what a path answers, and return its URL."""
        self.pages[path] = Page(content.encode(), **about)  # type: ignore[arg-type]
        return self.url + path


@contextmanager
def serving() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            web.asked.append(path)
            page = web.pages.get(path, Page(b"<html>no such page</html>", 404))
            known = bool(page.etag) and self.headers.get("If-None-Match") == page.etag
            self.send_response(304 if known else page.status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            if page.etag:
                self.send_header("ETag", page.etag)
            if not known and "Content-Length" not in page.headers:
                self.send_header("Content-Length", str(len(page.content)))
            self.end_headers()
            if page.while_sending:
                page.while_sending()
            if not known:
                try:
                    for byte in page.content[:50] if page.drops else ():
                        self.wfile.write(bytes([byte]))
                        time.sleep(page.drops)
                    self.wfile.write(page.content[50:] if page.drops else page.content)
                except OSError:
                    pass  # who asked has given up

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    web = Web(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
