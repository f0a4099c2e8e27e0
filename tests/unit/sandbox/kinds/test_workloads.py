"""Pods, Deployments and ReplicaSets: what is filled in, and what is refused with which words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from convoy_sandbox import resources
from convoy_sandbox.errors import ApiError
from convoy_sandbox.kinds.pods import qos_class
from convoy_sandbox.registry import Registry
from convoy_sandbox.resources import Resource
from convoy_sandbox.store import Store


@pytest.fixture
def registry() -> Registry:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    return registry


def workload(container: dict[str, Any] | None = None, pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": "hello"}},
        "spec": {"containers": [{"name": "hello", "image": "hello:1", **(container or {})}], **(pod or {})},
    }
    return {
        "metadata": {"name": "hello"},
        "spec": {"selector": {"matchLabels": {"app": "hello"}}, "template": template, **spec},
    }


def refusals(registry: Registry, body: dict[str, Any], resource: Resource = resources.DEPLOYMENTS) -> list[str]:
    """The causes of a 422, as lines."""
    with pytest.raises(ApiError) as caught:
        registry.create(resource, "lab", copy.deepcopy(body))
    assert caught.value.code == 422, caught.value.message
    assert caught.value.details is not None
    return [f"{cause['field']}: {cause['message']}" for cause in caught.value.details["causes"]]


HELLO = "spec.template.spec.containers[0]"


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"readinessProbe": {}}, f"{HELLO}.readinessProbe: Required value: must specify a handler type"),
        (
            {"readinessProbe": {"httpGet": {"path": "/"}}},
            f"{HELLO}.readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            {"livenessProbe": {"tcpSocket": {"port": 99999}}},
            f"{HELLO}.livenessProbe.tcpSocket.port: Invalid value: 99999: must be between 1 and 65535, inclusive",
        ),
        ({"startupProbe": {"exec": {}}}, f"{HELLO}.startupProbe.exec.command: Required value"),
        (
            {"readinessProbe": {"exec": {"command": ["x"]}, "tcpSocket": {"port": 1}}},
            f"{HELLO}.readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
        ),
        (
            {"livenessProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2}},
            f"{HELLO}.livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            {"readinessProbe": {"httpGet": {"port": 80, "scheme": "FTP"}}},
            f'{HELLO}.readinessProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"',
        ),
        ({"lifecycle": {"preStop": {}}}, f"{HELLO}.lifecycle.preStop: Required value: must specify a handler type"),
        ({"env": [{"value": "x"}]}, f"{HELLO}.env[0].name: Required value"),
        ({"ports": [{}]}, f"{HELLO}.ports[0].containerPort: Required value"),
        (
            {"ports": [{"containerPort": 1, "name": "a" * 16}]},
            f'{HELLO}.ports[0].name: Invalid value: "{"a" * 16}": must be no more than 15 characters',
        ),
        (
            {"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]},
            f'{HELLO}.ports[1].name: Duplicate value: "a"',
        ),
        ({"volumeMounts": [{"name": "conf", "mountPath": "/x"}]}, f'{HELLO}.volumeMounts[0].name: Not found: "conf"'),
        (
            {"resources": {"limits": {"cpu": "200m"}, "requests": {"cpu": "500m"}}},
            f'{HELLO}.resources.requests: Invalid value: "500m": must be less than or equal to cpu limit of 200m',
        ),
        (
            {"resources": {"limits": {"memory": "-1"}}},
            f'{HELLO}.resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0',
        ),
    ],
)
def test_a_container_that_is_refused(registry: Registry, container: dict[str, Any], expected: str) -> None:
    assert refusals(registry, workload(container)) == [expected]


def test_a_made_up_resource_is_refused_twice_over(registry: Registry) -> None:
    field = f'{HELLO}.resources.limits[gpu]: Invalid value: "gpu": must be a standard resource'
    assert refusals(registry, workload({"resources": {"limits": {"gpu": 1}}})) == [
        f"{field} type or fully qualified",
        f"{field} for containers",
    ]
    registry.create(resources.DEPLOYMENTS, "lab", workload({"resources": {"limits": {"example.com/gpu": 1}}}))


def test_a_path_is_mounted_once(registry: Registry) -> None:
    pod = {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]}
    mounts = [{"name": "a", "mountPath": "/x"}, {"name": "a", "mountPath": "/x"}]
    assert refusals(registry, workload({"volumeMounts": mounts}, pod)) == [
        'spec.template.spec.volumes[1].name: Duplicate value: "a"',
        f'{HELLO}.volumeMounts[1].mountPath: Invalid value: "/x": must be unique',
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"strategy": {"rollingUpdate": {"maxUnavailable": "150%"}}},
            ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "150%": must not be greater than 100%'],
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}},
            ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0'],
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            [
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            ],
        ),
        (
            {"progressDeadlineSeconds": 10, "minReadySeconds": 10},
            ["spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds"],
        ),
        ({"selector": {}}, ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]),
        (
            {"selector": {"matchExpressions": [{"key": "app", "operator": "Like"}]}},
            [
                'spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator',
                'spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"Like"}]}: '
                "invalid label selector",
            ],
        ),
        (
            {"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}},
            [
                "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is "
                "'In' or 'NotIn'",
                'spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"In"}]}: '
                "invalid label selector",
            ],
        ),
    ],
)
def test_a_deployment_that_is_refused(registry: Registry, spec: dict[str, Any], expected: list[str]) -> None:
    assert refusals(registry, workload(**spec)) == expected


def test_an_expression_selects_by_what_it_means(registry: Registry) -> None:
    expression = {"key": "app", "operator": "In", "values": ["hello", "other"]}
    registry.create(resources.REPLICASETS, "lab", workload(selector={"matchExpressions": [expression]}))


def test_what_is_empty_takes_its_default(registry: Registry) -> None:
    """Templates write `protocol: ""` where a variable is not set: to the API server that is not set."""
    container = {
        "imagePullPolicy": "",
        "ports": [{"containerPort": 80, "protocol": ""}],
        "env": [{"name": "EMPTY", "value": ""}],
        "readinessProbe": {"httpGet": {"port": 80, "path": "/", "httpHeaders": [{"name": "X", "value": ""}]}},
    }
    spec = registry.create(resources.DEPLOYMENTS, "lab", workload(container, strategy={"type": ""}))["spec"]
    assert spec["strategy"]["type"] == "RollingUpdate"
    stored = spec["template"]["spec"]["containers"][0]
    assert stored["imagePullPolicy"] == "IfNotPresent"
    assert stored["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert stored["env"] == [{"name": "EMPTY"}]
    # a header's value is required, so it stays
    assert stored["readinessProbe"]["httpGet"]["httpHeaders"] == [{"name": "X", "value": ""}]


def test_the_defaults_of_a_pod(registry: Registry) -> None:
    probe = {"httpGet": {"port": 81}, "failureThreshold": 0}
    body = {"metadata": {"name": "a"}, "spec": workload({"readinessProbe": probe})["spec"]["template"]["spec"]}
    body["spec"]["volumes"] = [{"name": "conf", "configMap": {"name": "c"}}, {"name": "scratch"}]
    pod = registry.create(resources.PODS, "lab", body)
    spec = pod["spec"]
    assert spec["containers"][0]["readinessProbe"] == {
        "httpGet": {"path": "/", "port": 81, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert spec["volumes"][:2] == [
        {"name": "conf", "configMap": {"name": "c", "defaultMode": 420}},
        {"name": "scratch", "emptyDir": {}},
    ]
    assert (spec["serviceAccountName"], spec["preemptionPolicy"], spec["priority"]) == (
        "default",
        "PreemptLowerPriority",
        0,
    )
    assert [(term["key"], term["tolerationSeconds"]) for term in spec["tolerations"]] == [
        ("node.kubernetes.io/not-ready", 300),
        ("node.kubernetes.io/unreachable", 300),
    ]
    mount = spec["containers"][0]["volumeMounts"][-1]
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert mount["name"] == spec["volumes"][-1]["name"]
    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_a_pod_without_a_token_has_none(registry: Registry) -> None:
    spec = workload(pod={"automountServiceAccountToken": False})["spec"]["template"]["spec"]
    stored = registry.create(resources.PODS, "lab", {"metadata": {"name": "a"}, "spec": spec})["spec"]
    assert "volumes" not in stored


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([{}], "BestEffort"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}], "Burstable"),
    ],
)
def test_qos_classes(containers: list[dict[str, Any]], expected: str) -> None:
    assert qos_class({"containers": [{"resources": entry} for entry in containers]}) == expected


def test_of_a_pod_only_the_image_changes(registry: Registry) -> None:
    template = workload()["spec"]["template"]
    registry.create(resources.PODS, "lab", {"metadata": {"name": "a"}, "spec": template["spec"]})

    def set_image(pod: dict[str, Any]) -> None:
        pod["spec"]["containers"][0]["image"] = "hello:2"

    assert registry.modify(resources.PODS, "lab", "a", set_image)["spec"]["containers"][0]["image"] == "hello:2"
    with pytest.raises(ApiError, match="pod updates may not change fields other than"):
        registry.modify(resources.PODS, "lab", "a", lambda pod: pod["spec"].update(hostname="other"))


def test_a_number_that_does_not_fit_is_refused(registry: Registry) -> None:
    with pytest.raises(ApiError, match="cannot unmarshal number 2147483648 into Go struct field") as caught:
        registry.create(resources.DEPLOYMENTS, "lab", workload(replicas=2**31))
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("resource", "spec", "expected"),
    [
        (
            resources.STATEFULSETS,
            {"podManagementPolicy": "Random"},
            "spec.podManagementPolicy: Invalid value: \"Random\": must be 'OrderedReady' or 'Parallel'",
        ),
        (
            resources.STATEFULSETS,
            {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": -1}}},
            "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            resources.DAEMONSETS,
            {"updateStrategy": {"type": "Recreate"}},
            'spec.updateStrategy.type: Unsupported value: "Recreate": supported values: "RollingUpdate", "OnDelete"',
        ),
        (
            resources.DAEMONSETS,
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}},
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
        ),
        (
            resources.DAEMONSETS,
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": "10%"}}},
            'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "10%": may not be set when maxUnavailable '
            "is non-zero",
        ),
    ],
)
def test_update_strategies_that_make_no_sense(
    registry: Registry, resource: Resource, spec: dict[str, Any], expected: str
) -> None:
    assert refusals(registry, workload(**spec), resource) == [expected]


def test_of_a_stateful_set_only_some_fields_may_change(registry: Registry) -> None:
    stored = registry.create(resources.STATEFULSETS, "lab", workload(serviceName="hello"))
    with pytest.raises(ApiError, match=r"updates to statefulset spec for fields other than 'replicas', 'ordinals'"):
        registry.update(
            resources.STATEFULSETS, "lab", "hello", {**stored, "spec": {**stored["spec"], "serviceName": "other"}}
        )
    changed = registry.update(
        resources.STATEFULSETS, "lab", "hello", {**stored, "spec": {**stored["spec"], "replicas": 3}}
    )
    assert changed["metadata"]["generation"] == 2


def test_a_daemon_set_counts_its_templates(registry: Registry) -> None:
    stored = registry.create(resources.DAEMONSETS, "lab", workload())
    key = "deprecated.daemonset.template.generation"
    assert stored["metadata"]["annotations"] == {key: "1"}
    other = workload(container={"image": "hello:2"})
    changed = registry.update(resources.DAEMONSETS, "lab", "hello", {**other, "metadata": {"name": "hello"}})
    assert changed["metadata"]["annotations"] == {key: "2"}


def test_the_data_of_a_controller_revision_stays(registry: Registry) -> None:
    stored = registry.create(
        resources.CONTROLLERREVISIONS, "lab", {"metadata": {"name": "one"}, "data": {"a": 1}, "revision": 1}
    )
    with pytest.raises(ApiError, match="field is immutable"):
        registry.update(resources.CONTROLLERREVISIONS, "lab", "one", {**stored, "data": {"a": 2}})
