"""The pods that a change ends, and whether a person is warned of what that may lose."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _drain
from ansible_collections.convoy.rollout.plugins.module_utils._workload._subject import Drain

Object = dict[str, t.Any]
SLEEPS: Object = {"preStop": {"sleep": {"seconds": 5}}}


def deployment(*, lifecycle: Object | None = None, grace: int = 30, sidecar: Object | None = None) -> Object:
    """Three pods of hello 1.0.0, with or without a proxy beside it that takes the requests."""
    main: Object = {"name": "hello", "image": "hello:1.0.0", **({"lifecycle": lifecycle} if lifecycle else {})}
    return {
        "metadata": {"name": "hello"},
        "spec": {
            "replicas": 3,
            "template": {
                "metadata": {"labels": {"app": "hello"}},
                "spec": {"terminationGracePeriodSeconds": grace, "containers": [main, *([sidecar] if sidecar else [])]},
            },
        },
    }


def service(port: int) -> Object:
    """One that leads to hello."""
    return {"metadata": {"name": "hello"}, "spec": {"selector": {"app": "hello"}, "ports": [{"targetPort": port}]}}


def test_pods_without_a_drain_are_warned_of_with_the_remedy_and_what_blue_green_does_instead() -> None:
    said = _drain.warning([_drain.ending(deployment(), [service(80)])])
    assert "The pods of Deployment hello have no drain, so they stop listening as soon as they are told to end" in said
    assert "a preStop hook that sleeps for 5 seconds" in said
    assert "bluegreen" in said


def test_pods_that_end_in_quiet_moments_are_still_warned_of_with_what_that_is_in_time_for() -> None:
    said = _drain.warning([_drain.ending(deployment(), [service(80)], quiet=3)])
    assert "only when a new one has been ready for 3 seconds, which is in time for the proxies of nodes" in said
    assert "ready for" not in _drain.warning([_drain.ending(deployment(), [service(80)])])


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(_drain.ending(deployment(lifecycle=SLEEPS), [service(80)]), id="drains"),
        pytest.param(_drain.ending(deployment(lifecycle=SLEEPS), []), id="drains, and no Service leads to it"),
        pytest.param(_drain.ending(deployment(), [service(80)], pods=0), id="no pod ends"),
        pytest.param(
            _drain.Ending("hello", "1.0.0", 3, Drain("hello", "httpGet", None, 30)), id="nobody knows for how long"
        ),
    ],
)
def test_what_loses_nothing_is_not_warned_of(ending: _drain.Ending) -> None:
    assert not _drain.warning([ending])
    _drain.refuse([ending], "scale")


def moving(replicas: int, **strategy: t.Any) -> Object:
    """A Deployment of so many replicas, with a strategy."""
    found = deployment()
    found["spec"] |= {"replicas": replicas, "strategy": strategy}
    return found


@pytest.mark.parametrize(
    ("found", "given", "said"),
    [
        (moving(1), {}, ""),
        (moving(3), {}, ""),
        (moving(0, type="Recreate"), {}, ""),
        (moving(3, rollingUpdate={"maxSurge": 0, "maxUnavailable": 2}), {}, ""),
        (moving(3, rollingUpdate={"maxSurge": 0, "maxUnavailable": "100%"}), {}, "all of its 3 pods"),
        (moving(1, rollingUpdate={"maxSurge": 0, "maxUnavailable": 1}), {}, "its only pod"),
        (moving(1, rollingUpdate={"maxSurge": 0, "maxUnavailable": 0}), {}, "its only pod"),  # Kubernetes takes 1
        (moving(1, rollingUpdate={"maxSurge": 0}), {"max_surge": "1"}, ""),
        (moving(2), {"max_unavailable": "2"}, "(maxUnavailable 2), so users get no answer meanwhile"),
        (moving(2, type="Recreate"), {}, "(strategy Recreate), so users get no answer meanwhile"),
    ],
)
def test_an_update_that_ends_every_pod_before_a_new_one_is_ready_is_warned_of(
    found: Object, given: dict[str, str], said: str
) -> None:
    outage = _drain.outage(found, **given)
    assert bool(said) is bool(outage)
    warning = _drain.warning([_drain.ending(found, [], outage=outage)])
    assert said in warning
    assert not (outage and "no drain" in warning)  # which would help nobody then


def test_what_is_lost_while_nobody_answers_is_not_said_to_want_a_drain() -> None:
    found = moving(2, type="Recreate")
    noted = _drain.noted(_drain.ending(found, [], outage=_drain.outage(found)))
    assert noted["lacks"] == "all end before a new one is ready (strategy Recreate)"
    assert noted["remedy"].startswith("give Deployment hello the strategy RollingUpdate, or change the version")


def test_the_drain_that_counts_is_that_of_the_container_that_takes_the_requests() -> None:
    sidecar = {"name": "proxy", "image": "envoy:1", "ports": [{"containerPort": 15001}]}
    found = _drain.ending(deployment(lifecycle=SLEEPS, sidecar=sidecar), [service(15001)])
    assert found.drain is None


def test_a_drain_that_is_longer_than_the_grace_period_is_warned_of() -> None:
    found = _drain.ending(deployment(lifecycle=SLEEPS, grace=5), [service(80)])
    assert "are killed after their grace period of 5 s, before their drain of 5 s is over" in _drain.warning([found])
    assert "terminationGracePeriodSeconds above 5" in _drain.warning([found])


def test_the_old_colour_takes_no_new_requests_so_it_is_not_said_to_lose_them() -> None:
    said = _drain.warning([_drain.ending(deployment(), [service(80)], takes_traffic=False)])
    assert "New requests no longer reach them" in said
    assert "bluegreen" not in said


def test_a_required_drain_that_is_missing_is_refused_with_the_remedy() -> None:
    with pytest.raises(Failure, match=r"scale_require_drain is set, and the pods of Deployment hello have no drain"):
        _drain.refuse([_drain.ending(deployment(), [service(80)])], "scale")
