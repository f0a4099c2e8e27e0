# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""HorizontalPodAutoscalers of autoscaling/v2."""

from __future__ import annotations

from .. import documents
from ..errors import Cause
from ..store import Object
from .base import Kind, required, unsupported, wrong


class HorizontalPodAutoscalerKind(Kind):
    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("minReplicas", 1)
        if not spec.get("metrics"):
            target = {"type": "Utilization", "averageUtilization": 80}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        if spec.get("behavior"):
            _default_behavior(spec["behavior"])
        status = obj.setdefault("status", {})
        status.setdefault("desiredReplicas", 0)
        status.setdefault("currentMetrics", None)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        target = spec.get("scaleTargetRef") or {}
        causes: list[Cause] = []
        least, most = spec["minReplicas"], spec.get("maxReplicas", 0)
        metrics = spec["metrics"]
        outside = any(metric.get("type") in ("Object", "External") for metric in metrics)
        if least < 1 and not (least == 0 and outside):
            causes.append(wrong("spec.minReplicas", least, "must be greater than or equal to 1"))
        if most == 0:
            causes.append(required("spec.maxReplicas", "must be set and greater than 0"))
        elif most < 0:
            causes.append(wrong("spec.maxReplicas", most, "must be greater than 0"))
        elif most < least:
            causes.append(wrong("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
        causes += [required(f"spec.scaleTargetRef.{key}") for key in ("kind", "name") if not target.get(key)]
        if "/" not in target.get("apiVersion", "") and target.get("kind") != "ReplicationController":
            message = "apiVersion must specify API group"
            causes.append(wrong("spec.scaleTargetRef.apiVersion", target.get("apiVersion", ""), message))
        for index, metric in enumerate(metrics):
            causes += _metric_causes(metric, f"spec.metrics[{index}]")
        if least == 0 and not outside:
            message = (
                "Forbidden: must specify at least one Object or External metric to support scaling to zero replicas"
            )
            causes.append(Cause("FieldValueForbidden", message, "spec.metrics"))
        causes += [
            wrong(f"spec.scaleTargetRef.{key}", target[key], f"may not contain '{part}'")
            for key in ("kind", "name")
            for part in ("/", "%")
            if part in (target.get(key) or "")
        ]
        for direction in ("scaleUp", "scaleDown"):
            causes += _rules_causes((spec.get("behavior") or {}).get(direction) or {}, f"spec.behavior.{direction}")
            for index, policy in enumerate(((spec.get("behavior") or {}).get(direction) or {}).get("policies") or ()):
                where = f"spec.behavior.{direction}.policies[{index}]"
                causes += [
                    wrong(f"{where}.{key}", policy.get(key, 0), "must be greater than zero")
                    for key in ("value", "periodSeconds")
                    if policy.get(key, 0) <= 0
                ]
        return causes


_LONGEST_WINDOW, _LONGEST_PERIOD = 3600, 1800  #: seconds


def _rules_causes(rules: Object, where: str) -> list[Cause]:
    """What is wrong with how fast one direction goes, apart from values that are not above zero."""
    causes: list[Cause] = []
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and window < 0:
        causes.append(wrong(f"{where}.stabilizationWindowSeconds", window, "must be greater than or equal to zero"))
    elif window is not None and window > _LONGEST_WINDOW:
        message = f"must be less than or equal to {_LONGEST_WINDOW}"
        causes.append(wrong(f"{where}.stabilizationWindowSeconds", window, message))
    if rules.get("selectPolicy") not in (None, "Disabled", "Max", "Min"):
        causes.append(unsupported(f"{where}.selectPolicy", rules["selectPolicy"], ["Disabled", "Max", "Min"]))
    for index, policy in enumerate(rules.get("policies") or ()):
        if policy.get("type") not in ("Percent", "Pods"):
            causes.append(unsupported(f"{where}.policies[{index}].type", policy.get("type", ""), ["Percent", "Pods"]))
        if policy.get("periodSeconds", 0) > _LONGEST_PERIOD:
            message = f"must be less than or equal to {_LONGEST_PERIOD}"
            causes.append(wrong(f"{where}.policies[{index}].periodSeconds", policy["periodSeconds"], message))
    return causes


_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}
_SOURCES = {
    "Resource": "resource", "Object": "object", "Pods": "pods", "External": "external",
    "ContainerResource": "containerResource",
}  # fmt: skip


def _default_behavior(behavior: Object) -> None:
    """Where one direction has rules, both are written out."""
    for direction, rules in (("scaleUp", _UP), ("scaleDown", _DOWN)):
        given = behavior.setdefault(direction, {})
        for key, value in rules.items():
            if given.get(key) is None:
                given[key] = documents.copied(value)


def _metric_causes(metric: Object, where: str) -> list[Cause]:
    kind = metric.get("type", "")
    if kind not in _SOURCES:
        return [unsupported(f"{where}.type", kind, sorted(_SOURCES))]
    source = metric.get(_SOURCES[kind])
    if source is None:
        return [required(f"{where}.{_SOURCES[kind]}", "must populate information for the given metric source")]
    target = source.get("target") or {}
    if not any(target.get(key) is not None for key in ("averageUtilization", "averageValue", "value")):
        message = "must set either a target raw value or a target utilization"
        return [required(f"{where}.{_SOURCES[kind]}.target.averageUtilization", message)]
    field = f"{where}.{_SOURCES[kind]}.target"
    causes: list[Cause] = []
    if not target.get("type"):
        causes.append(required(f"{field}.type", "must specify a metric target type"))
    elif target["type"] not in _TARGETS:
        causes.append(wrong(f"{field}.type", target["type"], "must be either Utilization, Value, or AverageValue"))
    if target.get("averageUtilization") is not None and target["averageUtilization"] < 1:
        causes.append(wrong(f"{field}.averageUtilization", target["averageUtilization"], "must be greater than 0"))
    if kind in ("Resource", "ContainerResource"):
        if not source.get("name"):
            causes.append(required(f"{where}.{_SOURCES[kind]}.name", "must specify a resource name"))
        if target.get("averageUtilization") is not None and target.get("averageValue") is not None:
            message = "Forbidden: may not set both a target raw value and a target utilization"
            causes.append(Cause("FieldValueForbidden", message, f"{field}.averageValue"))
    return causes


_TARGETS = ("Utilization", "Value", "AverageValue")
