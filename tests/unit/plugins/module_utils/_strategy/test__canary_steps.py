"""Which steps of a canary are left, and how many replicas they take."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import WATCHED
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_steps import is_whole, longest, seconds
from unit.plugins.module_utils._strategy.canaries import (
    STEPS,
    WIDE,
    Object,
    canary,
    deployment,
    ends,
    planned,
    seen,
)


def test_a_pause_that_was_held_is_not_repeated() -> None:
    found = planned(seen(beside=canary(**{WATCHED: "25"})), version="2.0.0", steps=STEPS)
    assert [step["pause"] for step in found["steps"]] == [0, 0]
    assert planned(seen(beside=canary()), version="2.0.0", steps=STEPS)["steps"][0]["pause"] == 300


def test_beyond_half_stable_shrinks_and_what_it_had_is_remembered() -> None:
    shrunk = seen(deployment(replicas=1), canary(replicas=3, weight="75"))
    found = planned(shrunk, version="2.0.0", steps=WIDE)
    assert found["stable"]["whole"] == 3
    assert [(step["canary"], step["stable"]) for step in found["steps"]] == [(3, 1), (3, 0)]


def test_stable_that_is_scaled_meanwhile_changes_what_a_weight_means() -> None:
    found = planned(seen(deployment(replicas=6), canary()), version="2.0.0", steps=STEPS)
    assert (found["steps"][0]["canary"], found["steps"][0]["stable"]) == (2, 6)


def test_a_weight_that_is_out_of_reach_is_accepted_by_a_tolerance() -> None:
    found = planned(seen(), version="2.0.0", steps=[{"weight": 10.0}], tolerance=15)
    assert found["steps"][0]["message"] == "weight 10%: 1 of 4 pods gives 25%"


@pytest.mark.parametrize(
    ("steps", "promote", "spec", "needed"),
    [
        (STEPS[:1], False, {}, 1),
        (STEPS, False, {}, 3),
        (WIDE, False, {}, 3),
        (STEPS[:1], True, {}, 2),  # one of the canary and one of the rolling update
        (STEPS, True, {"strategy": {"rollingUpdate": {"maxSurge": 2}}}, 5),
        (STEPS, True, {"strategy": {"rollingUpdate": {"maxSurge": "100%"}}}, 6),
        (STEPS, True, {"strategy": {"type": "Recreate"}}, 3),
    ],
)
def test_how_many_more_pods_there_will_be(steps: list[Object], promote: bool, spec: Object, needed: int) -> None:
    pods, slices = ends(s1=True, s2=True, s3=True)
    state = seen(deployment(**spec), pods=pods, slices=slices)
    assert planned(state, version="2.0.0", steps=steps, promote=promote)["needed"] == needed


def test_pauses_are_within_the_time_that_the_steps_may_take() -> None:
    request = {"timeout": 600, "settle": 10, "samples": 1000, "tolerance": 0.0, "min_success": 0.999}
    steps = [{"pause": 3600, "share": 0.25}, {"pause": 0, "share": 0.5}]
    assert longest(steps, request) == 7200 + 2 * (600 + 330)
    small = longest([{"pause": 0, "share": 0.01}], {**request, "samples": 0})
    assert small > 600 + 11 * 30_000 / 200  # as many requests as tell 1% from its double
    assert longest([], request) == 0


@pytest.mark.parametrize(
    ("stable", "beside", "whole"),
    [
        (deployment(), canary(), True),
        (deployment(replicas=1), canary(replicas=3, weight="75"), True),  # it was taken down to one by somebody
        (deployment(replicas=9) | {"status": {"observedGeneration": 1, "availableReplicas": 3}}, canary(), True),
        (deployment(replicas=9) | {"status": {"observedGeneration": 1, "availableReplicas": 2}}, canary(), False),
        (deployment() | {"status": {"observedGeneration": 0, "availableReplicas": 3}}, canary(), False),
    ],
)
def test_stable_is_whole_with_the_replicas_that_it_had_before_the_canary(
    stable: Object, beside: Object, whole: bool
) -> None:
    assert is_whole(stable, beside) is whole


@pytest.mark.parametrize(
    ("pause", "count"), [(0, 0), ("90", 90), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2m5", 125)]
)
def test_pauses(pause: object, count: int) -> None:
    assert seconds(pause) == count


def test_a_pod_that_has_its_node_and_is_not_ready_yet_needs_no_other_one() -> None:
    beside = canary()
    pod = {
        "metadata": {
            "name": "hello-canary-1-x",
            "namespace": "default",
            "labels": {"app": "hello", "track": "canary", "version": "2.0.0", "pod-template-hash": "1"},
            "ownerReferences": [{"controller": True, "name": "hello-canary-1", "uid": "1"}],
        },
        "spec": {"nodeName": "a", "containers": []},
    }
    asked: Object = {"version": "2.0.0", "steps": STEPS[:1]}
    assert planned(seen(beside=beside), **asked)["needed"] == 1
    assert planned(seen(beside=beside, pods=[pod]), **asked)["needed"] == 0
