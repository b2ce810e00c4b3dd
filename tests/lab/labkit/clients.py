# SPDX-FileCopyrightText: The splitway authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients' own side: wg-quick with the files that the collection wrote."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from labkit.hosts import CLIENT_FILES, LabError, container, host, wait_until

CLIENTS = ("alice", "bob")


def start_client(name: str, configuration: str) -> None:
    """Starts a client's tunnel with this wg-quick configuration, in place of the one it had."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tunnel.conf"
        path.write_text(configuration, encoding="utf-8")
        path.chmod(0o600)
        subprocess.run(
            ["docker", "cp", str(path), f"{container(name)}:/etc/wireguard/"], check=True, capture_output=True
        )
    done = host(name).run("systemctl restart wg-quick@tunnel")
    if done.rc != 0:
        raise LabError(
            f"{name}: {done.stderr}\n{host(name).run('journalctl --unit wg-quick@tunnel --lines 30').stdout}"
        )


def start_clients() -> None:
    """Starts every client's tunnel with the file that the collection wrote for it; waits until names are answered."""
    for name in CLIENTS:
        start_client(name, (CLIENT_FILES / f"{name}.conf").read_text(encoding="utf-8"))
    for name in CLIENTS:
        wait_for_names(name)


def wait_for_names(name: str) -> None:
    """Waits until a client has its names answered through its tunnel."""
    wait_until(
        lambda: host(name).run("getent ahostsv4 example.org").rc == 0,
        f"{name} to have a name answered through its tunnel",
    )
