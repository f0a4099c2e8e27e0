"""What a run gave objects, held against what they have by now."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._workload._given import (
    ChangedError,
    Given,
    check,
    fields_of,
    images,
    is_put_back,
    merged,
)

Object = dict[str, t.Any]

IMAGE = "spec.template.spec.containers[name=web].image"
SELECTOR: Object = {"app": "web", "version": "1.0.0"}


def deployment(image: str = "web:1", replicas: int = 2, **spec: t.Any) -> Object:
    """A Deployment with a proxy, which somebody else puts in, beside its container."""
    pods = {
        "containers": [{"name": "proxy", "image": "proxy:9"}, {"name": "web", "image": image}],
        "initContainers": [{"name": "1", "image": "init:1"}],
    }
    return {
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "template": {"spec": pods}, **spec},
    }


def service(selector: Object) -> Object:
    """A Service."""
    return {"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": selector}}


def by(manager: str, fields: Object, item: Object) -> Object:
    """An object, and who wrote some of its fields."""
    entry = {"manager": manager, "time": "2026-11-25T08:00:00Z", "fieldsV1": fields}
    return {**item, "metadata": {**item["metadata"], "managedFields": [entry]}}


REPLICAS: Object = {"f:spec": {"f:replicas": {}}}
PAUSED: Object = {"f:spec": {"f:paused": {}}}
SELECTED: Object = {"f:spec": {"f:selector": {}}}


@pytest.mark.parametrize(
    ("given", "there", "message"),
    [
        (
            Given("Deployment", "web", {"spec.replicas": 2}),
            by("hpa", REPLICAS, deployment(replicas=5)),
            "spec.replicas of Deployment web was changed from 2 to 5 by hpa during this run. Find out who did that",
        ),
        (
            Given("Deployment", "web", {"spec.replicas": 0}),
            deployment(replicas=2),
            "spec.replicas of Deployment web was changed from 0 to 2 by somebody else",
        ),
        (
            Given("Deployment", "web", {"spec.replicas": 2}),
            deployment(replicas=0),
            "spec.replicas of Deployment web was changed from 2 to 0 by somebody else",
        ),
        (
            Given("Deployment", "web", {IMAGE: "web:1"}),
            deployment("web:3"),
            f"{IMAGE} of Deployment web was changed from web:1 to web:3",
        ),
        (
            Given("Deployment", "web", {"spec.template.spec.containers[name=gone].image": "x"}),
            deployment(),
            "was changed from x to nothing",
        ),
        (
            Given("Deployment", "web", {"spec.paused": False}),
            by("kubectl-rollout", PAUSED, deployment(paused=True)),
            "spec.paused of Deployment web was changed from false to true by kubectl-rollout",
        ),
        (
            Given("Service", "web", {"spec.selector": SELECTOR}),
            by("argocd-controller", SELECTED, service({"app": "web"})),
            "spec.selector of Service web was changed from app=web,version=1.0.0 to app=web by argocd-controller "
            "during this run. Turn off self-heal in its Argo CD application",
        ),
        (
            Given("Service", "web", {"spec.selector": SELECTOR}),
            service({**SELECTOR, "tier": "gold"}),
            "from app=web,version=1.0.0 to app=web,tier=gold,version=1.0.0",
        ),
        (Given("Service", "web", {"spec.selector": SELECTOR}), None, "Service web was deleted by somebody else"),
    ],
)
def test_what_somebody_else_changed_is_named(given: Given, there: Object | None, message: str) -> None:
    with pytest.raises(ChangedError) as found:
        check(there, given)
    assert message in found.value.message
    assert found.value.message.endswith(", and run the playbook again.")


def test_the_number_of_an_autoscaler_is_its_own_to_change() -> None:
    there = by("kube-controller-manager", REPLICAS, deployment("web:2", replicas=5))
    there["metadata"]["managedFields"][0]["subresource"] = "scale"
    check(there, Given("Deployment", "web", {"spec.replicas": 2}))
    with pytest.raises(ChangedError, match="from web:1 to web:2"):
        check(there, Given("Deployment", "web", {"spec.replicas": 2, IMAGE: "web:1"}))


def test_what_is_as_it_was_given_is_fine() -> None:
    check(deployment(), Given("Deployment", "web", {"spec.replicas": 2, "spec.paused": False, **images(deployment())}))
    check(service(dict(reversed(SELECTOR.items()))), Given("Service", "web", {"spec.selector": SELECTOR}))


def test_of_a_manifest_what_it_says_is_given_as_the_api_server_has_it() -> None:
    manifest = {
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}},
    }
    # An admission webhook gives images another registry; the proxy that it puts in is nothing that was asked for.
    there = deployment("mirror/web:1")
    assert fields_of(there, manifest) == {"spec.replicas": 2, IMAGE: "mirror/web:1", "spec.paused": False}
    del manifest["spec"]["replicas"]  # an autoscaler decides
    assert "spec.replicas" not in fields_of(there, manifest)
    assert fields_of(service(SELECTOR), service(SELECTOR)) == {"spec.selector": SELECTOR}
    assert fields_of(service({}), service({})) == {}
    assert fields_of({"kind": "ConfigMap"}, {"kind": "ConfigMap", "metadata": {"name": "web"}}) == {}


def test_of_what_is_given_twice_the_last_counts_and_none_lets_go() -> None:
    def event(name: str, **fields: t.Any) -> Object:
        return {"object": "Deployment", "name": name, "fields": fields}

    events = [event("web", a=1, b=1), event("other", a=1), event("web", b=2), event("other", a=None)]
    assert merged(events) == [Given("Deployment", "web", {"a": 1, "b": 2})]


def test_only_a_tool_that_puts_objects_back_is_waited_for() -> None:
    assert is_put_back(by("argocd-controller", REPLICAS, deployment()))
    assert not is_put_back(by("kubectl", REPLICAS, deployment()))
    assert not is_put_back(by("helm", REPLICAS, deployment()))
    assert not is_put_back(None)
