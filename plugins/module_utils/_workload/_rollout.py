# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a rollout is, and whether it can still succeed. Pure functions of plain objects."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import (
    Object,
    bare,
    condition,
    current,
    is_of,
    is_ready,
    owner,
    revisions,
)

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


#: What is to be done, by reason.
REMEDIES = {
    **dict.fromkeys(
        ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"],
        "check that the image exists and that the nodes may pull it",
    ),
    **dict.fromkeys(
        ["CreateContainerConfigError", "CreateContainerError"],
        "check that the ConfigMaps, Secrets and volumes that it names are there",
    ),
    **dict.fromkeys(["CrashLoopBackOff", "RunContainerError"], "check its log for why it exits"),
    **dict.fromkeys(
        ["Timeout", "ProgressDeadlineExceeded"],
        "find out why it is not ready: see its readiness probe, its log and its events",
    ),
    "Unschedulable": "make room on the nodes, or lower its requests",
    "FailedCreate": "change what was refused",
}

#: What is to be done, by reason (any where that is empty) and words of its message; the first that fits counts.
BY_WORDS = (
    ("", "OOMKilled", "raise its memory limit, or make it use less memory"),
    ("", "exceeded quota", "raise the ResourceQuota, or run fewer pods"),
    ("", "failed quota", "set requests and limits of its containers, or defaults in a LimitRange of the namespace"),
    ("Unschedulable", "persistentvolumeclaim", "check that its PersistentVolumeClaims exist and are bound"),
    ("Unschedulable", "Insufficient", "make room on the nodes, or lower its requests"),
    ("Unschedulable", "Too many pods", "make room on the nodes"),
    *(
        ("Unschedulable", words, f"provide nodes that it may run on, or change its {field}")
        for words, field in (
            ("affinity/selector", "nodeSelector or node affinity"),
            ("taint", "tolerations"),
            ("pod affinity", "podAffinity"),
            ("anti-affinity", "podAntiAffinity"),
            ("topology spread", "topologySpreadConstraints"),
            ("free ports", "host ports"),
        )
    ),
    (
        "CreateContainerConfigError",
        "runAsNonRoot",
        "run it as a user other than root, set with runAsUser or in its image",
    ),
    ("CreateContainerConfigError", "non-numeric user", "set its user as a number, with runAsUser"),
    ("", "executable file not found", "check that its command is a program of the image"),
    ("", "no such file or directory", "check that its command and what it mounts exist"),
    ("", "exec format error", "use an image of the nodes' architecture"),
    (
        "FailedCreate",
        "PodSecurity",
        "make its securityContext meet the namespace's Pod Security level, or change that level",
    ),
    ("FailedCreate", "service account", "create the ServiceAccount that it names"),
    ("FailedCreate", "failed calling webhook", "check that the server of the admission webhook is running"),
    ("FailedCreate", "denied the request", "change what the admission webhook refuses"),
)


@dataclass(frozen=True)
class Fault:
    """Why a rollout cannot succeed: the pod and container it shows in, if it is one, and in what words."""

    reason: str
    message: str
    pod: str | None = None
    container: str | None = None
    restarted: bool = False  #: the last words are the previous container's
    passing: bool = False  #: room may still be made, so it counts only when it lasts

    @property
    def remedy(self) -> str:
        """What is to be done, empty where the message says it."""
        said = self.message.lower()
        by_words = (
            remedy for reason, words, remedy in BY_WORDS if reason in ("", self.reason) and words.lower() in said
        )
        return next(by_words, REMEDIES.get(self.reason, ""))

    def __str__(self) -> str:
        place = f"pod {self.pod}" if self.pod else ""
        if self.container:
            place += f", container {self.container}"
        return f"{place}{': ' if place else ''}{self.reason}{': ' if self.message else ''}{self.message}"


def progress(workload: Object, kind: str = "Deployment") -> str | None:
    """What a workload still waits for, in words; None when its rollout is complete.

    Complete is what kubectl rollout status means by it: the controller has seen the newest
    specification, and as many new pods are available as are wanted, and no old ones are left. Other than
    for kubectl, none may be too many either.
    """
    metadata, status = workload["metadata"], workload.get("status", {})
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return "the controller has not seen the newest specification yet"
    count = counts(workload, kind)
    wanted, updated, available = count["wanted"], count["updatedReplicas"], count["availableReplicas"]
    if kind == "StatefulSet":
        return _stateful_progress(workload, count)
    if updated < wanted:
        return f"{updated} of {wanted} new pods exist"
    if updated > wanted:
        return f"{updated - wanted} pods have still to be removed"
    if count["replicas"] > updated:
        return f"{count['replicas'] - updated} old pods are still there"
    if available < updated:
        return f"{available} of {updated} new pods are available"
    return None


def takes_all(deployment: Object) -> bool:
    """Whether all pods of a Deployment are new and ready: users get these, also before minReadySeconds have passed."""
    status = deployment.get("status") or {}
    ready = max(status.get("readyReplicas", 0), status.get("availableReplicas", 0))
    return progress({**deployment, "status": {**status, "availableReplicas": ready}}) is None


def _stateful_progress(workload: Object, count: t.Mapping[str, int]) -> str | None:
    status = workload.get("status", {})
    wanted, updated, ready = count["wanted"], count["updatedReplicas"], count["readyReplicas"]
    if ready < wanted:
        return f"{ready} of {wanted} pods are ready"
    # A partition keeps the pods below it as they are.
    update = workload["spec"].get("updateStrategy", {}).get("rollingUpdate") or {}
    new = max(0, wanted - update.get("partition", 0))
    if new < wanted:
        return f"{updated} of {new} new pods exist" if updated < new else None
    if status.get("updateRevision") != status.get("currentRevision"):
        return f"{updated} of {wanted} new pods exist"
    return None


#: What a DaemonSet calls what is counted of the others.
DAEMON_COUNTS = {
    "wanted": "desiredNumberScheduled",
    "replicas": "currentNumberScheduled",
    "updatedReplicas": "updatedNumberScheduled",
    "readyReplicas": "numberReady",
    "availableReplicas": "numberAvailable",
}


def counts(workload: Object, kind: str = "Deployment") -> dict[str, int]:
    """How many replicas are requested and how many there are, in a Deployment's words."""
    status = workload.get("status", {})
    if kind == "DaemonSet":
        return {ours: status.get(theirs, 0) for ours, theirs in DAEMON_COUNTS.items()}
    counted = {key: status.get(key, 0) for key in DAEMON_COUNTS if key != "wanted"}
    return {"wanted": workload.get("spec", {}).get("replicas", 1), **counted}


def is_mixed(deployment: Object) -> bool:
    """Whether a Deployment has pods of an earlier template still, so that its own one does not say what runs."""
    status = deployment.get("status") or {}
    return bool(status.get("updatedReplicas", 0) < status.get("replicas", 0))


def new_replica_set(deployment: Object, replica_sets: t.Iterable[Object]) -> Object | None:
    """The ReplicaSet of the Deployment's newest template, None while there is none.

    Templates are compared as the Deployment controller does, without the hash that it adds. The revision
    annotation would not do: it names the old ReplicaSet until the new one is made (strategy Recreate).
    """
    wanted = bare(deployment["spec"]["template"])
    for item in replica_sets:
        if owner(item) == deployment["metadata"].get("uid") and bare(item["spec"]["template"]) == wanted:
            return item
    return None


def new_copies(deployment: Object, replica_sets: t.Iterable[Object]) -> int:
    """How many pods of its newest template a Deployment has asked for so far."""
    replica_set = new_replica_set(deployment, replica_sets)
    return t.cast(int, replica_set["spec"].get("replicas", 0)) if replica_set else 0


def fault(
    workload: Object,
    remembered: t.Sequence[Object],
    pods: t.Sequence[Object],
    kind: str = "Deployment",
    paused: bool = False,
) -> Fault | None:
    """Why the rollout of the newest specification can no longer succeed; None while it can.

    `remembered` are its ReplicaSets or ControllerRevisions. With `paused` it may be paused.
    """
    if kind != "Deployment":
        return _strategy_fault(workload, kind) or _pods_fault(new_pods(workload, remembered, pods), pods)
    metadata, status = workload["metadata"], workload.get("status", {})
    stalled = condition(workload, "Progressing")
    message = stalled.get("message", "")
    if stalled.get("status") == "False" and stalled.get("reason") == "ReplicaSetCreateError":
        return Fault("ReplicaSetCreateError", message, passing=True)
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return None
    if workload.get("spec", {}).get("paused") and not paused:
        name = metadata["name"]
        return Fault("Paused", f"it is paused; resume it with kubectl rollout resume deployment/{name}")
    replica_set = new_replica_set(workload, remembered)
    mine = new_pods(workload, remembered, pods)
    found = _pods_fault(mine, pods)
    if found:
        return found
    refused = condition(replica_set or {}, "ReplicaFailure")
    if refused.get("status") == "True" and not _leaving(pods):
        return Fault(
            refused.get("reason", "ReplicaFailure"),
            refused.get("message", ""),
            passing="exceeded quota" in refused.get("message", ""),
        )
    # After a rollback the condition may still be that of the revision that was left.
    old = replica_set is None or any(
        f'"{item["metadata"]["name"]}"' in message for item in remembered if item is not replica_set
    )
    if stalled.get("status") == "False" and stalled.get("reason") == "ProgressDeadlineExceeded" and not old:
        waiting = next((pod for pod in mine if not is_ready(pod)), None)
        return Fault("ProgressDeadlineExceeded", message, pod=waiting["metadata"]["name"] if waiting else None)
    return None


def _strategy_fault(workload: Object, kind: str) -> Fault | None:
    if workload["spec"].get("updateStrategy", {}).get("type") != "OnDelete":
        return None
    return Fault("OnDelete", f"its updateStrategy is OnDelete, so the {kind} changes a pod only when that is deleted")


def new_pods(workload: Object, remembered: t.Sequence[Object], pods: t.Sequence[Object]) -> list[Object]:
    """The pods of the newest template, those that end among them."""
    newest = current(revisions(workload, remembered))
    if newest is None:
        return []
    return [pod for pod in pods if is_of(pod, workload, newest)]


def waiting_pod(workload: Object, remembered: t.Sequence[Object], pods: t.Sequence[Object]) -> Object | None:
    """A pod of the newest revision that is not ready, for whoever wants to know what is being waited for."""
    return next((pod for pod in new_pods(workload, remembered, pods) if not is_ready(pod)), None)


def standing(pod: Object) -> str:
    """Why a pod is not ready, in the words that Kubernetes has for it now; empty where it has none.

    What a container waits for comes first, then the conditions, by name: those of readiness gates are not the
    kubelet's, so that no container explains them.
    """
    status, spec = pod.get("status", {}), pod.get("spec", {})
    for kind in ("initContainerStatuses", "containerStatuses"):
        for item in status.get(kind) or []:
            waiting = item.get("state", {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "PodInitializing"):
                more = f": {waiting['message'].strip()}" if waiting.get("message") else ""
                return f"container {item['name']} is waiting ({waiting['reason']}{more})"
    gates = [gate.get("conditionType", "") for gate in spec.get("readinessGates") or []]
    conditions = [(name, condition(pod, name)) for name in ("PodScheduled", "Initialized", *gates, "ContainersReady")]
    for name, found in conditions:
        if found.get("status") == "True" or not (found or name in gates):
            continue
        if not found:
            return f"condition {name}, a readiness gate, has not been set"
        said = ": ".join(text for text in (found.get("reason"), found.get("message")) if text)
        if name == "ContainersReady":
            said += _probed(pod)
        return f"condition {name} is {found.get('status')}{f' ({said})' if said else ''}"
    return str(status.get("message") or status.get("reason") or "")


def _probed(pod: Object) -> str:
    """The probes that decide whether the containers that run are ready, in words."""
    unready = {
        item["name"]: "startupProbe" if item.get("started") is False else "readinessProbe"
        for item in pod.get("status", {}).get("containerStatuses") or []
        if "running" in item.get("state", {}) and not item.get("ready")
    }
    told = []
    for item in pod.get("spec", {}).get("containers") or []:
        probe = item.get(unready.get(item["name"], "")) or {}
        http, tcp = probe.get("httpGet") or {}, probe.get("tcpSocket") or {}
        asks = f"GET {http.get('path', '/')} on port {http.get('port')}" if http else ""
        asks = asks or (f"a connection to port {tcp.get('port')}" if tcp else "a command" if "exec" in probe else "")
        if asks:
            told.append(f"the {unready[item['name']]} of {item['name']} is {asks}")
    return f"; {', '.join(told)}" if told else ""


def went_on(pod: Object) -> str:
    """When a pod last came further (RFC 3339): what was said of it before then is over."""
    status = pod.get("status", {})
    times = [item.get("lastTransitionTime") for item in status.get("conditions") or [] if item.get("status") == "True"]
    for kind in ("initContainerStatuses", "containerStatuses"):
        for item in status.get(kind) or []:
            state = item.get("state", {})
            times += [(state.get("running") or {}).get("startedAt"), (state.get("terminated") or {}).get("finishedAt")]
    return max((str(each) for each in times if each), default="")


def _leaving(pods: t.Sequence[Object]) -> bool:
    """Whether a pod ends, which may make room."""
    return any("deletionTimestamp" in pod["metadata"] for pod in pods)


def _pods_fault(mine: t.Sequence[Object], pods: t.Sequence[Object]) -> Fault | None:
    leaving = _leaving(pods)
    for pod in sorted(mine, key=lambda pod: str(pod["metadata"]["name"])):
        found = None if "deletionTimestamp" in pod["metadata"] else _pod_fault(pod, leaving)
        if found:
            return found
    return None


def _pod_fault(pod: Object, leaving: bool) -> Fault | None:
    name = pod["metadata"]["name"]
    scheduled = condition(pod, "PodScheduled")
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
                message = f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode')}{said}"
            return Fault(
                reason,
                message,
                pod=name,
                container=container["name"],
                restarted=container.get("restartCount", 0) > 0,
            )
    return None
