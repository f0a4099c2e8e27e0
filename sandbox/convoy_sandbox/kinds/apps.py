# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deployments, ReplicaSets, StatefulSets, DaemonSets and ControllerRevisions."""

from __future__ import annotations

from typing import Any

from .. import selectors
from ..errors import Cause
from ..store import Object
from .base import Kind, required, unsupported, wrong
from .metadata import expression_causes, key_causes, label_causes, name_causes
from .pods import default_spec, validate_template


def percent_or_int(value: Any) -> bool:
    """Whether a value is a number or a percentage."""
    return isinstance(value, int) or (value.endswith("%") and value[:-1].isdigit())


class _Workload(Kind):
    has_generation = True
    #: What messages call the kind where they do.
    noun = "deployment"

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
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
                causes.append(wrong("spec.selector", selector, f"empty selector is invalid for {self.noun}"))
            for key in selector.get("matchLabels") or {}:
                causes += key_causes(key, "spec.selector.matchLabels")
            causes += label_causes(selector.get("matchLabels") or {}, "spec.selector.matchLabels")
            wrong_terms: list[Cause] = []
            for index, term in enumerate(selector.get("matchExpressions") or ()):
                wrong_terms += expression_causes(term, f"spec.selector.matchExpressions[{index}]")
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


class DeploymentKind(_Workload):
    generation_counts_annotations = True

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj["spec"]
        spec.setdefault("replicas", 1)
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
        causes = _negative(spec, "replicas")
        selector, mismatch = self._validate_selector(obj)
        causes += selector + mismatch
        causes += _validate_lasting_template(spec["template"], "ReplicaSet")
        causes += _validate_strategy(spec["strategy"])
        causes += _negative(spec, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
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
    rolling = strategy["rollingUpdate"]
    causes = _validate_rolling(rolling, "spec.strategy.rollingUpdate")
    if not causes and all(str(rolling[key]).rstrip("%") == "0" for key in ("maxUnavailable", "maxSurge")):
        causes.append(
            wrong(
                "spec.strategy.rollingUpdate.maxUnavailable",
                rolling["maxUnavailable"],
                "may not be 0 when `maxSurge` is 0",
            )
        )
    return causes


def _validate_rolling(rolling: dict[str, Any], where: str) -> list[Cause]:
    """What is wrong with the surge and the unavailability of a rolling update, each on its own."""
    causes = []
    for key in ("maxUnavailable", "maxSurge"):
        if key not in rolling:
            continue
        field, value = f"{where}.{key}", rolling[key]
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
    return causes


def _negative(spec: dict[str, Any], *keys: str) -> list[Cause]:
    """The numbers of a spec that are below 0."""
    return [
        wrong(f"spec.{key}", spec[key], "must be greater than or equal to 0") for key in keys if spec.get(key, 0) < 0
    ]


def _validate_lasting_template(template: dict[str, Any], kind: str) -> list[Cause]:
    """What is wrong with the template of pods that are to run for ever."""
    causes = validate_template(template, "spec.template")
    policy = template["spec"].get("restartPolicy")
    if policy != "Always" and template["spec"].get("containers"):
        causes.append(unsupported("spec.template.spec.restartPolicy", policy, ["Always"]))
    if template["spec"].get("activeDeadlineSeconds") is not None:
        message = f"Forbidden: activeDeadlineSeconds in {kind} is not Supported"
        causes.append(Cause("FieldValueForbidden", message, "spec.template.spec.activeDeadlineSeconds"))
    return causes


class ReplicaSetKind(_Workload):
    def default(self, obj: Object) -> None:
        super().default(obj)
        obj["spec"].setdefault("replicas", 1)
        obj["status"].setdefault("replicas", 0)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        selector, mismatch = self._validate_selector(obj)
        return [
            *_negative(spec, "replicas"),
            *selector,
            *mismatch,
            *validate_template(spec["template"], "spec.template"),
            *self._immutable_selector(obj, old),
        ]


class StatefulSetKind(_Workload):
    noun = "statefulset"

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj["spec"]
        spec.setdefault("replicas", 1)
        spec.setdefault("podManagementPolicy", "OrderedReady")
        strategy = spec.setdefault("updateStrategy", {})
        strategy.setdefault("type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
        spec.setdefault("revisionHistoryLimit", 10)
        retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
        for when in ("whenDeleted", "whenScaled"):
            retention.setdefault(when, "Retain")
        for claim in spec.get("volumeClaimTemplates") or ():
            claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
            claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
            claim.setdefault("status", {}).setdefault("phase", "Pending")
        for count in ("replicas", "availableReplicas"):
            obj["status"].setdefault(count, 0)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        if old is not None and _unchangeable(spec) != _unchangeable(old["spec"]):
            named = ", ".join(f"'{name}'" for name in _CHANGEABLE[:-1])
            message = (
                f"Forbidden: updates to statefulset spec for fields other than {named} and '{_CHANGEABLE[-1]}' "
                "are forbidden"
            )
            return [Cause("FieldValueForbidden", message, "spec")]
        causes: list[Cause] = []
        if spec["podManagementPolicy"] not in ("OrderedReady", "Parallel"):
            message = "must be 'OrderedReady' or 'Parallel'"
            causes.append(wrong("spec.podManagementPolicy", spec["podManagementPolicy"], message))
        strategy = spec["updateStrategy"]
        if strategy["type"] == "RollingUpdate":
            rolling, where = strategy["rollingUpdate"], "spec.updateStrategy.rollingUpdate"
            if rolling["partition"] < 0:
                causes.append(wrong(f"{where}.partition", rolling["partition"], "must be greater than or equal to 0"))
            causes += _validate_rolling(rolling, where)
            if rolling.get("maxUnavailable") in (0, "0%"):
                causes.append(wrong(f"{where}.maxUnavailable", rolling["maxUnavailable"], "cannot be 0"))
        elif strategy["type"] != "OnDelete":
            message = "must be 'RollingUpdate' or 'OnDelete'"
            causes.append(wrong("spec.updateStrategy", strategy, message))
        elif "rollingUpdate" in strategy:
            message = "only allowed for updateStrategy 'RollingUpdate'"
            causes.append(wrong("spec.updateStrategy.rollingUpdate", strategy["rollingUpdate"], message))
        retention = spec["persistentVolumeClaimRetentionPolicy"]
        causes += [
            unsupported(f"spec.persistentVolumeClaimRetentionPolicy.{when}", retention[when], ["Delete", "Retain"])
            for when in ("whenDeleted", "whenScaled")
            if retention[when] not in ("Delete", "Retain")
        ]
        start = (spec.get("ordinals") or {}).get("start", 0)
        if start < 0:
            causes.append(wrong("spec.ordinals.start", start, "must be greater than or equal to 0"))
        if spec.get("serviceName") and old is None:
            causes += name_causes(spec["serviceName"], "label", "spec.serviceName")
        selector, mismatch = self._validate_selector(obj)
        return [
            *causes,
            *_negative(spec, "replicas", "minReadySeconds", "revisionHistoryLimit"),
            *selector,
            *mismatch,
            *_validate_lasting_template(spec["template"], "StatefulSet"),
        ]


#: What of a StatefulSet's spec an update may change, as the refusal lists it.
_CHANGEABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip


def _unchangeable(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in _CHANGEABLE}


_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


class DaemonSetKind(_Workload):
    noun = "daemonset"

    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj["spec"]
        strategy = spec.setdefault("updateStrategy", {})
        strategy.setdefault("type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", 1)
            rolling.setdefault("maxSurge", 0)
        spec.setdefault("revisionHistoryLimit", 10)
        counts = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
        for count in counts:
            obj["status"].setdefault(count, 0)

    def prepare_create(self, obj: Object) -> None:
        obj["metadata"].setdefault("annotations", {})[_TEMPLATE_GENERATION] = "1"

    def prepare_update(self, obj: Object, old: Object) -> None:
        """Count the templates: an annotation that the API server keeps for clients of old."""
        generation = int((old["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION, "1"))
        if obj["spec"]["template"] != old["spec"]["template"]:
            generation += 1
        obj["metadata"]["annotations"] = {
            **(obj["metadata"].get("annotations") or {}),
            _TEMPLATE_GENERATION: str(generation),
        }

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        selector, mismatch = self._validate_selector(obj)
        causes = [*selector, *mismatch, *_validate_lasting_template(spec["template"], "DaemonSet")]
        strategy = spec["updateStrategy"]
        if strategy["type"] == "RollingUpdate":
            causes += _validate_daemon_rolling(strategy["rollingUpdate"], "spec.updateStrategy.rollingUpdate")
        elif strategy["type"] != "OnDelete":
            causes.append(unsupported("spec.updateStrategy.type", strategy["type"], ["RollingUpdate", "OnDelete"]))
        causes += _negative(spec, "minReadySeconds", "revisionHistoryLimit")
        return causes + self._immutable_selector(obj, old)


def _validate_daemon_rolling(rolling: dict[str, Any], where: str) -> list[Cause]:
    causes = _validate_rolling(rolling, where)
    surges, misses = (str(rolling[key]).rstrip("%") != "0" for key in ("maxSurge", "maxUnavailable"))
    if not causes and surges and misses:
        message = "may not be set when maxUnavailable is non-zero"
        causes.append(wrong(f"{where}.maxSurge", rolling["maxSurge"], message))
    elif not causes and not surges and not misses:
        causes.append(required(f"{where}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return causes


class ControllerRevisionKind(Kind):
    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = []
        if obj.get("revision", 0) < 0:
            causes.append(wrong("revision", obj["revision"], "must be greater than or equal to 0"))
        if obj.get("data") is None:
            causes.append(required("data", "data is mandatory"))
        elif old is not None and obj["data"] != old.get("data"):
            causes.append(wrong("data", obj["data"], "field is immutable"))
        return causes
