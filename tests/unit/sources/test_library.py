# SPDX-License-Identifier: GPL-3.0-or-later
"""`splitway_lists` with sources, as an operator writes them: what comes out, and every way in which it goes wrong."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.splitway.gateway.tests.unit.sources.web_server import Web, serving
from splitway.sources.library import ListLibrary
from splitway.sources.loading import Places
from splitway.sources.memo import Memo
from splitway.sources.report import counted, described, summary, warnings
from splitway.sources.web import Limits
from splitway.topology import TopologyError, parse
from splitway.topology.model import List

SMALL = Limits(silence=20, seconds=60, size=1 << 20)


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as found:
        yield found


class Controller:
    """A controller with files, on which one run after another reads lists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "files").mkdir()
        self.runs = 0
        self.library = self.run()

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.folder / "files" / name).write_text(text, encoding="utf-8")

    def run(self) -> ListLibrary:
        """Begin another run."""
        self.runs += 1
        memo = Memo(self.folder / f"run{self.runs}")
        return self.task(memo)

    def task(self, memo: Memo) -> ListLibrary:
        folders = (self.folder, self.folder / "files")
        self.library = ListLibrary(Places(folders, self.folder / "copies", memo.started, SMALL), memo)
        return self.library

    def lists(self, rules: list[dict[str, Any]] | None = None, **lists: Any) -> dict[str, List]:
        variables = {
            "splitway_server": {"addresses": ["10.8.0.1/24"]},
            "splitway_lists": lists,
            "splitway_policies": {"family": {"rules": rules or []}},
        }
        return {entry.name: entry for entry in parse(variables, self.library).lists}

    def errors(self, **lists: Any) -> list[str]:
        with pytest.raises(TopologyError) as error:
            self.lists(**lists)
        return list(error.value.errors)


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def test_a_list_has_its_own_entries_and_those_of_all_its_sources(controller: Controller, web: Web) -> None:
    controller.write(media="a.example\n192.0.2.0/24\n")
    url = web.put("hosts", "0.0.0.0 b.example a.example\n")
    found = controller.lists(media={"source": ["media", url], "domains": ["own.example"], "networks": ["9.9.9.9"]})
    assert found["media"].domains == ("own.example", "a.example", "b.example")
    assert found["media"].networks == (ip_network("9.9.9.9/32"), ip_network("192.0.2.0/24"))
    assert controller.library.loaded["media"].formats == ("plain", "hosts")


def test_a_file_is_found_where_operators_put_it(controller: Controller) -> None:
    controller.write(media="a.example\n")
    for place in ("media", "files/media", str(controller.folder / "files" / "media")):
        assert controller.lists(media={"source": place})["media"].domains == ("a.example",)
    (error,) = controller.errors(media={"source": "files/meida"})
    assert error.startswith('splitway_lists.media.source: there is no file "files/meida"; it was looked for as /')


INCLUDES = {
    "all": "include:one\nown.example\n",
    "one": "one.example @ads\ninclude:Two @cn\n",
    "two": "two.example @cn\nthree.example\nregexp:^x+$ @cn\n",
}


def test_includes_are_beside_their_list(controller: Controller, web: Web) -> None:
    controller.write(**INCLUDES)
    expected = ("one.example", "two.example", "own.example")
    assert controller.lists(x={"source": "all"})["x"].domains == expected
    assert str(controller.library.loaded["x"].entries.skipped[0]) == 'two line 3: "regexp:^x+$" (regexp)'
    for name, text in INCLUDES.items():
        web.put(f"data/{name.replace('two', 'Two')}", text)
    found = controller.lists(x={"source": f"{web.url}data/all", "attributes": ["-ads"]})
    assert found["x"].domains == expected[1:]


def test_includes_share_the_suffix_of_their_list(controller: Controller) -> None:
    controller.write(**{"all.txt": "include:one\n", "one.txt": "one.example\n"})
    assert controller.lists(x={"source": "all.txt"})["x"].domains == ("one.example",)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"all": "\ninclude:all\n"}, "all line 2: include:all is circular"),
        (
            {"all": "include:one\n", "one": "a.example\ninclude:two\n", "two": "include:one\n"},
            "all line 1 → one line 2 → two line 1: include:one is circular",
        ),
        (
            {"all": "include:one\n", "one": "include:gone\n"},
            "all line 1 → one line 1: include:gone: there is no file /",
        ),
        ({"all": "include:../../etc/passwd\n"}, 'all line 1: "../../etc/passwd" is not the name of a list'),
        ({"all.txt": "include:one\n", "one.txt": "include:all\n"}, "line 1 → one.txt line 1: include:all is circular"),
        ({"all": "include:one\n", "one": "<html>"}, "all line 1: include:one: it is an HTML page, not a list"),
    ],
)
def test_includes_that_lead_nowhere_show_the_way(controller: Controller, texts: dict[str, str], said: str) -> None:
    controller.write(**texts)
    (error,) = controller.errors(x={"source": next(iter(texts))})
    assert said in error
    assert error.startswith("splitway_lists.x.source: all")


def test_a_chain_of_includes_has_an_end(controller: Controller) -> None:
    controller.write(**{f"l{number}": f"include:l{number + 1}\n" for number in range(100)})
    (error,) = controller.errors(x={"source": "l0"})
    assert "includes are nested too deeply" in error


@pytest.mark.parametrize(
    ("text", "entry", "said"),
    [
        ("<html>", {}, "files/x: it is an HTML page, not a list"),
        ("", {}, "files/x: it is empty"),
        ("keyword:a\nregexp:^b+$\n", {}, r"files/x: it has no name and no network (left out: 1 keyword, 1 regexp)"),
        ("a.example\n", {"attributes": ["cn"]}, "files/x: it has no name and no network with these attributes"),
        ("a.example\n", {"format": "hosts"}, "x: it is no list of the format hosts (mistakes: 1, entries: 0); line 1"),
        ("||a.example^\nserver=/b.example/\n", {}, "x: its format is not clear (line 1 like adblock, line 2 like dns"),
        ("a.example\n", {"checksum": "sha256:" + "0" * 64}, "files/x: its checksum is sha256:"),
        ("a.example\n" * 200_000, {}, "has more than 1 MB"),
    ],
)  # fmt: skip
def test_a_source_that_is_no_list_is_named(controller: Controller, text: str, entry: dict[str, Any], said: str) -> None:
    controller.write(x=text)
    (error,) = controller.errors(media={"source": "files/x", **entry})
    assert error.startswith("splitway_lists.media.source: ")
    assert said in error


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"source": 7}, '.source: 7 is not a file or a URL: YAML reads it as a number'),
        ({"source": ["a", ""]}, '.source[1]: "" is not a file or a URL'),
        ({"source": []}, ".source: is empty"),
        ({"source": "ftp://x.example/list"}, '.source: "ftp://x.example/list" is neither http:// nor https://'),
        ({"source": "a", "format": "v2ray"}, '.format: "v2ray" is not a format (v2fly or dnsmasq or plain'),
        ({"source": "a", "format": "hosts", "attributes": ["cn"]}, ".attributes: is for the format v2fly, not for ho"),
        ({"source": "a", "attributes": ["not this"]}, '.attributes[0]: "not this" is not an attribute'),
        ({"source": ["a", "b"], "checksum": "sha256:" + "0" * 64}, ".checksum: is of one source, and the list has 2"),
        ({"source": "a", "checksum": "md5:0"}, '.checksum: "md5:0" is not a checksum (sha256: and 64'),
        ({"source": "a", "refresh": "soon"}, '.refresh: "soon" is not a time'),
        ({"domains": [], "format": "plain"}, ".format: is about a source, and the list has none"),
        ({"sources": "a"}, '.sources: unknown key; did you mean "source"?'),
    ],
)  # fmt: skip
def test_a_source_that_is_described_wrongly(controller: Controller, entry: dict[str, Any], said: str) -> None:
    controller.write(a="a.example\n", b="b.example\n")
    assert any(error.startswith(f"splitway_lists.media{said}") for error in controller.errors(media=entry))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.example\nb.example\nc.example\n", "x: line 3: here are more than 2 names"),
        ("192.0.2.1\n192.0.2.3\n192.0.2.5\n", "x: line 3: here are more than 2 networks"),
        ("include:y\nc.example\n", "x line 2: here are more than 2 entries"),
    ],
)
def test_a_list_over_the_limit_is_named_with_its_line(
    controller: Controller, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setattr("splitway.sources.entries.MOST_ENTRIES", 2)
    monkeypatch.setattr("splitway.sources.formats.v2fly.MOST_ENTRIES", 2)
    controller.write(x=text, y="a.example\nb.example\n")
    (error,) = controller.errors(media={"source": "x"})
    assert error == f"splitway_lists.media.source: {said}"


def test_a_checksum_that_fits(controller: Controller) -> None:
    controller.write(x="a.example\n")
    checksum = hashlib.sha256(b"a.example\n").hexdigest().upper()
    assert controller.lists(x={"source": "x", "checksum": f"sha256:{checksum}"})["x"].domains == ("a.example",)


def test_every_wrong_source_is_told_at_once(controller: Controller, web: Web) -> None:
    said = controller.errors(a={"source": "gone"}, b={"source": f"{web.url}gone"}, c={"domains": ["b c"]})
    assert [error.partition(":")[0] for error in said] == [
        "splitway_lists.c.domains[0]",
        "splitway_lists.a.source",
        "splitway_lists.b.source",
    ]
    assert "the server answers 404" in said[2]


def test_the_last_good_version_stays_in_force_and_it_is_said(controller: Controller, web: Web) -> None:
    url = web.put("list", "a.example\n")
    lists = {"media": {"source": url, "refresh": 0}}
    controller.lists(**lists)
    web.put("list", "<html><title>Maintenance</title>")
    controller.run()
    assert controller.lists(**lists)["media"].domains == ("a.example",)
    (warning,) = warnings("media", controller.library.loaded["media"])
    assert warning.startswith(
        f'splitway_lists.media: {url}: it is an HTML page, not a list ("Maintenance"); the copy of '
    )


def test_so_it_does_when_what_it_includes_fails(controller: Controller, web: Web) -> None:
    web.put("data/one", "one.example\n")
    url = web.put("data/all", "include:one\na.example\n")
    lists = {"x": {"source": url, "refresh": 0}}
    controller.lists(**lists)
    web.put("data/all", "include:gone\nb.example\n")
    controller.run()
    assert controller.lists(**lists)["x"].domains == ("one.example", "a.example")
    assert "data/all line 1: include:gone: " in "".join(controller.library.loaded["x"].warnings)


def test_one_run_reads_each_source_once_and_the_next_one_when_it_is_time(controller: Controller, web: Web) -> None:
    url = web.put("list", "a.example\n")
    lists = {"often": {"source": url, "refresh": 0}, "daily": {"source": web.put("daily", "b.example\n")}}
    dead = {"dead": {"source": f"{web.url}gone"}}
    memo = controller.library.memo
    assert memo is not None
    controller.lists(**lists)
    controller.errors(**dead)
    for _host in range(3):
        library = controller.task(memo)
        controller.lists(**lists)
        assert library.news == []
        controller.errors(**dead)
    assert sorted(web.asked) == ["daily", "gone", "list"]
    time.sleep(0.02)  # a file's time has the kernel's ticks
    library = controller.run()
    controller.lists(**lists)
    assert sorted(library.news) == ["daily", "often"]
    assert sorted(web.asked) == ["daily", "gone", "list", "list"]


def test_what_another_task_has_read_is_the_same(controller: Controller) -> None:
    controller.write(x="a.example\n192.0.2.0/24\n2001:db8::/32\nhttps://b.example/c\nfull:no\n")
    memo = controller.library.memo
    assert memo is not None
    lists = {"x": {"source": "x", "format": "plain"}}
    first = controller.lists(**lists), controller.library.loaded, controller.library.digests
    controller.task(memo)
    assert (controller.lists(**lists), controller.library.loaded, controller.library.digests) == first


def test_another_content_is_another_digest(controller: Controller) -> None:
    digests = []
    for text in ("a.example\n", "# said otherwise\nA.example\n", "b.example\n"):
        controller.write(x=text)
        controller.run()
        controller.lists(x={"source": "x"})
        digests.append(controller.library.digests["x"])
    assert digests[0] == digests[1] != digests[2]


def test_a_list_that_ships_is_there_when_a_rule_names_it(controller: Controller) -> None:
    rules = [{"list": "youtube", "egress": "block"}]
    found = controller.lists(rules)
    assert list(found) == ["youtube"]
    assert "youtube.com" in found["youtube"].domains
    assert "youtube" in controller.library.digests
    own = controller.lists(rules, youtube={"domains": ["mine.example"]})
    assert own["youtube"].domains == ("mine.example",)
    with pytest.raises(TopologyError, match='"yuotube" is not a list; did you mean "youtube"'):
        controller.lists([{"list": "yuotube", "egress": "block"}])


def test_the_report_counts_and_names(controller: Controller) -> None:
    controller.write(x="a.example\nfull:b.example\nkeyword:c\nregexp:^d+$\nregexp:^e+$\ngoo..gle\n")
    lists = controller.lists(x={"source": "x"}, own={"domains": ["o.example"]})
    loaded = controller.library.loaded
    assert counted(loaded) == {"x": {"regexp": 2, "keyword": 1, "mistake": 1}}
    assert summary(loaded).startswith("splitway_lists (x): what DNS cannot do is left out: 2 regexp, 1 keyword.")
    assert warnings("x", loaded["x"]) == [
        'splitway_lists.x: 1 entry is left out: x line 6: "goo..gle" is not a domain name'
    ]
    said = described(lists.values(), loaded)
    assert said["x"]["entries"] == [
        'x line 3: "keyword:c" (keyword)',
        'x line 4: "regexp:^d+$" (regexp)',
        'x line 5: "regexp:^e+$" (regexp)',
        'x line 6: "goo..gle" is not a domain name',
    ]
    assert said["x"]["summary"] == (
        "x: 2 domains, 0 networks, from v2fly; 1 meant alone hold what is below them, too; "
        "left out: 2 regexp, 1 keyword, 1 mistake"
    )
    assert said["own"]["summary"] == "own: 1 domains, 0 networks"
