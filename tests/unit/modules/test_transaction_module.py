# SPDX-License-Identifier: GPL-3.0-or-later
"""The module splitway_transaction used alone, without site.yml, which checks what it gives it."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.splitway.gateway.tests.unit import programs


def test_a_time_below_zero_is_refused(tmp_path: Path) -> None:
    """A run that is to be confirmed in -1 seconds would go back as soon as it is committed."""
    module = ["localhost", "-m", "splitway.gateway.splitway_transaction", "--check"]
    done = programs.run(tmp_path, "ansible", *module, "-a", "state=commit transaction=none numbers={} confirm=-1")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "confirm: -1 is not a number of seconds (0 or more)" in done.stdout
