"""What a whole API server answers about one application, hello, for tests that take a part of it away."""

from __future__ import annotations

import copy
import typing as t
from collections.abc import Iterator

from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import ApiError

Object = dict[str, t.Any]

CREATED = "2026-01-31T12:00:00Z"


def _meta(name: str, owner: str = "", **more: t.Any) -> Object:
    found: Object = {"name": name, "namespace": "default", "uid": f"uid-of-{name}", "resourceVersion": "7", **more}
    found["creationTimestamp"] = CREATED
    if owner:
        found["ownerReferences"] = [{"kind": "x", "name": owner, "uid": f"uid-of-{owner}", "controller": True}]
    return found


def _template(version: str) -> Object:
    requests = {"requests": {"cpu": "200m", "memory": "64Mi"}, "limits": {"cpu": "1"}}
    return {
        "metadata": {
            "creationTimestamp": None,
            "labels": {"app": "hello", "version": version},
            "annotations": {"a": "b"},
        },
        "spec": {
            "terminationGracePeriodSeconds": 30,
            "containers": [
                {
                    "name": "hello",
                    "image": f"example.com/hello:{version}",
                    "resources": requests,
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
                },
            ],
            "initContainers": [{"name": "first", "image": "first:1", "restartPolicy": "Always"}],
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]},
                        ]
                    }
                }
            },
            "overhead": {"cpu": "1m"},
        },
    }


def _workload(name: str, version: str, replicas: int = 3) -> Object:
    fields = {"f:spec": {"f:replicas": {}}}
    written = [{"manager": "kubectl", "operation": "Update", "time": CREATED, "fieldsV1": fields}]
    rules = [{"key": "app", "operator": "In", "values": ["hello"]}]
    return {
        "metadata": _meta(
            name,
            generation=2,
            managedFields=written,
            annotations={"deployment.kubernetes.io/revision": "2"},
            labels={"a": "b"},
        ),
        "spec": {
            "replicas": replicas,
            "minReadySeconds": 1,
            "revisionHistoryLimit": 5,
            "selector": {"matchLabels": {"app": "hello"}, "matchExpressions": rules},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
            "template": _template(version),
        },
        "status": {
            "observedGeneration": 2,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
            "conditions": [
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": "m"}
            ],
        },
    }


def _replica_set(name: str, version: str, revision: str) -> Object:
    return {
        "metadata": _meta(name, "hello", annotations={"deployment.kubernetes.io/revision": revision}),
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "hello"}}, "template": _template(version)},
        "status": {"replicas": 3, "readyReplicas": 3, "availableReplicas": 3},
    }


def _pod(number: int) -> Object:
    terminated = {"reason": "Error", "message": "m", "exitCode": 1}
    status = {
        "name": "hello",
        "restartCount": 1,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        "lastState": {"terminated": terminated},
    }
    labels = {"app": "hello", "version": "1.0.0"}
    return {
        "metadata": _meta(f"hello-{number}", "hello-new", labels=labels),
        "spec": {**_template("1.0.0")["spec"], "nodeName": "node1"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [status],
            "initContainerStatuses": [],
        },
    }


def _service() -> Object:
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30080}]
    return {
        "metadata": _meta("hello", annotations={"convoy.rollout/previous-version": "1.0.0"}),
        "spec": {"selector": {"app": "hello"}, "ports": ports, "clusterIP": "10.0.0.1", "sessionAffinity": "None"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ports": [{"port": 80, "protocol": "TCP"}]}]}},
    }


def _slices() -> list[Object]:
    endpoints = [
        {
            "addresses": [f"10.1.0.{number}"],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "name": f"hello-{number}"},
        }
        for number in (1, 2, 3)
    ]
    return [{"metadata": _meta("hello-x"), "endpoints": endpoints}]


def _node() -> Object:
    return {
        "metadata": {"name": "node1", "labels": {"disk": "ssd"}},
        "spec": {"taints": [{"key": "gpu", "value": "", "effect": "NoSchedule"}], "unschedulable": False},
        "status": {
            "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _quota() -> Object:
    scope = {"scopeName": "PriorityClass", "operator": "DoesNotExist"}
    return {
        "metadata": _meta("quota"),
        "spec": {"scopes": ["NotTerminating"], "scopeSelector": {"matchExpressions": [scope]}},
        "status": {"hard": {"requests.cpu": "10", "pods": 9}, "used": {"requests.cpu": "600m", "pods": "3"}},
    }


def _scaler() -> Object:
    aims = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}
    return {"metadata": _meta("other"), "spec": {"scaleTargetRef": aims, "minReplicas": 1, "maxReplicas": 3}}


def _listed(*items: Object) -> Object:
    return {"metadata": {"resourceVersion": "9"}, "items": list(items)}


_SCHEMA: Object = {
    "type": "object",
    "description": "A Deployment.",
    "x-kubernetes-group-version-kind": [{"group": "apps", "version": "v1", "kind": "Deployment"}],
    "required": ["spec"],
    "properties": {
        "spec": {"allOf": [{"$ref": "#/components/schemas/Spec"}], "description": "What is wished for."},
    },
}
_SPEC: Object = {
    "type": "object",
    "externalDocs": {"description": "more", "url": "https://example.com"},
    "properties": {
        "replicas": {"type": "integer", "enum": [1, 2]},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "rules": {"type": "array", "items": {"$ref": "#/components/schemas/Spec"}},
    },
}

ANSWERS: dict[str, Object] = {
    "/version": {"gitVersion": "v1.36.2"},
    "/api/v1": {"resources": [{"name": "pods", "kind": "Pod", "singularName": "pod", "shortNames": ["po"]}]},
    "/apis": {"groups": [{"name": "apps", "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"}}]},
    "/apis/apps/v1": {"resources": [{"name": "deployments", "kind": "Deployment", "singularName": "deployment"}]},
    "/openapi/v3": {"paths": {"apis/apps/v1": {"serverRelativeURL": "/openapi/v3/apis/apps/v1?hash=1"}}},
    "/openapi/v3/apis/apps/v1": {"components": {"schemas": {"Deployment": _SCHEMA, "Spec": _SPEC}}},
    "namespaces": {"metadata": {"name": "default"}},
    "deployments": _listed(_workload("hello", "1.0.0"), _workload("other", "1.0.0", 0)),
    "deployments/hello": _workload("hello", "1.0.0"),
    "replicasets": _listed(_replica_set("hello-old", "0.9.0", "1"), _replica_set("hello-new", "1.0.0", "2")),
    "pods": _listed(*map(_pod, (1, 2, 3))),
    "services": _listed(_service()),
    "services/hello": _service(),
    "endpointslices": _listed(*_slices()),
    "nodes": _listed(_node()),
    "resourcequotas": _listed(_quota()),
    "limitranges": _listed(
        {"metadata": _meta("l"), "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}},
    ),
    "poddisruptionbudgets": _listed(
        {
            "metadata": _meta("b"),
            "spec": {"selector": {"matchLabels": {"app": "hello"}}, "minAvailable": 1, "maxUnavailable": "50%"},
            "status": {"disruptionsAllowed": 1},
        },
    ),
    "horizontalpodautoscalers": _listed(_scaler()),
    "events": _listed({"metadata": _meta("e"), "reason": "R", "message": "m", "lastTimestamp": CREATED}),
}


def answered(path: str) -> Object:
    """What is answered at a path; an object that each caller has for itself."""
    known = path if path in ANSWERS else path.rpartition("/namespaces/default/")[2].rpartition("v1/")[2]
    if path.endswith("/namespaces/default"):
        known = "namespaces"
    if known not in ANSWERS:
        raise ApiError(404, "NotFound", f"There is nothing at {path!r}.")
    return copy.deepcopy(ANSWERS[known])


def places(value: t.Any, path: tuple[t.Any, ...] = ()) -> Iterator[tuple[t.Any, ...]]:
    """Where there is a value in a value."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, found in inside:
        yield from places(found, (*path, key))


def changed(value: t.Any, path: tuple[t.Any, ...], other: t.Any) -> t.Any:
    """A value with another one at a place."""
    if not path:
        return other
    value[path[0]] = changed(value[path[0]], path[1:], other)
    return value
