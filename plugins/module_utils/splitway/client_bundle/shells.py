# SPDX-License-Identifier: GPL-3.0-or-later
"""A command as the shells of Linux, macOS and Windows take it, whatever is in its words. Pure."""

from __future__ import annotations

import shlex
import subprocess

from ..relay.command import Command

_SINGLE_QUOTES = "'\u2018\u2019\u201a\u201b"  # PowerShell takes the typographic ones for the plain one
_OF_CMD = frozenset('()!^"<>&|')  # what means something to cmd.exe outside of quotes, behind the program's name


def sh(command: Command) -> str:
    """Return the command for a POSIX shell, on one line; the program is in the folder."""
    variables = (f"{name}={shlex.quote(value)}" for name, value in command.environment)
    program, *arguments = command.arguments
    return " ".join((*variables, shlex.join((f"./{program}", *arguments))))


def sh_lines(command: Command) -> list[str]:
    """Return the end of a POSIX shell's script, whose place the program takes, wherever it is installed."""
    variables = (f"export {name}={shlex.quote(value)}" for name, value in command.environment)
    return [*variables, f"exec {shlex.join(command.arguments)}"]


def powershell(command: Command) -> str:
    """Return the command for Windows PowerShell 5.1 and PowerShell 7, one statement a line.

    The program is in the folder. The two pass quotes in arguments of a program on in different ways; both leave the
    one text that Start-Process is given alone.
    """
    lines = [f"$env:{name} = {_literal(value)}" for name, value in command.environment]
    program, *arguments = command.arguments
    lines.append(
        f"Start-Process -NoNewWindow -Wait -FilePath {_literal(f'.{chr(92)}{program}.exe')}"
        f" -ArgumentList {_literal(subprocess.list2cmdline(arguments))}"
    )
    return "\n".join(lines)


def batch(command: Command) -> str:
    """Return the command for a batch file of cmd.exe, one statement a line."""
    lines = [f"set {name}={_for_cmd(value)}" for name, value in command.environment]
    program, *arguments = command.arguments
    lines.append(_for_cmd(subprocess.list2cmdline((f"{program}.exe", *arguments))))
    return "\n".join(lines)


def _literal(text: str) -> str:
    doubled = "".join(letter * 2 if letter in _SINGLE_QUOTES else letter for letter in text)
    return f"'{doubled}'"


def _for_cmd(text: str) -> str:
    """Return a text that cmd.exe takes as it is in a batch file.

    Quotes, too, get a caret: inside of quotes that cmd.exe knows of, carets would mean themselves.
    """
    return "".join("%%" if letter == "%" else f"^{letter}" if letter in _OF_CMD else letter for letter in text)
