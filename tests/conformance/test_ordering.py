"""The order of states can be told apart."""

from __future__ import annotations

from typing import Any

from conformance.ordering import agreement, tracks


def replica_set(name: str, replicas: int) -> dict[str, Any]:
    owner = {"name": "hello"}
    return {
        "object": {
            "kind": "ReplicaSet",
            "metadata": {"name": name, "ownerReferences": [owner]},
            "spec": {"replicas": replicas},
        }
    }


def test_replica_sets_are_told_apart_by_the_order_they_came_in() -> None:
    found = tracks(
        [replica_set("a", 3), replica_set("b", 1), replica_set("a", 3), replica_set("a", 2), replica_set("b", 2)]
    )
    assert found == {"hello sizes of ReplicaSet 1": ["3", "2"], "hello sizes of ReplicaSet 2": ["1", "2"]}


def test_agreement_counts_what_comes_in_order() -> None:
    assert agreement(["3", "5", "3"], ["3", "5", "3"]) == (3, 3)
    assert agreement(["3", "5", "3"], ["5", "3"]) == (2, 3)
    assert agreement(["3", "5"], ["3", "4", "5"]) == (2, 3)
    assert agreement(["1"], ["2"]) == (0, 1)
