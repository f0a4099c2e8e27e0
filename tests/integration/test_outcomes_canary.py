"""What a canary's run leaves as its outcome, whatever became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from integration.history import History
from integration.outcomes import Outcomes, refuses, said
from integration.playbooks import PATIENCE, PLAIN, Lab, Traffic, faulty
from kubernetes import client

TO_2: dict[str, Any] = {"canary_version": "2.0.0"}


def good_copies_stay(history: History) -> None:
    """The Service kept its selector and three ready pods, and the canary went only when stable was whole without it."""
    assert history.always_served("hello", 3)
    assert history.moves("hello") == []
    assert any("hello-canary" in state.deployments for state in history.states)
    for before, after in history.steps():
        canary, left = before.deployments.get("hello-canary"), after.deployments.get("hello-canary")
        if canary and (not left or left.wanted < canary.wanted):
            assert before.deployments["hello"].complete, before
            assert before.deployments["hello"].wanted == 3


def test_success_again_refusals_and_the_way_back_in_one_play_lose_no_request(lab: Lab, tmp_path: Path) -> None:
    steps = [{"weight": 25}, {"weight": 50, "pause": "1s"}]
    with History(lab) as history, Traffic(lab) as traffic:
        outcomes, _run = Outcomes(
            lab,
            tmp_path,
            "canary",
            TO_2 | {"canary_weight": 10},
            TO_2,
            TO_2,
            {"canary_version": "3.0.0"},
            {"canary_abort": True},
            TO_2 | {"canary_promote": True, "canary_steps": steps},
            {"canary_promote": True},
        ).run()
    beyond, first, again, other, aborted, promoted, done = outcomes
    assert traffic.lost == []
    assert set(traffic.versions) == {"1.0.0", "2.0.0"}
    good_copies_stay(history)
    gone = [before for before, after in history.steps() if len(after.deployments) < len(before.deployments)]
    assert [before.deployments["hello"].images[0] for before in gone] == [
        "kelseyhightower/hello:1.0.0",
        "kelseyhightower/hello:2.0.0",
    ]
    assert lab.deployments() == {"auth", "frontend", "hello"}
    assert lab.versions() == {"2.0.0": 20}

    assert said(beyond) == ("refused", "fail", "1.0.0", "1.0.0", False, True)
    assert beyond["message"].startswith("1 of 4 pods gives 25%; 10% needs 9 stable and 1 canary, 6 more stable pods.")
    assert beyond["message"].endswith("Users get 1.0.0 as before.")

    for outcome, changed in ((first, True), (again, False)):
        assert said(outcome) == ("success", "pass", "1.0.0", "1.0.0", changed, False)
        assert outcome["lost"] == 0
        assert outcome["lines"][0] == outcome["message"]
        (final,) = (each for each in outcome["evidence"] if each["final"])
        assert final["what"] == "canary at 25%"
        assert set(final["counts"]) == {"1.0.0", "2.0.0"}
    assert first["way_back"] == "-e abort=true"

    assert said(other) == ("refused", "fail", "1.0.0", "1.0.0", False, True)
    assert "A canary of hello 2.0.0 is already running" in other["reason"]
    assert other["evidence"] == []

    assert said(aborted) == ("success", "pass", "1.0.0", "1.0.0", True, False)
    assert aborted["message"] == "hello 1.0.0 now receives all traffic; its canary 2.0.0 was removed"

    assert said(promoted) == ("success", "pass", "1.0.0", "2.0.0", True, False)
    assert promoted["target"] == "2.0.0"
    assert promoted["way_back"] == "-e version=1.0.0 -e promote=true"
    assert [each["what"] for each in promoted["evidence"]] == [
        "before", "stable", "canary at 25%", "canary at 50%", "pause at 50%", "promotion", "stable alone",
    ]  # fmt: skip
    assert (done["ending"], done["changed"]) == ("success", False)


def test_all_of_it_and_back_gives_stable_its_replicas_back(lab: Lab, tmp_path: Path) -> None:
    abort: dict[str, Any] = {"canary_abort": True}
    with History(lab) as history, Traffic(lab) as traffic:
        (whole,), _run = Outcomes(lab, tmp_path, "canary", TO_2 | {"canary_weight": 100}).run()
        assert said(whole) == ("success", "pass", "1.0.0", "2.0.0", True, False)
        assert (lab.replicas("hello"), lab.replicas("hello-canary")) == (0, 3)
        assert lab.versions() == {"2.0.0": 20}
        (aborted, again), _run = Outcomes(lab, tmp_path, "canary", abort, abort).run()
    assert said(aborted) == ("success", "pass", "2.0.0", "1.0.0", True, False)
    assert (again["ending"], again["changed"]) == ("success", False)
    assert "nothing to abort; to go back from 1.0.0: rollback.yml" in again["lines"][-1]
    assert lab.deployments() == {"auth", "frontend", "hello"}
    assert lab.replicas("hello") == 3
    assert lab.versions() == {"1.0.0": 20}
    assert traffic.lost == []
    good_copies_stay(history)


def test_what_the_cluster_cannot_do_is_refused_and_touches_nothing(bad_lab: Lab, tmp_path: Path) -> None:
    refuses(
        bad_lab,
        tmp_path,
        "canary",
        ({"canary_promote": True}, "no canary of hello to promote"),
        (TO_2 | {"canary_application": "goodbye"}, "no Deployment goodbye"),
        (TO_2 | {"canary_service": "nowhere"}, "no Service nowhere"),
        (TO_2 | {"canary_namespace": "nowhere"}, "no namespace nowhere"),
    )


def test_a_canary_that_never_gets_ready_crashes_fails_requests_or_is_too_slow_is_removed(
    lab: Lab, tmp_path: Path
) -> None:
    applications = faulty()
    never: dict[str, Any] = {"canary_version": "0.0.0-nowhere"}
    broken, crash, slow = (
        {"canary_version": version, "canary_applications": applications, "canary_weight": 50}
        for version in ("broken", "crash", "slowest")
    )
    slow |= {"canary_entry": PLAIN | {"max_p99": 2.5}, "canary_settle": 20}
    with History(lab) as history:
        (waited, failed, crashed, late), _run = Outcomes(lab, tmp_path, "canary", never, broken, crash, slow).run()
    good_copies_stay(history)
    assert lab.versions() == {"1.0.0": 20}

    for outcome, reason in ((crashed, "CrashLoopBackOff"), (late, "took more than 2.5 s for")):
        assert said(outcome) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True), outcome["message"]
        assert reason in outcome["reason"]

    assert said(waited) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True)
    assert waited["message"].startswith(
        "hello 0.0.0-nowhere was rolled back to 1.0.0, which receives all traffic again"
    )
    assert "Deployment hello-canary did not complete its rollout" in waited["reason"]
    assert waited["lost"] == 0

    assert said(failed) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True)
    assert failed["message"].startswith("hello broken failed verification and was rolled back to 1.0.0")
    assert "HTTP 500" in failed["reason"]
    assert failed["lost"] > 0
    assert failed["evidence"][-1]["verdict"] == "fail"
    assert lab.deployments() == {"auth", "frontend", "hello"}


def test_a_run_whose_lock_is_taken_over_in_a_pause_changes_nothing_more(lab: Lab, tmp_path: Path) -> None:
    paused = TO_2 | {"canary_steps": [{"weight": 25, "pause": "5m"}, {"weight": 75}]}
    outcomes = Outcomes(lab, tmp_path, "canary", paused)
    with outcomes.start() as running:
        assert running.stdout is not None
        output = ""
        while "observed: " not in output:
            line = running.stdout.readline()
            assert line, output
            output += line
        leases = client.CoordinationV1Api(lab.api)
        # A patch, as the run renews it meanwhile.
        taken = {"spec": {"holderIdentity": "somebody@elsewhere (1-00000000)"}}
        leases.patch_namespaced_lease("convoy-hello", lab.namespace, taken)
        output += running.communicate(timeout=PATIENCE)[0]
    (outcome,) = outcomes.read()
    assert said(outcome) == ("taken over", "fail", "1.0.0", None, True, True), output
    assert "The lock of hello in namespace" in outcome["reason"]
    assert "was taken over by somebody@elsewhere" in outcome["reason"]
    assert (lab.replicas("hello"), lab.replicas("hello-canary")) == (3, 1)


def test_check_mode_proves_nothing_and_says_what_would_be(bad_lab: Lab, tmp_path: Path) -> None:
    runs = (TO_2, TO_2 | {"canary_promote": True}, {"canary_abort": True})
    before = bad_lab.spec_versions()
    (step, promotion, abort), run = Outcomes(bad_lab, tmp_path, "canary", *runs).run("--check", "--diff")
    assert run.changed > 1  # the file of the outcomes is one, too
    for outcome in (step, promotion, abort):
        assert said(outcome) == ("check mode", "unverified", "1.0.0", "1.0.0", False, False)
    assert "would receive its share beside 1.0.0; weight 25%: 1 of 4 pods gives 25%" in step["message"]
    assert promotion["message"] == "hello 2.0.0 would be promoted and receive all traffic"
    assert "nothing to abort" in abort["lines"][-1]
    assert bad_lab.spec_versions() == before
