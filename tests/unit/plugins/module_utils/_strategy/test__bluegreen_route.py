"""Blue/green by a router: by which one, where its object stands, and what a rollout makes of that."""

from __future__ import annotations

import typing as t
from fractions import Fraction

import jsonpatch
import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _bluegreen_route
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._bluegreen import begin, plan
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._bluegreen_route import Leading
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._unfinished import (
    UNFINISHED,
    Unfinished,
    unfinished_of,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _router
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._split import ROUTER, WEIGHTS, Split
from unit.plugins.module_utils._strategy.routers.test__backends import istio, openshift, traefik
from unit.plugins.module_utils._strategy.routers.test__ingress import ingress
from unit.plugins.module_utils._strategy.test__bluegreen import BLUE, GREEN, service

Object = dict[str, t.Any]

ROUTE = {"gateway_api": {"route": "hello", "rules": []}}
OTHER = {"gateway_api": {"route": "other", "rules": []}}
HELLO = _router.named(ROUTE)
PREVIEW = {"x-preview": "always"}


def preview(*, version: str = "2.0.0", router: str = "HTTPRoute hello") -> Object:
    """The preview Service, which remembers its router."""
    noted = {ROUTER: router, WEIGHTS: "[1]"} if router else {}
    selector = {"app": "hello", "version": version}
    return {"metadata": {"name": "hello-preview", "annotations": noted}, "spec": {"selector": selector}}


def split(hello: int = 1, beside: int | None = None, *, other: int | None = None) -> Split:
    """The route, with the preview Service behind it where that has a weight."""
    refs = [{"name": "hello", "port": 80, "weight": hello}]
    refs += [] if other is None else [{"name": "other", "port": 80, "weight": other}]
    refs += [] if beside is None else [{"name": "hello-preview", "port": 80, "weight": beside}]
    route = {
        "metadata": {"name": "hello", "namespace": "default", "generation": 1},
        "spec": {"parentRefs": [{"name": "web"}], "rules": [{"backendRefs": refs}]},
    }
    assert HELLO is not None
    return Split(HELLO, route, ("hello", "hello-preview"))


def weights(hello: Split, patch: t.Sequence[Object]) -> dict[str, int]:
    """The weights of the route's backends after a JSON patch, whose tests have to be true."""
    route = jsonpatch.apply_patch(hello.route, patch)
    return {each["name"]: each["weight"] for each in route["spec"]["rules"][0]["backendRefs"]}


def test_the_switch_is_two_weights_in_one_patch_and_others_keep_theirs() -> None:
    def given(hello: Split, share: int) -> dict[str, int]:
        patch = hello.weighted(hello.route, Fraction(share))
        assert [each["op"] for each in patch] == ["test", "add"] * 2
        return weights(hello, patch)

    assert given(split(1, 0), 1) == {"hello": 0, "hello-preview": 100}
    assert given(split(30, 0, other=70), 1) == {"hello": 0, "other": 70, "hello-preview": 30}
    assert given(split(0, 30, other=70), 0) == {"hello": 30, "other": 70, "hello-preview": 0}
    home = split(100, 0)
    assert weights(home, home.without(home.route, [1])) == {"hello": 1}


def test_a_switch_of_a_route_that_somebody_changed_meanwhile_fails() -> None:
    patch = split(1, 0).weighted(split(1, 0).route, Fraction(1))
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        weights(split(1, other=1), patch)


@pytest.mark.parametrize(
    ("kind", "users"),
    [
        ({"traefik": {"service": "web"}}, traefik()),
        ({"istio": {"virtual_service": "web"}}, istio()),
        ({"openshift": {"route": "web"}}, openshift(weight=100)),
    ],
)
def test_other_routers_switch_by_the_same_functions(kind: Object, users: Object) -> None:
    router = _router.named(kind)
    assert router is not None
    services = ("hello", "hello-preview")
    before = Split(router, users, services)
    beside = jsonpatch.apply_patch(users, before.weighted(users, Fraction(0)))
    there = jsonpatch.apply_patch(beside, before.weighted(beside, Fraction(1)))
    home = jsonpatch.apply_patch(there, before.without(there, router.kind.weights(users, "hello", ())))
    assert [Split(router, item, services).share() for item in (beside, there, home)] == [0, 1, 0]
    assert [Split(router, item, services).has() for item in (beside, there, home)] == [True, True, False]
    assert not before.led(users, PREVIEW)


@pytest.mark.parametrize(
    ("option", "behind", "began", "decided"),
    [
        (ROUTE, None, [], ("HTTPRoute hello", False)),
        ({"pods": True}, None, [], ("", False)),
        ({}, None, [], ("", True)),
        ({}, preview(router=""), [], ("", True)),  # it stays after each switch
        ({}, preview(), [], ("HTTPRoute hello", False)),  # which was cut off
        ({}, None, [Unfinished("2.0.0", {})], ("", False)),  # begun by the selector
        ({}, None, [Unfinished("2.0.0", {}, router="HTTPRoute hello")], ("HTTPRoute hello", False)),
        (ROUTE, None, [Unfinished("2.0.0", {})], ("HTTPRoute hello", False)),
        (ROUTE, preview(), [], ("HTTPRoute hello", False)),
    ],
)
def test_a_rollout_goes_on_by_what_it_was_begun_with(
    option: Object, behind: Object | None, began: list[Unfinished], decided: tuple[str, bool]
) -> None:
    router, searched = _bluegreen_route.router(option, behind, began)
    assert (str(router or ""), searched) == decided


@pytest.mark.parametrize(
    ("option", "said"),
    [({"pods": True}, "not by the selector of a Service; set"), (OTHER, "not by HTTPRoute other; set")],
)
def test_another_way_than_the_one_that_it_was_cut_off_in_is_refused(option: Object, said: str) -> None:
    with pytest.raises(Failure, match=f"was cut off; it did so by HTTPRoute hello, and {said}"):
        _bluegreen_route.router(option, preview(), [])


def test_what_an_earlier_release_noted_was_begun_by_the_selector() -> None:
    text = Unfinished("2.0.0", {"app": "hello"}).text().replace(', "router": ""', "")
    assert "router" not in text
    found = unfinished_of({"metadata": {"annotations": {UNFINISHED: text}}})
    assert found is not None
    assert found.router == ""


@pytest.mark.parametrize(
    ("hello", "version", "where"),
    [
        (split(), "2.0.0", "home"),
        (split(1, 0), "2.0.0", "beside"),
        (split(0, 100), "2.0.0", "switched"),
        (split(0, 100), "1.0.0", "same"),
        (split(100, 0), "1.0.0", "same"),
        (split(0, 30, other=70), "2.0.0", "switched"),
    ],
)
def test_where_the_route_stands_is_read_from_its_weights_and_from_what_is_behind_them(
    hello: Split, version: str, where: str
) -> None:
    assert _bluegreen_route.stand(hello, preview(version=version), BLUE) == where


@pytest.mark.parametrize(
    ("hello", "behind", "said"),
    [
        (split(1, 0), preview(router=""), "already leads to Service hello-preview, and no rollout"),
        (split(1, 0), None, "already leads to Service hello-preview, and no rollout"),
        (
            split(75, 25),
            preview(),
            "gives Service hello-preview 25% of the traffic, while a switch gives it none or all",
        ),
    ],
)
def test_what_others_made_of_the_route_is_refused(hello: Split, behind: Object | None, said: str) -> None:
    with pytest.raises(Failure, match=said):
        _bluegreen_route.stand(hello, behind, BLUE)


def test_a_rule_of_ones_own_for_the_preview_is_nobodys_to_remove() -> None:
    hello = split()
    hello.route["spec"]["rules"].append({"backendRefs": [{"name": "hello-preview", "port": 80}]})
    assert _bluegreen_route.led_by_others(hello, preview(router=""))
    with pytest.raises(Failure, match="already leads to Service hello-preview"):
        _bluegreen_route.stand(hello, preview(router=""), BLUE)
    assert "HTTPRoute hello already leads to Service hello-preview by a rule" in _bluegreen_route.by_selector_beside(
        hello
    )
    assert _bluegreen_route.stand(hello, preview(), BLUE) == "home"  # which a run that was cut off left
    assert not _bluegreen_route.led_by_others(split(), preview(router=""))


def test_an_ingress_of_the_previews_name_that_others_made_is_refused() -> None:
    router = _router.named({"ingress": {"name": "hello"}})
    assert router is not None
    users = Split(router, ingress(), ("hello", "hello-preview"))
    made = users.made(Fraction(0), {"app": "hello"})
    assert _bluegreen_route.stand(Split(router, ingress(), users.services, made), preview(), BLUE) == "beside"
    made["metadata"]["annotations"].pop(ROUTER)
    with pytest.raises(Failure, match="Ingress hello-preview already leads to Service hello-preview"):
        _bluegreen_route.stand(Split(router, ingress(), users.services, made), preview(), BLUE)


def found(version: str, *, rollback: bool = False) -> Object:
    """What blue/green finds of a rollout to 2.0.0 that was cut off after its switch by the route."""
    live = service(app="hello", version="1.0.0")
    live["metadata"]["annotations"][UNFINISHED] = Unfinished("2.0.0", {"app": "hello"}).text()
    return plan(live, [BLUE, GREEN], version=version, rollback=rollback)


@pytest.mark.parametrize(
    ("asked", "phase", "target"),
    [
        ({"version": "2.0.0"}, "switch", "2.0.0"),  # it goes on, and the colour that users get is not touched
        ({"version": "1.0.0"}, "done", "1.0.0"),
        ({"version": "", "rollback": True}, "done", "1.0.0"),
    ],
)
def test_a_rollout_that_was_cut_off_after_its_switch_goes_on_or_goes_back(
    asked: t.Any, phase: str, target: str
) -> None:
    state = _bluegreen_route.resumed(found(**asked), "switched", preview(), split(0, 100))
    assert (state["phase"], state["version"], state["unfinished"]) == (phase, target, True)
    request = {"replicas": 0, "keep_previous": True}
    described = {"image": "kelseyhightower/hello", "service": {"ports": [{"port": 80}]}}
    begun = _bluegreen_route.begun(begin(state, "hello", described, request), state, "switched", split(0, 100), PREVIEW)
    assert (begun.before, begun.target, begun.running, begun.changes) == ("2.0.0", target, ["2.0.0"], True)
    assert begun.alone == ({} if target == "2.0.0" else None)


def test_no_third_version_takes_the_place_of_what_users_get() -> None:
    with pytest.raises(Failure, match=r"Deployment hello-green 2\.0\.0 all of the traffic already.*3\.0\.0 cannot"):
        _bluegreen_route.resumed(found("3.0.0"), "switched", preview(), split(0, 100))
    third = _bluegreen_route.resumed(found("3.0.0"), "beside", preview(), split(1, 0))
    assert third["phase"] == "preview"


@pytest.mark.parametrize(
    ("where", "behind", "left"),
    [("home", None, False), ("home", preview(router=""), False), ("home", preview(), True), ("same", preview(), True)],
)
def test_what_the_last_run_did_not_put_back_is_left_to_do(where: t.Any, behind: Object | None, left: bool) -> None:
    at_rest = plan(service(app="hello", version="2.0.0"), [BLUE, GREEN], version="2.0.0", rollback=False)
    state = _bluegreen_route.resumed(at_rest, where, behind, split())
    assert (state["phase"], state["unfinished"]) == ("done", left)


@pytest.mark.parametrize(("where", "version", "kept"), [("beside", "2.0.0", True), ("beside", "3.0.0", False)])
def test_a_backend_of_another_version_is_led_away_before_that_is_replaced(where: str, version: str, kept: bool) -> None:
    given = {"route": {"stand": where}, "preview": {"version": "2.0.0"}, "version": version}
    assert _bluegreen_route.keeps(given) is kept


def test_only_an_httproute_tries_the_other_colour_by_headers_and_others_say_so() -> None:
    state = plan(service(app="hello"), [BLUE], version="2.0.0", rollback=False)
    request = {"replicas": 0, "keep_previous": True}
    described = {"image": "kelseyhightower/hello", "service": {"ports": [{"port": 80}]}}
    made = begin(state, "hello", described, request)
    assert made.facts["route"] == {}
    by_route = _bluegreen_route.begun(made, state, "home", split(), PREVIEW)
    assert by_route.facts["route"]["headers"] == PREVIEW
    assert by_route.facts["route"]["router"] == ROUTE
    router = _router.named({"ingress": {"name": "hello"}})
    assert router is not None
    users = Split(router, ingress(), ("hello", "hello-preview"))
    by_ingress = _bluegreen_route.begun(made, state, "home", users, PREVIEW)
    assert by_ingress.facts["route"]["headers"] == {}
    assert "verified before by Service hello-preview, as only an HTTPRoute leads requests" in by_ingress.hints[-1]
    assert "verified before" not in by_route.hints[-1]


@pytest.mark.parametrize(
    ("endpoints", "ready", "there"),
    [
        (["a", "b"], ["b", "a"], True),
        (["a"], ["a", "b"], False),
        (["a", "b", "old"], ["a", "b"], False),
        ([], [], False),
    ],
)
def test_a_service_has_followed_once_it_leads_to_the_ready_pods_alone(
    endpoints: list[str], ready: list[str], there: bool
) -> None:
    found = Leading("hello", "hello-green", endpoints, ready)
    assert found.there() is there
    said = "Service hello leads to 2 of the 2 ready pods of Deployment hello-green and to 1 others"
    assert (found.why() == said) is ("old" in endpoints)


def test_a_missing_right_is_named() -> None:
    hint = _bluegreen_route.by_selector(("patch httproutes",), "hello")
    assert hint.startswith("switched by the selector of Service hello, since you may not patch httproutes")
