# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HorizontalPodAutoscaler controller of a cluster without a metrics server: it keeps to minimum and maximum."""

from __future__ import annotations

from .. import documents, patch, resources
from ..errors import ApiError
from ..registry import Registry
from ..settings import Settings
from ..store import Change, Object, Store
from ..times import timestamp
from . import conditions
from .events import Recorder
from .runtime import Controller

_TARGETS = {
    "Deployment": resources.DEPLOYMENTS,
    "ReplicaSet": resources.REPLICASETS,
    "StatefulSet": resources.STATEFULSETS,
}
_NO_METRICS = (
    "unable to get metrics for resource {name}: unable to fetch metrics from resource metrics API: the server could "
    "not find the requested resource (get pods.metrics.k8s.io)"
)


def bounded(current: int, least: int, most: int) -> tuple[int, str]:
    """The replicas that minimum and maximum leave of the present ones, and why others where they are others."""
    if current > most:
        return most, "Current number of replicas above Spec.MaxReplicas"
    if current < least:
        return least, "Current number of replicas below Spec.MinReplicas"
    return current, ""


class AutoscalerController(Controller[tuple[str, str]]):
    """Changes the replicas of what autoscalers point at; looks again every so often, as a real one does."""

    def __init__(self, store: Store, registry: Registry, settings: Settings) -> None:
        super().__init__(store, registry, "autoscaler")
        self._period = settings.timing.autoscaler_period
        self._events = Recorder(registry, "horizontal-pod-autoscaler")

    def _changed(self, change: Change) -> None:
        if change.resource != resources.HORIZONTALPODAUTOSCALERS or change.type == "DELETED":
            return
        if change.old is None or change.old["spec"] != change.object["spec"]:
            # A real one, too, looks at a new autoscaler after its period and not at once.
            self._queue.add_after(
                (change.object["metadata"]["namespace"], change.object["metadata"]["name"]), self._period
            )

    def _reconcile(self, key: tuple[str, str]) -> None:
        scaler = self._store.get(resources.HORIZONTALPODAUTOSCALERS, *key)
        if scaler is None:
            return
        self._queue.add_after(key, self._period)
        status = documents.copied(scaler["status"])
        try:
            self._scale(scaler, status)
        except ApiError as error:
            message = f"the HPA controller was unable to get the target's current scale: {error.message}"
            _put(status, "AbleToScale", "False", "FailedGetScale", message)
            self._events.event(scaler, "FailedGetScale", error.message, warning=True)
        self._write_status(resources.HORIZONTALPODAUTOSCALERS, scaler, status)

    def _scale(self, scaler: Object, status: Object) -> None:
        namespace, spec = scaler["metadata"]["namespace"], scaler["spec"]
        reference = spec["scaleTargetRef"]
        resource = _TARGETS.get(reference["kind"])
        if resource is None:
            kind = reference["kind"]
            raise ApiError(
                404, "NotFound", f'no matches for kind "{kind}" in group "{reference.get("apiVersion", "")}"'
            )
        current = self._registry.get(resource, namespace, reference["name"])["spec"].get("replicas", 0)
        status["currentReplicas"] = current
        message = "the HPA controller was able to get the target's current scale"
        _put(status, "AbleToScale", "True", "SucceededGetScale", message)
        if current == 0:
            status["desiredReplicas"] = 0
            message = "scaling is disabled since the replica count of the target is zero"
            _put(status, "ScalingActive", "False", "ScalingDisabled", message)
            return
        wanted, why = bounded(current, spec["minReplicas"], spec["maxReplicas"])
        if not why:
            self._without_metrics(scaler, status)
            return
        self._registry.patch(
            resource, namespace, reference["name"], patch.MERGE, {"spec": {"replicas": wanted}},
            subresource="scale", manager="kube-controller-manager",
        )  # fmt: skip
        status["desiredReplicas"], status["lastScaleTime"] = wanted, timestamp()
        message = f"the HPA controller was able to update the target scale to {wanted}"
        _put(status, "AbleToScale", "True", "SucceededRescale", message)
        self._events.event(scaler, "SuccessfulRescale", f"New size: {wanted}; reason: {why}")

    def _without_metrics(self, scaler: Object, status: Object) -> None:
        first = scaler["spec"]["metrics"][0]
        name = (first.get("resource") or first.get("containerResource") or {}).get("name", "cpu")
        why = f"failed to get {name} utilization: {_NO_METRICS.format(name=name)}"
        message = f"the HPA was unable to compute the replica count: {why}"
        _put(status, "ScalingActive", "False", "FailedGetResourceMetric", message)
        self._events.event(scaler, "FailedGetResourceMetric", why, warning=True)
        self._events.event(
            scaler, "FailedComputeMetricsReplicas",
            "invalid metrics (1 invalid out of 1), first error is: failed to get "
            f"{name} resource metric value: {why}", warning=True,
        )  # fmt: skip


def _put(status: Object, type_: str, value: str, reason: str, message: str) -> None:
    conditions.replace(
        status, type_, value, reason, message, timestamp(), conditions.find(status, type_), updated=False
    )
