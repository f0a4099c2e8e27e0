"""How long the kubelet of a recording took for each pod."""

from __future__ import annotations

from typing import Any

from conformance.reduce import paces

Line = dict[str, Any]


def pod(
    t: float, name: str, *, placed: bool = True, state: str = "", deleted: bool = False, ended: bool = False
) -> Line:
    """A look at a pod."""
    meta = {"name": name, "uid": name} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {})
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    status: Line = {
        "phase": "Succeeded" if ended else "Pending",
        "conditions": [{"type": "PodScheduled", "status": "True"}] if placed else [],
        "containerStatuses": [{"name": "main", "state": {state: {}} if state else waiting}] if placed else [],
    }
    return {"t": t, "type": "MODIFIED", "kind": "Pod", "object": {"metadata": meta, "status": status}}


def replica_set(t: float, replicas: int, ready: int, terminating: int, type_: str = "MODIFIED") -> Line:
    """A look at a ReplicaSet of two containers a pod."""
    labels = {"pod-template-hash": "55fdc7968b"}
    spec = {"template": {"spec": {"containers": [{}, {}]}}} if type_ == "ADDED" else {}
    return {
        "t": t,
        "type": type_,
        "kind": "ReplicaSet",
        "object": {
            "metadata": {"name": "web-55fdc7968b", "uid": "web", "labels": labels},
            "spec": spec,
            "status": {"replicas": replicas, "readyReplicas": ready, "terminatingReplicas": terminating},
        },
    }


def test_a_pod_that_was_recorded() -> None:
    lines = [
        pod(1.0, "one", placed=False),
        pod(1.5, "one"),
        pod(2.0, "one", state="running"),
        pod(9.0, "one", state="running", deleted=True),
        pod(11.0, "one", state="terminated", deleted=True, ended=True),
        {**pod(11.25, "one", deleted=True, ended=True), "type": "DELETED"},
    ]
    assert paces(lines) == [{"pod": "one", "start": 0.5, "stop": 2.0, "removal": 0.25}]


def test_what_waited_for_something_else_says_nothing_of_the_kubelet() -> None:
    assert paces([pod(1.0, "one"), pod(60.0, "one", state="running")]) == [{"pod": "one"}]


def test_pods_that_only_their_replica_set_tells_of() -> None:
    lines = [
        replica_set(1.0, 0, 0, 0, "ADDED"),
        replica_set(2.0, 2, 0, 0),
        replica_set(6.0, 2, 1, 0),
        replica_set(8.0, 2, 2, 0),
        replica_set(10.0, 1, 1, 1),
        replica_set(13.0, 1, 1, 0),
    ]
    # The containers start one after the other; the younger pod goes, and is gone at once when it has ended.
    assert paces(lines) == [{"pod": "web", "start": 2.0}, {"pod": "web", "start": 3.0, "stop": 3.0, "removal": 0.0}]


def test_a_pod_that_had_not_ended_at_the_last_look_ends_soon_after() -> None:
    lines = [replica_set(1.0, 0, 0, 0, "ADDED"), replica_set(2.0, 1, 0, 0), replica_set(5.0, 0, 0, 1)]
    last = {**replica_set(7.0, 0, 0, 1), "type": "DELETED"}
    assert paces([*lines, last]) == [{"pod": "web", "stop": 2.5}]
