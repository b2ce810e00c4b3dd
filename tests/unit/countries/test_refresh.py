# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading sources anew: what is taken, what is not believed, and that the last good networks stay."""

from __future__ import annotations

import hashlib
import http.server
import ipaddress
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from splitway.countries import CountryError, kept, networks
from splitway.countries.on_controller import on_controller
from splitway.countries.refresh import Refreshed, lacking, refresh
from splitway.state import CountryData, CountrySource
from splitway.system import System, SystemFailure

NOW = 1795316400.0
GOOD = "1.0.0.0/16,cn\n2.0.0.0/16,hk\n2001:250::/32,cn\n"


class Host(System):
    """A host in a folder; of programs it has those of Debian's packages, which tests stand in for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "etc", folder / "run", folder / "log", folder / "data")
        self.root = folder / "root"
        self.archive: Optional[str] = None  # the version of tor-geoipdb in Debian's archive
        self.content = ""
        self.ran: list[str] = []

    def _run(self, argv: tuple[str, ...], text: Optional[str], timeout: float) -> str:
        del text, timeout
        words = " ".join(argv)
        self.ran.append(words)
        if "apt-get" in argv and "update" in argv:
            return ""
        if "--print-uris" in argv:
            if self.archive is None:
                raise SystemFailure("apt-get: Unable to locate package tor-geoipdb")
            return f"'http://deb.example/tor-geoipdb_{self.archive}_all.deb' SHA256:00"
        if "download" in argv:
            folder = Path(next(word for word in argv if word.startswith("--chdir="))[len("--chdir=") :])
            (folder / f"tor-geoipdb_{self.archive}_all.deb").write_text(self.content)
            return ""
        assert argv[:2] == ("dpkg-deb", "--extract")
        there = Path(argv[3]) / "usr/share/tor"
        there.mkdir(parents=True)
        (there / "geoip").write_text(Path(argv[2]).read_text())
        (there / "geoip6").write_text("2001:250::,2001:250:ffff:ffff:ffff:ffff:ffff:ffff,CN\n")
        return ""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def source(tmp_path: Path, text: str = GOOD, name: str = "data.csv") -> CountryData:
    (tmp_path / name).write_text(text)
    return CountryData((CountrySource(str(tmp_path / name), "csv"),))


def test_networks_of_the_countries_asked_for(host: Host, tmp_path: Path) -> None:
    data = source(tmp_path)
    assert lacking(host, data, ["cn", "hk"]) == ("cn", "hk")
    assert refresh(host, data, ["cn", "hk"], NOW) == Refreshed(("cn", "hk"))
    assert networks(host, "cn", 4) == ("1.0.0.0/16",)
    assert networks(host, "cn", 6) == ("2001:250::/32",)
    assert networks(host, "hk", 6) == ()
    assert lacking(host, data, ["cn", "hk"]) == ()
    assert kept.note(host) == kept.Note(NOW, NOW, "", kept.note(host).stamps)


def test_second_refresh_changes_no_file(host: Host, tmp_path: Path) -> None:
    data = source(tmp_path)
    refresh(host, data, ["cn"], NOW)
    before = (kept.folder(host) / "cn.json").stat()
    assert refresh(host, data, ["cn"], NOW + 60).changed == ()
    assert (kept.folder(host) / "cn.json").stat() == before
    assert kept.note(host).good == NOW + 60


def test_other_networks_are_seen_at_once(host: Host, tmp_path: Path) -> None:
    refresh(host, source(tmp_path), ["cn"], NOW)
    assert networks(host, "cn", 4) == ("1.0.0.0/16",)
    assert refresh(host, source(tmp_path, "1.0.0.0/15,cn\n2001:250::/32,cn\n"), ["cn"], NOW).changed == ("cn",)
    assert networks(host, "cn", 4) == ("1.0.0.0/15",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no ranges"),
        ("<!DOCTYPE html><html>503</html>\n<p>", "is a web page"),
        ("2.0.0.0/16,hk\n", "does not know the country cn"),
        ("1.0.0.0/18,cn\n2001:250::/32,cn\n", "the country cn would lose 75% of its IPv4 addresses"),
        ("1.0.0.0/16,cn\n", "the country cn would lose 100% of its IPv6 addresses"),
        (GOOD + "1.1.0.0", "line 4"),
    ],
)
def test_what_cannot_be_believed_changes_nothing(host: Host, tmp_path: Path, text: str, said: str) -> None:
    refresh(host, source(tmp_path), ["cn"], NOW)
    done = refresh(host, source(tmp_path, text), ["cn"], NOW + 60)
    assert said in done.problem
    assert networks(host, "cn", 4) == ("1.0.0.0/16",)
    note = kept.note(host)
    assert (note.checked, note.good, note.problem) == (NOW + 60, NOW, done.problem)


def test_a_source_that_is_gone_changes_nothing(host: Host, tmp_path: Path) -> None:
    data = source(tmp_path)
    refresh(host, data, ["cn"], NOW)
    (tmp_path / "data.csv").unlink()
    assert "cannot be read" in refresh(host, data, ["cn"], NOW).problem
    assert networks(host, "cn", 4) == ("1.0.0.0/16",)


def test_an_operator_who_knows_better_is_believed(host: Host, tmp_path: Path) -> None:
    refresh(host, source(tmp_path), ["cn"], NOW)
    smaller = source(tmp_path, "1.0.0.0/18,cn\n")
    assert refresh(host, smaller, ["cn"], NOW, accept=True).changed == ("cn",)
    assert networks(host, "cn", 4) == ("1.0.0.0/18",)
    nothing = source(tmp_path, "2.0.0.0/16,hk\n")
    assert "does not know" in refresh(host, nothing, ["cn"], NOW, accept=True).problem


def test_other_sources_may_know_less(host: Host, tmp_path: Path) -> None:
    refresh(host, source(tmp_path), ["cn"], NOW)
    other = source(tmp_path, "1.0.0.0/20,cn\n", "other.csv")
    assert lacking(host, other, ["cn"]) == ("cn",)
    assert refresh(host, other, ["cn"], NOW) == Refreshed(("cn",))


def test_without_any_data_it_is_said_which_and_why(host: Host, tmp_path: Path) -> None:
    refresh(host, source(tmp_path), ["cn"], NOW)
    with pytest.raises(CountryError, match=r"no data of the country jp on this host: .* does not know the country jp"):
        refresh(host, source(tmp_path), ["cn", "jp"], NOW)
    with pytest.raises(CountryError, match="country jp: there is no data of it on this host"):
        networks(host, "jp", 4)
    assert networks(host, "cn", 4)


def test_in_check_mode_a_fresh_host_has_no_networks(host: Host) -> None:
    host.check_mode = True
    assert networks(host, "cn", 4) == ()


def test_whoever_has_read_networks_keeps_them(host: Host, tmp_path: Path) -> None:
    refresh(host, source(tmp_path), ["cn"], NOW)
    assert networks(host, "cn", 4) == ("1.0.0.0/16",)
    file = kept.folder(host) / "cn.json"
    file.write_text("{")
    assert networks(host, "cn", 4) == ("1.0.0.0/16",)
    file.unlink()
    assert networks(host, "cn", 4) == ("1.0.0.0/16",)
    # What is damaged is made anew by the next refresh.
    file.write_text("{")
    refresh(host, source(tmp_path), ["cn"], NOW)
    assert kept.country_data(host, "cn").networks[4] == ("1.0.0.0/16",)


def test_checksum(host: Host, tmp_path: Path) -> None:
    data = source(tmp_path)
    right = CountryData((CountrySource(data.sources[0].location, "csv", hashlib.sha256(GOOD.encode()).hexdigest()),))
    wrong = CountryData((CountrySource(data.sources[0].location, "csv", "0" * 64),))
    with pytest.raises(CountryError, match="has another checksum: sha256:"):
        refresh(host, wrong, ["cn"], NOW)
    assert refresh(host, right, ["cn"], NOW).changed == ("cn",)


def test_debians_package_is_unpacked_and_not_installed(host: Host) -> None:
    data = CountryData((CountrySource("tor-geoipdb"),))
    host.archive, host.content = "1", "16777216,16842751,CN\n"
    refresh(host, data, ["cn"], NOW)
    assert networks(host, "cn", 4) == ("1.0.0.0/16",)
    assert networks(host, "cn", 6) == ("2001:250::/32",)
    assert not [words for words in host.ran if "install" in words or "update" in words]
    # The same version is not fetched again; another one is.
    host.ran.clear()
    refresh(host, data, ["cn"], NOW)
    assert not [words for words in host.ran if words.endswith("download tor-geoipdb")]
    host.archive, host.content = "2", "16777216,16908287,CN\n"
    assert refresh(host, data, ["cn"], NOW).changed == ("cn",)
    assert networks(host, "cn", 4) == ("1.0.0.0/15",)


def test_without_debians_archive_what_was_fetched_will_do(host: Host) -> None:
    data = CountryData((CountrySource("tor-geoipdb"),))
    with pytest.raises(CountryError, match="tor-geoipdb cannot be fetched: apt-get: Unable to locate package"):
        refresh(host, data, ["cn"], NOW)
    host.archive, host.content = "1", "16777216,16842751,CN\n16842752,16908287,HK\n"
    refresh(host, data, ["cn"], NOW)
    host.archive = None
    # Another country needs no fetching.
    done = refresh(host, data, ["cn", "hk"], NOW)
    assert "its last good file is used" in done.problem
    assert networks(host, "hk", 4) == ("1.1.0.0/16",)


def test_an_installed_package_is_read_where_it_is(host: Host) -> None:
    there = host.root / "usr/share/tor"
    there.mkdir(parents=True)
    (there / "geoip").write_text("16777216,16842751,CN\n")
    (there / "geoip6").write_text("2001:250::,2001:250:ffff:ffff:ffff:ffff:ffff:ffff,CN\n")
    refresh(host, CountryData((CountrySource("tor-geoipdb"),)), ["cn"], NOW)
    assert networks(host, "cn", 4) == ("1.0.0.0/16",)
    assert host.ran == []


class Server(http.server.ThreadingHTTPServer):
    """A source that tests change, and break."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.tag, self.status, self.told = GOOD.encode(), '"1"', 200, 0
        self.answers: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_port}/countries.csv"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        status = 304 if server.status == 200 and self.headers.get("If-None-Match") == server.tag else server.status
        server.answers.append(status)
        self.send_response(status)
        self.send_header("ETag", server.tag)
        self.send_header("Content-Length", str(len(server.body) + server.told))
        self.end_headers()
        if status == 200:
            self.wfile.write(server.body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_what_is_fetched_is_fetched_once_a_version(host: Host, server: Server) -> None:
    data = CountryData((CountrySource(server.url, "csv"),))
    refresh(host, data, ["cn"], NOW)
    refresh(host, data, ["cn", "hk"], NOW)
    assert server.answers == [200, 304]
    assert networks(host, "hk", 4) == ("2.0.0.0/16",)
    server.body, server.tag = b"1.0.0.0/15,cn\n2.0.0.0/16,hk\n2001:250::/32,cn\n", '"2"'
    assert refresh(host, data, ["cn", "hk"], NOW).changed == ("cn",)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 503}, "the server answers 503"),
        ({"told": 7}, "the answer breaks off after"),
        ({"body": b"<html>Login</html>"}, "is a web page"),
        ({"body": b"2.0.0.0/16,hk\n"}, "does not know the country cn"),
    ],
)
def test_a_server_that_fails_takes_nothing_away(host: Host, server: Server, fault: dict[str, Any], said: str) -> None:
    data = CountryData((CountrySource(f"{server.url}?license_key=SECRET", "csv"),))
    refresh(host, data, ["cn"], NOW)
    server.tag = '"2"'
    for name, value in fault.items():
        setattr(server, name, value)
    problem = refresh(host, data, ["cn"], NOW).problem
    assert said in problem
    assert f"{server.url}?…" in problem
    assert "SECRET" not in problem + kept.country_data(host, "cn").origin
    assert networks(host, "cn", 4) == ("1.0.0.0/16",)
    server.status, server.told, server.body = 200, 0, GOOD.encode()
    assert refresh(host, data, ["cn"], NOW).problem == ""


def test_one_of_several_sources_fails_alone(host: Host, tmp_path: Path, server: Server) -> None:
    local = source(tmp_path, "3.0.0.0/16,cn\n").sources[0]
    data = CountryData((CountrySource(server.url, "csv"), local))
    refresh(host, data, ["cn"], NOW)
    assert networks(host, "cn", 4) == ("1.0.0.0/16", "3.0.0.0/16")
    server.status = 500
    source(tmp_path, "3.0.0.0/15,cn\n".replace("3.0", "4.0"))
    done = refresh(host, data, ["cn"], NOW)
    assert "the server answers 500" in done.problem
    assert networks(host, "cn", 4) == ("1.0.0.0/16", "4.0.0.0/15")


def test_on_the_controller_each_list_of_sources_has_data_of_its_own(tmp_path: Path) -> None:
    first, _ = on_controller(source(tmp_path), ["cn"], tmp_path / "cache")
    second, _ = on_controller(source(tmp_path, "7.0.0.0/16,cn\n", "b.csv"), ["cn"], tmp_path / "cache")
    assert (first("cn", 4), second("cn", 4)) == (("1.0.0.0/16",), ("7.0.0.0/16",))


def test_maxminds_databases(host: Host, tmp_path: Path) -> None:
    pytest.importorskip("maxminddb")
    writer = pytest.importorskip("mmdb_writer")
    netaddr = pytest.importorskip("netaddr")
    made = writer.MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-Country")
    for texts, record in (
        (["1.0.1.0/24", "1.0.2.0/23", "2001:250::/35"], {"country": {"iso_code": "CN"}}),
        (["1.0.4.0/24"], {"registered_country": {"iso_code": "CN"}}),
        (["1.0.5.0/24"], {"country": {"iso_code": "AU"}, "registered_country": {"iso_code": "CN"}}),
        (["1.0.6.0/24"], {"continent": {"code": "AS"}}),
        # What databases have beside: the IPv4 tree once more, at 6to4 and Teredo.
        (["2002:100:100::/40", "2001:0:100:100::/56"], {"country": {"iso_code": "CN"}}),
    ):
        made.insert_network(netaddr.IPSet(texts), record)
    path = tmp_path / "GeoLite2-Country.mmdb"
    made.to_db_file(str(path))
    data = CountryData((CountrySource(str(path), "maxmind"),))
    refresh(host, data, ["cn", "au"], NOW)
    assert networks(host, "cn", 4) == ("1.0.1.0/24", "1.0.2.0/23", "1.0.4.0/24")
    assert networks(host, "cn", 6) == ("2001:250::/35",)
    assert networks(host, "au", 4) == ("1.0.5.0/24",)
    path.write_bytes(path.read_bytes()[:40])
    assert "is no database of MaxMind's format" in refresh(host, data, ["cn"], NOW).problem


def test_networks_are_spelled_as_the_kernels_tools_spell_them(host: Host, tmp_path: Path) -> None:
    refresh(host, source(tmp_path, "2001:0DB8:0:0::/48,cn\n2001:db8:0:1:0:0:0:0/64,hk\n"), ["cn", "hk"], NOW)
    for code in ("cn", "hk"):
        assert networks(host, code, 6) == tuple(str(ipaddress.ip_network(text)) for text in networks(host, code, 6))
