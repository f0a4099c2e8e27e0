"""Ingresses by the canary annotations of ingress-nginx: the canary's own one, its weight, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import jsonpatch
import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _ingress, _router
from hypothesis import given
from hypothesis import strategies as st

Object = dict[str, Any]
PAIR = ("hello", "hello-canary", ())
A = "nginx.ingress.kubernetes.io/"


def path(service: str = "hello", at: str = "/") -> Object:
    return {"path": at, "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}}


def ingress(*paths: Object, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    return {
        "metadata": {"name": "web", "namespace": "lab", "annotations": annotations or {}},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": "a.example.com", "http": {"paths": list(paths or [path()])}}],
            **spec,
        },
    }


def own(item: Object, percent: Any = 0) -> Object:
    return _ingress.own(item, "hello", "hello-canary", Fraction(str(percent)) / 100)


@pytest.mark.parametrize(
    ("percent", "weight", "total"), [(0, "0", "100"), (1, "1", "100"), (12.5, "25", "200"), (100, "100", "100")]
)
def test_the_canary_gets_an_ingress_of_its_own_with_its_share(percent: float, weight: str, total: str) -> None:
    made = own(ingress(), percent)
    noted = made["metadata"]["annotations"]
    assert (noted[f"{A}canary"], noted[f"{A}canary-weight"], noted[f"{A}canary-weight-total"]) == (
        "true",
        weight,
        total,
    )
    assert _ingress.share(made, *PAIR) == Fraction(str(percent)) / 100


def test_it_has_the_hosts_and_paths_that_lead_to_stable_and_no_others() -> None:
    tls = [{"hosts": ["a.example.com"], "secretName": "a"}]
    item = ingress(path(), path("other", "/other"), tls=tls)
    item["spec"]["rules"].append({"host": "b.example.com", "http": {"paths": [path("other")]}})
    item["spec"]["rules"].append({"http": {"paths": [path("hello", "/c")]}})
    made = own(item)
    assert made["metadata"]["name"] == "hello-canary"
    assert made["spec"] == {
        "ingressClassName": "nginx",
        "tls": tls,
        "rules": [
            {"host": "a.example.com", "http": {"paths": [path("hello-canary")]}},
            {"http": {"paths": [path("hello-canary", "/c")]}},
        ],
    }


def test_only_what_controllers_take_from_it_is_taken_over() -> None:
    kept = {"kubernetes.io/ingress.class": "nginx", f"{A}backend-protocol": "HTTPS"}
    others = {"cert-manager.io/issuer": "letsencrypt", f"{A}rewrite-target": "/x", "argocd.argoproj.io/instance": "a"}
    made = own(ingress(annotations={**kept, **others}))["metadata"]["annotations"]
    assert {key for key in made if not key.startswith(f"{A}canary")} == set(kept)


@given(st.integers(0, 10000), st.integers(0, 10000))
def test_a_patch_gives_the_share_and_is_empty_where_it_is_given(before: int, after: int) -> None:
    item = own(ingress(), Fraction(before, 100))
    share = Fraction(after, 10000)
    changed = jsonpatch.apply_patch(item, _ingress.weighted(item, *PAIR, share))
    assert _ingress.share(changed, *PAIR) == share
    assert _ingress.weighted(changed, *PAIR, share) == []
    assert changed["spec"] == item["spec"]


def test_a_weight_that_no_annotation_can_say_is_refused() -> None:
    with pytest.raises(Failure, match="too fine for an Ingress"):
        own(ingress(), "0.000001")


@pytest.mark.parametrize(
    "annotations",
    [{f"{A}canary-weight": "many"}, {f"{A}canary-weight-total": "0"}, {f"{A}canary": "false"}],
)
def test_what_is_no_share_is_told_from_one(annotations: dict[str, str]) -> None:
    made = own(ingress(), 5)
    made["metadata"]["annotations"] |= annotations
    assert _ingress.share(made, *PAIR) is None


def test_an_ingress_that_leads_elsewhere_gives_no_share() -> None:
    made = own(ingress(), 5)
    made["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "hello"
    assert _ingress.share(made, *PAIR) is None


def test_no_ingress_is_no_share() -> None:
    assert (_ingress.share({}, *PAIR), _ingress.has({}, *PAIR), _ingress.given({}, *PAIR)) == (Fraction(0), False, {})


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (ingress(path("other")), "No path of Ingress web leads to Service hello"),
        (ingress(annotations={f"{A}canary": "true"}), "is a canary's itself"),
        (ingress(annotations={f"{A}affinity": "cookie"}), "users would stay with a version"),
    ],
)
def test_an_ingress_that_cannot_share_is_refused(item: Object, said: str) -> None:
    with pytest.raises(Failure, match=said):
        _ingress.check(item, *PAIR)


def test_affinity_that_weights_are_stronger_than_is_let_through() -> None:
    _ingress.check(ingress(annotations={f"{A}affinity": "cookie", f"{A}affinity-canary-behavior": "legacy"}), *PAIR)


def ingress_class(name: str, controller: str = _ingress.CONTROLLER, default: str = "false") -> Object:
    noted = {"ingressclass.kubernetes.io/is-default-class": default}
    return {"metadata": {"name": name, "annotations": noted}, "spec": {"controller": controller}}


@pytest.mark.parametrize(
    ("name", "classes", "serves"),
    [
        ("public", [ingress_class("public")], True),
        ("public", [ingress_class("public", "example.com/other")], False),
        ("public", [], False),
        ("", [ingress_class("nginx", default="true")], True),
        ("", [ingress_class("nginx")], False),
        ("nginx", None, True),
        ("public", None, False),
    ],
)
def test_whether_a_controller_serves_the_annotations_is_said_by_its_class(
    name: str, classes: list[Object] | None, serves: bool
) -> None:
    item = ingress()
    item["spec"]["ingressClassName"] = name
    assert _ingress.serves(item, classes) is serves


def test_a_router_is_named_by_its_kind_and_is_one() -> None:
    assert str(_router.named({"ingress": {"name": "web"}})) == "Ingress web"
    with pytest.raises(Failure, match="gateway_api and as ingress"):
        _router.named({"gateway_api": {"route": "a", "rules": []}, "ingress": {"name": "web"}})
