# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a Deployment's rollout is, and whether it can still succeed. Pure functions of plain objects."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

Object = t.Dict[str, t.Any]

REVISION = "deployment.kubernetes.io/revision"

#: Why a container waits that will not start by itself any more.
STUCK = frozenset(
    {
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)

#: What a registry says that will say the same the next time.
REFUSED = ("not found", "no such host", "denied", "unauthorized", "manifest unknown", "does not exist")


@dataclass(frozen=True)
class Fault:
    """Why a rollout cannot succeed: the pod and container it shows in, if it is one, and in what words."""

    reason: str
    message: str
    pod: str | None = None
    container: str | None = None
    restarted: bool = False  #: the last words are the previous container's
    passing: bool = False  #: room may still be made, so it counts only when it lasts

    def __str__(self) -> str:
        place = f"pod {self.pod}" if self.pod else ""
        if self.container:
            place += f", container {self.container}"
        return f"{place}{': ' if place else ''}{self.reason}{': ' if self.message else ''}{self.message}"


def progress(deployment: Object) -> str | None:
    """What a Deployment still waits for, in words; None when its rollout is complete.

    Complete is what kubectl rollout status means by it: the controller has seen the newest
    specification, and as many new pods are available as are wanted, and no old ones are left.
    """
    metadata, spec, status = deployment["metadata"], deployment.get("spec", {}), deployment.get("status", {})
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return "the controller has not seen the newest specification yet"
    wanted = spec.get("replicas", 1)
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} new pods exist"
    if status.get("replicas", 0) > updated:
        return f"{status['replicas'] - updated} old pods are still there"
    if available < updated:
        return f"{available} of {updated} new pods are available"
    return None


def new_replica_set(deployment: Object, replica_sets: t.Iterable[Object]) -> Object | None:
    """The ReplicaSet of the Deployment's newest template, None while there is none.

    Templates are compared as the Deployment controller does, without the hash that it adds. The revision
    annotation would not do: it names the old ReplicaSet until the new one is made (strategy Recreate).
    """
    wanted = _template(deployment)
    for item in replica_sets:
        if _owner(item) == deployment["metadata"].get("uid") and _template(item) == wanted:
            return item
    return None


def _template(item: Object) -> Object:
    template = item["spec"]["template"]
    metadata = {k: v for k, v in (template.get("metadata") or {}).items() if k != "creationTimestamp"}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != "pod-template-hash"}
    return dict(template, metadata=dict(metadata, labels=labels))


def fault(deployment: Object, replica_sets: t.Sequence[Object], pods: t.Sequence[Object]) -> Fault | None:
    """Why the rollout of the newest specification can no longer succeed; None while it can."""
    metadata, status = deployment["metadata"], deployment.get("status", {})
    stalled = _condition(deployment, "Progressing")
    message = stalled.get("message", "")
    if stalled.get("status") == "False" and stalled.get("reason") == "ReplicaSetCreateError":
        return Fault("ReplicaSetCreateError", message, passing=True)
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return None
    if deployment.get("spec", {}).get("paused"):
        name = metadata["name"]
        return Fault("Paused", f"it is paused; resume it with kubectl rollout resume deployment/{name}")
    replica_set = new_replica_set(deployment, replica_sets)
    mine: list[Object] = []
    if replica_set is not None:
        mine = [pod for pod in pods if _owner(pod) == replica_set["metadata"].get("uid")]
        # A pod that ends may make room.
        leaving = any("deletionTimestamp" in pod["metadata"] for pod in pods)
        for pod in sorted(mine, key=lambda pod: str(pod["metadata"]["name"])):
            found = None if "deletionTimestamp" in pod["metadata"] else _pod_fault(pod, leaving)
            if found:
                return found
        refused = _condition(replica_set, "ReplicaFailure")
        if refused.get("status") == "True" and not leaving:
            return Fault(
                refused.get("reason", "ReplicaFailure"),
                refused.get("message", ""),
                passing="exceeded quota" in refused.get("message", ""),
            )
    # After a rollback the condition may still be that of the revision that was left.
    old = replica_set is None or any(
        f'"{item["metadata"]["name"]}"' in message for item in replica_sets if item is not replica_set
    )
    if stalled.get("status") == "False" and stalled.get("reason") == "ProgressDeadlineExceeded" and not old:
        waiting = next((pod for pod in mine if not _ready(pod)), None)
        return Fault("ProgressDeadlineExceeded", message, pod=waiting["metadata"]["name"] if waiting else None)
    return None


def waiting_pod(deployment: Object, replica_sets: t.Sequence[Object], pods: t.Sequence[Object]) -> Object | None:
    """A pod of the newest revision that is not ready, for whoever wants to know what is being waited for."""
    replica_set = new_replica_set(deployment, replica_sets)
    if replica_set is None:
        return None
    uid = replica_set["metadata"].get("uid")
    return next((pod for pod in pods if _owner(pod) == uid and not _ready(pod)), None)


def _owner(item: Object) -> str | None:
    for reference in item["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return t.cast("str | None", reference.get("uid"))
    return None


def _condition(item: Object, kind: str) -> Object:
    for condition in item.get("status", {}).get("conditions") or []:
        if condition.get("type") == kind:
            return t.cast(Object, condition)
    return {}


def _ready(pod: Object) -> bool:
    return bool(_condition(pod, "Ready").get("status") == "True")


def _pod_fault(pod: Object, leaving: bool) -> Fault | None:
    name = pod["metadata"]["name"]
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable" and not leaving:
        return Fault("Unschedulable", scheduled.get("message", ""), pod=name, passing=True)
    status = pod.get("status", {})
    for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
        waiting = container.get("state", {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in STUCK or (reason == "ErrImagePull" and any(word in message.lower() for word in REFUSED)):
            ended = (container.get("lastState") or {}).get("terminated") or {}
            if reason == "CrashLoopBackOff" and ended:
                said = f": {ended['message'].strip()}" if ended.get("message") else ""
                message = f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode')}{said}; {message}"
            return Fault(
                reason,
                message,
                pod=name,
                container=container["name"],
                restarted=container.get("restartCount", 0) > 0,
            )
    return None
