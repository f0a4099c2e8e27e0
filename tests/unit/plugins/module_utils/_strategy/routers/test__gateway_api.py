"""HTTPRoutes: weights now, the patches for a share, and whether gateways have accepted the route as it is."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import jsonpatch
import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _gateway_api, _router

Object = dict[str, Any]


def backend(name: str, weight: int | None = 1, **more: Any) -> Object:
    return {
        "group": "",
        "kind": "Service",
        "name": name,
        "port": 80,
        **({} if weight is None else {"weight": weight}),
        **more,
    }


def route(*rules: list[Object], names: tuple[str, ...] = (), **status: Any) -> Object:
    found = [
        {"backendRefs": refs, **({"name": name} if name else {})}
        for refs, name in zip(rules, [*names, *[""] * 9], strict=False)
    ]
    return {
        "metadata": {"name": "hello", "namespace": "lab", "generation": 3},
        "spec": {"parentRefs": [{"name": "web", "namespace": "gateway"}], "rules": found},
        **status,
    }


def after(item: Object, percent: Any, rules: tuple[str, ...] = ()) -> Object:
    patch = _gateway_api.ROUTER.weighted(item, "hello", "hello-canary", rules, Fraction(str(percent)) / 100)
    return dict(jsonpatch.apply_patch(item, patch))


def weights(item: Object, rule: int = 0) -> list[tuple[str, int]]:
    return [(each["name"], each.get("weight", 1)) for each in item["spec"]["rules"][rule]["backendRefs"]]


def share(item: Object) -> Fraction | None:
    return _gateway_api.ROUTER.share(item, "hello", "hello-canary", ())


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, (1, 0)), (1, (99, 1)), (12.5, (175, 25)), (0.01, (9999, 1)), (50, (50, 50)), (100, (0, 100))],
)
def test_a_canary_becomes_a_backend_and_gets_its_share(percent: float, expected: tuple[int, int]) -> None:
    item = route([backend("hello")])
    given = after(item, percent)
    assert weights(given) == [("hello", expected[0]), ("hello-canary", expected[1])]
    assert share(given) == Fraction(str(percent)) / 100
    assert given["spec"]["rules"][0]["backendRefs"][1] == backend("hello-canary", expected[1])
    assert _gateway_api.ROUTER.weighted(given, "hello", "hello-canary", (), Fraction(str(percent)) / 100) == []


def test_every_test_of_a_patch_fails_where_backends_were_moved() -> None:
    item = after(route([backend("hello")]), 10)
    patch = _gateway_api.ROUTER.weighted(item, "hello", "hello-canary", (), Fraction(1, 2))
    moved = copy.deepcopy(item)
    moved["spec"]["rules"][0]["backendRefs"].reverse()
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        jsonpatch.apply_patch(moved, patch)


def test_other_backends_keep_their_weights() -> None:
    item = route([backend("other", 60), backend("hello", 40)])
    assert weights(after(item, 25)) == [("other", 60), ("hello", 30), ("hello-canary", 10)]
    back = _gateway_api.ROUTER.without(after(item, 25), "hello", "hello-canary", (), [7])
    assert weights(dict(jsonpatch.apply_patch(after(item, 25), back))) == [("other", 60), ("hello", 40)]


def test_a_share_that_whole_weights_cannot_give_beside_others_is_refused() -> None:
    with pytest.raises(
        Failure, match=r"canary the weight 1 beside other, of which 10% .* multiply all weights .* by 10,"
    ):
        after(route([backend("hello"), backend("other")]), 10)
    with pytest.raises(Failure, match=r"too fine .* up to 1000000"):
        after(route([backend("hello")]), "0.000001")


def test_what_is_not_ours_is_not_touched() -> None:
    others = [
        backend("hello", namespace="elsewhere"),
        backend("hello", kind="Bucket"),
        {**backend("hello"), "group": "example.com"},
    ]
    item = route(others, [backend("hello")], [backend("unrelated")])
    given = after(item, 10)
    assert given["spec"]["rules"][0] == item["spec"]["rules"][0]
    assert given["spec"]["rules"][2] == item["spec"]["rules"][2]
    assert weights(given, 1) == [("hello", 90), ("hello-canary", 10)]


def test_only_named_rules_are_meant() -> None:
    item = route([backend("hello")], [backend("hello")], names=("main", "admin"))
    given = after(item, 10, ("main",))
    assert (weights(given), weights(given, 1)) == ([("hello", 90), ("hello-canary", 10)], [("hello", 1)])
    assert _gateway_api.ROUTER.share(given, "hello", "hello-canary", ("main",)) == Fraction(1, 10)
    assert share(given) is None  # the rules do not agree
    with pytest.raises(Failure, match=r"no rule other \(main, admin\)"):
        _gateway_api.ROUTER.check(item, "hello", "hello-canary", ("other",))


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (route([backend("elsewhere")]), "does not lead to Service hello"),
        (route([backend("hello", 0)]), "gives Service hello the weight 0"),
    ],
)
def test_a_route_that_cannot_share_is_refused(item: Object, said: str) -> None:
    with pytest.raises(Failure, match=said):
        _gateway_api.ROUTER.check(item, "hello", "hello-canary", ())


def test_users_who_stay_with_a_version_are_refused() -> None:
    item = route([backend("hello")])
    item["spec"]["rules"][0]["sessionPersistence"] = {"type": "Cookie"}
    with pytest.raises(Failure, match="has sessionPersistence"):
        _gateway_api.ROUTER.check(item, "hello", "hello-canary", ())


@pytest.mark.parametrize(("before", "weight"), [([7], 7), ([], 100), ([1, 2], 100)])
def test_stable_gets_its_weight_from_before_back(before: list[int], weight: int) -> None:
    given = after(route([backend("hello")]), 10)
    back = _gateway_api.ROUTER.without(given, "hello", "hello-canary", (), before)
    gone = dict(jsonpatch.apply_patch(given, back))
    assert weights(gone) == [("hello", weight)]
    assert _gateway_api.ROUTER.without(gone, "hello", "hello-canary", (), before) == []


def test_weights_are_told_by_the_paths_of_their_fields() -> None:
    assert _gateway_api.ROUTER.given(after(route([backend("hello")]), 1), "hello", "hello-canary", ()) == {
        "spec.rules[0].backendRefs[name=hello].weight": 99,
        "spec.rules[0].backendRefs[name=hello-canary].weight": 1,
    }


PARENT = {"group": _gateway_api.GROUP, "kind": "Gateway", "name": "web", "namespace": "gateway"}


def condition(kind: str, status: str = "True", seen: int = 3, **more: str) -> Object:
    return {"type": kind, "status": status, "observedGeneration": seen, "reason": kind, **more}


def said(*conditions: Object, parent: Object = PARENT) -> Object:
    return {"parentRef": parent, "controllerName": "example.com/gateway", "conditions": list(conditions)}


@pytest.mark.parametrize(
    ("parents", "answer", "why"),
    [
        ([], "not yet", "Gateway web has not answered for it"),
        ([said(condition("Accepted"), condition("ResolvedRefs"))], "yes", ""),
        ([said(condition("Accepted", seen=2), condition("ResolvedRefs"))], "not yet", "for what it is now"),
        ([said(condition("Accepted"))], "not yet", "for what it is now"),
        (
            [said(condition("Accepted", "False", reason="NoMatchingParent"), condition("ResolvedRefs"))],
            "no",
            "Gateway web does not accept it (NoMatchingParent)",
        ),
        (
            [
                said(
                    condition("Accepted"), condition("ResolvedRefs", "False", reason="BackendNotFound", message="gone.")
                )
            ],
            "no",
            "does not find its backends (BackendNotFound: gone)",
        ),
        ([said(condition("Accepted"), condition("ResolvedRefs"), parent={**PARENT, "name": "x"})], "not yet", "web"),
    ],
)
def test_a_route_is_accepted_by_its_gateway_as_it_is(parents: list[Object], answer: str, why: str) -> None:
    found = _gateway_api.ROUTER.answer(route([backend("hello")], status={"parents": parents}))
    assert found.said == answer
    assert why in found.why


def test_every_parent_has_to_accept_it() -> None:
    good = said(condition("Accepted"), condition("ResolvedRefs"))
    bad = said(condition("Accepted", "False"), parent={**PARENT, "name": "inner"})
    item = route([backend("hello")], status={"parents": [good]})
    item["spec"]["parentRefs"].append({"name": "inner", "namespace": "gateway"})
    assert _gateway_api.ROUTER.answer(item).said == "not yet"
    item["status"]["parents"].append(bad)
    assert _gateway_api.ROUTER.answer(item).said == "no"


def test_a_router_is_named_by_its_kind() -> None:
    assert _router.named({}) is None
    assert _router.named({"gateway_api": None}) is None
    found = _router.named({"gateway_api": {"route": "hello", "rules": ["main"]}})
    assert (str(found), found and found.rules) == ("HTTPRoute hello", ("main",))
    with pytest.raises(Failure, match="empty route"):
        _router.named({"gateway_api": {"route": "", "rules": []}})
