"""Runs that are killed where that is most dangerous; `make faults` kills them everywhere."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from convoy_sandbox.writes import Write
from integration.playbooks import PATIENCE, Lab, Run, Traffic
from reliability.kills import Bench, Object, bench, killed, start_of
from reliability.scenarios import Play

SWITCH: Play = ("bluegreen", {"version": "2.0.0"})
UP: Play = ("scale", {"replicas": 5})
HALVES: Play = ("rolling_update", {"version": "2.0.0", "rolling_update_pause_at": "50%"})
PROMOTE: Play = ("canary", {"version": "2.0.0", "promote": True, "canary_weight": 50})


class Place(NamedTuple):
    """A sandbox that stops runs at what they write, and the lab's application to be made there."""

    bench: Bench
    start: dict[str, list[Object]]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A sandbox of these tests' own."""
    with bench(quick=True) as it:
        lab = it.lab()
        run, _started = it.run(lab, ("app_deploy", {}))
        assert run.code == 0, run.output
        yield Place(it, start_of(it.objects(lab)))


@contextlib.contextmanager
def killed_at(place: Place, play: Play, number: int, when: str, then: Play) -> Iterator[tuple[Lab, Run]]:
    """The lab after a run that was killed at a write, with what watches over its lock, and another run at once."""
    it = place.bench
    lab = it.begin(place.start)
    with Traffic(lab) as traffic:
        _started, reached = killed(it, lab, play, {"at": when, "number": number, "mode": "everything"})
        run, _started = it.run(lab, then)
    assert reached
    assert run.code == 0, run.output
    assert traffic.lost == []
    assert it.objects(lab)["leases"] == []
    yield lab, run
    it.forget(lab)


def test_after_the_switch_the_same_command_verifies_it(place: Place) -> None:
    with killed_at(place, SWITCH, 5, "after", SWITCH) as (lab, run):
        assert run.changed == 0
        assert lab.versions() == {"2.0.0": 20}


def test_before_the_switch_a_rollback_takes_back_what_was_prepared(place: Place) -> None:
    with killed_at(place, SWITCH, 5, "before", ("bluegreen", {"rollback": True})) as (lab, run):
        assert run.changed == 1
        assert lab.deployments() == {"auth", "frontend", "hello"}
        assert lab.selector() == {"app": "hello"}
        assert lab.versions() == {"1.0.0": 20}


def test_after_the_switch_of_a_rollback_the_same_command_verifies_it(place: Place) -> None:
    with killed_at(place, SWITCH, 5, "after", SWITCH) as (lab, _run):
        back: Play = ("bluegreen", {"rollback": True})
        _started, reached = killed(place.bench, lab, back, {"at": "after", "number": 2, "mode": "everything"})
        assert reached
        run, _started = place.bench.run(lab, back)
        assert run.code == 0, run.output
        assert lab.versions() == {"1.0.0": 20}
        again, _started = place.bench.run(lab, back)
        assert again.code == 2
        assert "There is nothing to roll back to" in again.output


def test_after_it_was_scaled_the_same_command_waits_and_verifies_it(place: Place) -> None:
    with killed_at(place, UP, 2, "after", UP) as (lab, run):
        assert run.changed == 0
        assert "Deployment hello already has 5 replicas.\n  observed: 5 of 5 pods are ready" in run.output
        assert lab.replicas("hello") == 5


def test_a_version_that_nobody_verified_goes_back_to_what_served_before_it(place: Place) -> None:
    it, broken = place.bench, ("rolling_update", {"version": "broken", "rolling_update_image": "sandbox/hello"})
    lab = it.begin(place.start)
    lab.apps.patch_namespaced_deployment("hello", lab.namespace, {"spec": {"revisionHistoryLimit": 0}})
    _started, reached = killed(it, lab, broken, {"at": "after", "number": 2, "mode": "everything"})
    assert reached
    run, _started = it.run(lab, broken)
    assert run.code == 2
    assert "hello broken failed verification and was rolled back to 1.0.0" in run.output
    lab.settled()  # users got errors before the run too, so that it counted pods in the end
    assert lab.versions() == {"1.0.0": 20}
    hello = lab.apps.read_namespaced_deployment("hello", lab.namespace)
    assert hello.spec.revision_history_limit == 0
    it.forget(lab)


def test_behind_its_pause_the_same_command_goes_on_to_the_end(place: Place) -> None:
    with killed_at(place, HALVES, 9, "before", HALVES) as (lab, run):
        assert "hello 2.0.0 runs in all 3 pods" in run.output
        assert lab.versions() == {"2.0.0": 20}


def test_with_stable_promoted_and_its_canary_still_there_the_canary_goes(place: Place) -> None:
    with killed_at(place, PROMOTE, 4, "before", PROMOTE) as (lab, _run):
        assert lab.deployments() == {"auth", "frontend", "hello"}
        assert lab.versions() == {"2.0.0": 20}


def test_the_next_run_waits_for_the_change_that_the_killed_one_is_about_to_make(place: Place) -> None:
    it = place.bench
    lab = it.begin(place.start)

    def creates_the_canary(write: Write) -> bool:
        action = write.action
        return (action.resource, action.namespace, action.name) == ("deployments", lab.namespace, "hello-canary")

    with it.cluster.hold(1, "before", creates_the_canary) as held:
        promotion = it.start(lab, PROMOTE)
        assert held.wait(PATIENCE)
        promotion.kill("group")  # the module that applies it lives, and waits for an answer
        for process, name in promotion.processes().items():
            if name.startswith("convoy-"):  # so that the lock is still there, however late the next run begins
                os.kill(process, signal.SIGKILL)
        abort = it.start(lab, ("canary", {"abort": True})).process
        assert abort.stdout
        told = []
        for line in abort.stdout:
            told.append(line)
            if "this run goes on in" in line:
                held.release()
    assert abort.wait() == 0, told
    assert any("hello 1.0.0" in line and "receives all traffic" in line for line in told), told
    assert lab.deployments() == {"auth", "frontend", "hello"}
    assert lab.versions() == {"1.0.0": 20}
    it.forget(lab)
