"""What an apply leaves beside what is described, and what nobody may change."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _merging

Object = dict[str, t.Any]


def entry(manager: str, operation: str = "Update", subresource: str = "", **fields: t.Any) -> Object:
    """What metadata.managedFields has of a manager."""
    found = {"manager": manager, "operation": operation, "time": "2026-11-24T00:00:00Z", "fieldsV1": fields}
    return {**found, **({"subresource": subresource} if subresource else {})}


def pod(*containers: Object, **more: t.Any) -> Object:
    """The specification of a Deployment."""
    return {"template": {"spec": {"containers": list(containers), **more}}}


def of_pod(**fields: t.Any) -> Object:
    """Fields of a pod template, as fieldsV1 has them."""
    return {"f:spec": {"f:template": {"f:spec": fields}}}


WEB = {"name": "web", "image": "web:2"}
NGINX = {"name": "nginx", "image": "nginx:1"}


def found(described: Object, merged: Object, *entries: Object, kind: str = "Deployment") -> list[_merging.Left]:
    """What is left of a Deployment."""
    live = {"kind": kind, "metadata": {"name": "web", "managedFields": list(entries)}}
    return _merging.left(live, {"kind": kind, "spec": merged}, {"spec": described})


def test_a_container_of_another_name_is_named_with_who_made_it() -> None:
    made = entry("kubectl-create", **of_pod(**{"f:containers": {'k:{"name":"nginx"}': {".": {}, "f:image": {}}}}))
    left = found(pod(WEB), pod(WEB, NGINX), made)
    assert [(each.path, str(each)) for each in left] == [
        ("spec.template.spec.containers[name=nginx]", "container nginx (by kubectl-create)")
    ]
    said = _merging.refusal("Deployment web", left)
    assert "-e app_deploy_others=take" in said
    assert "container nginx (by kubectl-create)" in said


@pytest.mark.parametrize(
    ("described", "merged", "words"),
    [
        (pod(WEB), pod({**WEB, "env": [{"name": "DEBUG", "value": "1"}]}), "variable DEBUG of container web"),
        (
            pod({**WEB, "ports": [{"containerPort": 80, "protocol": "TCP"}]}),
            pod({**WEB, "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "UDP"}]}),
            "port 80 of container web",
        ),
        (
            pod(WEB, initContainers=[]),
            pod(WEB, initContainers=[{"name": "proxy", "image": "p:1", "restartPolicy": "Always"}]),
            "init container proxy",
        ),
        (pod(WEB), pod(WEB, volumes=[{"name": "data", "emptyDir": {}}]), "volume data"),
        (
            pod(WEB),
            pod({**WEB, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}),
            "volumeMounts /data of container web",
        ),
    ],
)
def test_items_that_are_left_are_refused_whoever_made_them(described: Object, merged: Object, words: str) -> None:
    assert [each.words for each in found(described, merged)] == [words]


def test_a_field_that_somebody_set_counts_and_a_default_or_a_webhooks_does_not() -> None:
    merged = pod({**WEB, "command": ["sh"]}, hostNetwork=True, terminationGracePeriodSeconds=60)
    described = pod(WEB, terminationGracePeriodSeconds=30)
    made = entry("kubectl-edit", **of_pod(**{"f:containers": {'k:{"name":"web"}': {"f:command": {}}}}))
    assert [str(each) for each in found(described, merged, made)] == [
        "spec.template.spec.containers[name=web].command of container web (by kubectl-edit)"
    ]
    made = entry("kubectl-edit", **of_pod(**{"f:terminationGracePeriodSeconds": {}, "f:hostNetwork": {}}))
    assert len(found(described, merged, made)) == 2


@pytest.mark.parametrize(
    "merged",
    [
        {**pod(WEB), "replicas": 7, "paused": True},
        {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "x"}}, **pod(WEB)["template"]}},
    ],
)
def test_replicas_pauses_and_annotations_are_left_to_whoever_sets_them(merged: Object) -> None:
    made = entry("kubectl", **{"f:spec": {"f:replicas": {}, "f:paused": {}, "f:template": {"f:metadata": {}}}})
    assert not found({**pod(WEB), "replicas": 1}, merged, made)


def test_what_an_earlier_run_of_ours_patched_is_ours() -> None:
    made = entry("convoy.rollout", **of_pod(**{"f:containers": {'k:{"name":"nginx"}': {".": {}}}}))
    assert [each.ours for each in found(pod(WEB), pod(WEB, NGINX), made)] == [True]
    other = entry("helm", **of_pod(**{"f:containers": {'k:{"name":"nginx"}': {".": {}}}}))
    assert [each.ours for each in found(pod(WEB), pod(WEB, NGINX), made, other)] == [False]


def test_of_a_service_what_is_its_own_does_not_count() -> None:
    port = {"port": 80, "protocol": "TCP", "targetPort": 80}
    merged = {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{**port, "nodePort": 30001}]}
    made = entry("kubectl", **{"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:nodePort": {}}}}})
    for described in (port, {**port, "nodePort": 30002}):
        assert not found({"ports": [described]}, merged, made, kind="Service")
    more = {**merged, "ports": [*merged["ports"], {"port": 9090, "protocol": "TCP"}]}
    assert [each.words for each in found({"ports": [port]}, more, kind="Service")] == ["port 9090"]


def test_keys_of_a_config_map_and_a_secret_are_named_and_their_values_are_not() -> None:
    for kind, part in (("ConfigMap", "data"), ("Secret", "stringData")):
        live = {"kind": kind, "metadata": {"name": "words"}}
        merged = {"kind": kind, "data": {"a": "1", "b": "planted"}}
        left = _merging.left(live, merged, {part: {"a": "1"}})
        assert [str(each) for each in left] == ["key b (by somebody)"]


def test_a_second_object_is_made_without_what_only_one_can_have() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web" * 20, "namespace": "shop", "annotations": {"external-dns/hostname": "x"}},
        "spec": {"clusterIP": "10.0.0.1", "loadBalancerIP": "192.0.2.1", "ports": [{"port": 80, "nodePort": 30001}]},
    }
    made = _merging.second(service)
    assert made["spec"] == {"ports": [{"port": 80}]}
    assert "annotations" not in made["metadata"]
    assert made["metadata"]["name"] != service["metadata"]["name"]
    assert len(made["metadata"]["name"]) <= 63


# -- taking over -------------------------------------------------------------------------------------------------------


def test_what_others_set_becomes_what_our_own_apply_had_set_before() -> None:
    theirs = entry(
        "kubectl-client-side-apply",
        **{
            "f:metadata": {"f:annotations": {"f:x": {}}},
            "f:spec": {"f:replicas": {}, "f:selector": {}, "f:strategy": {"f:type": {}}},
        },
    )
    ours = entry("convoy.rollout", "Apply", **of_pod(**{"f:containers": {}}))
    scaler = entry("kube-controller-manager", subresource="scale", **{"f:spec": {"f:replicas": {}}})
    live = {"metadata": {"managedFields": [theirs, ours, scaler]}}
    made = _merging.adopted(live, {"spec": pod(WEB)}, "apps/v1", None)
    assert made is not None
    first, *kept = made
    assert (first["manager"], first["operation"], first["apiVersion"]) == ("convoy.rollout", "Apply", "apps/v1")
    # An apply that had set the replicas before and does not name them would leave one replica.
    assert first["fieldsV1"]["f:spec"] == {"f:strategy": {"f:type": {}}, "f:template": {"f:spec": {"f:containers": {}}}}
    assert kept == [dict(theirs, fieldsV1={"f:metadata": {"f:annotations": {"f:x": {}}}}), scaler]
    assert _merging.adopted({"metadata": {"managedFields": [ours, scaler]}}, {}, "apps/v1", None) is None


def test_only_the_fields_of_those_that_are_named_are_taken_over() -> None:
    theirs, mine = entry("helm", **of_pod(**{"f:volumes": {}})), entry("convoy.rollout", **of_pod(**{"f:env": {}}))
    made = _merging.adopted({"metadata": {"managedFields": [theirs, mine]}}, {}, "apps/v1", ("convoy.rollout",))
    assert made is not None
    assert "f:env" in json.dumps(made[0])
    assert made[1:] == [theirs]


# -- what nobody may change --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "message", "help_"),
    [
        ("Deployment", 'spec.selector: Invalid value: {"a":"b"}: field is immutable', "leave selector and the labels"),
        ("StatefulSet", "spec: Forbidden: updates to statefulset spec for fields other than", "--cascade=orphan"),
        ("Job", "spec.template: Invalid value: ...: field is immutable", "another name"),
        ("ConfigMap", "data: Forbidden: field is immutable when `immutable` is set", "is marked immutable"),
        ("Secret", 'type: Invalid value: "Opaque": field is immutable', "the new one another name"),
        ("Secret", "data: Forbidden: field is immutable when `immutable` is set", "is marked immutable"),
        ("Service", "spec.clusterIPs[0]: Invalid value: may not change once set", "leave clusterIP out"),
        (
            "Deployment",
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            "kubectl edit deployment/web",
        ),
        (
            "Service",
            "spec.ports[0].nodePort: Invalid value: 30100: provided port is already allocated",
            "leave nodePort out",
        ),
        (
            "Service",
            'spec.clusterIPs: Invalid value: ["10.0.0.1"]: failed to allocate IP 10.0.0.1: provided IP is '
            "already allocated",
            "leave clusterIP out to get a free address",
        ),
        ("Service", "spec.loadBalancerClass: Invalid value: null: may not change once set", "leave it as it is"),
        (
            "PersistentVolumeClaim",
            "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity",
            "a claim can only grow",
        ),
        ("PersistentVolumeClaim", "spec: Forbidden: spec is immutable after creation except", "another name"),
        ("StorageClass", "parameters: Forbidden: updates to parameters are forbidden.", "another name"),
        ("Widget", "spec.size: field is immutable", "that cannot be changed in Widget web"),
        ("Deployment", "spec.replicas: must be greater than or equal to 0", ""),
    ],
)
def test_the_way_out_of_what_nobody_may_change(kind: str, message: str, help_: str) -> None:
    said = _merging.way_out(kind, "web", message)
    assert bool(said) is bool(help_)
    assert help_ in said
    assert "{" not in said
