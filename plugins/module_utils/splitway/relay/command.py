# SPDX-License-Identifier: GPL-3.0-or-later
"""A program's call, as systemd wants it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

UNWANTED_ENVIRONMENT = ("HTTP_PROXY", "NO_COLOR", "RUST_LOG", "SSLKEYLOGFILE", "SSL_CERT_DIR", "SSL_CERT_FILE")
"""What the programs would heed, and systemd may have been told for all units: for UnsetEnvironment=, unless we set it.
NO_COLOR=1 alone keeps wstunnel from starting."""

ANCHORS = "SSL_CERT_FILE"
"""The variable that both programs' TLS libraries heed: a file of trusted certificates, in place of the system's."""

_PLAIN = re.compile(r"[A-Za-z0-9_@:,./=+\[\]?&-]+")


@dataclass(frozen=True)
class Command:
    """A program's call. The arguments are for all to see, the environment is not: it goes by a file of root's."""

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def exec_start(self) -> str:
        """The arguments as ExecStart= takes them: a dollar and a percent sign are written twice."""
        return " ".join(
            word if _PLAIN.fullmatch(word) else _quoted(word).replace("%", "%%").replace("$", "$$")
            for word in self.arguments
        )

    @property
    def environment_file(self) -> str:
        """The environment as EnvironmentFile= takes it; "" when there is none."""
        return "".join(f"{name}={_quoted(value).replace('$', chr(92) + '$')}\n" for name, value in self.environment)


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
