"""What a fleet's clusters came to, alone and together."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _fleet
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._fleet import Cluster
from ansible_collections.convoy.rollout.plugins.module_utils._workload._images import Rule
from unit.plugins.module_utils._workload.test__subject import There, colours


def cluster(name: str, *, known: t.Any = "1.0.0", answered: int = 0, lost: int = 0, **result: t.Any) -> Cluster:
    """A cluster that had a version, and what its requests came to since."""
    seen = {"counts": {"2.0.0": answered} if answered else {}, "errors": {"timeout": lost} if lost else {}}
    start = {"known": known, "revision": 1, "uid": name} if known else {"message": "connection refused"}
    return Cluster(name, start, {**result, "seen": seen} if answered or lost or result else {})


def wave(number: int, *names: str) -> dict[str, t.Any]:
    """A wave of these clusters."""
    return {"number": number, "name": str(len(names)), "clusters": list(names)}


def outcome(**facts: t.Any) -> dict[str, t.Any]:
    """What a run of the strategy says of itself."""
    good = {"ending": "success", "verdict": "pass", "before": "1.0.0", "target": "2.0.0", "after": "2.0.0"}
    return {**good, "failed": False, "samples": 5, "lost": 0, "message": "it went well", **facts}


def pooled(*clusters: Cluster, min_success: float = 1.0) -> dict[str, t.Any]:
    """The clusters as one wave."""
    return _fleet.pooled(clusters, wave(1, *(each.name for each in clusters)), min_success, waves=1)


def test_counts_and_errors_of_a_wave_are_added_up() -> None:
    found = pooled(cluster("a", answered=10), cluster("b", verdict="fail"), cluster("c", answered=8, lost=2))
    assert (found["samples"], found["lost"], found["verdict"]) == (20, 2, "fail")
    assert "2 of 20 requests got no answer that names a version, and 100% must" in found["message"]


def test_what_one_cluster_cannot_tell_many_can() -> None:
    def many(count: int, answered: int, lost: int) -> list[Cluster]:
        return [cluster(f"c{number}", answered=answered, lost=lost) for number in range(count)]

    assert pooled(*many(1, 97, 3), min_success=0.99)["verdict"] == "inconclusive"
    assert pooled(*many(10, 97, 3), min_success=0.99)["verdict"] == "fail"
    assert pooled(*many(1, 100, 0), min_success=0.99)["verdict"] == "inconclusive"
    assert pooled(*many(9, 100, 0), cluster("last", answered=99, lost=1), min_success=0.99)["verdict"] == "pass"


def test_clusters_of_other_waves_are_not_added() -> None:
    found = _fleet.pooled([cluster("a", answered=3), cluster("b", answered=4)], wave(2, "b"), 1.0, 2)
    assert found["samples"] == 4


def test_a_cluster_that_cannot_be_read_is_named_with_its_reason() -> None:
    fleet = [cluster("a"), cluster("b", known=None)]
    with pytest.raises(Failure, match=r"^Nothing was changed, .* cannot be read: b \(connection refused"):
        _fleet.check_readable(fleet, "hello", skip=False)
    assert _fleet.check_readable(fleet, "hello", skip=True) == ["a"]


def test_hosts_that_are_one_cluster_are_refused() -> None:
    a, b = cluster("a"), cluster("b")
    twins = [a, Cluster("b", a.start, b.result), Cluster("c", {**a.start, "uid": "other"}, {})]
    with pytest.raises(Failure, match=r"several hosts lead to the same hello: a and b\. Give each its own"):
        _fleet.check_readable(twins, "hello", skip=False)


def test_what_a_run_says_is_what_became_of_its_cluster() -> None:
    start = {"known": "1.0.0"}
    result = _fleet.changed(start, outcome(after="1.0.0", verdict="fail", ending="rolled back"), 2, 3.4, "")
    assert (result["after"], result["verdict"], result["wave"], result["seconds"]) == ("1.0.0", "fail", 2, 3)


def test_check_mode_says_what_each_cluster_would_get() -> None:
    result = _fleet.changed({"known": "1.0.0"}, outcome(ending="check mode", after="1.0.0"), 1, 0, "")
    assert (result["after"], result["verdict"]) == ("2.0.0", "check mode")


@pytest.mark.parametrize(("why", "said"), [("timed out", "timed out"), ("", "it was lost")])
def test_a_cluster_whose_run_has_no_outcome_failed_and_nobody_knows_what_it_has(why: str, said: str) -> None:
    result = _fleet.changed({"known": "1.0.0"}, None, 1, 9, why)
    assert (result["after"], result["verdict"], result["message"]) == (None, "fail", said)


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [("pass", "rolled back"), ("unverified", "rolled back"), ("fail", "fail"), ("inconclusive", "fail")],
)
def test_one_that_went_back_is_told_from_one_that_failed(verdict: str, shown: str) -> None:
    result = _fleet.restored({"known": "1.0.0"}, {"verdict": verdict}, outcome(after="1.0.0"), "")
    assert (result["after"], result["verdict"]) == ("1.0.0", shown)


@pytest.mark.parametrize(
    "ended",
    [None, outcome(after="2.0.0"), outcome(after="1.0.0", failed=True, ending="failed", message="no route")],
)
def test_one_that_did_not_go_back_says_so(ended: dict[str, t.Any] | None) -> None:
    result = _fleet.restored({"known": "1.0.0"}, {"verdict": "pass"}, ended, "")
    assert (result["after"], result["verdict"]) == (None, "fail")
    assert "It could not be brought back to 1.0.0. " in result["message"]


def test_one_whose_way_back_proved_nothing_says_so() -> None:
    back = outcome(after="1.0.0", verdict="unverified", message="It is back. Unverified: nothing answers.")
    assert "Unverified" in _fleet.restored({"known": "1.0.0"}, {"verdict": "pass", "message": ""}, back, "")["message"]


def test_numbers_are_compared_as_what_they_say() -> None:
    assert _fleet.restored({"known": "3"}, {"verdict": "pass"}, outcome(after=3), "")["verdict"] == "rolled back"


def test_the_table_has_each_cluster_in_the_order_of_the_waves() -> None:
    fleet = [
        cluster("late"),
        cluster("good", verdict="pass", after="2.0.0", wave=1, samples=9, lost=0, seconds=2, message=""),
        cluster("gone", verdict="fail", after=None, wave=1, message="no route"),
        cluster("unread", known=None),
    ]
    plan = [wave(1, "good", "gone"), wave(2, "late")]
    rows = _fleet.rows(fleet, plan, stopped=1)
    assert [(row["cluster"], row["wave"], row["before"], row["after"], row["verdict"]) for row in rows] == [
        ("good", 1, "1.0.0", "2.0.0", "pass"),
        ("gone", 1, "1.0.0", None, "fail"),
        ("late", 2, "1.0.0", "1.0.0", "skipped"),
        ("unread", None, None, None, "skipped"),
    ]
    assert _fleet.failure(rows, [], plan, 1) == "Wave 1 of 2 failed, so no later wave was started. gone: no route"


def test_a_cluster_that_is_lost_without_a_word_is_one_that_failed() -> None:
    fleet = [cluster("good", verdict="pass", after="2.0.0"), cluster("lost")]
    assert _fleet.bad(fleet, ["good", "lost"]) == ["lost"]
    (row,) = [row for row in _fleet.rows(fleet, [wave(1, "good", "lost")], 1) if row["cluster"] == "lost"]
    assert (row["verdict"], row["after"], row["message"]) == ("fail", None, "it was lost")


@pytest.mark.parametrize(
    ("on_failure", "names"), [("stop", []), ("rollback_wave", ["b", "c"]), ("rollback_all", ["a", "b", "c"])]
)
def test_who_goes_back(on_failure: str, names: list[str]) -> None:
    assert _fleet.going_back([wave(1, "a"), wave(2, "b", "c"), wave(3, "d")], 2, on_failure) == names


def test_what_few_requests_cannot_tell_leaves_a_cluster_what_its_own_run_found() -> None:
    result = {"verdict": "pass", "samples": 20, "lost": 0}
    unsure = {"verdict": "inconclusive", "samples": 10, "counts": {"2.0.0": 10}, "errors": {}}
    assert _fleet.verified(result, unsure)["verdict"] == "pass"
    lossy = {**unsure, "errors": {"timeout": 1}}
    assert _fleet.verified(result, lossy)["verdict"] == "inconclusive"
    assert _fleet.verified({**result, "verdict": "unverified"}, unsure)["verdict"] == "inconclusive"
    assert _fleet.verified(result, {**unsure, "verdict": "fail"})["verdict"] == "fail"


def test_a_fleet_shares_its_doubt_out_over_all_verifications_of_its_clusters() -> None:
    assert _fleet.family([wave(1, "a"), wave(2, "b", "c")]) == 9


def test_a_cluster_is_read_as_its_strategy_reads_it_and_brought_back_by_what_it_has_to_be_given() -> None:
    there = There().deployment("web", labels={"app": "web"}, tag="v1.0.0", replicas=3).service("front", app="web")
    found = there.subject("web", rule=Rule(prefix="v"))
    start = _fleet.start(found, "rolling_update")
    assert (start["known"], start["tag"], start["service"], start["uid"]) == ("1.0.0", "v1.0.0", "front", "d-web")
    assert _fleet.start(found, "bluegreen")["uid"] == "s-front"  # which its colours have in common
    assert _fleet.start(found, "scale")["known"] == 3


def test_of_several_containers_the_version_is_that_of_the_one_that_is_named() -> None:
    both = [{"name": "proxy", "image": "nginx:1.28.0"}, {"name": "backend", "image": "team/shop:2.0.0"}]
    there = There().deployment("web", labels={"app": "web"}, containers=both).service("web", app="web")
    assert _fleet.start(there.subject("web", container="backend"), "canary")["known"] == "2.0.0"


def test_what_is_read_is_the_deployment_that_has_the_traffic() -> None:
    for strategy in ("scale", "bluegreen", "rolling_update"):
        assert _fleet.start(colours().subject("web"), strategy)["known"] in ("2.0.0", 2)


def test_a_deployment_that_no_service_leads_to_has_no_service() -> None:
    start = _fleet.start(There().deployment("web", labels={"app": "web"}).subject("web"), "rolling_update")
    assert (start["known"], start["service"]) == ("1.0.0", "")
