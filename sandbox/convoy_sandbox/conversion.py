# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One object in several versions: HorizontalPodAutoscalers of autoscaling/v1 are those of v2, written otherwise.

What v1 has no field for stands in annotations there, in the form of the API's internal types.
"""

from __future__ import annotations

import json
from typing import Any

from . import documents, resources
from .resources import RESOURCES, Resource
from .store import Object

AUTOSCALERS_V1 = RESOURCES["autoscaling", "v1", "horizontalpodautoscalers"]
_PREFIX = "autoscaling.alpha.kubernetes.io/"
_METRICS, _CURRENT, _BEHAVIOR, _CONDITIONS = (
    f"{_PREFIX}{name}" for name in ("metrics", "current-metrics", "behavior", "conditions")
)


def stored_as(resource: Resource) -> Resource:
    """The version in which objects of a resource are kept."""
    return resources.HORIZONTALPODAUTOSCALERS if resource == AUTOSCALERS_V1 else resource


def shown(resource: Resource, obj: Object) -> Object:
    """A stored object in the version that is asked for."""
    return _to_v1(obj) if resource == AUTOSCALERS_V1 and obj.get("apiVersion") != resource.api_version else obj


def stored(resource: Resource, obj: Object) -> Object:
    """An object of a version as it is kept. Raises ValueError where its annotations cannot be read."""
    return _to_v2(obj) if resource == AUTOSCALERS_V1 else obj


def _is_cpu(metric: Object) -> bool:
    resource = metric.get("resource") or {}
    target = resource.get("target") or {}
    return metric["type"] == "Resource" and resource.get("name") == "cpu" and "averageUtilization" in target


def _to_v1(obj: Object) -> Object:
    spec, status = obj["spec"], obj.get("status") or {}
    metrics = spec.get("metrics") or []
    others = [metric for metric in metrics if not _is_cpu(metric)]
    cpu = next((metric for metric in metrics if _is_cpu(metric)), None)
    annotations: dict[str, str] = dict(obj["metadata"].get("annotations") or {})
    if others:
        annotations[_METRICS] = _json([_flat(metric) for metric in others])
    if spec.get("behavior"):
        annotations[_BEHAVIOR] = _json(_internal(spec["behavior"]))
    if status.get("conditions"):
        annotations[_CONDITIONS] = _json(status["conditions"])
    if status.get("currentMetrics"):
        annotations[_CURRENT] = _json(status["currentMetrics"])
    meta = {key: value for key, value in obj["metadata"].items() if key != "annotations"}
    if annotations:
        meta["annotations"] = annotations
    new = {key: spec[key] for key in ("scaleTargetRef", "minReplicas", "maxReplicas") if key in spec}
    if cpu is not None:
        new["targetCPUUtilizationPercentage"] = cpu["resource"]["target"]["averageUtilization"]
    counts = {"currentReplicas": 0, "desiredReplicas": 0}
    kept = {
        key: status[key]
        for key in ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")
        if key in status
    }
    return {
        "kind": obj["kind"], "apiVersion": AUTOSCALERS_V1.api_version, "metadata": meta, "spec": new,
        "status": {**counts, **kept},
    }  # fmt: skip


def _to_v2(obj: Object) -> Object:
    spec = dict(obj.get("spec") or {})
    meta = dict(obj.get("metadata") or {})
    annotations = dict(meta.pop("annotations", None) or {})
    metrics = [_nested(metric) for metric in json.loads(annotations.pop(_METRICS, "[]"))]
    cpu = spec.pop("targetCPUUtilizationPercentage", None)
    if cpu is not None:
        target = {"type": "Utilization", "averageUtilization": cpu}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if metrics:
        spec["metrics"] = metrics
    behavior = annotations.pop(_BEHAVIOR, "")
    if behavior:
        spec["behavior"] = _external(json.loads(behavior))
    for name in (_CONDITIONS, _CURRENT):
        annotations.pop(name, None)
    if annotations:
        meta["annotations"] = annotations
    new = {"kind": obj.get("kind"), "apiVersion": resources.HORIZONTALPODAUTOSCALERS.api_version}
    return {**new, "metadata": meta, "spec": spec}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _flat(metric: Object) -> Object:
    """A metric as v1's annotation has it: the target's values beside the name."""
    kind = metric["type"][:1].lower() + metric["type"][1:]
    source = documents.copied(metric.get(kind) or {})
    target = source.pop("target", {})
    if kind == "resource":
        for key, name in (("averageUtilization", "targetAverageUtilization"), ("averageValue", "targetAverageValue")):
            if key in target:
                source[name] = target[key]
    else:
        source["target"] = target
    return {"type": metric["type"], kind: source}


def _nested(metric: Object) -> Object:
    kind = metric["type"][:1].lower() + metric["type"][1:]
    source = dict(metric.get(kind) or {})
    if kind == "resource":
        utilization, value = (source.pop(key, None) for key in ("targetAverageUtilization", "targetAverageValue"))
        source["target"] = (
            {"type": "Utilization", "averageUtilization": utilization}
            if utilization is not None
            else {"type": "AverageValue", "averageValue": value}
        )
    return {"type": metric["type"], kind: source}


def _internal(behavior: Object) -> Object:
    """Rules of scaling as Go writes its internal type: capital letters, and what is not set as null."""
    return {
        direction[:1].upper() + direction[1:]: {
            "StabilizationWindowSeconds": rules.get("stabilizationWindowSeconds"),
            "SelectPolicy": rules.get("selectPolicy"),
            "Policies": [
                {"Type": policy["type"], "Value": policy["value"], "PeriodSeconds": policy["periodSeconds"]}
                for policy in rules.get("policies") or ()
            ],
            "Tolerance": rules.get("tolerance"),
        }
        for direction in ("scaleUp", "scaleDown")
        if (rules := behavior.get(direction)) is not None
    }


def _external(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: _external(item) for key, item in value.items() if item is not None}
    return [_external(item) for item in value] if isinstance(value, list) else value
