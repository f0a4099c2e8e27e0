# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bounds a namespace and its pods: LimitRanges, ResourceQuotas, priority classes, disruption budgets."""

from __future__ import annotations

import re
from typing import Any

from .. import quantities
from ..errors import Cause
from ..store import Object
from .base import Kind, required, unsupported, wrong
from .metadata import name_causes, selector_causes

_NOT_NEGATIVE = "must be greater than or equal to 0"


_LIMITED = ("Container", "PersistentVolumeClaim", "Pod")


class LimitRangeKind(Kind):
    def default(self, obj: Object) -> None:
        for limit in obj.setdefault("spec", {}).get("limits") or ():
            if limit.get("type") != "Container":
                continue
            default = {**(limit.get("max") or {}), **(limit.get("default") or {})}
            request = {**(limit.get("min") or {}), **default, **(limit.get("defaultRequest") or {})}
            for key, values in (("default", default), ("defaultRequest", request)):
                if values:
                    limit[key] = values

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes: list[Cause] = []
        for index, limit in enumerate(obj["spec"].get("limits") or ()):
            where = f"spec.limits[{index}]"
            if not limit.get("type"):
                causes.append(required(f"{where}.type"))
            if limit.get("type") and "/" not in limit["type"] and limit["type"] not in _LIMITED:
                causes.append(wrong(f"{where}.type", limit["type"], "must be a standard limit type or fully qualified"))
            if limit.get("type") == "Pod":
                causes += [
                    Cause(
                        "FieldValueForbidden", "Forbidden: may not be specified when `type` is 'Pod'", f"{where}.{key}"
                    )
                    for key in ("default", "defaultRequest")
                    if limit.get(key)
                ]
            keys = ("min", "max", "default", "defaultRequest", "maxLimitRequestRatio")
            names = sorted({name for key in keys for name in limit.get(key) or ()})
            for name in names:
                causes += _limit_causes(limit, name, where)
        return causes


def _limit_causes(limit: Object, name: str, where: str) -> list[Cause]:
    def value(key: str) -> str | None:
        found: str | None = (limit.get(key) or {}).get(name)
        return found

    causes = []
    # What is not to be greater than what, the field that is blamed, the value that is shown, and the words.
    rules = (
        ("min", "max", "min", "min", "min value {} is greater than max value {}"),
        ("min", "defaultRequest", "defaultRequest", "defaultRequest",
         "min value {} is greater than default request value {}"),
        ("defaultRequest", "max", "defaultRequest", "defaultRequest",
         "default request value {} is greater than max value {}"),
        ("defaultRequest", "default", "defaultRequest", "defaultRequest",
         "default request value {} is greater than default limit value {}"),
        ("min", "default", "default", "min", "min value {} is greater than default value {}"),
        ("default", "max", "default", "max", "default value {} is greater than max value {}"),
    )  # fmt: skip
    for small, great, field, shown, words in rules:
        low, high = value(small), value(great)
        if low is not None and high is not None and quantities.parse(low) > quantities.parse(high):
            causes.append(wrong(f"{where}.{field}[{name}]", value(shown), words.format(low, high)))
    ratio = value("maxLimitRequestRatio")
    if ratio is not None and quantities.parse(ratio) < 1:
        causes.append(wrong(f"{where}.maxLimitRequestRatio[{name}]", ratio, f"ratio {ratio} is less than 1"))
    return causes


_QUOTA_NAMES = frozenset(
    {
        "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage",
        "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "services",
        "resourcequotas", "replicationcontrollers", "secrets", "persistentvolumeclaims", "configmaps",
        "services.nodeports", "services.loadbalancers",
    }
)  # fmt: skip
_COUNTED = frozenset(
    {
        "pods", "services", "resourcequotas", "replicationcontrollers", "secrets", "persistentvolumeclaims",
        "configmaps", "services.nodeports", "services.loadbalancers",
    }
)  # fmt: skip
_SCOPES = ["BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating",
           "VolumeAttributesClass"]  # fmt: skip


class ResourceQuotaKind(Kind):
    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})
        obj.setdefault("status", {})

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes: list[Cause] = []
        spec = obj["spec"]
        for name, value in sorted((spec.get("hard") or {}).items()):
            where = f"spec.hard[{name}]"
            if "/" not in name and name not in _QUOTA_NAMES and not re.match(r"(requests\.|limits\.)?hugepages-", name):
                causes.append(wrong(where, name, "must be a standard resource type or fully qualified"))
                causes.append(wrong(where, name, "must be a standard resource for quota"))
            if quantities.parse(value) < 0:
                causes.append(wrong(where, value, _NOT_NEGATIVE))
            if (name in _COUNTED or name.startswith("count/")) and quantities.parse(value) % 1:
                causes.append(wrong(where, value, "must be an integer"))
        only_pods = {"BestEffort"} & set(spec.get("scopes") or ())
        if only_pods and any(name != "pods" for name in spec.get("hard") or {}):
            causes.append(wrong("spec.scopes", spec["scopes"], "unsupported scope applied to resource"))
        for scope in spec.get("scopes") or ():
            if scope not in _SCOPES:
                causes.append(wrong("spec.scopes", spec["scopes"], "unsupported scope"))
        for first, second in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")):
            if {first, second} <= set(spec.get("scopes") or ()):
                causes.append(wrong("spec.scopes", spec["scopes"], "conflicting scopes"))
        if old is not None and (spec.get("scopes") or []) != (old["spec"].get("scopes") or []):
            causes.append(wrong("spec.scopes", spec.get("scopes"), "field is immutable"))
        return causes


_HIGHEST_PRIORITY = 1_000_000_000


class PriorityClassKind(Kind):
    def default(self, obj: Object) -> None:
        obj.setdefault("value", 0)
        obj.setdefault("preemptionPolicy", "PreemptLowerPriority")

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes: list[Cause] = []
        name, value = obj["metadata"]["name"], obj["value"]
        if name.startswith("system-"):
            if name not in ("system-cluster-critical", "system-node-critical"):
                message = (
                    "Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: "
                    f"{name} is not a known system priority class"
                )
                causes.append(Cause("FieldValueForbidden", message, "metadata.name"))
        elif value > _HIGHEST_PRIORITY:
            message = f"Forbidden: maximum allowed value of a user defined priority is {_HIGHEST_PRIORITY}"
            causes.append(Cause("FieldValueForbidden", message, "value"))
        if obj["preemptionPolicy"] not in ("Never", "PreemptLowerPriority"):
            choices = ["Never", "PreemptLowerPriority"]
            causes.append(unsupported("preemptionPolicy", obj["preemptionPolicy"], choices))
        if old is not None and value != old["value"]:
            causes.append(Cause("FieldValueForbidden", "Forbidden: may not be changed in an update.", "value"))
        return causes


class RuntimeClassKind(Kind):
    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        if old is not None and obj.get("handler") != old.get("handler"):
            return [wrong("handler", obj.get("handler"), "field is immutable")]
        return name_causes(obj.get("handler", ""), "label", "handler")


class PodDisruptionBudgetKind(Kind):
    has_generation = True

    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})
        status = obj.setdefault("status", {})
        for key in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
            status.setdefault(key, 0)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes: list[Cause] = []
        if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
            names = ("minAvailable", "selector", "maxUnavailable", "unhealthyPodEvictionPolicy")
            shown = {f"{name[0].upper()}{name[1:]}": spec.get(name) for name in names}  # as Go writes it out
            causes.append(wrong("spec", shown, "minAvailable and maxUnavailable cannot be both set"))
        for key in ("minAvailable", "maxUnavailable"):
            causes += _share_causes(spec.get(key), f"spec.{key}")
        policy = spec.get("unhealthyPodEvictionPolicy")
        if policy not in (None, "IfHealthyBudget", "AlwaysAllow"):
            choices = ["AlwaysAllow", "IfHealthyBudget"]
            causes.append(unsupported("spec.unhealthyPodEvictionPolicy", policy, choices))
        return causes + selector_causes(spec.get("selector") or {}, "spec.selector")


def _share_causes(value: Any, field: str) -> list[Cause]:
    """What is wrong with a number or a percentage of pods."""
    if value is None:
        return []
    if isinstance(value, int):
        return [wrong(field, value, _NOT_NEGATIVE)] if value < 0 else []
    if not re.fullmatch(r"[0-9]+%", value):
        message = (
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex "
            "used for validation is '[0-9]+%')"
        )
        return [wrong(field, value, message)]
    return [wrong(field, value, "must not be greater than 100%")] if int(value[:-1]) > 100 else []
