# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands arrive in their program word by word, whatever is in the words: sh is asked, Windows' rules are read."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from hypothesis import example, given, settings
from hypothesis import strategies as st

from splitway.client_bundle.shells import batch, powershell, sh
from splitway.relay import Command

HOSTILE = (
    "",
    "plain",
    "two words",
    "it's",
    'say "no"',
    "\\",
    'a\\"b\\\\',
    "tail\\",
    "$HOME",
    "$(reboot)",
    "`reboot`",
    "%PATH%",
    "100%",
    "!x!",
    "a&b|c>d<e",
    "^caret^",
    "(a);b,c=d",
    "*?[a]~#",
    "@ : / % & ?",
    "‘quoted’",
    "-x",
    "{a,b}",
)
WORDS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=12) | st.sampled_from(HOSTILE)
COMMANDS = st.builds(
    Command,
    arguments=st.lists(WORDS, min_size=1, max_size=4).map(lambda words: ("relay", *words)),
    environment=st.dictionaries(st.sampled_from(["SECRET_PATH", "CA"]), WORDS.filter(bool)).map(
        lambda found: tuple(found.items())
    ),
)
ALL = Command(("relay", *HOSTILE), (("SECRET_PATH", "a b'\"%&$!^\\"),))
SAYS = (
    "import json, os, sys; json.dump([sys.argv[1:], {k: os.environ.get(k) for k in ('SECRET_PATH', 'CA')}], sys.stdout)"
)


@settings(max_examples=30, deadline=None)
@example(ALL)
@given(COMMANDS)
def test_sh_gives_a_program_its_words(command: Command) -> None:
    asked = Command((sys.executable, "-c", SAYS, *command.arguments[1:]), command.environment)
    done = subprocess.run(["sh", "-c", sh(asked)], cwd="/", capture_output=True, text=True, check=True)
    arguments, environment = json.loads(done.stdout)
    assert arguments == list(command.arguments[1:])
    assert {name: value for name, value in environment.items() if value is not None} == dict(command.environment)


def argv_of(line: str) -> list[str]:
    """Read a command line as Microsoft documents it for C programs (backslashes before quotes, then quotes)."""
    words: list[str] = []
    word, begun, quoted, index = "", False, False, 0
    while index < len(line):
        slashes = len(line[index:]) - len(line[index:].lstrip("\\"))
        index += slashes
        letter = line[index : index + 1]
        if letter == '"':
            word += "\\" * (slashes // 2)
            begun = True
            if slashes % 2:
                word += '"'
            else:
                quoted = not quoted
        else:
            word += "\\" * slashes
            begun = begun or bool(slashes)
            if letter in (" ", "\t") and not quoted:
                if begun:
                    words.append(word)
                word, begun = "", False
            elif letter:
                word += letter
                begun = True
        index += 1
    return [*words, word] if begun else words


def read_by_cmd(line: str) -> str:
    """Return a line of a batch file as cmd.exe passes it on; fails where it would do more than that.

    First percent signs: two are one, and one would begin a variable. Then carets and quotes.
    """
    assert "%" not in line.replace("%%", ""), line
    text, found, quoted = iter(line.replace("%%", "%")), "", False
    for letter in text:
        if letter == "^" and not quoted:
            found += next(text)
            continue
        if letter == '"':
            quoted = not quoted
        assert quoted or letter not in "&|<>()", line
        found += letter
    return found


@example(ALL)
@given(COMMANDS)
def test_a_batch_file_gives_a_program_its_words(command: Command) -> None:
    *variables, last = batch(command).split("\n")
    # A caret before the first space would make it part of the program's name.
    assert last.split(" ")[0] == "relay.exe"
    assert argv_of(read_by_cmd(last)) == ["relay.exe", *command.arguments[1:]]
    assert [read_by_cmd(line) for line in variables] == [f"set {name}={value}" for name, value in command.environment]


def literals(line: str) -> list[str]:
    """Return PowerShell's single-quoted texts in a line, and fail where anything but our own words is outside."""
    found = re.findall(r"['‘’‚‛]((?:[^'‘’‚‛]|['‘’‚‛]{2})*)['‘’‚‛]", line)
    outside = re.sub(r"['‘’‚‛](?:[^'‘’‚‛]|['‘’‚‛]{2})*['‘’‚‛]", "''", line)
    assert re.fullmatch(
        r"\$env:[A-Z_]+ = ''|Start-Process -NoNewWindow -Wait -FilePath '' -ArgumentList ''", outside
    ), outside
    return [re.sub(r"(['‘’‚‛])['‘’‚‛]", r"\1", text) for text in found]


@example(ALL)
@given(COMMANDS)
def test_powershell_gives_a_program_its_words(command: Command) -> None:
    *variables, last = powershell(command).split("\n")
    program, line = literals(last)
    assert (program, argv_of(line)) == (".\\relay.exe", list(command.arguments[1:]))
    assert [literals(text)[0] for text in variables] == [value for _, value in command.environment]
