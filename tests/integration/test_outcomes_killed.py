"""What a run leaves as its outcome that goes on where one of the same role was killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from integration.outcomes import Outcomes
from integration.playbooks import Traffic, description
from reliability.kills import Bench, Object, bench, killed, start_of
from reliability.scenarios import DEPLOY, Play

SWITCH: Play = ("bluegreen", {"version": "2.0.0"})
UP: Play = ("scale", {"replicas": 5})
UPDATE: Play = ("rolling_update", {"version": "2.0.0"})
PROMOTE: Play = ("canary", {"version": "2.0.0", "promote": True, "canary_weight": 50})
VERSIONS = {name: item["version"] for name, item in description().items()}


class Place(NamedTuple):
    """A sandbox that stops runs at what they write, and the lab's application to be made there."""

    bench: Bench
    start: dict[str, list[Object]]


class Case(NamedTuple):
    """A run that is killed after a write, with what watches over its lock, and the run of the same role at once."""

    play: Play
    number: int  #: of the write; the first one takes the lock
    variables: dict[str, Any]
    after: Any  #: what the outcome says that users get
    message: str
    versions: set[str]


CASES = {
    "bluegreen": Case(
        SWITCH, 5, {"bluegreen_version": "2.0.0"},
        "2.0.0", "hello 2.0.0 (green, ", {"2.0.0"},
    ),
    "scale": Case(
        UP, 2, {"scale_replicas": "5"},
        5, "Deployment hello already has 5 replicas.", {"1.0.0"},
    ),
    "canary": Case(
        PROMOTE, 2, {"canary_version": "2.0.0", "canary_weight": 50},
        "1.0.0", "weight 50%: 3 of 6 pods", {"1.0.0", "2.0.0"},
    ),
    "rolling_update": Case(
        UPDATE, 2, {"rolling_update_version": "2.0.0"},
        "2.0.0", "hello 2.0.0 runs in all 3 pods.", {"2.0.0"},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A sandbox of these tests' own."""
    with bench(quick=True) as it:
        lab = it.lab()
        run, _started = it.run(lab, DEPLOY)
        assert run.code == 0, run.output
        yield Place(it, start_of(it.objects(lab)))


@pytest.mark.parametrize("role", list(CASES))
def test_what_a_killed_run_left_is_brought_to_its_end_and_the_outcome_says_so(
    place: Place, tmp_path: Path, role: str
) -> None:
    it, known = place.bench, CASES[role]
    lab = it.begin(place.start)
    with Traffic(lab) as traffic:
        at = {"at": "after", "number": known.number, "mode": "everything"}
        _started, reached = killed(it, lab, known.play, at)
        (outcome,), run = Outcomes(lab, tmp_path, role, known.variables).run()
    assert reached
    assert (outcome["ending"], outcome["verdict"], outcome["after"]) == ("success", "pass", known.after), run.output
    assert known.message in outcome["message"]
    assert (outcome["lost"], traffic.lost) == (0, [])
    assert set(lab.versions(40)) == known.versions
    assert it.objects(lab)["leases"] == []
    it.forget(lab)


def test_an_application_of_which_a_killed_run_applied_a_part_is_deployed(place: Place, tmp_path: Path) -> None:
    it = place.bench
    lab = it.lab()
    _started, reached = killed(it, lab, DEPLOY, {"at": "after", "number": 8, "mode": "everything"})
    assert reached
    assert not lab.deployments() >= VERSIONS.keys()
    (outcome,), run = Outcomes(lab, tmp_path, "app_deploy", {}).run()
    assert (outcome["ending"], outcome["verdict"], outcome["after"]) == ("success", "pass", VERSIONS), run.output
    assert lab.versions() == {"1.0.0": 20}
    assert it.objects(lab)["leases"] == []
    it.forget(lab)
