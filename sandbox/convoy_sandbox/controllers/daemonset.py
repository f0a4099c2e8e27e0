# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The DaemonSet controller: one pod on each node that fits, replaced node by node."""

from __future__ import annotations

from .. import documents, resources
from ..errors import ApiError
from ..kinds.pods import random_suffix
from ..registry import Registry
from ..selectors import labels_of
from ..store import Change, Object, Store
from .events import Recorder
from .owners import Index, claim, concerned, is_orphaning, owned_by, owner_reference
from .replicaset import is_active, is_ready, next_available, seconds_until_available
from .revisions import REVISION_LABEL, Revisions, collided, one_more_collision
from .rollout_math import resolve
from .runtime import Controller
from .scheduler import matches_node, tolerates

#: What DaemonSet pods put up with on any node, as the controller adds it.
_TOLERATIONS = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


def pod_spec(template: Object, node: str) -> Object:
    """The spec of the pod for one node: bound to it by affinity, with the tolerations of a daemon."""
    spec: Object = documents.copied(template["spec"])
    tolerations = spec.setdefault("tolerations", [])
    for key, effect in _TOLERATIONS:
        wanted = {"key": key, "operator": "Exists", "effect": effect}
        if wanted not in tolerations:
            tolerations.append(wanted)
    field = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = [{**term, **field} for term in required.get("nodeSelectorTerms") or ()] or [field]
    affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    return spec


def node_of(pod: Object) -> str:
    """The node that a daemon's pod is on, or meant for while it is not scheduled."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    for term in required["nodeSelectorTerms"]:
        for wanted in term.get("matchFields") or ():
            return str(wanted["values"][0])
    return ""


def placement(workload: Object, node: Object) -> tuple[bool, bool]:
    """Whether a pod should be started on a node, and whether one that is there may go on."""
    name = node["metadata"]["name"]
    pod = {"spec": pod_spec(workload["spec"]["template"], name)}
    if pod["spec"].get("nodeName", name) != name or not matches_node(pod, node):
        return False, False
    untolerated = {t["effect"] for t in node["spec"].get("taints") or () if not tolerates(pod, t)}
    return not untolerated & {"NoSchedule", "NoExecute"}, "NoExecute" not in untolerated


class DaemonSetController(Controller[tuple[str, str]]):
    """Keeps the pods of DaemonSets."""

    def __init__(self, store: Store, registry: Registry, index: Index) -> None:
        super().__init__(store, registry, "daemonset")
        self._index = index
        self._revisions = Revisions(store, registry, index, hash_label=REVISION_LABEL)
        self._events = Recorder(registry, "daemonset-controller")

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        if change.resource == resources.DAEMONSETS:
            self._queue.add((meta["namespace"], meta["name"]))
        elif change.resource == resources.NODES:
            for workload in self._store.list(resources.DAEMONSETS):
                self._queue.add((workload["metadata"]["namespace"], workload["metadata"]["name"]))
        elif change.resource == resources.PODS:
            for key in concerned(self._store, resources.DAEMONSETS, "DaemonSet", change):
                self._queue.add(key)

    def _reconcile(self, key: tuple[str, str]) -> None:
        namespace, name = key
        workload = self._store.get(resources.DAEMONSETS, namespace, name)
        if workload is None or is_orphaning(workload):
            return
        candidates = (pod for pod in self._store.list(resources.PODS, namespace) if is_active(pod))
        claim(self._registry, resources.PODS, workload, candidates)
        try:
            update = self._revisions.update(workload, self._revisions.of(workload))
        except ApiError as error:
            if collided(error):
                self._write_status(resources.DAEMONSETS, workload, one_more_collision(workload["status"]))
                return
            raise
        revision = update["metadata"]["labels"][REVISION_LABEL]
        failure = None
        if not workload["metadata"].get("deletionTimestamp"):
            try:
                self._manage(workload, revision)
                if workload["spec"]["updateStrategy"]["type"] == "RollingUpdate":
                    self._roll(workload, revision)
            except ApiError as error:  # the status is told all the same
                failure = error
        pods = [pod for node_pods in self._by_node(workload).values() for pod in node_pods]
        self._write_status(resources.DAEMONSETS, workload, self._status(workload, revision))
        known = self._revisions.of(workload)
        used = {labels_of(pod).get(REVISION_LABEL) for pod in pods} | {revision}
        live = [obj["metadata"]["name"] for obj in known if obj["metadata"]["labels"].get(REVISION_LABEL) in used]
        self._revisions.truncate(workload, known, live)
        seconds = workload["spec"].get("minReadySeconds", 0)
        if (left := next_available(pods, seconds)) is not None:
            self._queue.add_after(key, left)
        if failure is not None:
            raise failure

    def _by_node(self, workload: Object) -> dict[str, list[Object]]:
        """A DaemonSet's pods by node, the oldest first; also those that are going."""
        uid = workload["metadata"]["uid"]
        found: dict[str, list[Object]] = {}
        pods = [pod for _, pod in self._index.of(uid, resources.PODS) if owned_by(pod, uid)]
        for pod in sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"])):
            found.setdefault(node_of(pod), []).append(pod)
        return found

    def _manage(self, workload: Object, revision: str) -> None:
        """A pod where one is missing, none where it should not be, one where there are several."""
        by_node = self._by_node(workload)
        surge = _surge(workload, 1) > 0
        nodes = {node["metadata"]["name"]: node for node in self._store.list(resources.NODES)}
        for name, node in nodes.items():
            should, may = placement(workload, node)
            pods = [pod for pod in by_node.get(name, []) if not pod["metadata"].get("deletionTimestamp")]
            for pod in pods:
                if not is_active(pod):
                    self._events.event(
                        workload, "FailedDaemonPod",
                        f"Found failed daemon pod {pod['metadata']['namespace']}/{pod['metadata']['name']} on node "
                        f"{name}, will try to kill it", warning=True,
                    )  # fmt: skip
                    self._delete(workload, pod)
            active = [pod for pod in pods if is_active(pod)]
            if not may:
                for pod in active:
                    self._delete(workload, pod)
            elif should and not active and not any(map(_goes, by_node.get(name, []))):
                self._create(workload, name, revision)
            # While a node's pod is replaced by surge, the old and the new one are both wanted.
            hashes = {labels_of(pod).get(REVISION_LABEL) for pod in active}
            if may and len(active) > 1 and not (surge and len(active) == len(hashes) == 2):
                for pod in active[1:]:
                    self._delete(workload, pod)
        for name in by_node.keys() - nodes.keys():
            for pod in by_node[name]:
                if not _goes(pod):
                    self._delete(workload, pod)

    def _roll(self, workload: Object, revision: str) -> None:
        """Replace pods of other revisions, as far as surge and unavailability allow."""
        by_node = self._by_node(workload)
        wanted = [
            node["metadata"]["name"] for node in self._store.list(resources.NODES) if placement(workload, node)[0]
        ]
        strategy = workload["spec"]["updateStrategy"]["rollingUpdate"]
        surge = _surge(workload, len(wanted))
        unavailable = resolve(strategy["maxUnavailable"], len(wanted), up=True)
        going, starting = 0, 0
        stale: list[Object] = []
        replaceable: list[str] = []
        for name in wanted:
            pods = by_node.get(name, [])
            new = next((pod for pod in pods if labels_of(pod).get(REVISION_LABEL) == revision and not _goes(pod)), None)
            old = next((pod for pod in pods if labels_of(pod).get(REVISION_LABEL) != revision and not _goes(pod)), None)
            if old is None:
                going += new is None or not self._available(workload, new)
            elif new is not None:  # by surge: the old one goes once the new one serves
                if self._available(workload, new):
                    self._delete(workload, old)
                else:
                    starting += 1
            elif not self._available(workload, old):
                if surge:
                    self._create(workload, name, revision)
                    starting += 1
                else:
                    self._delete(workload, old)
                    going += 1
            else:
                stale.append(old)
                replaceable.append(name)
        if surge:
            for name in replaceable[: max(0, surge - starting)]:
                self._create(workload, name, revision)
        else:
            for pod in stale[: max(0, unavailable - going)]:
                self._delete(workload, pod)

    def _available(self, workload: Object, pod: Object) -> bool:
        return seconds_until_available(pod, workload["spec"].get("minReadySeconds", 0)) == 0

    def _status(self, workload: Object, revision: str) -> Object:
        by_node = self._by_node(workload)
        counts = dict.fromkeys(("desired", "current", "misscheduled", "ready", "updated", "available"), 0)
        for node in self._store.list(resources.NODES):
            pods = by_node.get(node["metadata"]["name"], [])
            if not placement(workload, node)[0]:
                counts["misscheduled"] += bool(pods)
                continue
            counts["desired"] += 1
            if not pods:
                continue
            # The oldest stands for the node.
            counts["current"] += 1
            counts["ready"] += is_ready(pods[0])
            counts["available"] += self._available(workload, pods[0])
            counts["updated"] += labels_of(pods[0]).get(REVISION_LABEL) == revision
        status: Object = {
            "currentNumberScheduled": counts["current"],
            "numberMisscheduled": counts["misscheduled"],
            "desiredNumberScheduled": counts["desired"],
            "numberReady": counts["ready"],
            "observedGeneration": workload["metadata"]["generation"],
        }
        optional = {
            "updatedNumberScheduled": counts["updated"],
            "numberAvailable": counts["available"],
            "numberUnavailable": counts["desired"] - counts["available"],
        }
        status |= {name: count for name, count in optional.items() if count}
        if (workload.get("status") or {}).get("collisionCount"):
            status["collisionCount"] = workload["status"]["collisionCount"]
        return status

    def _create(self, workload: Object, node: str, revision: str) -> None:
        meta, template = workload["metadata"], workload["spec"]["template"]
        name = f"{meta['name']}-"[:58] + random_suffix()
        labels = {
            **(template["metadata"].get("labels") or {}),
            REVISION_LABEL: revision,
            "pod-template-generation": (meta.get("annotations") or {}).get(
                "deprecated.daemonset.template.generation", "1"
            ),
        }
        pod = {
            "metadata": {
                **documents.copied(template["metadata"]),
                "name": name,
                "generateName": f"{meta['name']}-",
                "labels": labels,
                "ownerReferences": [owner_reference(workload)],
            },
            "spec": pod_spec(template, node),
        }
        try:
            self._registry.create(resources.PODS, meta["namespace"], pod, manager="kube-controller-manager")
        except ApiError as error:
            self._events.event(workload, "FailedCreate", f"Error creating: {error.message}", warning=True)
            raise
        self._events.event(workload, "SuccessfulCreate", f"Created pod: {name}")

    def _delete(self, workload: Object, pod: Object) -> None:
        meta = pod["metadata"]
        self._registry.delete(resources.PODS, meta["namespace"], meta["name"])
        self._events.event(workload, "SuccessfulDelete", f"Deleted pod: {meta['name']}")


def _goes(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _surge(workload: Object, nodes: int) -> int:
    """How many nodes may have a new pod beside the old one."""
    strategy = workload["spec"]["updateStrategy"]
    if strategy["type"] != "RollingUpdate":
        return 0
    return resolve(strategy["rollingUpdate"]["maxSurge"], nodes, up=True)
