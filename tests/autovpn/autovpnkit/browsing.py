# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client's curl, with a proxy or without."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.hosts import host
from labkit.ways import WAYS

GATEWAY = "10.8.0.1"
SOCKS5, HTTP = f"socks5h://{GATEWAY}:1080", f"http://{GATEWAY}:8080"
USER, PASSWORD = "anna", "p@ss:w/o%r&d ?"


@dataclass(frozen=True)
class Answer:
    """What curl said."""

    status: int  # of curl itself, 0: it has an answer
    code: int  # of HTTP; 0: none came
    connect: int  # the proxy's own, to CONNECT; 0: none came
    text: str
    headers: str

    @property
    def way(self) -> str:
        """The way that the web server saw."""
        return WAYS.get(self.text.strip(), f"status {self.status}, HTTP {self.code}, {self.text!r}")


def browse(client: str, url: str, *options: str) -> Answer:
    """Returns the answer to a client's request."""
    command = "curl --silent --insecure --max-time 60 --dump-header /tmp/headers --output /tmp/body --write-out %s %s"
    quoted = " ".join("%s" for _ in options)
    host(client).run("rm -f /tmp/headers /tmp/body")
    done = host(client).run(f"{command} {quoted}", "%{http_code} %{http_connect}", url, *options)
    code, connect = map(int, done.stdout.split())
    text, headers = (host(client).run("cat /tmp/%s", file).stdout for file in ("body", "headers"))
    return Answer(done.rc, code, connect, text, headers)


def with_proxy(proxy: str, user: str | None = f"{USER}:{PASSWORD}") -> tuple[str, ...]:
    """Returns curl's options for a proxy and its user; None: no credentials."""
    return ("--proxy", proxy, *(("--proxy-user", user) if user is not None else ()))
