"""What points at the Deployment that loses the traffic goes with it, or is named before anything is changed."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._pointers import (
    Colour,
    Pointers,
    check,
    moving,
    unjudged,
)

Object = dict[str, t.Any]

BLUE = Colour("web", {"app": "web", "version": "1.0.0"})
GREEN = Colour("web-green", {"app": "web", "version": "2.0.0", "color": "green"})


def item(name: str, **spec: t.Any) -> Object:
    """An object."""
    return {"metadata": {"name": name}, "spec": spec}


def scaler(name: str, target: str, kind: str = "Deployment", owner: str = "") -> Object:
    """What scales a workload; of an owner, it is KEDA's."""
    made = item(name, scaleTargetRef={"kind": kind, "name": target})
    if owner:
        made["metadata"]["ownerReferences"] = [{"kind": "ScaledObject", "name": owner, "controller": True}]
    return made


def labels(**matched: str) -> Object:
    """A label selector."""
    return {"matchLabels": matched}


def refused(leading: t.Sequence[str] = ("web",), **pointers: t.Any) -> str:
    """Why the traffic may not go from blue to green, empty where it may."""
    try:
        check(Pointers(**pointers), BLUE, GREEN, leading)
    except Failure as failure:
        return failure.message
    return ""


def test_an_autoscaler_goes_with_the_traffic_unless_the_other_colour_has_its_own() -> None:
    mine, others = scaler("web", "web"), scaler("auth", "auth")
    assert moving(Pointers(autoscalers=[mine, others]), "web", "web-green") == ["web"]
    assert moving(Pointers(autoscalers=[mine, scaler("green", "web-green")]), "web", "web-green") == []
    assert moving(Pointers(autoscalers=[scaler("web", "web", kind="StatefulSet")]), "web", "web-green") == []


def test_an_autoscaler_of_keda_is_not_moved_as_keda_would_move_it_back() -> None:
    kedas = scaler("keda-hpa-web", "web", owner="web")
    assert moving(Pointers(autoscalers=[kedas]), "web", "web-green") == []
    said = refused(autoscalers=[kedas])
    assert said.startswith("HorizontalPodAutoscaler keda-hpa-web of ScaledObject web is for Deployment web alone")
    both = [kedas, scaler("keda-hpa-green", "web-green", owner="web-green")]
    assert refused(autoscalers=both) == ""


@pytest.mark.parametrize(
    ("kind", "field", "reference"),
    [
        ("ScaledObject", "scaled_objects", "scaleTargetRef"),  # KEDA leaves the kind out
        ("VerticalPodAutoscaler", "vertical_autoscalers", "targetRef"),
    ],
)
def test_what_names_the_deployment_is_named_unless_the_other_has_its_like(
    kind: str, field: str, reference: str
) -> None:
    one, two = (item(name, **{reference: {"name": name}}) for name in ("web", "web-green"))
    said = refused(**{field: [one]})
    assert f"{kind} web is for Deployment web alone: create one for Deployment web-green as well" in said
    assert "Nothing was changed" in said
    assert refused(**{field: [one, two]}) == ""


@pytest.mark.parametrize(
    ("field", "selector"), [("budgets", "selector"), ("policies", "podSelector")], ids=["budget", "policy"]
)
def test_what_selects_the_pods_of_one_colour_is_named_unless_the_other_has_its_like(field: str, selector: str) -> None:
    blue, green = (item(f"web-{number}", **{selector: labels(version=number)}) for number in ("1.0.0", "2.0.0"))
    said = refused(**{field: [blue]})
    assert "web-1.0.0 selects version=1.0.0, which the pods of Deployment web-green will not have" in said
    assert refused(**{field: [blue, green]}) == ""
    assert refused(**{field: [item("both", **{selector: labels(app="web")})]}) == ""
    assert refused(**{field: [item("all", **{selector: {}})]}) == ""
    expression = {"matchExpressions": [{"key": "color", "operator": "DoesNotExist"}]}
    assert "selects color DoesNotExist" in refused(**{field: [item("odd", **{selector: expression})]})


@pytest.mark.parametrize(("rules", "side"), [("ingress", "from"), ("egress", "to")])
def test_a_policy_of_another_application_that_lets_only_one_colour_through_is_named(rules: str, side: str) -> None:
    def policy(*peers: Object) -> Object:
        return item("database", podSelector=labels(app="database"), **{rules: [{side: list(peers)}]})

    blue, green = {"podSelector": labels(version="1.0.0")}, {"podSelector": labels(color="green")}
    assert "NetworkPolicy database lets pods with version=1.0.0 through" in refused(policies=[policy(blue)])
    assert refused(policies=[policy(blue, green)]) == ""
    assert refused(policies=[policy({"podSelector": labels(app="web")}, {"ipBlock": {"cidr": "10.0.0.0/8"}})]) == ""


def service(name: str, **selector: str) -> Object:
    """A Service."""
    return item(name, selector=selector)


def test_a_service_that_would_not_lead_to_the_other_colour_is_named() -> None:
    services = [service("web", app="web", version="1.0.0"), service("web-admin", app="web", tier="front")]
    assert "Service web-admin selects tier=front" in refused(("web", "web-admin"), services=services)
    assert refused(("web",), services=services) == ""


def test_an_ingress_or_a_route_to_the_service_of_one_colour_is_named() -> None:
    services = [service("web", app="web", version="1.0.0"), service("web-blue", app="web", version="1.0.0")]
    backend = {"service": {"name": "web-blue", "port": {"number": 80}}}
    by_path = item("shop", rules=[{"http": {"paths": [{"path": "/", "backend": backend}]}}])
    by_default = item("shop", defaultBackend=backend)
    route = item("shop", rules=[{"backendRefs": [{"name": "web-blue", "port": 80}]}])
    for asked in ({"ingresses": [by_path]}, {"ingresses": [by_default]}, {"routes": [route]}):
        said = refused(services=services, **asked)
        assert "shop sends users to Service web-blue, which is about Deployment web alone" in said
        assert "such as web." in said
    other = item("shop", defaultBackend={"service": {"name": "web"}})
    assert refused(services=services, ingresses=[other]) == ""


def test_a_monitor_of_one_colour_is_named_as_nobody_would_watch_the_other() -> None:
    def labelled(name: str, made: Object) -> Object:
        return {**made, "metadata": {"name": name, "labels": {"part": name}}}

    services = [
        labelled("web", service("web", app="web", version="1.0.0")),
        labelled("web-blue", service("x", app="web", version="1.0.0")),
    ]
    of_blue, of_both = (item(name, selector=labels(part=name)) for name in ("web-blue", "web"))
    said = refused(services=services, service_monitors=[of_blue])
    assert "ServiceMonitor web-blue watches Service web-blue, which is about Deployment web alone" in said
    assert "such as web," in said
    assert refused(services=services, service_monitors=[of_both]) == ""
    assert refused(services=services, service_monitors=[of_blue, of_both]) == ""
    green = labelled("web-green", service("web-green", app="web", color="green"))
    both = [of_blue, item("web-green", selector=labels(part="web-green"))]
    assert refused(services=[*services, green], service_monitors=both) == ""
    # The preview's own Service stays with the preview, whoever that is.
    preview = labelled("web-preview", service("web-preview", app="web", color="green"))
    watched = [of_blue, item("preview", selector=labels(part="web-preview"))]
    assert "ServiceMonitor web-blue" in refused(services=[*services, preview], service_monitors=watched)
    pods = item("web-pods", selector=labels(version="1.0.0"))
    assert "PodMonitor web-pods selects version=1.0.0" in refused(pod_monitors=[pods])
    assert refused(pod_monitors=[item("all", selector=labels(app="web"))]) == ""


def test_what_could_not_be_read_is_said() -> None:
    assert unjudged(Pointers(), "web") == []
    assert "networkpolicies" in unjudged(Pointers(unreadable=("networkpolicies",)), "web")[0]
