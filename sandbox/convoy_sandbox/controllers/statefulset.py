# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The StatefulSet controller: pods with names that stay, made, updated and taken away in their order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .. import documents, resources
from ..errors import ApiError
from ..registry import Registry
from ..selectors import labels_of
from ..store import Change, Object, Store
from .events import Recorder
from .owners import Index, claim, concerned, is_orphaning, owned_by, owner_reference
from .replicaset import is_ready, next_available, seconds_until_available
from .revisions import REVISION_LABEL, Revisions, collided, one_more_collision, template_of
from .rollout_math import resolve
from .runtime import Controller

_POD_NAME = "statefulset.kubernetes.io/pod-name"
_POD_INDEX = "apps.kubernetes.io/pod-index"
_ORDINAL = re.compile(r"-(\d+)$")


def ordinal_of(pod: Object) -> int:
    """The number at the end of a pod's name; -1 for a name without one."""
    found = _ORDINAL.search(pod["metadata"]["name"])
    return int(found.group(1)) if found else -1


def _ended(pod: Object) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def _terminating(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _healthy(pod: Object) -> bool:
    """Whether a pod runs, is ready and stays."""
    return pod["status"].get("phase") == "Running" and is_ready(pod) and not _terminating(pod)


@dataclass(frozen=True)
class _Plan:
    """What a StatefulSet asks for."""

    first: int
    replicas: int
    partition: int
    on_delete: bool
    parallel: bool
    max_unavailable: int
    min_ready_seconds: int

    @classmethod
    def of(cls, workload: Object) -> _Plan:
        spec = workload["spec"]
        strategy = spec["updateStrategy"]
        rolling = strategy.get("rollingUpdate") or {}
        first = (spec.get("ordinals") or {}).get("start", 0)
        unavailable = resolve(rolling.get("maxUnavailable", 1), spec["replicas"], up=False)
        return cls(
            first, spec["replicas"], first + rolling.get("partition", 0), strategy["type"] == "OnDelete",
            spec["podManagementPolicy"] == "Parallel", max(1, unavailable), spec.get("minReadySeconds", 0),
        )  # fmt: skip

    @property
    def ordinals(self) -> range:
        """The numbers that its pods have."""
        return range(self.first, self.first + self.replicas)

    def available(self, pod: Object) -> bool:
        """Whether a pod has been ready for as long as is asked."""
        return _healthy(pod) and seconds_until_available(pod, self.min_ready_seconds) == 0


def compute_status(
    workload: Object, pods: list[Object], current: str, update: str, before: Mapping[str, Object] = MappingProxyType({})
) -> Object:
    """The counts over a StatefulSet's pods; `current` and `update` are names of revisions.

    Once every pod is ready and of the update revision, that one is the current one. `before` has the pods, by uid, as
    they were looked at: one that has just been told to end is no longer of a revision, but counted as it was.
    """
    plan = _Plan.of(workload)
    seen = [before.get(pod["metadata"]["uid"], pod) for pod in pods]

    def of_revision(name: str) -> int:
        return sum(1 for pod in pods if not _terminating(pod) and labels_of(pod).get(REVISION_LABEL) == name)

    ready = sum(1 for pod in seen if pod["status"].get("phase") == "Running" and is_ready(pod))
    updated = of_revision(update)
    if not plan.on_delete and updated == ready == len(pods) == plan.replicas:
        current = update
    counts = {"readyReplicas": ready, "currentReplicas": of_revision(current), "updatedReplicas": updated}
    return {
        "observedGeneration": workload["metadata"]["generation"],
        "replicas": len(pods),
        **{name: count for name, count in counts.items() if count},
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": (workload.get("status") or {}).get("collisionCount") or 0,
        "availableReplicas": sum(1 for pod in seen if plan.available(pod)),
    }


class StatefulSetController(Controller[tuple[str, str]]):
    """Keeps the pods of StatefulSets."""

    def __init__(self, store: Store, registry: Registry, index: Index) -> None:
        super().__init__(store, registry, "statefulset")
        self._index = index
        self._revisions = Revisions(store, registry, index)
        self._events = Recorder(registry, "statefulset-controller")

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        if change.resource == resources.STATEFULSETS:
            self._queue.add((meta["namespace"], meta["name"]))
        elif change.resource == resources.PODS:
            for key in concerned(self._store, resources.STATEFULSETS, "StatefulSet", change):
                self._queue.add(key)

    def _reconcile(self, key: tuple[str, str]) -> None:
        namespace, name = key
        workload = self._store.get(resources.STATEFULSETS, namespace, name)
        if workload is None or is_orphaning(workload):
            return
        uid = workload["metadata"]["uid"]
        own_name = re.compile(re.escape(name) + r"-\d+")
        candidates = (
            pod for pod in self._store.list(resources.PODS, namespace) if own_name.fullmatch(pod["metadata"]["name"])
        )
        claim(self._registry, resources.PODS, workload, candidates)
        known = self._revisions.of(workload)
        try:
            update = self._revisions.update(workload, known)
        except ApiError as error:
            if collided(error):
                self._write_status(resources.STATEFULSETS, workload, one_more_collision(workload["status"]))
                return
            raise
        known = self._revisions.of(workload)
        named = workload["status"].get("currentRevision")
        current = next((obj for obj in known if obj["metadata"]["name"] == named), update)
        failure = None
        before = {pod["metadata"]["uid"]: pod for pod in self._pods(uid)}
        if not workload["metadata"].get("deletionTimestamp"):
            try:
                self._manage(workload, list(before.values()), current, update)
            except ApiError as error:  # the status is told all the same
                failure = error
        pods = self._pods(uid)
        names = current["metadata"]["name"], update["metadata"]["name"]
        status = compute_status(workload, pods, *names, before)
        self._write_status(resources.STATEFULSETS, workload, status)
        used = {labels_of(pod).get(REVISION_LABEL, "") for pod in pods}
        self._revisions.truncate(workload, known, {status["currentRevision"], names[1], *used})
        seconds = workload["spec"].get("minReadySeconds", 0)
        if (left := next_available(pods, seconds)) is not None:
            self._queue.add_after(key, left)
        if failure is not None:
            raise failure

    def _pods(self, uid: str) -> list[Object]:
        found = (pod for _, pod in self._index.of(uid, resources.PODS) if owned_by(pod, uid))
        return sorted(found, key=ordinal_of)

    def _manage(self, workload: Object, pods: list[Object], current: Object, update: Object) -> None:
        """Create, delete and update: one pod after the other, or as many as may be where that is asked for."""
        plan = _Plan.of(workload)
        there = {ordinal_of(pod): pod for pod in pods}
        for ordinal in plan.ordinals:
            pod = there.get(ordinal)
            if pod is not None and _ended(pod) and not _terminating(pod):
                self._events.event(
                    workload, "RecreatingFailedPod",
                    f"StatefulSet {workload['metadata']['namespace']}/{workload['metadata']['name']} is recreating "
                    f"failed Pod {pod['metadata']['name']}", warning=True,
                )  # fmt: skip
                self._delete(workload, pod)
                pod = self._store.get(resources.PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
            if pod is None:
                old = not plan.on_delete and ordinal < plan.partition
                self._create(workload, current if old else update, ordinal)
                if not plan.parallel:
                    return
            elif not plan.parallel and not plan.available(pod):
                return
        surplus = [pod for pod in reversed(pods) if ordinal_of(pod) not in plan.ordinals]
        unhealthy = next((pod for pod in pods if not _healthy(pod)), None)
        for pod in surplus:
            if _terminating(pod):
                if not plan.parallel:
                    return
                continue
            if not plan.parallel and not plan.available(pod) and pod is not unhealthy:
                return
            self._delete(workload, pod)
            if not plan.parallel:
                return
        if not plan.on_delete:
            self._roll(workload, plan, there, update["metadata"]["name"])

    def _roll(self, workload: Object, plan: _Plan, there: dict[int, Object], update: str) -> None:
        """Take away the pods of other revisions, the highest number first, as many as may be unavailable."""
        missing = sum(1 for ordinal in plan.ordinals if ordinal not in there or not plan.available(there[ordinal]))
        room = plan.max_unavailable - missing
        for ordinal in reversed(range(plan.partition, plan.ordinals.stop)):
            pod = there.get(ordinal)
            if pod is None or _terminating(pod):
                continue
            if labels_of(pod).get(REVISION_LABEL) != update:
                # A pod that is no use as it is costs nothing.
                if plan.available(pod):
                    if room <= 0:
                        return
                    room -= 1
                self._delete(workload, pod)
            if room <= 0:
                return

    def _create(self, workload: Object, revision: Object, ordinal: int) -> None:
        meta, spec = workload["metadata"], workload["spec"]
        name = f"{meta['name']}-{ordinal}"
        template = template_of(revision)
        pod_spec = template["spec"]
        pod_spec["hostname"] = name
        if spec.get("serviceName"):
            pod_spec["subdomain"] = spec["serviceName"]
        claims = {claim["metadata"]["name"]: claim for claim in spec.get("volumeClaimTemplates") or ()}
        volumes = [volume for volume in pod_spec.get("volumes") or () if volume["name"] not in claims]
        for volume, wanted in claims.items():
            claim_name = f"{volume}-{name}"
            self._claim_volume(workload, claim_name, wanted)
            volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": claim_name}})
        if volumes:
            pod_spec["volumes"] = volumes
        labels = {
            **((template.get("metadata") or {}).get("labels") or {}),
            _POD_NAME: name,
            _POD_INDEX: str(ordinal),
            REVISION_LABEL: revision["metadata"]["name"],
        }
        pod = {
            "metadata": {
                **(template.get("metadata") or {}),
                "name": name,
                "generateName": f"{meta['name']}-",
                "labels": labels,
                "ownerReferences": [owner_reference(workload)],
            },
            "spec": pod_spec,
        }
        what = f"create Pod {name} in StatefulSet {meta['name']}"
        try:
            self._registry.create(resources.PODS, meta["namespace"], pod, manager="kube-controller-manager")
        except ApiError as error:
            self._events.event(workload, "FailedCreate", f"{what} failed error: {error.message}", warning=True)
            raise
        self._events.event(workload, "SuccessfulCreate", f"{what} successful")

    def _claim_volume(self, workload: Object, name: str, wanted: Object) -> None:
        """Make the PersistentVolumeClaim of one pod, unless it is there from before."""
        namespace = workload["metadata"]["namespace"]
        if self._store.get(resources.PERSISTENTVOLUMECLAIMS, namespace, name) is not None:
            return
        labels = {
            **(wanted["metadata"].get("labels") or {}),
            **(workload["spec"]["selector"].get("matchLabels") or {}),
        }
        body = {"metadata": {**wanted["metadata"], "name": name, "labels": labels}, "spec": wanted["spec"]}
        self._registry.create(
            resources.PERSISTENTVOLUMECLAIMS, namespace, documents.copied(body), manager="kube-controller-manager"
        )

    def _delete(self, workload: Object, pod: Object) -> None:
        meta = pod["metadata"]
        self._registry.delete(resources.PODS, meta["namespace"], meta["name"])
        self._events.event(
            workload, "SuccessfulDelete",
            f"delete Pod {meta['name']} in StatefulSet {workload['metadata']['name']} successful",
        )  # fmt: skip
