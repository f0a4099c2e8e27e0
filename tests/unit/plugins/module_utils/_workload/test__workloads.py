"""Revisions and pods of Deployments, StatefulSets and DaemonSets."""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _workloads

Object = dict[str, t.Any]


def template(image: str, **labels: str) -> Object:
    """A pod template of one container."""
    spec = {"containers": [{"name": "hello", "image": image}]}
    return {"metadata": {"creationTimestamp": None, "labels": {"app": "hello", **labels}}, "spec": spec}


def workload(image: str = "hello:2.0.0", **noted: str) -> Object:
    """A workload called hello."""
    return {"metadata": {"name": "hello", "uid": "d", "annotations": noted}, "spec": {"template": template(image)}}


def replica_set(number: int, image: str, owner: str = "d", history: str = "", cause: str = "") -> Object:
    """The ReplicaSet of a revision."""
    noted = {_workloads.REVISION: str(number), _workloads.REVISION_HISTORY: history, _workloads.CHANGE_CAUSE: cause}
    return {
        "metadata": {
            "name": f"hello-{number}",
            "uid": f"r{number}",
            "annotations": {key: value for key, value in noted.items() if value},
            "creationTimestamp": "2026-11-25T08:00:00Z",
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
        "spec": {"template": template(image, **{"pod-template-hash": str(number)})},
        "status": {"replicas": number},
    }


def controller_revision(number: int, image: str) -> Object:
    """The ControllerRevision of a revision."""
    return {
        "metadata": {
            "name": f"hello-{number}",
            "uid": f"c{number}",
            "labels": {"controller-revision-hash": str(number)},
            "ownerReferences": [{"uid": "d", "controller": True}],
        },
        "revision": number,
        "data": {"spec": {"template": {**template(image), "$patch": "replace"}}},
    }


def pod(name: str, owner: str, image: str = "hello:1.0.0", ready: bool = True, **labels: str) -> Object:
    """A pod that runs."""
    return {
        "metadata": {"name": name, "labels": labels, "ownerReferences": [{"uid": owner, "controller": True}]},
        "spec": {"nodeName": "n1", "containers": [{"name": "hello", "image": image}]},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def test_history_tells_every_revision_and_which_one_is_current() -> None:
    sets = [replica_set(3, "hello:2.0.0"), replica_set(2, "hello:1.0.0", history="1", cause="first")]
    known = _workloads.revisions(workload(), [*sets, replica_set(9, "hello:9", owner="another")])
    told = _workloads.history(known, datetime(2026, 11, 25, 8, 1, tzinfo=UTC))
    assert [(item["revision"], item["images"], item["current"], item["replicas"]) for item in told] == [
        (2, ["hello:1.0.0"], False, 2),
        (3, ["hello:2.0.0"], True, 3),
    ]
    assert (told[0]["change_cause"], told[0]["age"]) == ("first", 60)


def test_the_way_back_is_the_newest_that_is_not_current_or_a_number() -> None:
    sets = [replica_set(2, "hello:0.9.0", history="1"), replica_set(3, "hello:1.0.0"), replica_set(4, "hello:2.0.0")]
    known = _workloads.revisions(workload(), sets)
    assert _workloads.earlier(known, 0, "hello").number == 3
    assert _workloads.earlier(known, 2, "hello").number == 2
    # Gone back to once, it is found by its earlier number: a second run changes nothing.
    assert _workloads.earlier(known, 1, "hello").number == 2
    with pytest.raises(Failure, match="Revision 7 is not in the history of hello; the revisions there are: 2, 3, 4"):
        _workloads.earlier(known, 7, "hello")
    with pytest.raises(Failure, match="nothing to undo"):
        _workloads.earlier(known[2:], 0, "hello")


def test_a_revision_that_failed_is_gone_back_to_only_by_its_number() -> None:
    there = workload(**{_workloads.FAILED: "3,8"})
    sets = [replica_set(2, "hello:1.0.0"), replica_set(3, "hello:bad"), replica_set(4, "hello:2.0.0")]
    known = _workloads.revisions(there, sets)
    assert [item["failed"] for item in _workloads.history(known)] == [False, True, False]
    assert _workloads.earlier(known, 0, "hello").number == 2
    assert _workloads.earlier(known, 3, "hello").number == 3
    only = r"each earlier revision of hello failed verification and was rolled back; set the number of .* such as 3\."
    with pytest.raises(Failure, match=only):
        _workloads.earlier(known[1:], 0, "hello")
    assert _workloads.failed_with_current(known) == "3,4"  # 8 is no more in the history
    noted = {"op": "add", "path": "/metadata/annotations/convoy.rollout~1failed", "value": "3,4"}
    assert _workloads.undone(there, known[0], "3,4")[1:] == [noted]


def test_undone_keeps_the_annotations_and_takes_the_change_cause_along() -> None:
    there = workload(**{"team": "blue", _workloads.CHANGE_CAUSE: "second"})
    caused, plain = _workloads.revisions(
        there, [replica_set(1, "hello:1.0.0", cause="first"), replica_set(2, "hello:1.1.0")]
    )
    path = "/metadata/annotations/kubernetes.io~1change-cause"
    assert _workloads.undone(there, caused) == [
        {"op": "replace", "path": "/spec/template", "value": caused.template},
        {"op": "add", "path": path, "value": "first"},
    ]
    assert "pod-template-hash" not in caused.template["metadata"]["labels"]
    assert _workloads.undone(there, plain)[1:] == [{"op": "remove", "path": path}]
    (current,) = _workloads.revisions(there, [replica_set(3, "hello:2.0.0")])
    assert _workloads.undone(there, current) == []


def test_pods_are_told_by_revision_without_those_that_end() -> None:
    leaving = pod("gone", "r1")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-25T08:00:00Z"
    known = _workloads.revisions(workload(), [replica_set(1, "hello:1.0.0")])
    told = _workloads.pods_of(
        workload(), known, [pod("b", "r1", ready=False), pod("a", "r1", version="x"), leaving, pod("other", "z")]
    )
    assert [(item["name"], item["revision"], item["version"], item["ready"]) for item in told] == [
        ("a", 1, "1.0.0", True),
        ("b", 1, "1.0.0", False),
    ]


def test_how_often_the_containers_of_a_pod_were_started_again() -> None:
    counted = pod("a", "r1")
    counted["status"] |= {
        "initContainerStatuses": [{"restartCount": 1}],
        "containerStatuses": [{"restartCount": 2}, {"restartCount": 0}],
    }
    known = _workloads.revisions(workload(), [replica_set(1, "hello:1.0.0")])
    assert [item["restarts"] for item in _workloads.pods_of(workload(), known, [counted, pod("b", "r1")])] == [3, 0]


def test_controller_revisions_tell_the_revisions_of_the_other_kinds() -> None:
    hashed = {"controller-revision-hash": "hello-1"}  # a StatefulSet's pods name it whole
    pods = [pod("hello-0", "d", **hashed), pod("x", "d", **{"controller-revision-hash": "2"})]
    known = _workloads.revisions(
        workload(), [controller_revision(2, "hello:2.0.0"), controller_revision(1, "hello:1.0.0")], pods
    )
    assert [(item.number, item.replicas, item.current) for item in known] == [(1, 1, False), (2, 1, True)]
    assert [item["revision"] for item in _workloads.pods_of(workload(), known, pods)] == [1, 2]
    assert _workloads.undone(workload(), known[0])[0]["value"] == _workloads.bare(template("hello:1.0.0"))


def test_the_container_is_told_by_the_template_where_a_pod_has_been_given_others() -> None:
    known = _workloads.revisions(workload(), [replica_set(1, "hello:1.0.0")])
    known[0].template["spec"]["containers"][0]["name"] = "web"
    injected = pod("a", "r1")
    injected["spec"]["containers"] = [{"name": "mesh", "image": "mesh:7"}, {"name": "web", "image": "web:1.0.0"}]
    assert [item["version"] for item in _workloads.pods_of(workload(), known, [injected])] == ["1.0.0"]
    (asked,) = _workloads.pods_of(workload(), known, [injected], "mesh")
    assert (asked["version"], asked["image"]) == ("7", "mesh:7")


def test_the_way_back_is_what_still_serves_rather_than_the_newest() -> None:
    served, stuck, newest = (replica_set(number, f"hello:{number}") for number in (1, 2, 3))
    served["status"]["readyReplicas"] = 3
    known = _workloads.revisions(workload("hello:3"), [served, stuck, newest])
    assert _workloads.earlier(known, 0, "hello").number == 1
    stuck["status"]["readyReplicas"] = 1  # had it been complete, nothing of the first would be left
    known = _workloads.revisions(workload("hello:3"), [served, stuck, newest])
    assert _workloads.earlier(known, 0, "hello").number == 1
    served["status"]["readyReplicas"] = stuck["status"]["readyReplicas"] = 0
    known = _workloads.revisions(workload("hello:3"), [served, stuck, newest])
    assert _workloads.earlier(known, 0, "hello").number == 2


def test_annotations_are_patched_one_by_one() -> None:
    nothing = {"metadata": {}}
    assert [step["op"] for step in _workloads.annotated(nothing, {"a/b": "x"})] == ["add", "add"]
    assert _workloads.annotated(nothing, {"a/b": None}) == []
    there = {"metadata": {"annotations": {"a/b": "x"}}}
    assert _workloads.annotated(there, {"a/b": "x"}) == []
    assert _workloads.annotated(there, {"a/b": None}) == [{"op": "remove", "path": "/metadata/annotations/a~1b"}]
