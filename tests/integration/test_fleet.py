"""playbooks/fleet.yml on clusters of different sizes and versions, from bad to good to lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from integration.fleet import Fleet, fleet, table
from integration.playbooks import ELSEWHERE
from integration.playbooks import QUICK as OF_A_CLUSTER

pytestmark = pytest.mark.skipif(ELSEWHERE, reason="a fleet is many clusters, and one was given")
SIZE = 8  #: enough for three waves, and for a wave in which one is lost
#: As few requests as show a version that is wrong everywhere.
QUICK: dict[str, Any] = OF_A_CLUSTER | {
    "fleet_samples": 10,
    "fleet_min_success": 1,  # which so few requests can show
    "bluegreen_samples": 10,
    "bluegreen_preview_samples": 5,
}


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The clusters, for all tests of this file in their order."""
    with fleet(tmp_path_factory.mktemp("fleet"), SIZE) as made:
        yield made


def verdicts(rows: dict[str, dict[str, str]], wave: str) -> dict[str, str]:
    """The verdicts of one wave's clusters."""
    return {name: row["VERDICT"] for name, row in rows.items() if row["WAVE"] == wave}


@pytest.mark.parametrize(
    ("strategy", "name", "options"),
    [
        ("canary", "cluster-07", {"canary_steps": [{"weight": 50}]}),
        ("rolling_update", "cluster-08", {}),
    ],
)
def test_other_strategies_roll_out_too(clusters: Fleet, strategy: str, name: str, options: dict[str, Any]) -> None:
    member = clusters.members[name]
    run = clusters.play("--limit", name, fleet_strategy=strategy, version="4.0.0", **options, **QUICK)
    assert run.code == 0, run.output
    row = table(run)[name]
    assert (row["BEFORE"], row["AFTER"], row["VERDICT"]) == (member.version, "4.0.0", "pass")
    assert (member.live(), member.deployments()) == ("4.0.0", {"hello"})


def test_check_mode_shows_the_plan_and_changes_nothing(clusters: Fleet) -> None:
    names = [f"cluster-{number:02}" for number in (1, 2, 3)]
    before = [clusters.members[name].written() for name in names]
    run = clusters.play("--check", "--diff", "--limit", ",".join(names), version="2.0.0", waves=[1, 2], **QUICK)
    assert run.code == 0, run.output
    rows = table(run)
    assert [(row["WAVE"], row["AFTER"], row["VERDICT"]) for row in rows.values()] == [
        ("1", "2.0.0", "check mode"),
        *[("2", "2.0.0", "check mode")] * 2,
    ]
    assert "\n+            version: 2.0.0\n" in run.output
    assert [clusters.members[name].written() for name in names] == before


def test_a_bad_version_touches_one_cluster_and_leaves_it_as_it_was(clusters: Fleet) -> None:
    before = clusters.live()
    deployments = {name: member.deployments() for name, member in clusters.members.items()}
    run = clusters.play(version="bad", **QUICK)
    assert run.code != 0
    assert "Wave 1 of 3 failed, so no later wave was started. cluster-01: " in run.output
    rows = table(run)
    assert verdicts(rows, "1") == {"cluster-01": "fail"}
    assert verdicts(rows, "2") == {f"cluster-{number:02}": "skipped" for number in (2, 3)}
    assert {name: row["AFTER"] for name, row in rows.items()} == before == clusters.live()
    assert {name: member.deployments() for name, member in clusters.members.items()} == deployments


def test_rollback_all_brings_each_cluster_back_to_its_own_version(clusters: Fleet) -> None:
    # 3.0.0 is a good version but in cluster-02, which is of the second wave; 03 is the canary region.
    before = clusters.live()
    run = clusters.play(version="3.0.0", waves=["canary_region", 2, "all"], on_failure="rollback_all", **QUICK)
    assert run.code != 0
    rows = table(run)
    assert verdicts(rows, "1") == {"cluster-03": "rolled back"}
    assert verdicts(rows, "2") == {"cluster-01": "rolled back", "cluster-02": "fail"}
    assert set(verdicts(rows, "3").values()) == {"skipped"}
    assert {name: row["AFTER"] for name, row in rows.items()} == before == clusters.live()
    assert len({before[f"cluster-{number:02}"] for number in (1, 2, 3)}) == 3


def test_all_clusters_change_in_three_waves(clusters: Fleet) -> None:
    before = clusters.live()
    run = clusters.play(version="2.0.0", **QUICK)
    assert run.code == 0, run.output
    rows = table(run)
    assert {name: row["BEFORE"] for name, row in rows.items()} == before
    assert set(before.values()) == {"1.0.0", "1.1.0", "1.2.0", "4.0.0"}
    assert set(clusters.live().values()) == {row["AFTER"] for row in rows.values()} == {"2.0.0"}
    assert [len(verdicts(rows, wave)) for wave in ("1", "2", "3")] == [1, 2, 5]
    assert {row["VERDICT"] for row in rows.values()} == {"pass"}
    # How many of the background's requests time out is for a machine of its own: all clusters share this one.
    assert all(int(row["REQUESTS"]) > 0 and row["LOST"].isdigit() for row in rows.values())
    assert {row["REGION"] for row in rows.values()} == {"eu", "us"}
    # The clusters of a wave are judged together, too.
    assert "wave 2, 2 clusters together: pass, 2.0.0 20 of 20 requests, 0 lost" in run.output
    assert "wave 3, 5 clusters together: pass, 2.0.0 50 of 50 requests, 0 lost" in run.output


def test_a_cluster_that_is_lost_in_wave_two_fails_it(clusters: Fleet) -> None:
    clusters.members["cluster-03"].lose("4.0.0")
    run = clusters.play(version="4.0.0", waves=[1, 2, "100%"], on_failure="rollback_wave", **QUICK)
    assert run.code != 0
    rows = table(run)
    assert rows["cluster-01"]["AFTER"] == "4.0.0"
    assert verdicts(rows, "2") == {"cluster-02": "rolled back", "cluster-03": "fail"}
    assert set(verdicts(rows, "3").values()) == {"skipped"}
    assert "cluster-03: It could not be brought back to 2.0.0." in run.output, run.output
    del clusters.members["cluster-03"]
    assert clusters.live() == dict.fromkeys(clusters.members, "2.0.0") | {"cluster-01": "4.0.0"}


def test_a_cluster_that_answers_no_more_fails_its_wave_and_hangs_no_other(clusters: Fleet) -> None:
    names = [f"cluster-{number:02}" for number in (4, 5, 6, 7)]
    frozen, good = clusters.members["cluster-05"], clusters.members["cluster-06"]
    # The number that a cluster goes back to is that of the colour that has the traffic.
    good.apps.patch_namespaced_deployment_scale("hello", "default", {"spec": {"replicas": 0}})
    before = good.scaled()
    assert before == {"hello": 0, "hello-green": 3}
    inventory = yaml.safe_load(clusters.inventory.read_text())
    inventory["clusters"]["hosts"]["cluster-05"]["fleet_timeout"] = 20  # the others take what they take
    clusters.inventory.write_text(yaml.safe_dump(inventory))
    frozen.freeze(4)
    try:
        run = clusters.play(
            *("--limit", ",".join(names)),
            **{"fleet_strategy": "scale", "replicas": 4, "waves": [1, 2, 1], **QUICK},
            on_failure="rollback_wave",
        )
    finally:
        frozen.thawed.set()
    assert run.code != 0
    rows = table(run)
    assert {name: (rows[name]["VERDICT"], rows[name]["AFTER"]) for name in names} == {
        "cluster-04": ("pass", "4"),
        "cluster-05": ("fail", "-"),
        "cluster-06": ("rolled back", "3"),
        "cluster-07": ("skipped", rows["cluster-07"]["BEFORE"]),
    }
    assert good.scaled() == before
    assert "Wave 2 of 3 failed, so no later wave was started. cluster-05: " in run.output


def test_a_cluster_that_cannot_be_reached_is_named_before_anything_changes(clusters: Fleet) -> None:
    before = clusters.live()
    assert "cluster-03" not in before
    run = clusters.play(version="3.0.0", **QUICK)
    assert run.code != 0
    assert "Nothing was changed, as these clusters cannot be read: cluster-03 (" in " ".join(run.output.split())
    assert clusters.live() == before

    without = clusters.play("--limit", "cluster-02,cluster-03", version="4.0.0", fleet_skip_unreachable=True, **QUICK)
    assert without.code == 0, without.output
    rows = table(without)
    assert (rows["cluster-02"]["VERDICT"], rows["cluster-03"]["VERDICT"]) == ("pass", "skipped")


def test_two_hosts_that_are_one_cluster_are_refused(clusters: Fleet) -> None:
    cluster = clusters.members["cluster-02"]
    before = cluster.written()
    same = {"kubeconfig": str(cluster.sandbox.kubeconfig)}
    run = clusters.play("--limit", "cluster-02,cluster-04", version="3.0.0", **same, **QUICK)
    assert run.code != 0
    said = " ".join(run.output.split())
    assert "Nothing was changed, as several hosts lead to the same hello: cluster-02 and cluster-04. Give each" in said
    assert cluster.written() == before
