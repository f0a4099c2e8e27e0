"""Deployments and ReplicaSets."""

from __future__ import annotations

from typing import Any

from .. import selectors
from ..errors import Cause
from ..store import Object
from .base import Kind, required, unsupported, wrong
from .metadata import key_causes, label_causes
from .pods import default_spec, validate_template


def percent_or_int(value: Any) -> bool:
    """Whether a value is a number or a percentage."""
    return isinstance(value, int) or (value.endswith("%") and value[:-1].isdigit())


class _Workload(Kind):
    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        template = spec.setdefault("template", {})
        default_spec(template.setdefault("spec", {}))
        template.setdefault("metadata", {})
        obj.setdefault("status", {})

    def _validate_selector(self, obj: Object) -> tuple[list[Cause], list[Cause]]:
        """What is wrong with the selector, and with the template's labels under it."""
        spec = obj["spec"]
        selector = spec.get("selector")
        labels = (spec["template"].get("metadata") or {}).get("labels")
        causes: list[Cause] = []
        mismatch: list[Cause] = []
        if selector is None:
            causes.append(required("spec.selector"))
        else:
            if not selector:
                causes.append(wrong("spec.selector", selector, "empty selector is invalid for deployment"))
            for key in selector.get("matchLabels") or {}:
                causes += key_causes(key, "spec.selector.matchLabels")
            causes += label_causes(selector.get("matchLabels") or {}, "spec.selector.matchLabels")
            wrong_terms: list[Cause] = []
            for index, term in enumerate(selector.get("matchExpressions") or ()):
                wrong_terms += _expression_causes(term, f"spec.selector.matchExpressions[{index}]")
            if wrong_terms:  # such a selector cannot be held against labels
                return [*causes, *wrong_terms, wrong("spec.selector", selector, "invalid label selector")], []
        if selector != {} and not selectors.matches(selector, labels or {}):
            mismatch.append(
                wrong("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
            )
        return causes, mismatch

    def _immutable_selector(self, obj: Object, old: Object | None) -> list[Cause]:
        if old is not None and old["spec"].get("selector") != obj["spec"].get("selector"):
            return [wrong("spec.selector", obj["spec"].get("selector"), "field is immutable")]
        return []


def _expression_causes(term: dict[str, Any], field: str) -> list[Cause]:
    """What is wrong with one requirement of a selector."""
    operator, values = term.get("operator", ""), term.get("values")
    causes: list[Cause] = []
    if operator in ("In", "NotIn"):
        if not values:
            causes.append(required(f"{field}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            message = "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            causes.append(Cause("FieldValueForbidden", message, f"{field}.values"))
    else:
        causes.append(wrong(f"{field}.operator", operator, "not a valid selector operator"))
    return causes + key_causes(term.get("key", ""), f"{field}.key")


class DeploymentKind(_Workload):
    generation_counts_annotations = True

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj["spec"]
        strategy = spec.setdefault("strategy", {})
        strategy.setdefault("type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", "25%")
            rolling.setdefault("maxSurge", "25%")
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes: list[Cause] = []
        if spec["replicas"] < 0:
            causes.append(wrong("spec.replicas", spec["replicas"], "must be greater than or equal to 0"))
        selector, mismatch = self._validate_selector(obj)
        causes += selector + mismatch
        causes += validate_template(spec["template"], "spec.template")
        if spec["template"]["spec"].get("restartPolicy") != "Always" and spec["template"]["spec"].get("containers"):
            causes.append(
                unsupported("spec.template.spec.restartPolicy", spec["template"]["spec"]["restartPolicy"], ["Always"])
            )
        causes += _validate_strategy(spec["strategy"])
        for key in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
            if spec.get(key, 0) < 0:
                causes.append(wrong(f"spec.{key}", spec[key], "must be greater than or equal to 0"))
        if 0 <= spec["progressDeadlineSeconds"] <= spec.get("minReadySeconds", 0):
            causes.append(
                wrong(
                    "spec.progressDeadlineSeconds",
                    spec["progressDeadlineSeconds"],
                    "must be greater than minReadySeconds",
                )
            )
        return causes + self._immutable_selector(obj, old)


def _validate_strategy(strategy: dict[str, Any]) -> list[Cause]:
    if strategy["type"] == "Recreate":
        if "rollingUpdate" in strategy:
            return [
                Cause(
                    "FieldValueForbidden",
                    "Forbidden: may not be specified when strategy `type` is 'Recreate'",
                    "spec.strategy.rollingUpdate",
                )
            ]
        return []
    if strategy["type"] != "RollingUpdate":
        return [unsupported("spec.strategy.type", strategy["type"], ["Recreate", "RollingUpdate"])]
    causes = []
    rolling = strategy["rollingUpdate"]
    for key in ("maxUnavailable", "maxSurge"):
        field = f"spec.strategy.rollingUpdate.{key}"
        value = rolling[key]
        if not percent_or_int(value):
            causes.append(
                wrong(
                    field,
                    value,
                    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
                    "'93%', regex used for validation is '[0-9]+%')",
                )
            )
        elif isinstance(value, int) and value < 0:
            causes.append(wrong(field, value, "must be greater than or equal to 0"))
        elif key == "maxUnavailable" and isinstance(value, str) and int(value[:-1]) > 100:
            causes.append(wrong(field, value, "must not be greater than 100%"))
    if not causes and all(str(rolling[key]).rstrip("%") == "0" for key in ("maxUnavailable", "maxSurge")):
        causes.append(
            wrong(
                "spec.strategy.rollingUpdate.maxUnavailable",
                rolling["maxUnavailable"],
                "may not be 0 when `maxSurge` is 0",
            )
        )
    return causes


class ReplicaSetKind(_Workload):
    def default(self, obj: Object) -> None:
        super().default(obj)
        obj["status"].setdefault("replicas", 0)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes: list[Cause] = []
        if spec["replicas"] < 0:
            causes.append(wrong("spec.replicas", spec["replicas"], "must be greater than or equal to 0"))
        selector, mismatch = self._validate_selector(obj)
        return [
            *causes,
            *selector,
            *mismatch,
            *validate_template(spec["template"], "spec.template"),
            *self._immutable_selector(obj, old),
        ]
