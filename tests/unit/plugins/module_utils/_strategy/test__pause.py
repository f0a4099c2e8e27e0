"""Pausing a Deployment at a share of its new pods."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _pause

Object = dict[str, t.Any]


def deployment(replicas: int, surge: t.Any = 1, unavailable: t.Any = 0) -> Object:
    """A Deployment whose rollout is under way."""
    limits = {"maxSurge": surge, "maxUnavailable": unavailable}
    strategy = {"type": "RollingUpdate", "rollingUpdate": limits}
    spec = {"replicas": replicas, "progressDeadlineSeconds": 600, "strategy": strategy}
    return {"metadata": {"name": "hello", "annotations": {"team": "blue"}}, "spec": spec}


def after(item: Object, patch: list[Object]) -> Object:
    """An object after a JSON patch."""
    item = copy.deepcopy(item)
    for step in patch:
        *parents, last = (key.replace("~1", "/") for key in step["path"].split("/")[1:])
        there = item
        for key in parents:
            there = there[key]
        if step["op"] == "remove":
            del there[last]
        else:
            there[last] = step["value"]
    return item


@pytest.mark.parametrize(
    ("replicas", "said", "due"), [(4, "50%", 2), (3, "50%", 2), (10, "1%", 1), (3, "99%", 2), (100, "7%", 7)]
)
def test_the_point_is_rounded_up_and_leaves_an_old_pod(replicas: int, said: str, due: int) -> None:
    assert _pause.point(said).due(deployment(replicas)) == due


@pytest.mark.parametrize("said", ["0%", "100%", "half", "50", "-1%", "200%"])
def test_what_is_no_point_is_refused(said: str) -> None:
    with pytest.raises(Failure, match=r"set a share of its pods between 0% and 100%"):
        _pause.point(said)


def test_one_pod_has_no_point_between_old_and_new() -> None:
    with pytest.raises(Failure, match="nothing between old and new; scale it to 2"):
        _pause.point("50%").due(deployment(1))


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable"), [(4, 1, 0), (10, "25%", "25%"), (3, 0, 1), (4, "100%", 0), (100, 3, "10%")]
)
def test_the_steps_end_at_the_point_and_never_take_more_pods_away_than_allowed(
    replicas: int, surge: t.Any, unavailable: t.Any
) -> None:
    point = _pause.point("50%")
    own = deployment(replicas, surge, unavailable)
    _surge, spare = _pause.limits(replicas, surge, unavailable)
    now = after(own, _pause.braked(own, point))
    assert now["spec"]["paused"]
    new = 0
    while new < point.due(own):
        ready = new
        now = after(now, _pause.towards(now, point, ready))
        step = now["spec"]["strategy"]["rollingUpdate"]
        assert "paused" not in now["spec"]
        # Where no new pod counts as available, the controller comes to rest here.
        new = step["maxSurge"] + step["maxUnavailable"]
        assert ready < new <= point.due(own)
        assert replicas - step["maxUnavailable"] + ready >= replicas - spare
    held = after(now, _pause.paused(now, point.said))
    assert held["metadata"]["annotations"][_pause.PAUSED_AT] == "50%"
    assert held["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == unavailable
    assert "minReadySeconds" not in held["spec"]
    assert after(held, _pause.resumed(held)) == own


def test_a_larger_surge_comes_back_when_it_is_resumed() -> None:
    own = deployment(4, "100%")
    point = _pause.point("50%")
    braked = after(own, _pause.braked(own, point))
    held = after(now := after(braked, _pause.towards(braked, point, 0)), _pause.paused(now, "50%"))
    assert held["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 2
    assert json.loads(held["metadata"]["annotations"][_pause.BEFORE_PAUSE]) == {"maxSurge": "100%"}
    assert after(held, _pause.resumed(held)) == own


def test_cut_off_with_the_brake_on_it_is_given_back_too() -> None:
    own = deployment(4)
    braked = after(own, _pause.braked(own, _pause.point("50%")))
    assert after(braked, _pause.resumed(braked)) == own
    again = after(braked, _pause.braked(braked, _pause.point("75%")))
    assert after(again, _pause.resumed(again)) == own


def test_pausing_what_is_paused_changes_nothing() -> None:
    held = after(deployment(4), _pause.paused(deployment(4)))
    assert _pause.paused(held) == []
    assert not _pause.is_ours(held)


def test_an_annotation_that_somebody_spoiled_is_told() -> None:
    spoiled = deployment(4)
    spoiled["metadata"]["annotations"][_pause.BEFORE_PAUSE] = "[1"
    with pytest.raises(Failure, match="is not what was written there"):
        _pause.resumed(spoiled)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "at_once"), [(3, "25%", "25%", 1), (10, 1, 3, 1), (25, "100%", "50%", 3)]
)
def test_pods_without_a_drain_end_a_few_at_a_time_after_new_ones_were_ready(
    replicas: int, surge: t.Any, unavailable: t.Any, at_once: int
) -> None:
    before = deployment(replicas, surge, unavailable)
    spaced = after(before, _pause.spaced(before))
    assert spaced["spec"]["minReadySeconds"] == _pause.QUIET
    assert spaced["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": at_once, "maxUnavailable": 0}
    assert not _pause.is_ours(spaced)
    assert after(spaced, _pause.spaced(spaced)) == spaced  # a run that was cut off in between is run again
    assert after(spaced, _pause.released(spaced)) == before


def test_a_time_that_is_longer_already_stays() -> None:
    before = deployment(3)
    before["spec"]["minReadySeconds"] = 30
    spaced = after(before, _pause.spaced(before))
    assert spaced["spec"]["minReadySeconds"] == 30
    assert after(spaced, _pause.released(spaced)) == before


def test_pods_do_not_end_later_where_no_pod_may_come_before_or_the_rollout_would_not_get_anywhere() -> None:
    recreated = deployment(3)
    recreated["spec"]["strategy"] = {"type": "Recreate"}
    paused = deployment(3)
    paused["spec"]["paused"] = True
    short = deployment(3)
    short["spec"]["progressDeadlineSeconds"] = 3
    for item in (deployment(3, 0, 1), recreated, paused, short):
        assert _pause.spaced(item) == []


def test_what_a_pause_has_changed_is_given_back_by_the_pause_only() -> None:
    braked = after(deployment(4), _pause.braked(deployment(4), _pause.point("50%")))
    assert _pause.released(braked) == []
    assert _pause.released(deployment(4)) == []


@pytest.mark.parametrize("own", [deployment(4), deployment(4, 2, 1), deployment(4, "25%", "25%")])
def test_what_an_earlier_run_noted_says_nothing_once_it_was_given_back(own: Object) -> None:
    """`kubectl rollout undo` brings the annotations of the earlier ReplicaSet back."""
    braked = after(own, _pause.braked(own, _pause.point("50%")))
    assert _pause.is_ours(braked)
    undone = deployment(4, 3, 2)
    undone["metadata"]["annotations"] = braked["metadata"]["annotations"]
    assert not _pause.is_ours(undone)
    assert after(undone, _pause.resumed(undone))["spec"] == undone["spec"]
    slowed = after(undone, _pause.spaced(undone))
    assert after(slowed, _pause.resumed(slowed))["spec"]["strategy"] == undone["spec"]["strategy"]
