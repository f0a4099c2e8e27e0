"""The state of a rollout, from recordings of a real Kubernetes and from tables."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._workload._rollout import (
    Fault,
    fault,
    new_replica_set,
    progress,
    standing,
    waiting_pod,
    went_on,
)

GOLDEN = Path(os.environ.get("CONVOY_GOLDEN") or Path(__file__).resolve().parents[5] / "shared" / "golden")
Object = dict[str, t.Any]


class Told(t.NamedTuple):
    """What is said after one recorded event."""

    seconds: float
    generation: int
    waits_for: str | None
    fault: str | None
    pod: str | None


def told(recording: str, name: str = "hello") -> list[Told]:
    """What is said of a Deployment after each event of a recording in which it is there."""
    path = GOLDEN / f"{recording}.timeline.jsonl"
    if not path.exists():
        pytest.skip(f"the recordings are not at {GOLDEN}; say where they are with CONVOY_GOLDEN")
    seen: dict[str, dict[str, Object]] = {"Deployment": {}, "ReplicaSet": {}, "Pod": {}}
    result = []
    for line in path.read_text().splitlines():
        event = json.loads(line)
        if event["kind"] not in seen:
            continue
        uid = event["object"]["metadata"]["uid"]
        if event["type"] == "DELETED":
            seen[event["kind"]].pop(uid, None)
        else:
            seen[event["kind"]][uid] = event["object"]
        for deployment in seen["Deployment"].values():
            if deployment["metadata"]["name"] == name:
                found = fault(deployment, list(seen["ReplicaSet"].values()), list(seen["Pod"].values()))
                result.append(
                    Told(
                        event["t"],
                        deployment["metadata"]["generation"],
                        progress(deployment),
                        found.reason if found else None,
                        found.pod if found else None,
                    )
                )
    return result


def test_a_real_cluster_with_good_images_never_looks_failed() -> None:
    said = told("core") + told("core", "hello-green") + told("lab", "hello-green") + told("lab", "hello-canary")
    assert {item.fault for item in said} == {None}
    assert {item.waits_for for item in said} >= {None, "2 of 3 new pods are available"}


def test_a_real_paused_deployment_is_the_only_thing_that_the_lab_stops_at() -> None:
    assert {item.fault for item in told("lab") if item.waits_for} == {None, "Paused"}


def test_real_faults_are_told_in_their_own_generation_only() -> None:
    first: dict[int, str] = {}
    for item in told("faults"):
        if item.waits_for and item.fault:
            first.setdefault(item.generation, item.fault)
    assert first.pop(3) in ("ErrImagePull", "ImagePullBackOff")
    assert first.pop(11, "FailedCreate") == "FailedCreate"  # the quota of generation 10 is still there
    assert first == {5: "CrashLoopBackOff", 8: "Unschedulable", 10: "FailedCreate"}


def test_a_pull_that_fails_is_told_long_before_the_progress_deadline() -> None:
    said = [item for item in told("faults") if item.generation == 3]
    first = next(item.seconds for item in said if item.fault)
    late = next(item.seconds for item in told("faults") if item.generation == 4)
    assert first < late - 10


def template(image: str, **labels: str) -> Object:
    """A pod template."""
    return {"metadata": {"labels": {"app": "hello", **labels}}, "spec": {"containers": [{"image": image}]}}


def a_deployment(image: str = "new", **status: t.Any) -> Object:
    """A Deployment whose specification was seen, with three copies that are wanted."""
    return {
        "metadata": {"name": "hello", "uid": "d", "generation": 4},
        "spec": {"replicas": 3, "template": template(image)},
        "status": {"observedGeneration": 4, **status},
    }


def a_replica_set(uid: str, image: str, **status: t.Any) -> Object:
    """A ReplicaSet of that Deployment."""
    return {
        "metadata": {"name": f"hello-{uid}", "uid": uid, "ownerReferences": [{"uid": "d", "controller": True}]},
        "spec": {"template": template(image, **{"pod-template-hash": uid})},
        "status": status,
    }


def a_pod(owner: str, *, waiting: str = "", message: str = "", init: bool = False, **metadata: t.Any) -> Object:
    """A pod of a ReplicaSet, with one container that may wait for a reason."""
    state = {"waiting": {"reason": waiting, "message": message}} if waiting else {"running": {}}
    statuses = "initContainerStatuses" if init else "containerStatuses"
    return {
        "metadata": {
            "name": f"{owner}-pod",
            "ownerReferences": [{"uid": owner, "controller": True}],
            **metadata,
        },
        "status": {statuses: [{"name": "app", "state": state, "restartCount": 2}]},
    }


SETS = [a_replica_set("1", "old"), a_replica_set("2", "new")]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"observedGeneration": 3}, "the controller has not seen the newest specification yet"),
        ({}, "0 of 3 new pods exist"),
        ({"replicas": 4, "updatedReplicas": 2}, "2 of 3 new pods exist"),
        ({"replicas": 4, "updatedReplicas": 3}, "1 old pods are still there"),
        (
            {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 2},
            "2 of 3 new pods are available",
        ),
        ({"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}, None),
    ],
)
def test_progress(status: Object, said: str | None) -> None:
    assert progress(a_deployment(**status)) == said


def test_a_deployment_of_no_copies_is_complete_at_once() -> None:
    deployment = a_deployment()
    deployment["spec"]["replicas"] = 0
    assert progress(deployment) is None


@pytest.mark.parametrize(
    "reason",
    [
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "RunContainerError",
    ],
)
@pytest.mark.parametrize("init", [True, False])
def test_a_new_pod_that_cannot_start_is_a_fault(reason: str, init: bool) -> None:
    found = fault(a_deployment(), SETS, [a_pod("2", waiting=reason, message="why", init=init)])
    assert found
    assert (found.reason, found.pod, found.container, found.message) == (reason, "2-pod", "app", "why")
    assert str(found) == f"pod 2-pod, container app: {reason}: why"


@pytest.mark.parametrize(
    "pod",
    [
        a_pod("1", waiting="CrashLoopBackOff"),
        a_pod("2", waiting="CrashLoopBackOff", deletionTimestamp="2026-11-24T00:00:00Z"),
        a_pod("2", waiting="ContainerCreating"),
        a_pod("2", waiting="ErrImagePull", message="i/o timeout"),
        a_pod("2"),
    ],
    ids=["of the old revision", "being deleted", "starting", "a pull that may work next time", "running"],
)
def test_what_can_still_become_good_is_no_fault(pod: Object) -> None:
    assert fault(a_deployment(), SETS, [pod]) is None


def test_a_pull_that_a_registry_refuses_is_a_fault_at_once() -> None:
    found = fault(a_deployment(), SETS, [a_pod("2", waiting="ErrImagePull", message="Manifest unknown")])
    assert found
    assert found.reason == "ErrImagePull"


def test_a_crash_says_how_the_container_ended() -> None:
    pod = a_pod("2", waiting="CrashLoopBackOff", message="back-off 10s")
    pod["status"]["containerStatuses"][0]["lastState"] = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    found = fault(a_deployment(), SETS, [pod])
    assert found
    assert found.message == "OOMKilled, exit code 137"
    assert "memory limit" in found.remedy
    assert found.restarted


@pytest.mark.parametrize(
    ("reason", "message", "remedy"),
    [
        # In the words of kube-scheduler, kubelet, containerd and the admission plugins.
        ("Unschedulable", '0/3 nodes are available: persistentvolumeclaim "data" not found.', "exist and are bound"),
        (
            "Unschedulable",
            "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
            "exist and are bound",
        ),
        (
            "Unschedulable",
            "0/3 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, 2 Insufficient cpu.",
            "lower its requests",
        ),
        (
            "Unschedulable",
            "0/3 nodes are available: 3 node(s) had untolerated taint {gpu: yes}.",
            "change its toleratio",
        ),
        ("Unschedulable", "3 node(s) didn't match Pod's node affinity/selector.", "change its nodeSelector"),
        ("Unschedulable", "3 node(s) didn't match pod anti-affinity rules.", "change its podAntiAffinity"),
        ("Unschedulable", "3 node(s) didn't match pod affinity rules.", "change its podAffinity"),
        ("Unschedulable", "3 node(s) didn't match pod topology spread constraints.", "topologySpreadConstraints"),
        ("Unschedulable", "3 node(s) didn't have free ports for the requested pod ports.", "host ports"),
        ("CreateContainerConfigError", 'secret "db" not found', "ConfigMaps, Secrets"),
        (
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root (pod: ...)",
            "a user other than root",
        ),
        ("CrashLoopBackOff", "OOMKilled, exit code 137", "raise its memory limit"),
        (
            "CrashLoopBackOff",
            'StartError, exit code 128: exec: "serve": executable file not found in $PATH: unknown',
            "a program of the image",
        ),
        ("CrashLoopBackOff", "Error, exit code 1", "check its log"),
        ("FailedCreate", 'pods "web-1" is forbidden: violates PodSecurity "restricted:latest": ...', "securityContext"),
        ("FailedCreate", 'pods "web-" is forbidden: error looking up service account default/robot', "ServiceAccount"),
        ("FailedCreate", 'pods "web-1" is forbidden: exceeded quota: q, requested: pods=1', "raise the ResourceQuota"),
        ("FailedCreate", 'pods "web-1" is forbidden: failed quota: q: must specify limits.cpu', "requests and limits"),
        ("FailedCreate", 'admission webhook "v.example.com" denied the request: no', "webhook refuses"),
        ("FailedCreate", "something new", "change what was refused"),
    ],
)
def test_what_is_to_be_done_fits_what_is_said(reason: str, message: str, remedy: str) -> None:
    assert remedy in Fault(reason, message).remedy


def test_no_room_may_pass_but_not_while_a_pod_is_leaving() -> None:
    pod = a_pod("2")
    pod["status"] = {
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "cpu"}]
    }
    found = fault(a_deployment(), SETS, [pod])
    assert found
    assert found.passing
    leaving = a_pod("1", deletionTimestamp="2026-11-24T00:00:00Z")
    assert fault(a_deployment(), SETS, [pod, leaving]) is None


def test_a_quota_that_is_used_up_may_pass_and_another_refusal_does_not() -> None:
    def refused(message: str) -> Object:
        failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
        return a_replica_set("2", "new", conditions=[failure])

    found = fault(a_deployment(), [refused("exceeded quota: q")], [])
    assert found
    assert found.passing
    found = fault(a_deployment(), [refused('pods "x" is forbidden: violates PodSecurity')], [])
    assert found
    assert not found.passing


def stalled(replica_set: str) -> Object:
    """The condition of a Deployment whose progress deadline has passed."""
    return {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": f'ReplicaSet "{replica_set}" has timed out progressing.',
    }


def test_the_progress_deadline_is_a_fault_of_the_new_replica_set_only() -> None:
    found = fault(a_deployment(conditions=[stalled("hello-2")]), SETS, [a_pod("2")])
    assert found
    assert (found.reason, found.pod) == ("ProgressDeadlineExceeded", "2-pod")
    assert fault(a_deployment(conditions=[stalled("hello-1")]), SETS, []) is None


def test_nothing_is_judged_before_the_controller_has_seen_the_specification() -> None:
    deployment = a_deployment(observedGeneration=3, conditions=[stalled("hello-2")])
    assert fault(deployment, SETS, [a_pod("2", waiting="CrashLoopBackOff")]) is None


def test_a_replica_set_that_cannot_be_made_is_a_fault_though_nothing_is_observed() -> None:
    failed = {"type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError", "message": "quota"}
    found = fault(a_deployment(observedGeneration=3, conditions=[failed]), [], [])
    assert found
    assert (found.reason, found.message) == ("ReplicaSetCreateError", "quota")


def test_paused_is_a_fault_with_its_remedy() -> None:
    deployment = a_deployment()
    deployment["spec"]["paused"] = True
    found = fault(deployment, SETS, [])
    assert found
    assert "kubectl rollout resume deployment/hello" in found.message


def test_the_new_replica_set_is_the_one_of_the_template_and_of_this_deployment() -> None:
    assert new_replica_set(a_deployment(), SETS) is SETS[1]
    assert new_replica_set(a_deployment("newest"), SETS) is None
    other = dict(SETS[1], metadata=dict(SETS[1]["metadata"], ownerReferences=[{"uid": "x", "controller": True}]))
    assert new_replica_set(a_deployment(), [other]) is None


def test_the_pod_that_is_waited_for_is_a_new_one_that_is_not_ready() -> None:
    ready = a_pod("2")
    ready["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    late = a_pod("2")
    assert waiting_pod(a_deployment(), SETS, [a_pod("1"), ready, late]) is late
    assert waiting_pod(a_deployment("newest"), SETS, [late]) is None


def stateful(ready: int, updated: int, partition: int = 0, current: str = "a") -> Object:
    """A StatefulSet of three on its way from revision a to b."""
    return {
        "metadata": {"generation": 1},
        "spec": {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": partition}}},
        "status": {
            "observedGeneration": 1,
            "readyReplicas": ready,
            "updatedReplicas": updated,
            "currentRevision": current,
            "updateRevision": "b",
        },
    }


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (stateful(2, 1), "2 of 3 pods are ready"),
        (stateful(3, 1), "1 of 3 new pods exist"),
        (stateful(3, 3, current="b"), None),
        (stateful(3, 0, partition=2), "0 of 1 new pods exist"),
        (stateful(3, 1, partition=2), None),
    ],
)
def test_a_stateful_set_is_complete_as_kubectl_says(item: Object, said: str | None) -> None:
    assert progress(item, "StatefulSet") == said


def daemons(updated: int, available: int) -> Object:
    """A DaemonSet on three nodes."""
    counted = {"desiredNumberScheduled": 3, "currentNumberScheduled": 3, "updatedNumberScheduled": updated}
    return {
        "metadata": {"generation": 1},
        "spec": {},
        "status": {"observedGeneration": 1, "numberAvailable": available, **counted},
    }


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (daemons(1, 3), "1 of 3 new pods exist"),
        (daemons(3, 2), "2 of 3 new pods are available"),
        (daemons(3, 3), None),
    ],
)
def test_a_daemon_set_is_complete_as_kubectl_says(item: Object, said: str | None) -> None:
    assert progress(item, "DaemonSet") == said


def test_what_changes_pods_only_when_they_are_deleted_is_not_waited_for() -> None:
    item = {"metadata": {}, "spec": {"updateStrategy": {"type": "OnDelete"}, "template": {}}}
    found = fault(item, [], [], kind="DaemonSet")
    assert found is not None
    assert found.reason == "OnDelete"


def met(name: str, status: str = "True", at: str = "2026-11-27T03:00:00Z", **said: str) -> Object:
    """A condition."""
    return {"type": name, "status": status, "lastTransitionTime": at, **said}


UNREADY = met("ContainersReady", "False", reason="ContainersNotReady", message="containers with unready status: [web]")
WEB = {"name": "web", "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}}}


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        # What a container waits for comes before every condition.
        (
            {
                "status": {
                    "conditions": [UNREADY],
                    "containerStatuses": [
                        {"name": "web", "state": {"waiting": {"reason": "ContainerCreating"}}},
                    ],
                }
            },
            "container web is waiting (ContainerCreating)",
        ),
        (
            {
                "spec": {"containers": [WEB]},
                "status": {
                    "conditions": [met("PodScheduled"), UNREADY],
                    "containerStatuses": [{"name": "web", "ready": False, "started": True, "state": {"running": {}}}],
                },
            },
            "condition ContainersReady is False (ContainersNotReady: containers with unready status: [web]; the "
            "readinessProbe of web is GET /healthz on port 8080)",
        ),
        # A readiness gate that a load balancer has to open, and one that nobody knows.
        (
            {
                "spec": {"readinessGates": [{"conditionType": "cloud.google.com/load-balancer-neg-ready"}]},
                "status": {
                    "conditions": [
                        met("cloud.google.com/load-balancer-neg-ready", "False", reason="LoadBalancerNegNotReady"),
                        met("ContainersReady"),
                    ]
                },
            },
            "condition cloud.google.com/load-balancer-neg-ready is False (LoadBalancerNegNotReady)",
        ),
        (
            {
                "spec": {"readinessGates": [{"conditionType": "example.com/checked"}]},
                "status": {"conditions": [met("ContainersReady")]},
            },
            "condition example.com/checked, a readiness gate, has not been set",
        ),
        (
            {
                "status": {
                    "conditions": [met("PodScheduled"), met("Initialized", "False", reason="ContainersNotInitialized")],
                    "initContainerStatuses": [{"name": "migrate", "state": {"running": {}}}],
                    "containerStatuses": [{"name": "web", "state": {"waiting": {"reason": "PodInitializing"}}}],
                }
            },
            "condition Initialized is False (ContainersNotInitialized)",
        ),
        ({"status": {"conditions": [met("ContainersReady")]}}, ""),
        (
            {"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}},
            "The node was low on memory.",
        ),
        ({}, ""),
    ],
)
def test_why_a_pod_is_not_ready_now(pod: Object, said: str) -> None:
    assert standing(pod) == said


def test_what_was_said_before_a_pod_came_further_is_over() -> None:
    status = {
        "conditions": [met("PodScheduled", at="2026-11-27T03:00:05Z"), met("Ready", "False", "2026-11-27T03:09:00Z")],
        "containerStatuses": [{"name": "web", "state": {"running": {"startedAt": "2026-11-27T03:00:07Z"}}}],
    }
    assert went_on({"status": status}) == "2026-11-27T03:00:07Z"
    assert went_on({}) == ""
