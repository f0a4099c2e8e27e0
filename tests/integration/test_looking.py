"""What is looked at before an apply: what others made, and what nobody may change."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _bluegreen, _looking
from ansible_collections.convoy.rollout.plugins.module_utils._operations._planning import Begin
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _bluegreen as _strategy
from integration.playbooks import Lab

Object = dict[str, Any]
WEB: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "web:2", "ports": [{"containerPort": 80}]}]},
        },
    },
}
SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"app": "web"},
        "ports": [{"name": "http", "port": 80}],
        "type": "NodePort",
    },
}
WORDS: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"a": "1"}}


@pytest.fixture
def api(empty: Lab) -> Iterator[_api.Api]:
    """The API server."""
    with contextlib.closing(_api.api({"kubeconfig": empty.kubeconfig}, {})) as found:
        yield found


def applied(api: _api.Api, lab: Lab, manifest: Object, *, manager: str = "convoy.rollout") -> Object:
    """An object after a server-side apply."""
    path = f"{_api.path_for(api, manifest, lab.namespace)}/{manifest['metadata']['name']}"
    kind = "application/apply-patch+yaml"
    return api._write("PATCH", path, manifest, False, kind, force="true", fieldManager=manager)


def created(api: _api.Api, lab: Lab, manifest: Object, manager: str = "kubectl-create") -> None:
    """An object that somebody else creates."""
    path = _api.path_for(api, manifest, lab.namespace)
    assert path is not None
    api._write("POST", path, manifest, False, "", fieldManager=manager)


def with_pod(manifest: Object, **spec: Any) -> Object:
    """The Deployment with other fields of its pods."""
    template = manifest["spec"]["template"]
    pod = {**template["spec"], **spec}
    return {**manifest, "spec": {**manifest["spec"], "template": {**template, "spec": pod}}}


def looked(api: _api.Api, lab: Lab, *manifests: Object, others: Any = "refuse") -> list[_looking.Adoption]:
    """The look."""
    return _looking.looked(api, manifests, lab.namespace, others)


NGINX = {"name": "nginx", "image": "nginx:1", "env": [{"name": "DEBUG", "value": "1"}]}


def test_what_others_made_is_refused_by_name_or_left_or_taken_away(api: _api.Api, empty: Lab) -> None:
    created(api, empty, with_pod({**WEB, "spec": {**WEB["spec"], "replicas": 4}}, containers=[NGINX], hostNetwork=True))
    before = empty.spec_versions()
    with pytest.raises(Failure) as refusal:
        looked(api, empty, WEB)
    said = refusal.value.message
    assert "Deployment web has fields that are not described" in said
    assert "container nginx (by kubectl-create)" in said
    assert "spec.template.spec.hostNetwork (by kubectl-create)" in said
    assert "progressDeadlineSeconds" not in said  # a default is nobody's
    assert empty.spec_versions() == before

    assert looked(api, empty, WEB, others="keep") == []
    adoptions = looked(api, empty, WEB, others="take")
    _looking.adopt(api, adoptions, lambda: None)
    after = applied(api, empty, WEB)["spec"]
    assert [item["name"] for item in after["template"]["spec"]["containers"]] == ["web"]
    assert not after["template"]["spec"].get("hostNetwork")
    assert after["replicas"] == 4  # they are left to whoever sets them
    assert looked(api, empty, WEB) == []


def test_what_is_as_described_or_ours_is_no_reason_to_refuse(api: _api.Api, empty: Lab) -> None:
    for manifest in (WEB, SERVICE, WORDS):
        applied(api, empty, manifest)
    assert looked(api, empty, WEB, SERVICE, WORDS) == []
    # An earlier run has patched it, as a canary's promotion does; the next apply takes that away.
    path = _api.path_of("deployments", empty.namespace, "web", group="apps")
    api.patch(path, [{"op": "add", "path": "/spec/template/spec/containers/-", "value": NGINX}])
    _looking.adopt(api, looked(api, empty, WEB), lambda: None)
    assert len(applied(api, empty, WEB)["spec"]["template"]["spec"]["containers"]) == 1


def test_a_port_of_a_service_and_a_key_of_a_config_map(api: _api.Api, empty: Lab) -> None:
    applied(api, empty, SERVICE)
    applied(api, empty, WORDS)
    more = {**SERVICE, "spec": {"ports": [{"name": "metrics", "port": 9090}]}}
    applied(api, empty, more, manager="prometheus")
    applied(api, empty, {**WORDS, "data": {"b": "2"}}, manager="reloader")
    with pytest.raises(Failure, match=r"Service web has .* port 9090 \(by prometheus\)"):
        looked(api, empty, SERVICE)
    with pytest.raises(Failure, match=r"ConfigMap words has .* key b \(by reloader\)"):
        looked(api, empty, WORDS)


def test_nothing_is_applied_where_one_object_is_refused_and_the_way_out_is_named(api: _api.Api, empty: Lab) -> None:
    applied(api, empty, WEB)
    selector = {**WEB["spec"]["selector"], "matchLabels": {"app": "web", "team": "red"}}
    template = {**WEB["spec"]["template"], "metadata": {"labels": {"app": "web", "team": "red"}}}
    with pytest.raises(Failure, match=r"field is immutable; leave selector and the labels.*Nothing was applied"):
        looked(api, empty, WORDS, {**WEB, "spec": {**WEB["spec"], "selector": selector, "template": template}})
    assert "ConfigMap words" not in empty.objects()


def test_what_cannot_be_looked_at_yet_is_left_to_the_apply(api: _api.Api, empty: Lab) -> None:
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
    elsewhere = {**WORDS, "metadata": {"name": "words", "namespace": f"{empty.namespace}-new"}}
    assert looked(api, empty, widget, elsewhere) == []


def bluegreen(api: _api.Api, lab: Lab, manifests: list[Object]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plan of a blue/green rollout of web to 3, and the state in which its Service is pinned."""
    described = {
        "image": "web",
        "version": "2",
        "service": {"ports": [{"port": 80, "nodePort": 30123}]},
    }
    request = {name: option.get("default") for name, option in _strategy.REQUEST.items()} | {"version": "3"}
    begin = Begin(lab.namespace, "web", {"web": described}, request)
    plan = dict(_bluegreen._planned(api, begin).facts)
    options = {name: option.get("default") for name, option in _bluegreen.ARGUMENTS.items()} | {
        "kubeconfig": lab.kubeconfig,
        "state": "prepared",
        "namespace": lab.namespace,
        "name": "web",
        "plan": plan,
        "template": manifests[0]["spec"]["template"],
        "definition": manifests,
    }
    return plan, _bluegreen.run(options, Task(False, print, environ={}))


def test_nothing_is_pinned_where_the_manifests_of_the_other_colour_are_refused(api: _api.Api, empty: Lab) -> None:
    labels = {"app": "web", "version": "2"}
    template = {**WEB["spec"]["template"], "metadata": {"labels": labels}}
    applied(api, empty, {**WEB, "spec": {**WEB["spec"], "template": template}})
    taken = applied(api, empty, SERVICE)["spec"]["ports"]
    green = {
        **WEB,
        "metadata": {"name": "web-green"},
        "spec": {
            "selector": {"matchLabels": {"app": "web", "color": "green"}},
            "template": {**template, "metadata": {"labels": {"app": "web", "color": "green", "version": "3"}}},
        },
    }
    # Its node port is the other Service's.
    wrong = {**SERVICE, "metadata": {"name": "web-preview"}, "spec": {**SERVICE["spec"], "ports": taken}}
    before = empty.spec_versions()
    with pytest.raises(Failure, match="already allocated"):
        bluegreen(api, empty, [green, wrong])
    assert empty.spec_versions() == before

    idle = {**green, "spec": {**green["spec"], "replicas": 0}}
    created(api, empty, with_pod(idle, containers=[NGINX]))
    with pytest.raises(
        Failure, match=r"Deployment web-green has .*container nginx.* or delete it, as it has no traffic"
    ):
        bluegreen(api, empty, [green])
    assert empty.selector("web") == {"app": "web"}

    api.delete(_api.path_of("deployments", empty.namespace, "web-green", group="apps"))
    plan, pinned = bluegreen(api, empty, [green])
    assert pinned["changed"]
    assert empty.selector("web") == labels
    assert plan["manifests"]["services"]["web-preview"]["service"] == {"ports": [{"port": 80}]}
