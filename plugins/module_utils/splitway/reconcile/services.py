# SPDX-License-Identifier: GPL-3.0-or-later
"""The few things that we ask of systemd: a unit's text, start, stop, restart, is it running.

Reconcilers reach it as ``system.units``, so that a test can run the same unit files as plain
processes in a network namespace. Only the agent's units are enabled: at boot it starts all others.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from ..network_namespace import FOLLOWER, chosen, unit_text

if TYPE_CHECKING:
    from ..system import System

FOLDER = Path("/etc/systemd/system")

WIREGUARD = "splitway-wireguard@.service"

# Without RuntimeDirectory: systemd would remove /run/wireguard, with the sockets of all interfaces,
# when one of them stops. Restart=always and not on-failure: wireguard-go ends with 0 when somebody
# deletes its link. No start limit: a tunnel that gave up stays down until somebody looks.
WIREGUARD_TEXT = """\
# Made by splitway; removed when no interface needs it
[Unit]
Description=splitway: WireGuard in user space for %i
Documentation=man:wg(8)
StartLimitIntervalSec=0

[Service]
Type=forking
ExecStart=/usr/bin/wireguard-go %i
Restart=always
RestartSec=1
"""


SANDBOX = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectClock=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
"""
"""What none of our own programs may do; a unit adds what it needs, and what else it may not."""

GROUP = "nogroup"
"""Of the users of our daemons, and of Debian's user dnsmasq; the agent has it, too: it reads what each was started
with."""


OUTSIDE = ("splitway-guard.service", "splitway-countries.service", FOLLOWER)
"""What runs in the network of the host, wherever the gateway is.

What comes before there is another, what only fetches files, and what follows the other.
"""


def _beside(name: str) -> Path:
    """Return the file that says where a unit runs."""
    return FOLDER / f"{name}.d" / "network-namespace.conf"


class Units:
    """systemd's units on this host. All but read, named, active, executing, enabled and available change it."""

    def __init__(self, system: System) -> None:
        self.system = system

    def available(self) -> bool:
        """Return whether systemd runs this host."""
        return Path("/run/systemd/system").is_dir()

    def file(self, name: str) -> Path:
        """Return where a unit file of ours is."""
        return FOLDER / name

    def read(self, name: str) -> Optional[str]:
        """Return the text of a unit file of ours, None when there is none."""
        return self.system.read_file(FOLDER / name)

    def named(self, prefix: str) -> tuple[str, ...]:
        """Return the names of the unit files that begin so."""
        names = (name for name in self.system.list_files(FOLDER) if name.startswith(prefix))
        return tuple(name for name in names if not name.endswith(".d"))  # a folder with what a unit has beside its text

    def write(self, name: str, text: str) -> None:
        """Write a unit file, unless it has this text already, and let systemd read it."""
        more = unit_text(chosen(self.system)) if name.endswith(".service") and name not in OUTSIDE else ""
        files = {FOLDER / name: text, **({_beside(name): more} if more else {})}
        differing = {path: content for path, content in files.items() if self.system.read_file(path) != content}
        for path, content in differing.items():
            self.system.write_file(path, content, 0o644)
        if differing:
            self._systemctl("daemon-reload")

    def remove(self, name: str) -> None:
        """Remove a unit file and let systemd forget it; nothing when there is none."""
        if self.read(name) is not None:
            self.system.remove_file(FOLDER / name)
            beside = _beside(name)
            if self.system.read_file(beside) is not None:
                self.system.remove_file(beside)
                with suppress(OSError):  # the operator has something there as well
                    beside.parent.rmdir()
            self._systemctl("daemon-reload")

    def active(self, name: str) -> bool:
        """Return whether a unit runs, or is about to run again after it ended."""
        if not self.available():
            return False
        shown = self.system.read("systemctl", "show", "--property=ActiveState", "--value", name)
        return shown.strip() in ("active", "activating", "reloading")

    def executing(self, name: str) -> bool:
        """Return whether a unit's program runs at this moment."""
        if not self.available():
            return False
        return self.system.read("systemctl", "show", "--property=ActiveState", "--value", name).strip() == "active"

    def enabled(self, name: str) -> bool:
        """Return whether a unit is started at boot."""
        if not self.available():
            return False
        shown = self.system.read("systemctl", "show", "--property=UnitFileState", "--value", name)
        return shown.strip() == "enabled"

    def enable(self, name: str) -> None:
        """Have a unit started at boot. Raises SystemFailure."""
        self._systemctl("enable", "--quiet", name)

    def disable(self, name: str) -> None:
        """Have a unit not started at boot; nothing when it is not."""
        if self.enabled(name):
            self._systemctl("disable", "--quiet", name)

    def start(self, name: str) -> None:
        """Start a unit and wait until it says that it runs. Raises SystemFailure."""
        self._systemctl("start", name)

    def restart(self, name: str) -> None:
        """Stop a unit if it runs, and start it. Raises SystemFailure."""
        self._end("restart", name)

    def launch(self, name: str, *argv: str) -> None:
        """Start a program as a unit that has no file and is forgotten when it ends. Raises SystemFailure."""
        again = ("--property=Restart=on-failure", "--property=RestartSec=1", "--property=StartLimitIntervalSec=0")
        self.system.run("systemd-run", "--quiet", "--collect", f"--unit={name}", *again, "--", *argv)

    def reload(self, name: str) -> None:
        """Let a unit that runs read its configuration again; nothing when it does not run."""
        if self.active(name):
            self._systemctl("reload", name)

    def stop(self, name: str) -> None:
        """Stop a unit; nothing when it does not run."""
        if self.active(name):
            self._end("stop", name)

    def stop_all(self, names: Sequence[str]) -> None:
        """Stop units at once, those that run; a name may be a pattern, as in splitway-wireguard@*.service."""
        if names:
            self._systemctl("stop", *names)

    def _end(self, verb: str, name: str) -> None:
        """Who asks that of itself does not wait for it: it first finishes what it does."""
        shown = self.system.read("systemctl", "show", "--property=MainPID", "--value", name)
        itself = shown.strip() == str(os.getpid())
        self._systemctl(*(("--no-block",) if itself else ()), verb, name)

    def _systemctl(self, *argv: str) -> None:
        self.system.run("systemctl", *argv)
