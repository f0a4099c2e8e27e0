"""How a change can be verified, by what users get before it."""

from __future__ import annotations

import functools
from dataclasses import replace
from random import Random

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline
from ansible_collections.convoy.rollout.plugins.module_utils._proof._statistics import Standard, judge
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import UNNAMED


def test_what_a_limit_of_requests_refused_before_excuses_nothing() -> None:
    assert _baseline.least(0.99, {"samples": 500, "errors": {"HTTP 429": 300}}) == 0.99
    mixed = {"samples": 500, "errors": {"HTTP 429": 300, "HTTP 500": 20}}
    assert _baseline.least(0.99, mixed) == _baseline.least(0.99, {"samples": 500, "errors": {"HTTP 500": 20}})


@pytest.mark.parametrize(
    ("counts", "errors", "serves", "by"),
    [
        ({"1.0.0": 5}, {}, True, "versions"),
        ({"anything": 5}, {}, True, "versions"),  # whatever Kubernetes is thought to run
        ({"1.0.0": 1, UNNAMED: 3}, {"HTTP 500": 1}, True, "versions"),
        ({UNNAMED: 5}, {}, True, "requests"),
        ({UNNAMED: 1}, {"HTTP 301 to /x": 4}, True, "requests"),
        # Errors of the application itself may be what the change is to repair, whether its pods are ready or not.
        ({}, {"HTTP 500": 5}, True, "later"),
        ({}, {"HTTP 502": 4, "HTTP 503": 1}, True, "later"),
        # Nothing that listens is a fault of the entry, unless no pod is ready.
        ({}, {"connection refused": 5}, True, "nothing"),
        ({}, {"connection refused": 5}, False, "later"),
        ({}, {"HTTP 503 (no ready endpoint)": 5}, True, "nothing"),
        ({}, {"HTTP 503 (no ready endpoint)": 5}, False, "later"),
        ({}, {"timeout": 4, "HTTP 503": 1}, True, "nothing"),
        # What answers, and not as it should, answers so after any change.
        ({}, {"HTTP 301 to https://shop.example.com/": 5}, False, "nothing"),
        ({}, {"HTTP 404": 5}, False, "nothing"),
        ({}, {"HTTP 400": 3, "HTTP 503": 2}, False, "nothing"),
        ({}, {"certificate not trusted (self-signed certificate)": 5}, False, "nothing"),
        ({}, {"HTTP/2 only": 5}, False, "nothing"),
        ({}, {"not HTTP": 5}, False, "nothing"),
        ({}, {"HTTP 503 (not HTTP/1.1)": 5}, True, "nothing"),
        ({}, {}, True, "nothing"),
    ],
)
def test_what_answers_before_decides_how_the_change_is_verified(
    counts: dict[str, int], errors: dict[str, int], serves: bool, by: str
) -> None:
    assert _baseline.by(counts, errors, serves=serves) == by


def test_how_answers_are_judged_is_no_place() -> None:
    assert _baseline.names_a_place({"service": "frontend"})
    assert _baseline.names_a_place({"headers": {"Host": "shop.example.com"}})
    assert not _baseline.names_a_place({"max_p99": 0.5, "version_from": {"header": "x"}, "service": None})


@pytest.mark.parametrize(
    ("samples", "lost", "share"),
    [
        (500, 0, 0.999),
        (500, 5, 0.979),
        (500, 50, 0.874),
        (5, 5, 0.999),
        (5, 1, 0.999),
        (99, 9, 0.999),
        (0, 0, 0.999),
        (100_000, 10, 0.999),
    ],
)
def test_what_was_lost_before_may_be_lost_after(samples: int, lost: int, share: float) -> None:
    baseline = {"samples": samples, "errors": {"timeout": lost} if lost else {}}
    assert _baseline.least(0.999, baseline) == pytest.approx(share, abs=0.001)
    assert _baseline.least(0.999, None) == 0.999


def test_what_is_lost_beside_another_version_excuses_nothing_but_what_was_lost_before_it_does() -> None:
    now = {"by": "versions", "samples": 500, "counts": {"1.0.0": 375}, "errors": {"HTTP 503": 125}, "message": "seen"}

    def least(alone: dict[str, object] | None) -> float:
        found = _baseline.excusing(now, alone)
        assert {**found, "samples": 500, "errors": now["errors"]} == now
        return _baseline.least(0.999, found)

    assert least(None) == pytest.approx(0.72, abs=0.01)
    assert least({}) == 0.999
    assert least({"samples": 500, "errors": {}}) == 0.999
    assert least({"samples": 500, "errors": {"HTTP 503": 5}}) == pytest.approx(0.979, abs=0.001)
    by_service = _baseline.excusing({"by": "later", "services": {"hello": now}}, {})
    assert _baseline.least(0.999, by_service["services"]["hello"]) == 0.999


@pytest.mark.parametrize(("share", "requests"), [(1.0, 500), (0.999, 500), (0.99, 340), (0.95, 100), (0.0, 100)])
def test_before_a_change_about_as_many_are_asked_as_judge_it_afterwards(share: float, requests: int) -> None:
    assert _baseline.enough(share) == pytest.approx(requests, abs=5)


@pytest.mark.parametrize("loses", [0.001, 0.003, 0.005, 0.01, 0.02, 0.1])
def test_a_service_that_loses_as_many_as_before_is_rarely_taken_back(loses: float) -> None:
    random, runs, back = Random(4), 300, 0
    standard = Standard({"2": 1.0}, min_success=0.999, family=2)

    @functools.cache  # runs meet again
    def verdict(answered: int, total: int, min_success: float) -> str:
        return judge({"2": answered}, total, replace(standard, min_success=min_success))[0]

    for _run in range(runs):
        lost = sum(random.random() < loses for _request in range(500))
        least = _baseline.least(0.999, {"samples": 500, "errors": {"timeout": lost}})
        answered = 0
        for total in range(1, 1001):
            answered += random.random() >= loses
            if (said := verdict(answered, total, least)) != "inconclusive":
                back += said == "fail"
                break
    assert back / runs < 0.03


@pytest.mark.parametrize(
    ("versions", "running", "found"),
    [
        (["1.0.0"], ["1.0.0"], None),
        (["1.0.0"], ["v1.0.0"], ("1.0.0", "v1.0.0")),
        (["1.0.0+7"], ["1.0.0"], ("1.0.0+7", "1.0.0")),
        (["1.0.0", "2.0.0"], ["2.0.0", "v3"], None),
        (["1.0.0"], ["latest"], None),  # another tag may well be what answers
        (["1.0.0"], [], None),
        ([UNNAMED], ["an"], None),
    ],
)
def test_answers_that_name_the_pods_version_by_another_name_are_told_before_the_change(
    versions: list[str], running: list[str], found: tuple[str, str] | None
) -> None:
    assert _baseline.mismatched(versions, running) == found


def test_where_what_runs_keeps_a_share_it_has_to_be_known_by_what_it_answers() -> None:
    assert _baseline.mismatched(["1.0.0"], ["latest"], shared=True) == ("1.0.0", "latest")
    assert _baseline.mismatched(["1.0.0", "2.0.0"], ["1.0.0"], shared=True) is None
    assert _baseline.mismatched([UNNAMED], ["latest"], shared=True) is None
    assert _baseline.mismatched(["1.0.0"], [], shared=True) is None


@pytest.mark.parametrize(
    ("versions", "running", "found"),
    [
        (["1.0.0"], ["latest"], {"latest": "1.0.0"}),
        (["1.0.0"], ["1.0.0"], {}),
        (["1.0.0", "2.0.0"], ["latest"], {}),  # nobody knows which of them it is
        (["1.0.0"], ["build-1", "build-2"], {}),
        ([UNNAMED], ["latest"], {}),
        ([], ["latest"], {}),
    ],
)
def test_what_answered_before_is_known_again_where_it_is_one_version_by_another_name(
    versions: list[str], running: list[str], found: dict[str, str]
) -> None:
    assert _baseline.renamed(versions, running) == found
    assert ("set version_of to" in _baseline.other_names(found, ["2"], ["1.0.0"], ["1.0.0"])) is bool(found)


@pytest.mark.parametrize(
    ("expected", "counts", "before", "helps"),
    [
        (["build-2"], ["2.0.0"], ["1.0.0"], True),
        (["build-2"], ["1.0.0"], ["1.0.0"], False),  # what answered before still does
        (["2"], ["2", "1"], ["1"], False),
        (["2"], ["3", "4"], ["1"], False),
        (["2"], [UNNAMED], ["1"], False),
        (["2"], [], ["1"], False),
    ],
)
def test_a_version_that_nobody_expected_may_be_the_right_one_by_another_name(
    expected: list[str], counts: list[str], before: list[str], helps: bool
) -> None:
    assert ("set version_of to" in _baseline.other_names({}, expected, counts, before)) is helps


def refused(error: str, **seen: object) -> str:
    return _baseline.refusal({"url": "http://192.0.2.1/version", "errors": {error: 5}, **seen})


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("HTTP 301 to https://shop.example.com/v", "set url=https://shop.example.com/v, in an entry as its url"),
        ("HTTP 302 to /login", "set path=/login, in an entry as its path"),
        ("HTTP 400", "Set the header Host that it answers to, with headers"),
        ("HTTP 401", "Set headers that are let in, such as Authorization"),
        ("HTTP 404", "Check that path is right"),
        ("HTTP/2 only", "Name with port another port that speaks HTTP/1.1, or judge by source=endpoints"),
        ("HTTP 503 (not HTTP/1.1)", "Name with port another port that speaks HTTP/1.1"),
        ("connection lost", "if it is not an HTTP server, judge by source=endpoints"),
        ("certificate not trusted (self-signed certificate)", "in an entry with ca_cert"),
        ("certificate not trusted (Hostname mismatch, certificate is not valid)", "a server_name that it is valid for"),
    ],
)
def test_a_refusal_says_what_was_seen_and_what_to_do(error: str, remedy: str) -> None:
    said = refused(error)
    assert said.startswith("Nothing was changed, as what users get could not be verified: 5 of 5 requests to http://")
    assert f"got no good answer (5 x {error}). " in said
    assert remedy in said
    assert "-e unverified=true makes the change anyway, and its verdict is unverified" in said


def test_a_refusal_names_the_port_and_the_other_ones() -> None:
    ports = {"port": "grpc (7070)", "other_ports": ["http (80)", "metrics (9090)"]}
    said = refused("HTTP/2 only", **ports)
    assert "to http://192.0.2.1/version, port grpc (7070), got" in said
    assert "its Service has other ports, none of which answers either: http (80), metrics (9090)" in said
    assert "; http (80) does answer, which port can be set to" in refused(
        "HTTP/2 only", ports_that_answer=["http (80)"], **ports
    )


@pytest.mark.parametrize(
    ("errors", "passes", "unserved"),
    [
        ({"connection refused": 5}, True, True),
        ({"HTTP 503 (connection refused)": 5}, True, True),
        ({"HTTP 503 (no ready endpoint)": 5}, True, True),
        ({"HTTP 500": 5}, True, False),
        ({"timeout": 5}, True, False),
        ({"HTTP 404": 5}, False, False),
        ({"HTTP 503 (not HTTP/1.1)": 5}, False, False),
        ({"connection lost": 5}, False, False),
        ({}, False, False),
    ],
)
def test_what_a_cluster_that_settles_gives(errors: dict[str, int], passes: bool, unserved: bool) -> None:
    assert (_baseline.may_pass(errors), _baseline.is_unserved(errors)) == (passes, unserved)


def test_what_too_few_requests_have_asked_is_not_said_to_lose_any() -> None:
    assert _baseline.serves_again("pass") == "receives all traffic again"
    assert "too few requests" in _baseline.serves_again("inconclusive")
    assert "does not answer every request" in _baseline.serves_again("fail")
