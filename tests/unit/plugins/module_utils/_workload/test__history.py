"""What served is noted and kept until the outcome is known, whatever the cluster's rules clean up."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _history, _workloads
from ansible_collections.convoy.rollout.plugins.module_utils._workload._history import LIMIT, SERVED
from ansible_collections.convoy.rollout.plugins.module_utils._workload._subject import way_back
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import FAILED, REVISION, Revision

Object = dict[str, t.Any]


def template(tag: str) -> Object:
    """A pod template."""
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": f"web:{tag}"}]}}


def deployment(tag: str, limit: int | None = 10, **annotations: str) -> Object:
    """A Deployment."""
    spec: Object = {"replicas": 2, "template": template(tag)}
    if limit is not None:
        spec["revisionHistoryLimit"] = limit
    return {"metadata": {"name": "web", "uid": "d", "annotations": {REVISION: "1", **annotations}}, "spec": spec}


def sets(*tags: str, order: t.Sequence[int] = ()) -> list[Object]:
    """The ReplicaSets of revisions 1, 2, ...; `order` is when each was created."""
    return [
        {
            "metadata": {
                "name": f"web-{tag}",
                "uid": tag,
                "annotations": {REVISION: str(number)},
                "creationTimestamp": f"2026-01-01T00:00:{(order or range(1, 60))[number - 1]:02}Z",
                "ownerReferences": [{"uid": "d", "controller": True}],
            },
            "spec": {"template": template(tag)},
        }
        for number, tag in enumerate(tags, 1)
    ]


def known(there: Object, *tags: str, order: t.Sequence[int] = ()) -> list[Revision]:
    """The revisions."""
    return _workloads.revisions(there, sets(*tags, order=order))


def applied(there: Object, patch: t.Sequence[Object]) -> Object:
    """A Deployment after a patch of annotations and limit."""
    annotations, spec = dict(there["metadata"]["annotations"]), dict(there["spec"])
    for step in patch:
        name = step["path"].rpartition("/")[2].replace("~1", "/")
        target = annotations if step["path"].startswith("/metadata") else spec
        if step["op"] == "remove":
            del target[name]
        else:
            target[name] = step["value"]
    return {"metadata": {**there["metadata"], "annotations": annotations}, "spec": spec}


def noted(there: Object) -> tuple[str | None, int | None, str | None]:
    """What served, the limit, and the one that is given back."""
    annotations = there["metadata"]["annotations"]
    return annotations.get(SERVED), there["spec"].get("revisionHistoryLimit"), annotations.get(LIMIT)


@pytest.mark.parametrize("limit", [10, 1, None])
def test_what_kubernetes_keeps_by_itself_is_only_noted(limit: int | None) -> None:
    there = deployment("one", limit)
    (one,) = known(there, "one")
    assert noted(applied(there, _history.keeping(there, [one], one))) == ("web-one", limit, None)


def test_a_limit_of_0_is_raised_until_the_outcome_is_known() -> None:
    there = deployment("one", 0)
    (one,) = known(there, "one")
    begun = applied(there, _history.keeping(there, [one], one))
    assert noted(begun) == ("web-one", 1, "0,1")
    begun["spec"]["template"] = template("two")
    ended = applied(begun, _history.settled(begun, known(begun, "one", "two"), verified=True))
    assert noted(ended) == ("web-one,web-two", 0, None)
    taken_back = applied(begun, _history.settled(begun, known(begun, "one", "two"), verified=False))
    assert noted(taken_back) == ("web-one", 0, None)


def test_a_run_that_goes_on_knows_the_limit_that_was_there_first() -> None:
    begun = deployment("two", 1, **{LIMIT: "0,1", SERVED: "web-one"})
    one, _two = known(begun, "one", "two")
    again = applied(begun, _history.keeping(begun, known(begun, "one", "two", "three"), one))
    assert noted(again) == ("web-one", 3, "0,3")


def test_a_limit_that_somebody_gave_it_since_is_not_the_one_of_an_earlier_run() -> None:
    # What `kubectl rollout undo` brought back with the annotations of the earlier ReplicaSet.
    there = deployment("two", 10, **{LIMIT: "0,1", SERVED: "web-one"})
    assert _history.no_way_back(there) == ""
    assert noted(applied(there, _history.settled(there, known(there, "one", "two"), verified=True)))[1:] == (10, None)
    raised = applied(there | {"spec": there["spec"] | {"revisionHistoryLimit": 0}}, [])
    begun = applied(raised, _history.keeping(raised, known(raised, "one", "two"), known(raised, "one", "two")[1]))
    assert noted(begun)[1:] == (1, "0,1")


@pytest.mark.parametrize("order", [(1, 2, 3), (9, 2, 3), (1, 9, 8)], ids=["in order", "made first", "made again"])
def test_revisions_that_came_after_what_served_count_by_number_and_by_age(order: tuple[int, ...]) -> None:
    # Two that never ran came after it: with a limit of 2, what serves is the first to be cleaned up.
    there = deployment("three", 2)
    one, *more = known(there, "one", "two", "three", order=order)
    assert noted(applied(there, _history.keeping(there, [one, *more], one)))[1:] == (3, "2,3")


def test_a_deployment_without_annotations_gets_them_once() -> None:
    there = deployment("one", 0)
    there["metadata"]["annotations"] = {}
    (one,) = known(there, "one")
    cause = _workloads.annotated(there, {"cause": "new"})
    joined = _workloads.joined(cause, _history.keeping(there, [one], one))
    assert [step["path"] for step in joined].count("/metadata/annotations") == 1
    assert joined[0]["path"] == "/metadata/annotations"


def test_what_is_settled_is_not_touched_again() -> None:
    there = deployment("two", 10, **{SERVED: "web-one,web-two"})
    assert _history.settled(there, known(there, "one", "two"), verified=True) == []
    assert _history.settled(deployment("two"), known(there, "one", "two"), verified=False) == []


@pytest.mark.parametrize(
    ("served", "tags", "back"),
    [
        ("web-one,web-two", ("one", "two"), "one"),
        ("web-one,web-gone,web-two", ("one", "two"), "one"),  # pruned
        ("web-one,web-two", ("one", "bad", "worse", "two"), "one"),  # versions between that never served
        ("web-one", ("one", "two"), "one"),  # a run was cut off before it had verified two
        ("web-one", ("one", "bad", "two"), None),  # somebody else's: who knows whether bad served
        ("", ("one", "two"), None),
    ],
)
def test_what_served_before_is_what_is_noted(served: str, tags: tuple[str, ...], back: str | None) -> None:
    there = deployment("two", **{SERVED: served})
    found = _history.before(there, known(there, *tags))
    assert (found.uid if found else None) == back


def test_what_failed_never_counts_as_having_served() -> None:
    there = deployment("three", **{SERVED: "web-one,web-two,web-three", FAILED: "2"})
    found = _history.before(there, known(there, "one", "two", "three"))
    assert found is not None
    assert found.uid == "one"


def test_a_run_that_was_cut_off_goes_back_to_what_is_noted_though_newer_ones_are_there() -> None:
    # The pods of the version that nobody verified are ready, and none of the one before is left.
    there = deployment("two", 1, **{SERVED: "web-one", LIMIT: "0,1"})
    there["status"] = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    found = way_back(there, sets("one", "two"), leaving=False)
    assert found is not None
    assert (found.replica_set, found.certain) == ("one", True)


def test_where_nothing_is_kept_that_is_said() -> None:
    assert "has revisionHistoryLimit 0" in _history.no_way_back(deployment("one", 0))
    assert "has revisionHistoryLimit 0" in _history.no_way_back(deployment("one", 1, **{LIMIT: "0,1"}))
    assert _history.no_way_back(deployment("one", 1)) == ""
