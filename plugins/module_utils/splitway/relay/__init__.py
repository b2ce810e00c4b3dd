# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that carry WireGuard and proxies inside a WebSocket: how wstunnel and websocat are called. All pure."""

from .command import UNWANTED_ENVIRONMENT, Command
from .versions import RelayError, check, version

__all__ = ["UNWANTED_ENVIRONMENT", "Command", "RelayError", "check", "version"]
