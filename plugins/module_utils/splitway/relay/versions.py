# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version of a program has which flag, as the tags of its source tell."""

from __future__ import annotations

import re

from .command import Command

# The program's word is optional: wstunnel calls itself `wstunnel-cli` since 10.
_VERSION = re.compile(r"(?:[A-Za-z][A-Za-z-]*\s+)?v?([0-9]+)\.([0-9]+)\.([0-9]+)\S*")

Version = tuple[int, int, int]

_WSTUNNEL_CLIENT = {
    "--connection-min-idle": (7, 2, 0),
    "--connection-retry-max-backoff": (10, 1, 9),
    "--local-to-remote": (7, 0, 0),
    "--log-lvl": (8, 5, 0),
    "--no-color": (8, 4, 2),
    "--tls-certificate": (9, 3, 0),
    "--tls-private-key": (9, 3, 0),
    "--tls-sni-override": (7, 0, 0),
    "--tls-verify-certificate": (7, 0, 0),
    "--websocket-ping-frequency": (10, 1, 9),  # --websocket-ping-frequency-sec before
    "WSTUNNEL_HTTP_UPGRADE_PATH_PREFIX": (8, 4, 1),
}
_WSTUNNEL_SERVER = {
    "--log-lvl": (8, 5, 0),
    "--no-color": (8, 4, 2),
    "--restrict-config": (9, 4, 0),
    "--tls-certificate": (7, 0, 0),
    "--tls-client-ca-certs": (9, 3, 0),
    "--tls-private-key": (7, 0, 0),
    "--websocket-ping-frequency": (10, 1, 9),
}
_WEBSOCAT = {
    "--autoreconnect-delay-millis": (1, 6, 0),
    "--binary": (1, 0, 0),
    "--exit-on-eof": (1, 0, 0),
    "--insecure": (1, 2, 0),
    "--ping-interval": (1, 4, 0),
    "--ping-timeout": (1, 4, 0),
    "--tls-domain": (1, 1, 0),
    "--unlink": (1, 0, 0),
    "--ws-c-uri": (1, 0, 0),
    "-q": (1, 0, 0),
    "-v": (1, 0, 0),
}


class RelayError(Exception):
    """A program cannot do what is asked of it; the message says what to do."""


def version(text: str) -> Version:
    """Return the version in what `--version` prints. Raises RelayError when there is none."""
    found = _VERSION.fullmatch(text.strip().splitlines()[0]) if text.strip() else None
    if found is None:
        raise RelayError("it does not tell its version")
    return int(found[1]), int(found[2]), int(found[3])


def first_versions(program: str, command: Command) -> dict[str, Version]:
    """Return the first version that has each of a call's flags and variables. Raises KeyError for one we do not know.

    `program`: wstunnel | websocat.
    """
    table = _WEBSOCAT
    if program == "wstunnel":
        table = {"client": _WSTUNNEL_CLIENT, "server": _WSTUNNEL_SERVER}[command.arguments[1]]
    words = [word.split("=", 1)[0] for word in command.arguments[1:] if word.startswith("-")]
    words += [name for name, _ in command.environment if name.startswith("WSTUNNEL_")]
    return {word: table[word] for word in words}


def check(program: str, found: Version, command: Command) -> None:
    """Raise RelayError when a program of this version lacks what its call uses: all that is missing at once."""
    missing = [(first, word) for word, first in first_versions(program, command).items() if first > found]
    if missing:
        words = ", ".join(f"{word} (since {shown(first)})" for first, word in sorted(missing))
        raise RelayError(
            f"{program} {shown(found)} has no {words}: "
            f"give splitway_programs.{program} a version from {shown(max(missing)[0])} on"
        )


def newest_flag(program: str) -> tuple[str, Version]:
    """Return the flag of a program that came last of those that every call of it has, and its first version."""
    table = _WEBSOCAT if program == "websocat" else _WSTUNNEL_CLIENT
    word = max(table, key=lambda flag: (table[flag], flag))
    return word, table[word]


def shown(found: Version) -> str:
    """Return a version as it is written."""
    return ".".join(map(str, found))
