"""Filter pooled: the requests of several clusters as one sample."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.filter.pooled import FilterModule

pooled = FilterModule().filters()["pooled"]


def seen(answered: int, lost: int = 0, version: str = "2.0.0") -> dict[str, t.Any]:
    """What one cluster's requests came to."""
    return {"counts": {version: answered}, "errors": {"timeout": lost} if lost else {}}


def test_counts_and_errors_are_added_up() -> None:
    found = pooled([seen(10), {"msg": "it was lost"}, seen(8, 2), seen(5, version="1.0.0")])
    assert (found["samples"], found["lost"]) == (25, 2)
    assert found["counts"] == {"2.0.0": 18, "1.0.0": 5}
    assert found["verdict"] == "fail"
    assert found["message"] == (
        "2.0.0 18, 1.0.0 5 of 25 requests, 2 lost (2 x timeout): "
        "2 of 25 requests got no answer that names a version, and 100% must"
    )


def test_what_one_cluster_cannot_tell_many_can() -> None:
    assert pooled([seen(97, 3)], min_success=0.99)["verdict"] == "inconclusive"
    assert pooled([seen(97, 3)] * 10, min_success=0.99)["verdict"] == "fail"
    assert pooled([seen(100)], min_success=0.99)["verdict"] == "inconclusive"
    assert pooled([seen(100)] * 9 + [seen(99, 1)], min_success=0.99)["verdict"] == "pass"


def test_shares_are_judged_together() -> None:
    split = {"1.0.0": 0.5, "2.0.0": 0.5}
    both = [seen(300), seen(300, version="1.0.0")]
    assert pooled(both, expected=split)["verdict"] == "pass"
    assert pooled(both, expected={"2.0.0": 1})["verdict"] == "fail"


def test_nothing_counted_is_inconclusive() -> None:
    assert pooled([])["verdict"] == "inconclusive"
    assert pooled([])["message"] == "no version of 0 requests, 0 lost: no request was made"
