"""Rules of an HTTPRoute for testers: those that a step needs, and no others."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _gateway_api, _testers

Object = dict[str, Any]

HEADERS = {"x-canary": "always"}
WANTED = {"type": "Exact", "name": "x-canary", "value": "always"}


def route(*more: Object) -> Object:
    """A route with two rules that lead to stable, and what else is there."""
    refs = [{"name": "hello", "port": 80, "weight": 90}, {"name": "hello-canary", "port": 80, "weight": 10}]
    first = {
        "matches": [{"path": {"type": "Exact", "value": "/a"}}],
        "timeouts": {"request": "2s"},
        "backendRefs": refs,
    }
    second = {"backendRefs": copy.deepcopy(refs)}
    other = {"backendRefs": [{"name": "other", "port": 80}]}
    return {"metadata": {"name": "hello", "namespace": "shop"}, "spec": {"rules": [first, other, second, *more]}}


def patched(item: Object, patch: list[Object]) -> Object:
    """The route after a patch of added and removed rules."""
    after = copy.deepcopy(item)
    for step in patch:
        assert step["path"].startswith("/spec/rules/")
        place = step["path"].rpartition("/")[2]
        if step["op"] == "add":
            assert place == "-"
            after["spec"]["rules"].append(step["value"])
        else:
            del after["spec"]["rules"][int(place)]
    return after


def led(item: Object, headers: dict[str, str], rules: tuple[str, ...] = ()) -> list[Object]:
    return _testers.led(item, "hello", "hello-canary", rules, headers)


def test_each_rule_that_leads_to_stable_has_one_for_testers() -> None:
    after = patched(route(), led(route(), HEADERS))
    one, two = after["spec"]["rules"][3:]
    assert one == {
        "matches": [{"path": {"type": "Exact", "value": "/a"}, "headers": [WANTED]}],
        "timeouts": {"request": "2s"},
        "backendRefs": [{"name": "hello-canary", "port": 80, "weight": 1}],
    }
    assert two["matches"] == [{**_testers.EVERYTHING, "headers": [WANTED]}]
    assert after["spec"]["rules"][:3] == route()["spec"]["rules"]
    assert led(after, HEADERS) == []
    # They have no share of the users' traffic.
    assert _gateway_api.ROUTER.share(after, "hello", "hello-canary", ()) == _gateway_api.ROUTER.share(
        route(), "hello", "hello-canary", ()
    )


def test_other_headers_take_their_place_and_none_take_them_away() -> None:
    after = patched(route(), led(route(), HEADERS))
    other = patched(after, led(after, {"x-team": "shop"}))
    assert [rule["matches"][0]["headers"][0]["name"] for rule in other["spec"]["rules"][3:]] == ["x-team", "x-team"]
    assert patched(other, led(other, {})) == route()
    assert led(route(), {}) == []


def test_headers_that_a_rule_asks_for_already_are_asked_for_too() -> None:
    item = route()
    item["spec"]["rules"][0]["matches"][0]["headers"] = [{"name": "x-a", "value": "b"}]
    found = patched(item, led(item, HEADERS))["spec"]["rules"][3]["matches"][0]["headers"]
    assert found == [{"name": "x-a", "value": "b"}, WANTED]


def test_what_leads_testers_is_looked_after() -> None:
    after = patched(route(), led(route(), HEADERS))
    assert list(_testers.given(after, "hello-canary")) == ["spec.rules[3].matches", "spec.rules[4].matches"]


@pytest.mark.parametrize(
    ("router", "headers", "said"),
    [
        (
            {"pods": True},
            HEADERS,
            "Only an HTTPRoute can lead requests to the canary by their headers, .* come in by a Service",
        ),
        ({"ingress": {"name": "hello"}}, HEADERS, "users come in by Ingress hello; set application_router"),
        ({"gateway_api": {"route": "hello", "rules": []}}, {}, "has match without headers"),
    ],
)
def test_where_no_headers_lead_anywhere_is_refused(router: Object, headers: dict[str, str], said: str) -> None:
    steps = [{"weight": 5.0, "match": {"headers": headers}}]
    with pytest.raises(Failure, match=said):
        _canary._check_match({"router": router, "steps": steps})
    _canary._check_match({"router": {}, "steps": [{"weight": 5.0, "match": {"headers": HEADERS}}]})  # yet to be found


def test_nobody_is_no_share_unless_testers_get_it() -> None:
    from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary_steps

    assert _canary_steps.weights([{"weight": 0, "match": {"headers": HEADERS}}, {"weight": 1}])
    with pytest.raises(Failure, match="must be above 0"):
        _canary_steps.weights([{"weight": 0}])
