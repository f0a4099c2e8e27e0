"""Routers whose objects have backends with weights: Traefik's, Istio's and OpenShift's, by what their schemas allow."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import jsonpatch
import jsonschema
import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import (
    _istio,
    _openshift,
    _router,
    _traefik,
)
from hypothesis import assume, given
from hypothesis import strategies as st

Object = dict[str, Any]
PAIR = ("hello", "hello-canary", ())


def traefik(*services: Object, **weighted: Any) -> Object:
    entries = list(services) or [{"name": "hello", "port": 80}]
    return {"metadata": {"name": "web", "namespace": "lab"}, "spec": {"weighted": {"services": entries, **weighted}}}


def istio(*routes: list[Object], names: tuple[str, ...] = ()) -> Object:
    entries = list(routes) or [[{"destination": {"host": "hello", "port": {"number": 80}}}]]
    http = [{"route": route, **({"name": names[at]} if names else {})} for at, route in enumerate(entries)]
    return {"metadata": {"name": "web", "namespace": "lab"}, "spec": {"hosts": ["a.example.com"], "http": http}}


def openshift(*alternates: Object, weight: int | None = None, **annotations: str) -> Object:
    to = {"kind": "Service", "name": "hello", **({} if weight is None else {"weight": weight})}
    spec = {"host": "a.example.com", "to": to, **({"alternateBackends": list(alternates)} if alternates else {})}
    noted = annotations or {_openshift.COOKIES: "true"}
    return {"metadata": {"name": "web", "namespace": "lab", "annotations": noted}, "spec": spec}


KINDS: dict[str, Any] = {
    "traefik": (_traefik.ROUTER, traefik),
    "istio": (_istio.ROUTER, istio),
    "openshift": (_openshift.ROUTER, openshift),
}

#: What the schemas of these kinds say of the part that a canary changes.
_NAMED = {"type": "string", "minLength": 1}
SCHEMAS: dict[str, Object] = {
    "traefik": {
        "properties": {
            "weighted": {
                "properties": {
                    "services": {
                        "type": "array",
                        "items": {
                            "required": ["name"],
                            "properties": {
                                "name": _NAMED,
                                "kind": {"enum": ["Service", "TraefikService"]},
                                "port": {"type": ["integer", "string"]},
                                "weight": {"type": "integer", "minimum": 0},
                            },
                        },
                    }
                }
            }
        }
    },
    "istio": {
        "properties": {
            "http": {
                "items": {
                    "properties": {
                        "route": {
                            "items": {
                                "required": ["destination"],
                                "additionalProperties": False,
                                "properties": {
                                    "destination": {"required": ["host"], "properties": {"host": _NAMED}},
                                    "headers": {"type": "object"},
                                    "weight": {"type": "integer", "maximum": 2**31 - 1},
                                },
                            }
                        }
                    }
                }
            }
        }
    },
    "openshift": {
        "$defs": {
            "backend": {
                "required": ["kind", "name"],
                "additionalProperties": False,
                "properties": {
                    "kind": {"enum": ["Service", ""]},
                    "name": _NAMED,
                    "weight": {"type": "integer", "minimum": 0, "maximum": 256},
                },
            }
        },
        "properties": {
            "to": {"$ref": "#/$defs/backend"},
            "alternateBackends": {"type": "array", "maxItems": 3, "items": {"$ref": "#/$defs/backend"}},
        },
    },
}


def after(kind: str, item: Object, share: Fraction) -> Object:
    router, _make = KINDS[kind]
    changed = jsonpatch.apply_patch(item, router.weighted(item, *PAIR, share))
    jsonschema.validate(changed["spec"], SCHEMAS[kind])
    return dict(changed)


kinds = st.sampled_from(sorted(KINDS))
percents = st.integers(0, 100).map(lambda each: Fraction(each, 100))


@given(kinds, percents, percents)
def test_a_canary_gets_its_share_and_goes_again(kind: str, first: Fraction, second: Fraction) -> None:
    router, make = KINDS[kind]
    item = make()
    once = after(kind, item, Fraction(0))
    assert (router.has(item, *PAIR), router.has(once, *PAIR)) == (False, True)
    assert router.share(once, *PAIR) == 0
    twice = after(kind, after(kind, once, first), second)
    if second == 0 and first == 1:
        assume(False)  # both would have none; a run gives stable its own first
    assert router.share(twice, *PAIR) == second
    assert router.weighted(twice, *PAIR, second) == [] or second == 0
    back = jsonpatch.apply_patch(twice, router.without(twice, *PAIR, router.weights(item, "hello", ())))
    jsonschema.validate(back["spec"], SCHEMAS[kind])
    assert not router.has(back, *PAIR)
    assert router.weights(back, "hello", ()) == router.weights(item, "hello", ())
    assert router.without(back, *PAIR, [1]) == []


@given(kinds, percents)
def test_every_change_is_tested_against_backends_that_moved(kind: str, share: Fraction) -> None:
    router, make = KINDS[kind]
    item = after(kind, make(), Fraction(1, 2))
    patch = router.weighted(item, *PAIR, share)
    assume(patch)
    moved = copy.deepcopy(item)
    if kind == "traefik":
        moved["spec"]["weighted"]["services"].reverse()
    elif kind == "istio":
        moved["spec"]["http"][0]["route"].reverse()
    else:
        moved["spec"]["to"]["name"], moved["spec"]["alternateBackends"][0]["name"] = "hello-canary", "hello"
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        jsonpatch.apply_patch(moved, patch)


@pytest.mark.parametrize("kind", KINDS)
def test_the_canary_is_asked_as_stable_is(kind: str) -> None:
    made = after(kind, KINDS[kind][1](), Fraction(1, 100))["spec"]
    if kind == "traefik":
        assert made["weighted"]["services"][1] == {"name": "hello-canary", "port": 80, "weight": 1}
    elif kind == "istio":
        destination = {"host": "hello-canary", "port": {"number": 80}}
        assert made["http"][0]["route"][1] == {"destination": destination, "weight": 1}
    else:
        assert made["alternateBackends"] == [{"kind": "Service", "name": "hello-canary", "weight": 1}]
        assert made["to"]["weight"] == 99


@pytest.mark.parametrize("host", ["hello", "hello.lab", "hello.lab.svc", "hello.lab.svc.cluster.local"])
def test_hosts_of_istio_keep_the_form_in_which_they_are_written(host: str) -> None:
    made = after("istio", istio([{"destination": {"host": host}}]), Fraction(1, 100))
    assert made["spec"]["http"][0]["route"][1]["destination"]["host"] == "hello-canary" + host[5:]
    assert _istio.ROUTER.share(made, *PAIR) == Fraction(1, 100)


@pytest.mark.parametrize("host", ["hello.other", "hello.other.svc.cluster.local", "hello2", "hello.example.com"])
def test_hosts_elsewhere_are_not_stables(host: str) -> None:
    assert not _istio.ROUTER.leads(istio([{"destination": {"host": host}}]), "hello")


def test_of_several_destinations_one_without_a_weight_gets_nothing() -> None:
    several = istio([{"destination": {"host": "hello"}}, {"destination": {"host": "other"}, "weight": 10}])
    with pytest.raises(Failure, match="gives Service hello the weight 0"):
        _istio.ROUTER.check(several, *PAIR)


def test_only_named_http_routes_are_meant() -> None:
    one = [{"destination": {"host": "hello"}}]
    item = istio(one, copy.deepcopy(one), names=("main", "admin"))
    patch = _istio.ROUTER.weighted(item, "hello", "hello-canary", ("main",), Fraction(1, 10))
    given = jsonpatch.apply_patch(item, patch)
    assert [len(route["route"]) for route in given["spec"]["http"]] == [2, 1]
    with pytest.raises(Failure, match=r"no HTTP route other \(main, admin\)"):
        _istio.ROUTER.check(item, "hello", "hello-canary", ("other",))


def test_other_backends_keep_their_weights() -> None:
    others = {
        "traefik": traefik({"name": "hello", "port": 80, "weight": 40}, {"name": "other", "port": 80, "weight": 60}),
        "istio": istio(
            [{"destination": {"host": "hello"}, "weight": 40}, {"destination": {"host": "other"}, "weight": 60}]
        ),
        "openshift": openshift({"kind": "Service", "name": "other", "weight": 60}, weight=40),
    }
    for kind, item in others.items():
        router = KINDS[kind][0]
        made = after(kind, item, Fraction(1, 4))
        assert sorted(router.given(made, *PAIR).values()) == [10, 30], kind
        (rule,) = router.leading(made, *PAIR)
        assert [(each.service, each.weight) for each in rule.others] == [("other", 60)]


def test_a_share_that_a_route_of_openshift_cannot_give_is_refused() -> None:
    assert after("openshift", openshift(), Fraction(1, 200))["spec"]["to"]["weight"] == 199
    with pytest.raises(Failure, match="too fine for Route web, whose weights go up to 256"):
        after("openshift", openshift(), Fraction(1, 1000))


ALTERNATES = [{"kind": "Service", "name": f"other{at}", "weight": 100} for at in range(3)]


@pytest.mark.parametrize(
    ("kind", "item", "said"),
    [
        ("traefik", traefik({"name": "other", "port": 80}), "has no Service hello among its weighted services"),
        ("traefik", traefik({"name": "hello", "kind": "TraefikService"}), "has no Service hello"),
        ("traefik", traefik(sticky={"cookie": {}}), "is sticky"),
        ("traefik", traefik({"name": "hello", "weight": 0}), "the weight 0"),
        ("istio", istio([{"destination": {"host": "other"}}]), "has no HTTP route to Service hello"),
        ("istio", istio([{"destination": {"host": "hello", "subset": "v1"}}]), r"leads to subsets \(v1\)"),
        ("openshift", openshift(a="b"), "gives the users of Route web a cookie"),
        ("openshift", openshift(*ALTERNATES), "3 alternate backends"),
        ("openshift", openshift(weight=0), "the weight 0"),
    ],
)
def test_what_cannot_share_is_refused(kind: str, item: Object, said: str) -> None:
    with pytest.raises(Failure, match=said):
        KINDS[kind][0].check(item, *PAIR)


def test_a_route_of_openshift_that_passes_tls_through_has_no_cookies_but_addresses() -> None:
    item = openshift(**{_openshift.BALANCE: "roundrobin"})
    item["spec"]["tls"] = {"termination": "passthrough"}
    _openshift.ROUTER.check(item, *PAIR)
    item["metadata"]["annotations"] = {}
    with pytest.raises(Failure, match="by their address"):
        _openshift.ROUTER.check(item, *PAIR)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (None, "not yet"),
        ({"ingress": [{"routerName": "default"}]}, "not yet"),
        ({"ingress": [{"conditions": [{"type": "Admitted", "status": "True"}]}]}, "yes"),
        (
            {
                "ingress": [
                    {"conditions": [{"type": "Admitted", "status": "True"}]},
                    {"conditions": [{"type": "Admitted", "status": "False", "reason": "HostAlreadyClaimed"}]},
                ]
            },
            "no",
        ),
    ],
)
def test_every_router_of_openshift_has_to_admit_it(status: Object | None, said: str) -> None:
    assert _openshift.ROUTER.answer({**openshift(), **({"status": status} if status else {})}).said == said


@pytest.mark.parametrize("kind", KINDS)
def test_the_paths_of_the_weights_lead_to_them(kind: str) -> None:
    from ansible_collections.convoy.rollout.plugins.module_utils._workload import _managers

    router, make = KINDS[kind]
    item = after(kind, make(), Fraction(1, 10))
    found = router.given(item, *PAIR)
    assert {path: _managers.value(item, path) for path in found} == found
    assert sorted(found.values()) == [10, 90]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"istio": {"virtual_service": "web", "routes": ["main"]}}, "VirtualService web"),
        ({"traefik": {"service": "web"}}, "TraefikService web"),
        ({"openshift": {"route": "web"}}, "Route web"),
        ({"ingress": {"name": "web"}}, "Ingress web"),
        ({"gateway_api": {"route": "web", "rules": []}}, "HTTPRoute web"),
    ],
)
def test_a_router_is_named_noted_and_named_again(option: Object, said: str) -> None:
    found = _router.named(option)
    assert (str(found), str(_router.noted(said)), _router.option(found)) == (said, said, option)


def test_by_pods_is_said_and_is_not_the_same_as_nothing() -> None:
    assert _router.named({"pods": True}) is None
    assert _router.option(None) == {"pods": True}
    assert [_router.is_left_out(each) for each in ({}, None, {"pods": None}, {"pods": True})] == [True] * 3 + [False]
    assert _router.noted("Something hello") is None


def test_several_routers_are_refused_by_name_with_what_to_give() -> None:
    both = [found for said in ("HTTPRoute web", "Ingress old") if (found := _router.noted(said))]
    with pytest.raises(
        Failure,
        match=r"HTTPRoute web and Ingress old lead to Service hello.*"
        r"\{gateway_api: \{route: web\}\} or \{ingress: \{name: old\}\}.*\{pods: true\}",
    ):
        _router.one(both, "hello")
    assert (_router.one(both[:1], "hello"), _router.one([], "hello")) == (both[0], None)
