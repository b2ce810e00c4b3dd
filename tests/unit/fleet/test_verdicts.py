# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts on a fleet: what each gateway is judged to be, and what programs are told of it."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.splitway.gateway.plugins.plugin_utils.verdict_files import as_json, as_junit
from ansible_collections.splitway.gateway.plugins.plugin_utils.verdicts import Verdict, judge

SECTIONS = ("routes", "sets")
NOW, BEFORE, APPLIED = "2026-11-22T10:00:00+00:00", "2026-11-22T08:00:00+00:00", "2026-11-20T10:00:00+00:00"


def look(**more: Any) -> dict[str, Any]:
    """Return what splitway_info says of a gateway that is as it should be."""
    return {
        "installed": True,
        "problem": "",
        "digest": "abc",
        "applied": APPLIED,
        "counts": {"clients": 2},
        "drift": {},
        "since": {},
        "upstreams": {"us": {"state": "up", "mtu": 1420, "full_size": True}},
        **more,
    }


def judged(found: dict[str, Any], digest: str = "abc", failure: str = "") -> Verdict:
    return judge("gw1", {"look": found, "digest": digest, "failure": failure}, SECTIONS, NOW)


def differences(verdict: Verdict) -> dict[str, str]:
    return {one.check: one.since for one in verdict.differences}


def test_a_gateway_that_is_as_it_should_be_is_the_same_in_every_check() -> None:
    verdict = judged(look())
    assert (verdict.status, verdict.differences) == ("same", ())
    assert verdict.checks == ("reachable", "looked at", "file", "confirmed", "generation", *SECTIONS, "large packets")
    assert verdict.message == "gw1: as it should be; {'clients': 2}"


def test_each_difference_says_since_when() -> None:
    found = look(
        drift={"routes": ["add rule 5000"], "sets": ["add set sw4d1"]},
        since={"routes": BEFORE},  # the agent cannot heal it; of the sets nobody has told
        upstreams={"us": {"full_size": False}, "eu": {"full_size": None}},
    )
    verdict = judged(found, digest="of another inventory")
    assert verdict.status == "different"
    assert differences(verdict) == {"generation": APPLIED, "routes": BEFORE, "sets": NOW, "large packets": NOW}
    assert "run site.yml" in verdict.message
    assert 'Drift: {"routes": ["add rule 5000"], "sets": ["add set sw4d1"]}' in verdict.message
    assert "through us, small ones do" in verdict.message


def test_a_host_where_site_yml_never_ran_says_so() -> None:
    verdict = judged(look(installed=False, digest="nothing's", applied=None))
    assert verdict.message == "gw1: site.yml has never run on this host"
    assert verdict.applied == ""


def test_people_are_told_the_first_of_many_changes_and_programs_all() -> None:
    verdict = judged(look(drift={"sets": [f"add set sw4d{number}" for number in range(5000)]}))
    assert '"add set sw4d19", "… 4980 more"]' in verdict.message
    assert len(verdict.message) < 1000
    assert len(verdict.differences[0].what) == 5000


def test_a_run_that_waits_to_be_confirmed_is_a_difference() -> None:
    verdict = judged(look(unconfirmed={"run": "4f0c", "who": "ansible as alice", "left": 87}))
    assert verdict.message == "gw1: run 4f0c of ansible as alice is not confirmed: its generation goes in 87 s"
    assert differences(verdict) == {"confirmed": APPLIED}


def test_who_cannot_be_looked_at_is_no_difference() -> None:
    verdict = judged({"unreachable": True, "msg": "no route to host"})
    assert (verdict.status, verdict.checks) == ("unreachable", ("reachable",))
    verdict = judged({}, failure="Look at the gateway: both files are damaged")
    assert (verdict.status, verdict.checks) == ("failed", ("reachable", "looked at"))


def test_a_wrong_inventory_hides_no_drift() -> None:
    verdict = judged(look(drift={"routes": ["add rule 5000"]}), failure="splitway_retention: never")
    assert (verdict.status, list(differences(verdict))) == ("failed", ["looked at", "routes"])
    assert "generation" not in verdict.checks


FLEET = (
    judge("gw1", {"look": look(), "digest": "abc"}, SECTIONS, NOW),
    judge("gw2", {"look": look(drift={"routes": ["add a<b>", "add ]]>\x07"]}), "digest": "abc"}, SECTIONS, NOW),
    judge("gw3", {"look": {"unreachable": True, "msg": 'no "route" & no host'}}, SECTIONS, NOW),
    judge("gw4", {"look": {}, "failure": "it failed"}, SECTIONS, NOW),
)


def test_the_json_has_the_whole_fleet() -> None:
    document = json.loads(as_json(FLEET, NOW))
    assert document["as_it_should_be"] is False
    assert document["counts"] == {"same": 1, "different": 1, "unreachable": 1, "failed": 1}
    assert document["gateways"]["gw2"]["differences"][0]["check"] == "routes"
    assert json.loads(as_json(FLEET[:1], NOW))["as_it_should_be"] is True


def assert_valid(text: str) -> ElementTree.Element:
    """Fail unless a report is valid by the two schemas that are in use, Jenkins' and Apache Ant's."""
    root = ElementTree.fromstring(text)  # noqa: S314 - our own
    assert (root.tag, root.attrib) == ("testsuites", {})
    for suite in root:
        assert suite.tag == "testsuite"
        needed = {"name", "package", "id", "hostname", "timestamp", "time", "tests", "failures", "errors", "skipped"}
        assert set(suite.attrib) == needed
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        kinds = [child.tag for child in suite]
        cases = suite.findall("testcase")
        assert kinds == ["properties", *["testcase"] * len(cases), "system-out", "system-err"]
        for case in cases:
            assert set(case.attrib) == {"classname", "name", "time"}
            assert [child.tag for child in case] in ([], ["failure"], ["error"])
            assert all(set(child.attrib) == {"type", "message"} for child in case)
        assert len({case.attrib["name"] for case in cases}) == len(cases) == int(suite.attrib["tests"])
        assert len(suite.findall("testcase/failure")) == int(suite.attrib["failures"])
        assert len(suite.findall("testcase/error")) == int(suite.attrib["errors"])
    return root


def test_the_junit_report_has_a_suite_a_gateway_and_a_case_a_check() -> None:
    root = assert_valid(as_junit(FLEET, NOW))
    suites = {suite.attrib["name"]: suite for suite in root}
    assert {name: (suite.get("failures"), suite.get("errors")) for name, suite in suites.items()} == {
        "gw1": ("0", "0"),
        "gw2": ("1", "0"),
        "gw3": ("0", "1"),
        "gw4": ("0", "1"),
    }
    failure = suites["gw2"].find("testcase[@name='routes']/failure")
    assert failure is not None
    assert failure.get("message") == "add a<b> (and 1 more)"
    assert failure.text == f"since {NOW}: add a<b>\nsince {NOW}: add ]]>�"
    error = suites["gw3"].find("testcase[@name='reachable']/error")
    assert error is not None
    assert error.get("message") == 'no "route" & no host'


@given(name=st.text(min_size=1), what=st.text())
def test_the_junit_report_is_valid_whatever_hosts_say(name: str, what: str) -> None:
    found = {"look": look(drift={"sets": [what]}, since={"sets": NOW}), "digest": "abc"}
    assert_valid(as_junit([judge(name, found, SECTIONS, NOW)], NOW))
