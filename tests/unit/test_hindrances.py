# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator who comes through the tunnel is not locked out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.topology.samples import changed
from splitway.compiler import compile_state
from splitway.hindrances import lockout, ssh_connection
from splitway.topology import parse

ALICE, ALICE6 = "10.8.0.2", "fdcc:ad94:bacf:61a4::2"


def refusal(ports: Any, source: str, port: int = 22) -> str:
    state = compile_state(parse(changed(("splitway_hardening", {"gateway_ports": ports}))), {})
    return lockout(state, (source, port))


def test_a_run_by_way_of_a_client_keeps_its_way() -> None:
    assert "the client 10.8.0.2 by tcp/22" in refusal([], ALICE)
    assert 'gateway_ports: ["tcp/2222"]' in refusal(["tcp/22"], ALICE6, 2222)
    assert refusal(["udp/22"], ALICE)
    assert refusal([22], ALICE) == refusal(["tcp/20-30"], ALICE6) == refusal("all", ALICE) == ""
    assert refusal([], "203.0.113.7") == "", "who comes from elsewhere does not use the clients' side"
    state = compile_state(parse(changed()), {})
    assert lockout(state, None) == "", "a run on the gateway itself"


def process(folder: Path, name: str, parent: str, *variables: str) -> None:
    (folder / name).mkdir()
    (folder / name / "environ").write_bytes("\0".join(variables).encode())
    (folder / name / "status").write_text(f"Name:\tx\nPid:\t{name}\nPPid:\t{parent}\n")


def test_sudo_hides_the_connection_and_the_processes_above_tell_it(tmp_path: Path) -> None:
    process(tmp_path, "self", "40", "PATH=/bin")
    process(tmp_path, "40", "30", "SUDO_USER=alice")
    process(tmp_path, "30", "1", "HOME=/home/alice", "SSH_CONNECTION=10.8.0.2 51000 10.8.0.1 2222")
    assert ssh_connection(tmp_path) == (ALICE, 2222)


@pytest.mark.parametrize("variable", ["SSH_CONNECTION=", "SSH_CONNECTION=UNKNOWN 65535 UNKNOWN x", "LANG=C"])
def test_no_connection(tmp_path: Path, variable: str) -> None:
    process(tmp_path, "self", "30", variable)
    process(tmp_path, "30", "0", "HOME=/root")
    assert ssh_connection(tmp_path) is None
    assert ssh_connection(tmp_path, "77") is None, "it has ended"
