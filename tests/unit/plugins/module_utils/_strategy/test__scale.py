"""How many replicas a number, a step or a share comes to, and what is to be done about it."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _plan, _scale
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _subject

Object = dict[str, t.Any]
REQUEST: Object = {"replicas": "5", "timeout": 600, "samples": 20, "settle": 30}


@pytest.mark.parametrize(
    ("there", "said", "wanted"),
    [
        (3, "5", 5),
        (3, "0", 0),
        (3, "+2", 5),
        (3, "-1", 2),
        (3, "-3", 0),
        (4, "50%", 2),
        (3, "50%", 2),
        (3, "200%", 6),
        (3, "+50%", 5),
        (3, "-50%", 2),
        (0, "+50%", 0),
    ],
)
def test_numbers_steps_and_shares(there: int, said: str, wanted: int) -> None:
    assert _scale.target("hello", there, said) == wanted


@pytest.mark.parametrize("said", ["many", "", "5.5", "+-1", "50 %", "%", "1e3"])
def test_what_is_none_of_these_is_refused(said: str) -> None:
    with pytest.raises(Failure, match="set a number such as 5, a step such as"):
        _scale.target("hello", 3, said)


def test_fewer_than_none_is_refused() -> None:
    with pytest.raises(Failure, match="Deployment hello has 3 replicas; -4 would make that -1"):
        _scale.target("hello", 3, "-4")


def deployment(name: str = "hello", replicas: int = 3, **labels: str) -> Object:
    """A Deployment that is complete, and who wrote its replicas."""
    labels = {"app": name, **labels}
    containers = [{"name": name, "image": f"kelseyhightower/{name}:1.0.0"}]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    written = {"manager": "kubectl", "operation": "Update", "subresource": "scale"}
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "generation": 1,
            "managedFields": [{**written, "fieldsV1": {"f:spec": {"f:replicas": {}}}}],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
        "status": {"observedGeneration": 1, **counts},
    }


def service(name: str, **selector: str) -> Object:
    """A Service."""
    return {"metadata": {"name": name}, "spec": {"selector": selector, "ports": [{"port": 80}]}}


def autoscaler(name: str) -> Object:
    """An autoscaler of a Deployment, from 2 to 8 replicas."""
    aims = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {"metadata": {"name": "busy"}, "spec": {"scaleTargetRef": aims, "minReplicas": 2, "maxReplicas": 8}}


def begun(*deployments: Object, replicas: str = "5", **there: t.Any) -> _plan.Plan:
    """The plan of a run for hello, where there are these Deployments."""
    there = {"services": [service("hello", app="hello")], **there}
    found = _subject.subject(_subject.Namespace("shop", deployments=deployments, **there), "hello")
    return _scale.begin(found, {**REQUEST, "replicas": replicas})


def test_the_plan_of_a_step_is_in_numbers() -> None:
    plan = begun(deployment(), replicas="+2")
    assert (plan.before, plan.target, plan.changes, plan.way_back) == (3, 5, True, "-e replicas=3")
    assert plan.headline == "Deployment hello was scaled from 3 to 5 replicas."
    assert plan.would == "Deployment hello would be scaled from 3 to 5 replicas."


def test_the_service_is_found_by_its_selector_whatever_it_is_called() -> None:
    others = [service("other", app="other"), service("release-shop", app="hello")]
    plan = begun(deployment(), services=others)
    assert plan.service == "release-shop"
    assert begun(deployment(), services=[]).service == ""


def test_ready_pods_have_to_answer_and_prove_their_number_where_there_is_no_service() -> None:
    ready = {"status": {"readyReplicas": 3}}
    plans = [begun({**deployment(), **status}) for status in (ready, {"status": {}})]
    assert [(plan.serves, plan.countable) for plan in plans] == [(True, True), (False, True)]


def test_a_service_for_metrics_is_not_the_one_that_is_asked() -> None:
    metrics = service("a-metrics", app="hello")
    metrics["spec"]["ports"] = [{"name": "metrics", "port": 9090}]
    web = service("web", app="hello")
    web["spec"]["ports"] = [{"name": "http", "port": 80}]
    assert begun(deployment(), services=[metrics, web]).service == "web"


def test_a_number_that_is_there_changes_nothing() -> None:
    plan = begun(deployment(replicas=5))
    assert (plan.changes, plan.way_back, plan.headline) == (False, "", "Deployment hello already has 5 replicas.")


def test_a_share_of_no_replicas_is_said_to_be_none() -> None:
    assert "Deployment hello has 0 replicas, and +50% of that is 0 as well; set a number" in (
        begun(deployment(replicas=0), replicas="+50%").headline
    )
    assert begun(deployment(replicas=0), replicas="0").headline == "Deployment hello already has 0 replicas."


def test_an_autoscaler_keeps_its_number() -> None:
    plan = begun(deployment(), autoscalers=[autoscaler("other"), autoscaler("hello")])
    assert (plan.changes, plan.target, plan.facts["decides"]) == (False, 3, False)
    assert "HorizontalPodAutoscaler busy sets them, from 2 to 8" in plan.headline
    assert begun(deployment(), autoscalers=[autoscaler("other")]).changes


def test_the_colour_that_has_the_traffic_is_scaled_in_the_name_of_the_application() -> None:
    blue, green = deployment(color="blue"), deployment("hello-green", color="green", replicas=2)
    green["spec"]["template"]["metadata"]["labels"]["app"] = "hello"
    plan = begun(blue, green, services=[service("hello", app="hello", color="green")])
    assert (plan.facts["deployment"], plan.before, plan.target) == ("hello-green", 2, 5)
    assert plan.headline == "Deployment hello-green, which has the traffic of hello, was scaled from 2 to 5 replicas."


def test_another_number_names_the_field_and_who_wrote_it() -> None:
    _scale.check_unchanged(deployment(), "Deployment hello", 3)
    _scale.check_unchanged(deployment(), "Deployment hello", 2, 3)
    with pytest.raises(
        Failure, match=r"hello was scaled from 7 to 3 replicas .* \(field manager kubectl wrote spec.replicas\)"
    ):
        _scale.check_unchanged(deployment(), "Deployment hello", 7)


@pytest.mark.parametrize(
    ("application", "request_", "sentence"),
    [
        ("hello", {"replicas": ""}, "Set the number of replicas or a step for hello"),
        ("hello", {"replicas": "many"}, "set a number such as 5"),
        ("", {}, 'scale_application is ""; set the name of the Deployment'),
        (["hello"], {}, "set the name of the Deployment"),
        ("hello", {"timeout": 0}, "scale_timeout is 0; it must be at least 1"),
        ("hello", {"min_success": 2}, "scale_min_success is 2"),
        ("hello", {"settle": -1}, "scale_settle is -1; it must be at least 0"),
    ],
)
def test_what_cannot_work_is_refused_before_the_cluster_is_touched(
    application: t.Any, request_: Object, sentence: str
) -> None:
    with pytest.raises(Failure, match=sentence):
        _scale.check(application, REQUEST | request_)
