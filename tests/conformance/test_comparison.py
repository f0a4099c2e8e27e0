"""The comparison can tell a difference from a matter of chance."""

from __future__ import annotations

from conformance.comparison import Names, differences, normalised


def compare(recorded: object, ours: object, names: Names | None = None) -> list[str]:
    return differences(normalised(recorded), normalised(ours), names or Names())


def test_chance_is_set_aside() -> None:
    recorded = {
        "metadata": {"name": "hello-7f75dbbb56-mrp8m", "uid": "a", "creationTimestamp": "2026-11-23T23:53:09Z"},
        "status": {"podIP": "10.244.0.1", "message": "pulled by 10.244.0.7"},
    }
    ours = {
        "metadata": {"name": "hello-dlmfdcffff-d9bhq", "uid": "b", "creationTimestamp": "2027-01-01T00:00:00Z"},
        "status": {"podIP": "127.0.0.1", "message": "pulled by 127.64.0.7"},
    }
    assert compare(recorded, ours) == []


def test_what_is_not_chance_is_a_difference() -> None:
    recorded = {"status": {"replicas": 3, "conditions": [{"reason": "NewReplicaSetAvailable"}]}, "kind": "Deployment"}
    for ours in (
        {"status": {"replicas": 2, "conditions": [{"reason": "NewReplicaSetAvailable"}]}, "kind": "Deployment"},
        {"status": {"replicas": 3, "conditions": [{"reason": "Other"}]}, "kind": "Deployment"},
        {"status": {"replicas": 3, "conditions": []}, "kind": "Deployment"},
        {"status": {"replicas": 3, "conditions": [{"reason": "NewReplicaSetAvailable"}]}},
        {**recorded, "extra": 1},
        {**recorded, "kind": "Pod"},
    ):
        assert compare(recorded, ours) != []


def test_a_volatile_field_must_still_be_there() -> None:
    assert compare({"uid": "a"}, {}) == [".uid is missing"]


def test_template_hashes_map_one_to_one() -> None:
    names = Names()
    assert compare("hello-7f75dbbb56", "hello-dlmfdcffff", names) == []
    assert compare("hello-7f75dbbb56", "hello-dlmfdcffff", names) == []
    assert compare("hello-7f75dbbb56", "hello-zzzzzzzzzz", names) != []
    assert compare("hello-6b67fd8f64", "hello-dlmfdcffff", names) != []


def test_the_order_of_random_names_does_not_count() -> None:
    recorded = {"items": [{"name": "hello-7f75dbbb56-bbbbb", "n": 1}, {"name": "hello-7f75dbbb56-ddddd", "n": 2}]}
    ours = {"items": [{"name": "hello-dlmfdcffff-bbbbb", "n": 2}, {"name": "hello-dlmfdcffff-ccccc", "n": 1}]}
    assert compare(recorded, ours) == []
