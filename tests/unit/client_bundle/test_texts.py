# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of a bundle say."""

from __future__ import annotations

import configparser
import dataclasses
import os
import shlex
import stat
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ansible_collections.splitway.gateway.tests.unit.client_bundle.samples import (
    ALL,
    FULL,
    PLAIN,
    PRIVATE,
    PROXY_ONLY,
    PUBLIC,
    RELAY,
    SECRET,
    TUNNEL,
)
from splitway.client_bundle import QR_CODE, Bundle, contents, qr_text
from splitway.client_bundle.around import everything_but
from splitway.client_bundle.shells import powershell, sh

VOID = {"meta", "br", "link", "img", "input"}
REFERENCES = {"src", "href", "action", "data", "poster", "srcset", "background", "formaction", "ping", "xlink:href"}


class Page(HTMLParser):
    """Reads a page strictly: what is opened is closed, and each text is known by what it is in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag: str) -> list[str]:
        return [text for inside, text in self.texts if inside == tag]


def files(bundle: Bundle, *, qr: bool = True) -> dict[str, str]:
    return contents(bundle, PRIVATE, PUBLIC, qr=qr)


def page(bundle: Bundle) -> Page:
    return Page(files(bundle, qr=True)["start-here.html"])


def configuration(text: str) -> dict[str, dict[str, str]]:
    parsed = configparser.ConfigParser()
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(text)
    return {section: dict(parsed[section]) for section in parsed.sections()}


@pytest.mark.parametrize("bundle", ALL.values(), ids=ALL)
def test_the_page_has_five_steps_and_needs_nothing_from_elsewhere(bundle: Bundle) -> None:
    read = page(bundle)
    assert [text.split(":")[0] for text in read.of("h2")] == [f"Step {number}" for number in range(1, 6)]
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name in REFERENCES or name.startswith("on")]
    assert not [text for text in read.of("style") if "url(" in text or "@import" in text]
    # A browser that is offered more by mistake does not take it.
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in read.attributes


def test_which_files_there_are() -> None:
    assert set(files(FULL)) == {"alice.conf", "alice-ws.conf", "websocket.sh", "websocket.cmd", "start-here.html"}
    assert set(files(PLAIN)) == {"alice.conf", "start-here.html"}
    assert set(files(PROXY_ONLY)) == {"start-here.html"}
    standby = dataclasses.replace(FULL, tunnel=dataclasses.replace(TUNNEL, priority=2))
    assert {"alice+2.conf", "alice+2-ws.conf"} < set(files(standby))


@pytest.mark.parametrize("name", ["alice", "a" * 63, "abcdefghijkl-ws", "x" * 12, "a.b"])
@pytest.mark.parametrize("priority", [1, 9])
def test_wg_quick_takes_the_names_of_the_files(name: str, priority: int) -> None:
    bundle = dataclasses.replace(FULL, name=name, tunnel=dataclasses.replace(TUNNEL, priority=priority))
    tunnels = [file for file in files(bundle) if file.endswith(".conf")]
    assert len({*tunnels}) == 2
    assert all(len(file.removesuffix(".conf")) <= 15 for file in tunnels)


def test_the_second_file_is_for_the_relay_on_the_same_host() -> None:
    first, second = (configuration(files(FULL)[name]) for name in ("alice.conf", "alice-ws.conf"))
    assert first["Peer"]["Endpoint"] == "vpn.example.com:51820"
    assert second["Peer"]["Endpoint"] == "127.0.0.1:51821"
    assert second["Interface"]["MTU"] == "1360"
    assert tuple(second["Peer"]["AllowedIPs"].split(", ")) == everything_but("203.0.113.7")
    for section, other in (("Interface", "MTU"), ("Peer", "Endpoint")):
        left_out = {other, "AllowedIPs"}
        assert {key: value for key, value in first[section].items() if key not in left_out} == {
            key: value for key, value in second[section].items() if key not in left_out
        }


def test_a_smaller_mtu_stays() -> None:
    small = dataclasses.replace(FULL, tunnel=dataclasses.replace(TUNNEL, mtu=1280))
    assert configuration(files(small)["alice-ws.conf"])["Interface"]["MTU"] == "1280"


def test_the_page_shows_what_the_scripts_do() -> None:
    shown = page(FULL).of("pre")
    assert sh(RELAY.command) in shown
    assert powershell(RELAY.command) in shown
    assert shlex.join(RELAY.command.arguments) in files(FULL)["websocket.sh"]


def test_hostile_texts_stay_texts() -> None:
    hostile = dataclasses.replace(FULL, name="<b>", gateway="</h1>", pacs=('http://x/"<w>',))
    read = page(hostile)
    assert read.of("h1") == ["How <b> connects to </h1>"]
    assert 'http://x/"<w>' in read.of("pre")
    assert "p<w>&'\"" in read.of("code")
    assert "w" not in read.tags


def test_the_script_starts_what_lies_beside_it(tmp_path: Path) -> None:
    for name, text in files(FULL).items():
        (tmp_path / name).write_text(text)
    program = tmp_path / "wstunnel"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$SECRET" "$@" > said\n')
    program.chmod(0o755)
    subprocess.run(["sh", str(tmp_path / "websocket.sh")], cwd="/", env={**os.environ}, check=True)
    assert (tmp_path / "said").read_text().splitlines() == [SECRET, *RELAY.command.arguments[1:]]
    assert stat.S_ISREG((tmp_path / "said").stat().st_mode)


def test_the_batch_file_is_windows_own_kind() -> None:
    text = files(FULL)["websocket.cmd"]
    assert text.count("\n") == text.count("\r\n")
    assert "setlocal DisableDelayedExpansion\r\n" in text


def test_a_password_is_shown_only_where_there_is_one() -> None:
    entries = [text for text in page(FULL).of("li") if "proxy" in text]
    assert len(entries) == 3
    without = dataclasses.replace(FULL, proxies=tuple(dataclasses.replace(one, password=None) for one in FULL.proxies))
    said = " ".join(files(without).values())
    assert "p&lt;w&gt;" not in said
    assert "ask for the password" in said


def test_browsers_are_not_sent_where_they_cannot_give_a_password() -> None:
    said = [text for inside, text in page(FULL).texts if inside == "li"]
    assert [text.split()[0] for text in said if "proxy" in text] == ["HTTP", "HTTP", "SOCKS5"]
    assert sum("browsers have no way" in text for text in said) == 1


def test_the_picture_is_there_when_one_is_made() -> None:
    texts = files(FULL)
    assert texts["start-here.html"].count(QR_CODE) == 1
    assert qr_text(FULL, texts) == texts["alice.conf"]
    without = files(FULL, qr=False)["start-here.html"]
    assert QR_CODE not in without
    assert "Scan" not in without
    assert qr_text(PROXY_ONLY, files(PROXY_ONLY)) is None


def test_without_a_relay_the_page_promises_none() -> None:
    said = " ".join(text for _, text in page(PLAIN).texts)
    assert "no other way" in said
    assert "websocket" not in said


def test_the_program_is_named_with_version_and_checksum() -> None:
    said = " ".join(text for _, text in page(FULL).texts)
    assert "wstunnel 10.6.2 from github.com/erebe/wstunnel/releases" in said
    assert "ab" * 32 in said
    asked = dataclasses.replace(FULL, relay=dataclasses.replace(RELAY, version="", checksum="", certificate=True))
    said = " ".join(text for _, text in page(asked).texts)
    assert "SHA-256" not in said
    assert "client.crt" in said
