"""What share of the ready endpoints a canary has, against the weight asked for."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary_standing
from unit.plugins.module_utils._strategy.canaries import Object, canary, deployment, ends, planned, seen

HALF = {"weight": 50, "canary": 3, "stable": 3}


@pytest.mark.parametrize(
    ("tracks", "ready", "settled", "shares"),
    [
        ({"s1": True, "s2": True, "s3": True, "c1": True}, (3, 1), True, {"1.0.0": 0.75, "2.0.0": 0.25}),
        ({"s1": True, "s2": True, "s3": False, "c1": True}, (2, 1), False, {"1.0.0": 2 / 3, "2.0.0": 1 / 3}),
        ({"s1": True, "s2": True, "s3": True}, (3, 0), False, {"1.0.0": 1.0}),
        ({}, (0, 0), False, {}),
    ],
)
def test_shares_are_those_of_the_ready_endpoints(
    tracks: dict[str, bool], ready: tuple[int, int], settled: bool, shares: Object
) -> None:
    pods, slices = ends(**tracks)
    found = planned(seen(beside=canary(), pods=pods, slices=slices), version="2.0.0")
    assert (found["ready"]["stable"], found["ready"]["canary"]) == ready
    assert found["settled"] is settled
    assert found["shares"] == shares


def test_a_pod_with_addresses_of_both_families_is_one_endpoint() -> None:
    pods, slices = ends(s1=True, s2=True, s3=True, c1=True)
    found = planned(seen(beside=canary(), pods=pods, slices=[*slices, *slices]))
    assert (found["ready"], found["settled"]) == ({"stable": 3, "canary": 1}, True)


def test_an_endpoint_of_a_pod_that_is_gone_is_not_settled() -> None:
    pods, slices = ends(s1=True, s2=True, s3=True, c1=True)
    slices[0]["endpoints"].append({"targetRef": {"name": "x"}})
    assert not planned(seen(beside=canary(), pods=pods, slices=slices))["settled"]


def managed(item: Object, manager: str) -> Object:
    """A Deployment whose replicas a field manager wrote."""
    entry = {"manager": manager, "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    return dict(item, metadata=dict(item["metadata"], managedFields=[entry]))


@pytest.mark.parametrize(("stable", "beside", "tolerance"), [(3, 3, 0), (3, 2, 10), (4, 3, 8)])
def test_replicas_within_the_tolerance_of_the_weight_are_what_was_asked_for(
    stable: int, beside: int, tolerance: float
) -> None:
    _canary_standing.check_weight(seen(deployment(replicas=stable), canary(replicas=beside)), HALF, tolerance)


def test_replicas_that_somebody_changed_are_named_with_who_did_it_and_what_is_ready() -> None:
    pods, slices = ends(s1=True, s2=True, s3=True, s4=True, s5=True, c1=True, c2=True, c3=True)
    state = seen(managed(deployment(replicas=9), "kubectl"), canary(replicas=3), pods=pods, slices=slices)
    with pytest.raises(Failure) as raised:
        _canary_standing.check_weight(state, HALF, 5)
    assert raised.value.message == (
        "spec.replicas of Deployment hello was changed from 3 to 9 by kubectl while the canary was given 50%: 3 of 12 "
        "replicas give it 25%, which is not within 5 points of that (3 of 8 ready endpoints are its own now). Find "
        "out who did that and scale back, or request a weight that these replicas give."
    )


def test_a_canary_that_somebody_scaled_away_has_no_share() -> None:
    with pytest.raises(Failure, match=r"hello-canary was changed from 3 to 0 .* 0 of 3 replicas give it 0%"):
        _canary_standing.check_weight(seen(deployment(), canary(replicas=0)), HALF, 5)
    with pytest.raises(Failure, match="0 of 0 replicas give it 0%"):
        _canary_standing.check_weight(seen(deployment(replicas=0), canary(replicas=0)), HALF, 5)
    with pytest.raises(Failure, match="Deployment hello-canary was deleted by somebody else"):
        _canary_standing.check_weight(seen(), HALF, 5)


@pytest.mark.parametrize(
    ("tracks", "alone"),
    [({"s1": True, "c1": False}, True), ({"s1": True, "c1": True}, False), ({"c1": True}, False), ({}, False)],
)
def test_stable_is_alone_where_only_its_pods_are_ready(tracks: dict[str, bool], alone: bool) -> None:
    pods, slices = ends(**tracks)
    state = seen(pods=pods, slices=slices)
    assert _canary_standing.endpoints(state)["alone"] is alone
    assert "where 3 and 0 are expected" in _canary_standing.unsettled(state)


def test_an_endpoint_of_no_known_pod_may_be_the_canarys() -> None:
    pods, slices = ends(s1=True)
    slices[0]["endpoints"].append({"targetRef": {"name": "x"}})
    assert not _canary_standing.endpoints(seen(pods=pods, slices=slices))["alone"]
