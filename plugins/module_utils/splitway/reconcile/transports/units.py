# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a transport's unit and of the file of its variables. Pure."""

from __future__ import annotations

from ...relay import UNWANTED_ENVIRONMENT, Command
from ..services import GROUP, SANDBOX
from .model import USER, Places, Process

PRIVILEGED = 1024  # a lower port needs a right

# More of what a program would heed, and nothing of ours sets.
_PROXIES = tuple(name for word in ("http", "https", "all", "no") for name in (f"{word}_proxy", f"{word}_proxy".upper()))


def unit_text(process: Process, where: Places) -> str:
    """Return the unit.

    Whoever starts it makes copies of its files in its own folder below /run: so what the running process was started
    with is known, always, and its user needs no way to our files or the operator's keys.

    It is started again for ever, every two seconds: growing pauses (RestartSteps=) are newer than Debian 12's systemd.
    A wstunnel that finds no server when it starts aborts after ten seconds (no core of that is worth keeping);
    otherwise programs try again by themselves. Type=exec: systemd waits until the program is executed; that it listens
    is looked at by whoever started it.
    """
    command = _hidden(process)
    names = {name for name, _ in command.environment}
    unset = " ".join(name for name in dict.fromkeys((*UNWANTED_ENVIRONMENT, *_PROXIES)) if name not in names)
    low = any(socket.port < PRIVILEGED for socket in process.sockets)
    rights = "CAP_NET_BIND_SERVICE" if low else ""
    variables = f"EnvironmentFile={where.environment}\n" if names else ""
    return f"""\
# Made by splitway
[Unit]
Description=splitway: {_escaped(process.about)}
After=network.target
StartLimitIntervalSec=0

[Service]
Type=exec
User={USER}
Group={GROUP}
RuntimeDirectory={where.runtime.name}
RuntimeDirectoryMode=0750
UnsetEnvironment={unset}
{variables}{_prepared("ExecStartPre", process, where)}\
ExecStart={_exec_start(command)}
{_reload(process, where)}\
Restart=always
RestartSec=2
LimitCORE=0
LimitNOFILE=16384
UMask=0077
AmbientCapabilities={rights}
CapabilityBoundingSet={rights}
ProtectHome=yes
ProtectHostname=yes
ProtectProc=invisible
PrivateTmp=yes
PrivateDevices=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
SystemCallFilter=@system-service
{SANDBOX}{_INSTALL if process.at_boot else ""}"""


_INSTALL = """
[Install]
WantedBy=multi-user.target
"""


def environment_text(process: Process) -> str:
    """Return the file of the process's variables, "" when it has none: secrets, among them arguments with the path."""
    return _hidden(process).environment_file


def _hidden(process: Process) -> Command:
    """Return the call, with the arguments that have the path in them in its environment.

    A program that wants its URL among its arguments shows it to whoever may look at the host's processes. The unit's
    text would show it to all, and for longer.
    """
    secret, command = process.secret, process.command
    names = {word: f"ARGUMENT_{at}" for at, word in enumerate(command.arguments) if secret and secret in word}
    arguments = tuple(f"${{{names[word]}}}" if word in names else word for word in command.arguments)
    return Command(arguments, (*command.environment, *((name, word) for word, name in names.items())))


def _exec_start(command: Command) -> str:
    variables = {f"${{{name}}}" for name, _ in command.environment}
    return " ".join(word if word in variables else Command((word,)).exec_start for word in command.arguments)


def _prepared(setting: str, process: Process, where: Places) -> str:
    """Return the lines that give the process its copies: for its user alone, but for what it was started with.

    Each takes its place when it is complete and its user's: wstunnel reads a new one at once, and never again when it
    could not (measured).
    """
    sources = [(name, str(where.folder / name)) for name in process.texts] + list(process.copies.items())
    new = {name: str(where.runtime / f".{name}.new") for name, _ in sources}
    lines = [_copied(setting, "0400", source, new[name]) for name, source in sources]
    if sources:
        lines.append(f"{setting}=+/usr/bin/chown --reference={where.runtime} {' '.join(new.values())}\n")
    lines += [f"{setting}=+/usr/bin/mv -f -T {new[name]} {where.runtime / name}\n" for name in new]
    return "".join((*lines, _copied(setting, "0444", str(where.stamp), str(where.started))))


def _copied(setting: str, mode: str, source: str, target: str) -> str:
    words = Command(("/usr/bin/install", "-D", "-m", mode, source, target)).exec_start
    return f"{setting}=+{words}\n"


def _reload(process: Process, where: Places) -> str:
    if not process.rereads:
        return ""
    told = "ExecReload=/bin/kill -HUP $MAINPID\n" if process.signalled else ""
    return _prepared("ExecReload", process, where) + told


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
