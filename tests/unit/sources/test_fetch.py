# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a URL's copy when its server answers well, badly, slowly or not at all."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.splitway.gateway.tests.unit.sources.web_server import Web, serving
from splitway.sources.errors import SourceError
from splitway.sources.fetch import Fetched, fetch
from splitway.sources.text import decoded
from splitway.sources.web import Limits

PATIENT = Limits(silence=20, seconds=60, size=1 << 20)  # a busy machine fails nothing
SHORT = Limits(silence=0.5, seconds=1, size=1 << 20)


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as found:
        yield found


def got(
    url: str,
    folder: Path,
    *,
    fresh_since: float | None = None,
    checksum: str | None = None,
    limits: Limits = PATIENT,
) -> Fetched[str]:
    """Return what a URL holds, its server asked unless another time is given."""
    since = time.time() + 1 if fresh_since is None else fresh_since
    return fetch(url, folder, decoded, fresh_since=since, checksum=checksum, limits=limits)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_fresh_copy_asks_nobody_and_an_old_one_is_replaced(web: Web, tmp_path: Path) -> None:
    url = web.put("list", "a.example\n")
    assert got(url, tmp_path).value == "a.example\n"
    web.put("list", "b.example\n")
    assert got(url, tmp_path, fresh_since=time.time() - 60).value == "a.example\n"
    assert web.asked == ["list"]
    newer = got(url, tmp_path)
    assert (newer.value, newer.warning, newer.digest) == ("b.example\n", "", digest("b.example\n"))


def test_what_is_not_modified_is_not_sent_again(web: Web, tmp_path: Path) -> None:
    url = web.put("list", "a.example\n", etag='"one"')
    got(url, tmp_path)
    asked_at = time.time()
    web.pages["list"].content = b"never sent, for the tag is the same"
    assert got(url, tmp_path).value == "a.example\n"
    assert len(web.asked) == 2
    got(url, tmp_path, fresh_since=asked_at)
    assert len(web.asked) == 2, "that it was asked and had nothing newer counts, too"


BAD = {
    "HTML page": {"content": "<!DOCTYPE html><html><title>Log  in</title>", "said": r'HTML page.*\("Log in"\)'},
    "an error": {"content": "a.example\n", "status": 500, "said": "answers 500"},
    "nothing": {"content": " \n", "said": "it is empty"},
    "binary": {"content": "\x1f\x8b\x08\x00\x00", "said": "it is not text"},
    "too much": {"content": "a.example\n" * 200_000, "said": "more than 1 MB"},
    "half": {"content": "a.example\n", "headers": {"Content-Length": "4000"}, "said": "breaks off|cannot be fetched"},
    "a bad way": {"content": "", "status": 302, "headers": {"Location": "ftp://127.0.0.1/x"}, "said": "not safe"},
}


@pytest.mark.parametrize("case", BAD)
def test_the_last_good_copy_stays_in_use(web: Web, tmp_path: Path, case: str) -> None:
    bad = dict(BAD[case])
    said = str(bad.pop("said"))
    content = str(bad.pop("content"))
    with pytest.raises(SourceError, match=rf"{web.url}list: .*({said})"):
        got(web.put("list", content, **bad), tmp_path)
    assert not list(tmp_path.iterdir()), "what is of no use is not kept"

    url = web.put("list", "good.example\n")
    got(url, tmp_path)
    web.put("list", content, **bad)
    kept = got(url, tmp_path)
    assert kept.value == "good.example\n"
    assert "the copy of " in kept.warning
    assert "stays in use" in kept.warning
    web.put("list", "better.example\n")
    assert got(url, tmp_path).value == "better.example\n", "it is asked again as soon as anybody wants it"


def test_a_server_that_is_silent_or_gone_is_not_waited_for(web: Web, tmp_path: Path) -> None:
    url = web.put("list", "a.example\n")
    got(url, tmp_path)
    released = threading.Event()
    web.put("list", "late.example\n", while_sending=lambda: released.wait(20))
    started = time.monotonic()
    assert got(url, tmp_path, limits=SHORT).value == "a.example\n"
    assert time.monotonic() - started < 15
    released.set()
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9/: it cannot be fetched: "):
        got("http://127.0.0.1:9/", tmp_path)


def test_a_trickle_ends(web: Web, tmp_path: Path) -> None:
    url = web.put("list", "a.example\n" * 1000, drops=0.1)
    started = time.monotonic()
    with pytest.raises(SourceError, match="it is not complete after 1 s"):
        got(url, tmp_path, limits=Limits(silence=20, seconds=1))
    assert time.monotonic() - started < 15


def test_a_checksum_that_differs_never_replaces_the_copy(web: Web, tmp_path: Path) -> None:
    good, other = "good.example\n", "other.example\n"
    url = web.put("list", other)
    with pytest.raises(
        SourceError, match=f"its checksum is sha256:{digest(other)}, and sha256:{digest(good)} is asked"
    ):
        got(url, tmp_path, checksum=digest(good))
    web.put("list", good)
    assert got(url, tmp_path, checksum=digest(good)).value == good
    web.put("list", other)
    kept = got(url, tmp_path, checksum=digest(good))
    assert kept.value == good
    assert "its checksum is" in kept.warning
    with pytest.raises(SourceError, match="its checksum is"):
        got(url, tmp_path, checksum=digest("a third"))
    assert got(url, tmp_path, checksum=digest(other)).value == other, "the operator asks for the new one"


def test_a_broken_copy_is_none(web: Web, tmp_path: Path) -> None:
    url = web.put("list", "a.example\n")
    got(url, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-3])
    assert got(url, tmp_path, fresh_since=0).value == "a.example\n"
    assert len(web.asked) == 2


def test_what_cannot_be_kept_is_used_all_the_same(web: Web, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    found = got(web.put("list", "a.example\n"), tmp_path / "file")
    assert found.value == "a.example\n"
    assert "cannot keep a copy" in found.warning


def test_runs_side_by_side_leave_whole_copies(web: Web, tmp_path: Path) -> None:
    url = web.put("list", "a.example\n" * 5000)
    found: list[int] = []
    runs = [threading.Thread(target=lambda: found.append(len(got(url, tmp_path).value))) for _ in range(8)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert found == [50_000] * 8
    assert len(list(tmp_path.iterdir())) == 1
    assert got(url, tmp_path, fresh_since=0).value == "a.example\n" * 5000


def test_secrets_in_a_url_are_in_no_message(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as error:
        got("http://user:secret@127.0.0.1:9/list?token=secret", tmp_path)
    assert "secret" not in str(error.value)
    assert "http://127.0.0.1:9/list?…" in str(error.value)
