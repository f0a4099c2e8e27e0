"""Which lost requests are held against a version, and which are not because pods end."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._proof._ending import FOLLOW, FOLLOW_SLOWLY, Ending, said

REFUSED = {"errors": {"connection refused": 3, "HTTP 502": 1}}
BROKEN = {"errors": {"HTTP 500": 3}}


@pytest.mark.parametrize(
    ("result", "begun", "excused"),
    [
        (REFUSED, 100.0, True),
        (REFUSED, 100.0 + FOLLOW, True),  # the load balancer of a cloud may not have heard of it yet
        (REFUSED, 100.0 + FOLLOW_SLOWLY, False),
        (BROKEN, 100.0 + FOLLOW - 1, True),
        (BROKEN, 100.0 + FOLLOW, False),  # no pod that has stopped listening says so
        ({"errors": {"connection refused": 3, "HTTP 500": 1}}, 100.0 + FOLLOW, False),
        ({"errors": {"HTTP 500": 1}, "errors_by_version": {"2.0.0": 1}}, 100.0, False),  # it says itself who it is
        ({"errors": {"HTTP 500": 1}, "errors_by_version": {"1.0.0": 1}}, 100.0, True),
        ({"errors": {}}, 100.0, False),  # a share that is off is not excused
        ({}, 100.0, False),
    ],
)
def test_what_is_lost_while_pods_end_is_no_versions_fault(
    result: dict[str, t.Any], begun: float, excused: bool
) -> None:
    ending = Ending()
    ending.saw({"hello-1": "1.0.0"}, 100.0)
    assert ending.excuses(result, begun, "2.0.0") is excused
    counted = {error: count for error, count in (result.get("errors") or {}).items() if error != "HTTP 500"}
    assert ending.lost == (counted if excused else {}), "a pod that has stopped listening answers nothing"


def test_where_no_pod_ends_nothing_is_excused() -> None:
    assert not Ending().excuses(REFUSED, 100.0, "2.0.0")


def test_pods_that_the_run_has_just_ended_may_be_gone_before_anybody_sees_them() -> None:
    assert Ending(changed=100.0).excuses(REFUSED, 101.0, "2.0.0")


def test_the_time_counts_from_the_newest_pod_on_and_a_pod_that_takes_long_to_end_is_seen_once() -> None:
    ending = Ending()
    ending.saw({"hello-1": "1.0.0"}, 100.0)
    ending.saw({"hello-1": "1.0.0", "hello-2": "1.0.0"}, 110.0)
    ending.saw({"hello-1": "1.0.0", "hello-2": "1.0.0"}, 150.0)
    assert ending.first == 100.0
    assert ending.excuses(BROKEN, 110.0 + FOLLOW - 1, "2.0.0")
    assert not ending.excuses(REFUSED, 110.0 + FOLLOW_SLOWLY, "2.0.0")


@pytest.mark.parametrize(
    ("lost", "pods", "sentence"),
    [
        (14, {"1.0.0": 3}, "14 requests were lost while 3 pods of 1.0.0 ended: why"),
        (1, {"1.0.0": 1, "2.0.0": 2}, "1 request was lost while 1 pod of 1.0.0 and 2 pods of 2.0.0 ended: why"),
        (2, {"": 1}, "2 requests were lost while 1 pod ended: why"),
        (2, {}, "2 requests were lost while pods ended: why"),
    ],
)
def test_what_was_lost_is_said_in_one_sentence(lost: int, pods: dict[str, int], sentence: str) -> None:
    assert said(lost, pods, "why") == sentence
