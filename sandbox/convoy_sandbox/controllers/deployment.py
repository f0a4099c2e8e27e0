# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Deployment controller: ReplicaSets by revision, rolling update or Recreate, status."""

from __future__ import annotations

import datetime
import hashlib
import json

from .. import documents, resources, times
from ..errors import ApiError
from ..kinds.pods import ALPHABET
from ..registry import Registry
from ..store import Change, Object, Store
from ..times import timestamp
from . import conditions
from .events import Recorder
from .owners import Index, claim, concerned, controller_of, owned_by, owner_reference
from .rollout_math import Size, bounds, proportional, proportions, scale_down_old, scale_up_new
from .runtime import Controller

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"
#: Annotations of a Deployment that its ReplicaSets do not take over.
_NOT_COPIED = (REVISION, HISTORY, DESIRED, MAXIMUM, "kubectl.kubernetes.io/last-applied-configuration")
_NO_DEADLINE = 2**31 - 1


def template_hash(template: Object, collisions: int = 0) -> str:
    """A name for a pod template: the same template has the same one."""
    text = json.dumps([without_hash(template), collisions or None], sort_keys=True)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return "".join(ALPHABET[int(digit) % len(ALPHABET)] for digit in str(number))


def without_hash(template: Object) -> Object:
    """A template without the label that its ReplicaSet adds."""
    meta = dict(template.get("metadata") or {})
    meta.pop("creationTimestamp", None)
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH}
    meta["labels"] = labels
    return {**template, "metadata": {k: v for k, v in meta.items() if v}}


def revision_of(obj: Object) -> int:
    """The revision annotation as a number."""
    return int((obj["metadata"].get("annotations") or {}).get(REVISION) or 0)


def _age_key(obj: Object) -> tuple[str, str]:
    # By name within one second: a revision changes with what this chooses, and so would the choice.
    return obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]


def find_new(deployment: Object, sets: list[Object]) -> Object | None:
    """The ReplicaSet that has the Deployment's template; the oldest where there are several."""
    wanted = without_hash(deployment["spec"]["template"])
    for replica_set in sorted(sets, key=_age_key):
        if without_hash(replica_set["spec"]["template"]) == wanted:
            return replica_set
    return None


def size_of(replica_set: Object) -> Size:
    """What the arithmetic needs of a ReplicaSet."""
    return Size(
        replica_set["metadata"]["name"],
        replica_set["spec"]["replicas"],
        replica_set["status"].get("availableReplicas", 0),
    )


def limits(deployment: Object) -> tuple[int, int]:
    """Surge and unavailability of a Deployment in pods."""
    strategy = deployment["spec"]["strategy"]
    if strategy["type"] != "RollingUpdate":
        return 0, 0
    rolling = strategy["rollingUpdate"]
    return bounds(deployment["spec"]["replicas"], rolling["maxSurge"], rolling["maxUnavailable"])


def max_unavailable(deployment: Object) -> int:
    """How many pods may be missing while the Deployment still counts as available."""
    replicas = deployment["spec"]["replicas"]
    if deployment["spec"]["strategy"]["type"] != "RollingUpdate" or replicas == 0:
        return 0
    return min(limits(deployment)[1], replicas)


def compute_status(deployment: Object, new: Object | None, sets: list[Object]) -> Object:
    """The counts and the Available condition, conditions of the old status kept."""
    old = deployment.get("status") or {}

    def total(field: str) -> int:
        return sum(s["status"].get(field, 0) for s in sets)

    available = total("availableReplicas")
    counts = {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": total("replicas"),
        "updatedReplicas": new["status"].get("replicas", 0) if new else 0,
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(s["spec"]["replicas"] for s in sets) - available),
    }
    status: Object = {name: count for name, count in counts.items() if count}
    status["terminatingReplicas"] = total("terminatingReplicas")
    if "collisionCount" in old:
        status["collisionCount"] = old["collisionCount"]
    status["conditions"] = documents.copied(old.get("conditions") or [])
    if available >= deployment["spec"]["replicas"] - max_unavailable(deployment):
        conditions.put(status, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        conditions.put(
            status, "Available", "False", "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )  # fmt: skip
    return status


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether every replica is of the newest template and available."""
    replicas = deployment["spec"]["replicas"]
    return (
        all(status.get(name, 0) == replicas for name in ("updatedReplicas", "replicas", "availableReplicas"))
        and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    )


def is_progressing(old: Object, new: Object) -> bool:
    """Whether a status shows more of the new template, or less of the old one, than the last."""

    def old_replicas(status: Object) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    return old_replicas(new) < old_replicas(old) or any(
        new.get(name, 0) > old.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )


def deadline_seconds(deployment: Object) -> int | None:
    """The progress deadline, or None where there is none."""
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds is None or seconds == _NO_DEADLINE else int(seconds)


def _seconds_since(text: str) -> float:
    when = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
    return (times.now() - when).total_seconds()


def timed_out(deployment: Object, status: Object) -> bool:
    """Whether a Deployment has gone without progress for longer than its deadline."""
    condition = conditions.find(status, "Progressing")
    deadline = deadline_seconds(deployment)
    if condition is None or deadline is None or condition["reason"] == "NewReplicaSetAvailable":
        return False
    if condition["reason"] == "ProgressDeadlineExceeded":
        return True
    return _seconds_since(condition["lastUpdateTime"]) > deadline


class DeploymentController(Controller[tuple[str, str]]):
    """Keeps ReplicaSets as Deployments ask."""

    def __init__(self, store: Store, registry: Registry, index: Index) -> None:
        super().__init__(store, registry, "deployment")
        self._index = index
        self._events = Recorder(registry, "deployment-controller")

    def start(self) -> None:
        """Follow Deployments and what they own."""
        super().start()
        for deployment in self._store.list(resources.DEPLOYMENTS):
            self._add(deployment)

    def _add(self, deployment: Object) -> None:
        self._queue.add((deployment["metadata"]["namespace"], deployment["metadata"]["name"]))

    def _changed(self, change: Change) -> None:
        if change.resource == resources.DEPLOYMENTS:
            self._add(change.object)
        elif change.resource == resources.REPLICASETS:
            for key in concerned(self._store, resources.DEPLOYMENTS, "Deployment", change):
                self._queue.add(key)
        elif change.resource == resources.PODS and change.type == "DELETED":
            # Recreate waits for the last old pod to be gone.
            owner = controller_of(change.object)
            replica_set = owner and self._store.get(
                resources.REPLICASETS, change.object["metadata"]["namespace"], owner["name"]
            )
            top = controller_of(replica_set) if replica_set else None
            if top is not None:
                self._queue.add((change.object["metadata"]["namespace"], top["name"]))

    def _reconcile(self, key: tuple[str, str]) -> None:
        namespace, name = key
        deployment = self._store.get(resources.DEPLOYMENTS, namespace, name)
        if deployment is None:
            return
        claim(self._registry, resources.REPLICASETS, deployment, self._store.list(resources.REPLICASETS, namespace))
        sets = [obj for _, obj in self._index.of(deployment["metadata"]["uid"], resources.REPLICASETS)]
        sets = [obj for obj in sets if owned_by(obj, deployment["metadata"]["uid"])]
        if deployment["metadata"].get("deletionTimestamp"):
            self._write_status(
                resources.DEPLOYMENTS, deployment, compute_status(deployment, find_new(deployment, sets), sets)
            )
            return
        deployment = self._pause_conditions(deployment)
        if deployment["spec"].get("paused") or self._was_scaled(deployment, sets):
            self._sync(deployment, sets)
        elif deployment["spec"]["strategy"]["type"] == "Recreate":
            self._recreate(deployment, sets)
        else:
            self._rolling(deployment, sets)

    # -- pausing and scaling ---------------------------------------------------------------------

    def _pause_conditions(self, deployment: Object) -> Object:
        if deadline_seconds(deployment) is None:
            return deployment
        status = documents.copied(deployment.get("status") or {})
        condition = conditions.find(status, "Progressing")
        reason = condition["reason"] if condition else ""
        if reason == "ProgressDeadlineExceeded":
            return deployment
        paused = bool(deployment["spec"].get("paused"))
        if paused and reason != "DeploymentPaused":
            conditions.put(status, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
        elif not paused and reason == "DeploymentPaused":
            conditions.put(status, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
        else:
            return deployment
        return self._write_status(resources.DEPLOYMENTS, deployment, status)

    def _was_scaled(self, deployment: Object, sets: list[Object]) -> bool:
        for replica_set in sets:
            if replica_set["spec"]["replicas"] > 0:
                desired = (replica_set["metadata"].get("annotations") or {}).get(DESIRED)
                if desired is not None and int(desired) != deployment["spec"]["replicas"]:
                    return True
        return False

    def _sync(self, deployment: Object, sets: list[Object]) -> None:
        """A paused or a scaled Deployment: sizes and status, no rollout."""
        deployment, new = self._new_set(deployment, sets, create=False)
        sets = self._fresh(sets)
        self._scale(deployment, new, sets)
        if deployment["spec"].get("paused"):
            self._clean_up(deployment, new, sets)
        # As recorded: this status is from before the scaling, the next one will know of it.
        self._write_status(resources.DEPLOYMENTS, deployment, compute_status(deployment, new, sets))

    def _scale(self, deployment: Object, new: Object | None, sets: list[Object]) -> None:
        replicas = deployment["spec"]["replicas"]
        active = [s for s in sets if s["spec"]["replicas"] > 0]
        only = None
        if len(active) == 1:
            only = active[0]
        elif not active:
            only = new or max(sets, key=revision_of, default=None)
        if only is not None:
            self._resize(deployment, only, replicas)
            return
        if new is not None and self._is_saturated(deployment, new):
            for old in active:
                if old["metadata"]["uid"] != new["metadata"]["uid"]:
                    self._resize(deployment, old, 0)
            return
        if deployment["spec"]["strategy"]["type"] != "RollingUpdate":
            return
        allowed = replicas + limits(deployment)[0] if replicas else 0
        sizes = [size_of(s) for s in active]
        previous = {
            s["metadata"]["name"]: int((s["metadata"].get("annotations") or {}).get(MAXIMUM) or 0) for s in active
        }
        wanted = proportional(sizes, allowed, proportions(sizes, allowed, previous))
        for replica_set in active:
            self._resize(deployment, replica_set, wanted[replica_set["metadata"]["name"]])

    def _is_saturated(self, deployment: Object, new: Object) -> bool:
        replicas = deployment["spec"]["replicas"]
        desired = int((new["metadata"].get("annotations") or {}).get(DESIRED) or 0)
        return new["spec"]["replicas"] == replicas == desired and new["status"].get("availableReplicas", 0) == replicas

    def _resize(self, deployment: Object, replica_set: Object, replicas: int) -> bool:
        """Give a ReplicaSet a size and the annotations of its Deployment's; whether the size changed."""
        before = replica_set["spec"]["replicas"]
        wanted = {
            DESIRED: str(deployment["spec"]["replicas"]),
            MAXIMUM: str(deployment["spec"]["replicas"] + limits(deployment)[0]),
        }
        meta = replica_set["metadata"]

        def change(obj: Object) -> None:
            obj["spec"]["replicas"] = replicas
            obj["metadata"].setdefault("annotations", {}).update(wanted)

        self._registry.modify(resources.REPLICASETS, meta["namespace"], meta["name"], change)
        if replicas == before:
            return False
        direction = "up" if replicas > before else "down"
        self._events.event(
            deployment,
            "ScalingReplicaSet",
            f"Scaled {direction} replica set {meta['name']} from {before} to {replicas}",
        )
        return True

    # -- revisions -------------------------------------------------------------------------------

    def _new_set(self, deployment: Object, sets: list[Object], *, create: bool) -> tuple[Object, Object | None]:
        """The ReplicaSet of the present template (made where `create` says so), and the Deployment after it."""
        new = find_new(deployment, sets)
        others = [s for s in sets if new is None or s["metadata"]["uid"] != new["metadata"]["uid"]]
        revision = max((revision_of(s) for s in others), default=0) + 1
        if new is not None:
            new = self._annotate(deployment, new, revision)
            deployment = self._record(deployment, revision_of(new), found=new["metadata"]["name"])
            return deployment, new
        if not create:
            return deployment, None
        new = self._create_set(deployment, others, revision)
        if new is None:  # a collision: the Deployment comes back with another hash
            return deployment, None
        deployment = self._record(deployment, revision, created=new["metadata"]["name"])
        if new["spec"]["replicas"] > 0:
            self._events.event(
                deployment,
                "ScalingReplicaSet",
                f"Scaled up replica set {new['metadata']['name']} from 0 to {new['spec']['replicas']}",
            )
        return deployment, new

    def _annotate(self, deployment: Object, new: Object, revision: int) -> Object:
        """Bring a ReplicaSet's annotations up to date; one that is rolled back to gets the newest revision."""

        def change(obj: Object) -> None:
            annotations = obj["metadata"].setdefault("annotations", {})
            for key, value in (deployment["metadata"].get("annotations") or {}).items():
                if key not in _NOT_COPIED:
                    annotations[key] = value
            old = int(annotations.get(REVISION) or 0)
            if old < revision:
                annotations[REVISION] = str(revision)
                if old:
                    history = [item for item in annotations.get(HISTORY, "").split(",") if item]
                    annotations[HISTORY] = ",".join([*history, str(old)])
            if obj["spec"].get("minReadySeconds", 0) != deployment["spec"].get("minReadySeconds", 0):
                obj["spec"]["minReadySeconds"] = deployment["spec"].get("minReadySeconds", 0)

        meta = new["metadata"]
        return self._registry.modify(resources.REPLICASETS, meta["namespace"], meta["name"], change)

    def _record(self, deployment: Object, revision: int, *, created: str = "", found: str = "") -> Object:
        """The revision in the Deployment's annotation, and the condition that says where its ReplicaSet is from."""
        status = documents.copied(deployment.get("status") or {})
        condition = conditions.find(status, "Progressing")
        if deadline_seconds(deployment) is not None:
            # As recorded: the controller has just written that it goes on, so that what it would write of the new
            # ReplicaSet is of a copy that is too old.
            if created and (condition is None or condition["reason"] != "DeploymentResumed"):
                conditions.put(
                    status, "Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{created}"'
                )
            elif condition is None:
                conditions.put(status, "Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{found}"')
        if revision_of(deployment) == revision and status == (deployment.get("status") or {}):
            return deployment
        meta = deployment["metadata"]

        def change(obj: Object) -> None:
            obj["metadata"].setdefault("annotations", {})[REVISION] = str(revision)
            obj["status"] = status

        return self._registry.modify(
            resources.DEPLOYMENTS, meta["namespace"], meta["name"], change,
            subresource="status", manager="kube-controller-manager",
        )  # fmt: skip

    def _create_set(self, deployment: Object, others: list[Object], revision: int) -> Object | None:
        spec, meta = deployment["spec"], deployment["metadata"]
        collisions = (deployment.get("status") or {}).get("collisionCount", 0)
        suffix = template_hash(spec["template"], collisions)
        template = documents.copied(spec["template"])
        template["metadata"]["labels"] = {**template["metadata"]["labels"], HASH: suffix}
        selector = documents.copied(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: suffix}
        surge, _ = limits(deployment)
        first = Size("", 0, 0)
        replicas = spec["replicas"]
        if spec["strategy"]["type"] == "RollingUpdate":
            replicas = scale_up_new(first, [size_of(s) for s in others], spec["replicas"], surge)
        annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key not in _NOT_COPIED}
        annotations |= {
            DESIRED: str(spec["replicas"]),
            MAXIMUM: str(spec["replicas"] + surge),
            REVISION: str(revision),
        }
        new: Object = {
            "metadata": {
                "name": f"{meta['name']}-{suffix}",
                "namespace": meta["namespace"],
                "labels": dict(template["metadata"]["labels"]),
                "annotations": annotations,
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {"replicas": replicas, "selector": selector, "template": template},
        }
        if spec.get("minReadySeconds"):
            new["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        try:
            return self._registry.create(
                resources.REPLICASETS, meta["namespace"], new, manager="kube-controller-manager"
            )
        except ApiError as error:
            if error.reason != "AlreadyExists":
                self._fail(deployment, f'Failed to create new replica set "{new["metadata"]["name"]}": {error.message}')
                raise
            self._registry.modify(
                resources.DEPLOYMENTS, meta["namespace"], meta["name"],
                lambda obj: obj["status"].update(collisionCount=collisions + 1), subresource="status",
            )  # fmt: skip
            return None

    def _fail(self, deployment: Object, message: str) -> None:
        if deadline_seconds(deployment) is not None:
            status = documents.copied(deployment.get("status") or {})
            conditions.put(status, "Progressing", "False", "ReplicaSetCreateError", message)
            self._write_status(resources.DEPLOYMENTS, deployment, status)
        self._events.event(deployment, "ReplicaSetCreateError", message, warning=True)

    # -- strategies ------------------------------------------------------------------------------

    def _rolling(self, deployment: Object, sets: list[Object]) -> None:
        deployment, new = self._new_set(deployment, sets, create=True)
        if new is None:
            return
        old = self._fresh([s for s in sets if s["metadata"]["uid"] != new["metadata"]["uid"]])
        replicas = deployment["spec"]["replicas"]
        surge, unavailable = limits(deployment)[0], max_unavailable(deployment)
        wanted = scale_up_new(size_of(new), [size_of(s) for s in old], replicas, surge)
        if wanted != new["spec"]["replicas"]:
            self._resize(deployment, new, wanted)
        else:
            ages = sorted(old, key=_age_key)
            shrunk = scale_down_old(size_of(new), [size_of(s) for s in ages], replicas, unavailable)
            for replica_set in ages:
                if replica_set["metadata"]["name"] in shrunk:
                    self._resize(deployment, replica_set, shrunk[replica_set["metadata"]["name"]])
        self._finish(deployment, new, old)

    def _recreate(self, deployment: Object, sets: list[Object]) -> None:
        deployment, new = self._new_set(deployment, sets, create=False)
        old = [s for s in sets if new is None or s["metadata"]["uid"] != new["metadata"]["uid"]]
        scaled = [self._resize(deployment, s, 0) for s in old if s["spec"]["replicas"] > 0]
        if any(scaled) or self._pods_run(old):
            self._finish(deployment, new, old)
            return
        if new is None:
            deployment, new = self._new_set(deployment, sets, create=True)
            if new is None:
                return
        if new["spec"]["replicas"] != deployment["spec"]["replicas"]:
            self._resize(deployment, new, deployment["spec"]["replicas"])
        self._finish(deployment, new, old)

    def _pods_run(self, sets: list[Object]) -> bool:
        return any(
            pod["status"].get("phase") not in ("Succeeded", "Failed")
            for replica_set in sets
            for _, pod in self._index.of(replica_set["metadata"]["uid"], resources.PODS)
        )

    def _finish(self, deployment: Object, new: Object | None, old: list[Object]) -> None:
        """The status of a rollout, and the old revisions gone once it is complete."""
        sets = [*old, *([new] if new else [])]
        status = compute_status(deployment, new, sets)
        self._progress(deployment, status, new, sets)
        if is_complete(deployment, status):
            self._clean_up(deployment, new, sets)
        written = self._write_status(resources.DEPLOYMENTS, deployment, status)
        self._watch_deadline(written, status)

    def _progress(self, deployment: Object, status: Object, new: Object | None, sets: list[Object]) -> None:
        """The Progressing and ReplicaFailure conditions."""
        before = deployment.get("status") or {}
        condition = conditions.find(before, "Progressing")
        was_complete = (
            status.get("replicas", 0) == status.get("updatedReplicas", 0)
            and condition is not None
            and condition["reason"] == "NewReplicaSetAvailable"
        )
        if deadline_seconds(deployment) is not None and not was_complete:
            who = f'ReplicaSet "{new["metadata"]["name"]}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
            if is_complete(deployment, status):
                conditions.put(
                    status, "Progressing", "True", "NewReplicaSetAvailable", f"{who} has successfully progressed."
                )
            elif is_progressing(before, status):
                old = conditions.find(status, "Progressing")
                conditions.replace(
                    status, "Progressing", "True", "ReplicaSetUpdated", f"{who} is progressing.", timestamp(), old,
                    updated=True,
                )  # fmt: skip
            elif timed_out(deployment, status):
                conditions.put(
                    status, "Progressing", "False", "ProgressDeadlineExceeded", f"{who} has timed out progressing."
                )
        if deadline_seconds(deployment) is None:
            status["conditions"] = [c for c in status["conditions"] if c["type"] != "Progressing"]
        newest_first = [*([new] if new else []), *sets]
        failures = [f for s in newest_first if (f := conditions.find(s["status"], "ReplicaFailure"))]
        status["conditions"] = [c for c in status["conditions"] if c["type"] != "ReplicaFailure"]
        if failures:
            kept = conditions.find(before, "ReplicaFailure")
            failure = failures[0]
            if kept is not None and kept["reason"] == failure["reason"]:
                status["conditions"].append(kept)
            else:
                conditions.put(status, "ReplicaFailure", failure["status"], failure["reason"], failure["message"])

    def _watch_deadline(self, deployment: Object, status: Object) -> None:
        """Come back when the progress deadline may have passed."""
        condition = conditions.find(status, "Progressing")
        deadline = deadline_seconds(deployment)
        if deadline is None or condition is None or is_complete(deployment, status):
            return
        if condition["reason"] in ("ProgressDeadlineExceeded", "NewReplicaSetAvailable", "DeploymentPaused"):
            return
        left = deadline - _seconds_since(condition["lastUpdateTime"])
        key = (deployment["metadata"]["namespace"], deployment["metadata"]["name"])
        self._queue.add_after(key, max(left, 0) + 1)

    def _clean_up(self, deployment: Object, new: Object | None, sets: list[Object]) -> None:
        limit = deployment["spec"].get("revisionHistoryLimit", 10)
        old = [
            s
            for s in sets
            if (new is None or s["metadata"]["uid"] != new["metadata"]["uid"])
            and not s["metadata"].get("deletionTimestamp")
        ]
        surplus = len(old) - limit
        for replica_set in sorted(old, key=revision_of)[: max(0, surplus)]:
            status = replica_set["status"]
            if status.get("replicas", 0) or replica_set["spec"]["replicas"]:
                continue
            if status.get("observedGeneration", 0) < replica_set["metadata"]["generation"]:
                continue
            self._registry.delete(
                resources.REPLICASETS, replica_set["metadata"]["namespace"], replica_set["metadata"]["name"]
            )

    # -- reading again, writing ------------------------------------------------------------------

    def _fresh(self, sets: list[Object]) -> list[Object]:
        found = [
            self._store.get(resources.REPLICASETS, s["metadata"]["namespace"], s["metadata"]["name"]) for s in sets
        ]
        return [s for s in found if s is not None]
