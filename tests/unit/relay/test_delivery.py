# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is told of its programs, and how files of the controller come into it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ansible_collections.splitway.gateway.plugins.module_utils._programs import with_checksums
from ansible_collections.splitway.gateway.plugins.module_utils.splitway.topology import TopologyError
from splitway.relay.delivery import EXIT_FOLDER, FOLDER, delivery, packages, place
from splitway.topology.model import ProgramSource, WebsocketServer

DIGEST = "ab" * 32


def test_a_release_is_pinned_where_its_checksum_is_known() -> None:
    told = delivery(ProgramSource("wstunnel", "10.6.2"))
    assert told["path"] == f"{FOLDER}/wstunnel-10.6.2/wstunnel"
    assert told["downloads"]["x86_64"] == {
        "url": "https://github.com/erebe/wstunnel/releases/download/v10.6.2/wstunnel_10.6.2_linux_amd64.tar.gz",
        "checksum": "db6064cca0515b67f8652e201cff8e27553b8cbb7216b2e19241311e34868e6e",
    }
    assert told["downloads"]["aarch64"]["url"].endswith("/v10.6.2/wstunnel_10.6.2_linux_arm64.tar.gz")
    assert told["downloads"]["aarch64"]["checksum"] == "", "the operator has to give it"
    given = delivery(ProgramSource("wstunnel", "10.6.2", checksum=DIGEST))
    assert {entry["checksum"] for entry in given["downloads"].values()} == {DIGEST}
    assert (told["first_version"], told["newest_flag"]) == ("10.1.9", "--websocket-ping-frequency")


def test_each_file_has_a_place_of_its_own() -> None:
    fetched = ProgramSource("websocat", url="https://files.example/websocat", checksum=DIGEST)
    assert place(fetched) == f"{FOLDER}/websocat-abababababab/websocat"
    assert place(fetched, EXIT_FOLDER) == f"{EXIT_FOLDER}/websocat-abababababab/websocat"
    assert delivery(fetched)["downloads"] == {"any": {"url": fetched.url, "checksum": DIGEST}}
    there = delivery(ProgramSource("websocat", path="/usr/bin/websocat"))
    assert (there["path"], there["ours"], there["downloads"]) == ("/usr/bin/websocat", False, {})


def test_packages() -> None:
    assert packages(None) == ("ca-certificates", "openssl")
    far = WebsocketServer("a-secret-path", "/c.pem", "/c.key", "websocat")
    assert packages(far) == ("ca-certificates", "openssl", "nginx")


def test_a_file_of_the_controller_is_known_by_its_checksum(tmp_path: Path) -> None:
    (tmp_path / "websocat").write_bytes(b"program")
    digest = hashlib.sha256(b"program").hexdigest()
    variables = {"splitway_programs": {"websocat": {"source": "websocat"}}, "other": 1}
    found = with_checksums(variables, lambda name: str(tmp_path / name))
    assert found["splitway_programs"]["websocat"] == {"source": str(tmp_path / "websocat"), "checksum": digest}
    assert variables["splitway_programs"] == {"websocat": {"source": "websocat"}}
    for entry, problem in (
        ({"source": "websocat", "checksum": DIGEST}, "has another checksum, sha256:"),
        ({"source": "none"}, r"splitway_programs\.websocat\.source: .*none: No such file or directory"),
    ):
        with pytest.raises(TopologyError, match=problem):
            with_checksums({"splitway_programs": {"websocat": entry}}, lambda name: str(tmp_path / name))


@pytest.mark.parametrize("value", [None, [], "x", {"websocat": None}, {"websocat": {"source": 5}}])
def test_what_is_wrong_in_form_is_left_to_the_reader(value: object) -> None:
    assert with_checksums({"splitway_programs": value}, str) == {"splitway_programs": value}
