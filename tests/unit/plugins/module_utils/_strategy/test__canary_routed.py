"""A canary whose share a router gives: its steps, its Service, and what keeps it from it."""

from __future__ import annotations

import copy
import dataclasses
from fractions import Fraction
from typing import Any

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import (
    _canary,
    _canary_manifests,
    _canary_standing,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import Asked, Seen
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _ingress, _router, _split
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._split import ROUTER
from unit.plugins.module_utils._strategy.canaries import Object, canary, deployment, planned, seen, service
from unit.plugins.module_utils._strategy.routers.test__ingress import ingress

HELLO = _router.named({"gateway_api": {"route": "hello", "rules": []}})


def route(stable: int = 1, beside: int | None = None, *, accepted: bool = True) -> Object:
    """The route, with the canary's Service behind it where that has a weight."""
    refs = [{"name": "hello", "port": 80, "weight": stable}]
    refs += [] if beside is None else [{"name": "hello-canary", "port": 80, "weight": beside}]
    conditions = [
        {"type": kind, "status": "True" if accepted else "False", "observedGeneration": 1, "reason": kind}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    return {
        "metadata": {"name": "hello", "namespace": "default", "generation": 1},
        "spec": {"parentRefs": [{"name": "web"}], "rules": [{"backendRefs": refs}]},
        "status": {"parents": [{"parentRef": {"name": "web"}, "conditions": conditions}]},
    }


def hello(**selector: str) -> Object:
    found = service(**selector)
    found["spec"]["ports"] = [{"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080}]
    return found


def routed(beside: Object | None = None, **more: Any) -> Seen:
    more.setdefault("route", route())
    more.setdefault("service", hello())
    return seen(beside=beside, router=HELLO, **more)


def steps(state: Seen, *steps: Object) -> list[Object]:
    return list(planned(state, version="2.0.0", steps=list(steps), router=HELLO)["steps"])


def routed_canary(weight: str = "5", **more: str) -> Object:
    return canary(weight=weight, **{ROUTER: "HTTPRoute hello", **more})


@pytest.mark.parametrize(
    ("step", "replicas"),
    [
        ({"weight": 1.0}, 1),
        ({"weight": 34.0}, 2),
        ({"weight": 100.0}, 3),
        ({"weight": 1.0, "replicas": 2}, 2),
    ],
)
def test_a_share_takes_as_many_pods_as_it_is_of_stable_and_stable_keeps_its_own(step: Object, replicas: int) -> None:
    found = steps(routed(), step)[0]
    assert (found["canary"], found["stable"], found["share"]) == (replicas, 3, step["weight"] / 100)


def test_a_share_that_pods_cannot_give_is_refused_without_a_router_only() -> None:
    with pytest.raises(Failure, match="1% needs 99 stable"):
        planned(seen(), version="2.0.0", steps=[{"weight": 1.0}])
    assert steps(routed(), {"weight": 1.0})


def test_stable_is_not_shrunk_beyond_a_half() -> None:
    beside = routed_canary("100")
    found = planned(routed(beside, route=route(0, 100)), steps=[{"weight": 100.0}], router=HELLO)
    assert found["stable"]["whole"] == 3


def test_the_service_of_the_canary_has_its_pods_and_the_ports_of_stables() -> None:
    state = routed()
    made = _canary_manifests.made(state, Asked(version="2.0.0", router=HELLO))
    found = _canary_manifests.service(state, made)
    assert found["metadata"]["name"] == "hello-canary"
    assert found["spec"]["selector"] == {"app": "hello", "track": "canary"}
    assert found["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": 8080}]
    assert _split.weights_before(found) == [1]
    assert _canary_manifests.SEPARATED in found["metadata"]["annotations"]


def test_stables_service_is_kept_from_the_canarys_pods() -> None:
    def separation(**selector: str) -> dict[str, str]:
        state = routed(service=hello(**selector))
        return _canary_manifests.separation(state, _canary_manifests.made(state, Asked(version="2.0.0")))

    assert separation(app="hello") == {"track": "stable"}
    assert separation(app="hello", track="stable") == {}


def test_a_service_that_cannot_be_kept_from_them_is_refused() -> None:
    state = routed(stable=deployment(labels={"app": "hello"}))
    with pytest.raises(Failure, match=r"selects app=hello, which the canary's pods have too.*a label track=stable"):
        steps(state, {"weight": 1.0})


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (routed(route=route(accepted=False)), "not accepted by all of its gateways: Gateway web does not accept it"),
        (routed(route=route(0)), "gives Service hello the weight 0"),
        (routed(behind=hello()), "Service hello-canary.*was created by somebody else"),
        (routed(canary(weight="5")), "has its share by the number of its pods, and not by HTTPRoute hello"),
        (
            routed(stable=deployment(strategy={"type": "Recreate"})),
            "strategy Recreate.*bring the canary to 100% before",
        ),
    ],
)
def test_what_keeps_it_from_its_share_is_refused(state: Seen, said: str) -> None:
    promote = "Recreate" in said
    with pytest.raises(Failure, match=said):
        planned(state, version="2.0.0", steps=[{"weight": 5.0}], promote=promote, router=HELLO)


def test_a_canary_of_a_router_is_not_taken_for_one_of_pods() -> None:
    with pytest.raises(Failure, match="has its share by HTTPRoute hello, and not by that"):
        planned(seen(beside=routed_canary()), steps=[{"weight": 25.0}])


def test_what_is_expected_are_the_weights() -> None:
    state = routed(routed_canary(), route=route(95, 5))
    assert _canary_standing.shares_of(state, "1.0.0", "2.0.0") == {"1.0.0": 0.95, "2.0.0": 0.05}
    assert _canary_standing.shares_of(state, "2.0.0", "2.0.0") == {"2.0.0": 1.0}
    assert state.share() == Fraction(1, 20)


def test_a_share_without_replicas_fails_and_names_who_scaled_them() -> None:
    step, split = {"weight": 5.0, "canary": 1, "stable": 3}, route(95, 5)
    for state, said in (
        (routed(canary(replicas=0, weight="5"), route=split), "hello-canary was changed from 1 to 0.*gives it 5% of"),
        (routed(routed_canary(), stable=deployment(replicas=0), route=split), "hello was changed from 3 to 0.* 95% of"),
    ):
        with pytest.raises(Failure, match=said):
            _canary_standing.check_weight(state, step, 0)
    whole = routed(routed_canary(), stable=deployment(replicas=0), route=route(0, 100))
    _canary_standing.check_weight(whole, {"weight": 100.0, "canary": 3, "stable": 3}, 0)


def test_weights_that_somebody_changed_fail() -> None:
    state = routed(routed_canary(), route=route(95, 5))
    _canary_standing.check_weight(state, {"weight": 5.0}, 0)
    with pytest.raises(Failure, match="gives the canary 5% instead of 10%"):
        _canary_standing.check_weight(state, {"weight": 10.0}, 50)
    two = dataclasses.replace(state, route=route(95, 5))
    two.route["spec"]["rules"].append({"backendRefs": [{"name": "hello", "port": 80}]})  # type: ignore[index]
    with pytest.raises(Failure, match="different shares by its rules"):
        _canary_standing.check_weight(two, {"weight": 5.0}, 0)


@pytest.mark.parametrize("entry", [{}, {"service": "hello"}, {"path": "/version"}])
def test_requests_have_to_come_in_by_the_router(entry: Object) -> None:
    with pytest.raises(Failure, match=r"Users come in by HTTPRoute hello.*application_entry"):
        _router.check_entry(HELLO, "hello", entry)
    for good in ({"url": "http://hello.example.com/version"}, {"service": "gateway"}):
        _router.check_entry(HELLO, "hello", good)
    _router.check_entry(None, "hello", entry)


@pytest.mark.parametrize(
    ("router", "replicas", "said"),
    [
        ({"pods": True}, 1, r"Without a router \(application_router\)"),
        ({"gateway_api": {"route": "hello", "rules": []}}, 0, "it must be at least 1"),
    ],
)
def test_replicas_of_a_step_are_for_routers(router: Object, replicas: int, said: str) -> None:
    request = {"router": router, "steps": [{"weight": 1.0, "replicas": replicas}]}
    with pytest.raises(Failure, match=said):
        _canary._check_replicas(request)


def test_what_a_run_that_was_cut_off_left_is_aborted_too() -> None:
    left = {"metadata": {"name": "hello-canary", "annotations": {ROUTER: "HTTPRoute hello"}}, "spec": {}}
    found = planned(routed(behind=left), abort=True, router=HELLO)
    assert (found["abort"], found["leftovers"]) == (True, True)
    request = {"weight": 0.0, "steps": [], "version": "", "promote": False, "abort": True}
    said, would, hints = _canary._words(found, request)
    assert said == "hello 1.0.0 receives all traffic; there is no canary, and what was left of one was removed"
    assert would.endswith("would be removed")
    assert hints == ["to go back from 1.0.0: rollback.yml"]  # a promotion may have been cut off in its end


def test_a_run_that_may_not_look_for_a_router_says_so_in_its_result() -> None:
    defaults = {name: option.get("default") for name, option in _canary.REQUEST.items()}
    request = {**defaults, "version": "2.0.0", "steps": [{"weight": 25.0}]}
    for may_not, hints in (((), 0), (("list httproutes", "create ingresses"), 1)):
        found = planned(seen(may_not=may_not), version="2.0.0", steps=[{"weight": 25.0}])
        told = [hint for hint in _canary.begin(found, "1.0.0", {}, request).hints if "by the number of pods" in hint]
        assert len(told) == hints
        assert all(
            "you may not list httproutes and create ingresses" in hint and "{pods: true}" in hint for hint in told
        )


def test_an_ingress_of_the_canarys_that_lacks_a_host_of_the_users_gives_no_share() -> None:
    router = _router.named({"ingress": {"name": "web"}})
    users = ingress()
    own = _ingress.own(users, "hello", "hello-canary", Fraction(1, 20))
    state = seen(beside=routed_canary(), router=router, route=users, own=own, service=hello())
    assert state.share() == Fraction(1, 20)
    more = copy.deepcopy(users)
    more["spec"]["rules"].append({**users["spec"]["rules"][0], "host": "b.example.com"})
    assert dataclasses.replace(state, route=more).share() is None
    assert dataclasses.replace(state, own=None).share() == 0
