"""Which Service a canary is behind, and which version users get."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import (
    ALONE,
    Asked,
    Seen,
    alone,
    remembered,
    service_of,
    users_get,
)
from unit.plugins.module_utils._strategy.canaries import canary, deployment, seen, service
from unit.plugins.module_utils._strategy.test__canary_routed import routed


def test_the_service_is_the_one_that_leads_to_the_deployment() -> None:
    other = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "hello"}}}
    foreign = {"metadata": {"name": "auth"}, "spec": {"selector": {"app": "auth"}}}
    stable = deployment()
    assert service_of([foreign, other], stable, "")["metadata"]["name"] == "web"
    assert service_of([other, service()], stable, "")["metadata"]["name"] == "hello"
    assert service_of([other, service()], stable, "web")["metadata"]["name"] == "web"
    third = {"metadata": {"name": "api"}, "spec": {"selector": {"app": "hello"}}}
    for services, asked, said in (
        ([foreign], "", "no Service that leads to Deployment hello"),
        ([other, third], "", r"Several Services lead to Deployment hello \(api, web\)"),
        ([service()], "web", "no Service web in namespace default"),
    ):
        with pytest.raises(Failure, match=said):
            service_of(services, stable, asked)


@pytest.mark.parametrize(
    ("state", "version"),
    [
        (seen(), "1.0.0"),
        (seen(deployment(replicas=0)), "1.0.0"),
        (seen(beside=canary()), "1.0.0"),
        (seen(deployment(replicas=0), canary(replicas=3, weight="100")), "2.0.0"),
    ],
)
def test_users_get_stable_unless_it_has_no_replicas(state: Seen, version: str) -> None:
    assert users_get(state, Asked()) == version


def test_nobody_can_tell_what_users_get_while_stable_is_in_the_middle_of_another_rollout() -> None:
    # Paused with another template, of which no pod has been made.
    stable = deployment(version="3.0.0", paused=True)
    stable["status"] |= {"updatedReplicas": 0}
    assert users_get(seen(stable), Asked()) is None
    assert users_get(seen(deployment(version="3.0.0", paused=True)), Asked()) == "3.0.0"


def test_nobody_can_tell_what_users_get_of_several_containers() -> None:
    stable = deployment()
    stable["spec"]["template"]["spec"]["containers"] = [{"name": name, "image": f"{name}:7"} for name in ("web", "log")]
    assert users_get(seen(stable), Asked()) is None


def test_a_canary_remembers_what_was_lost_before_it() -> None:
    before = {"by": "versions", "samples": 500, "counts": {"1.0.0": 495}, "errors": {"HTTP 503": 5}, "message": ""}
    assert alone(seen()) is None  # what is lost now tells
    there = seen(beside=canary(**remembered(before)))
    assert alone(there) == {"samples": 500, "errors": {"HTTP 503": 5}}


@pytest.mark.parametrize(
    "state",
    [
        seen(beside=canary()),
        seen(beside=canary(**remembered({"by": "later"}))),
        seen(beside=canary(**{ALONE: "none"})),
        seen(beside=canary(**{ALONE: '{"samples": 500, "errors": 5}'})),
        routed(behind={"metadata": {"name": "hello-canary"}}),  # the Service of one that is deleted
    ],
)
def test_where_nothing_is_remembered_nothing_is_known_of_what_was_lost_before(state: Seen) -> None:
    assert alone(state) == {}
