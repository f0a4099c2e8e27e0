"""What a canary's run leaves as its outcome, whatever became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from integration.outcomes import Outcomes, said
from integration.playbooks import Lab, description
from kubernetes import client

TO_2: dict[str, Any] = {"canary_version": "2.0.0"}


def test_success_again_refusals_and_the_way_back_in_one_play(lab: Lab, tmp_path: Path) -> None:
    outcomes, _run = Outcomes(
        lab,
        tmp_path,
        "canary",
        TO_2 | {"canary_weight": 10},
        TO_2,
        TO_2,
        {"canary_version": "3.0.0"},
        {"canary_abort": True},
        TO_2 | {"canary_promote": True, "canary_weight": 50},
    ).run()
    beyond, first, again, other, aborted, promoted = outcomes

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
    assert "A canary of hello 2.0.0 runs already" in other["reason"]
    assert other["evidence"] == []

    assert said(aborted) == ("success", "pass", "1.0.0", "1.0.0", True, False)
    assert aborted["message"] == "hello 1.0.0 now receives all traffic; its canary 2.0.0 was removed"

    assert said(promoted) == ("success", "pass", "1.0.0", "2.0.0", True, False)
    assert promoted["target"] == "2.0.0"
    assert promoted["way_back"] == "-e version=1.0.0 -e promote=true"
    assert [each["what"] for each in promoted["evidence"]] == [
        "before", "stable", "canary at 50%", "promotion", "stable alone",
    ]  # fmt: skip


def test_a_canary_that_never_gets_ready_and_one_that_fails_requests(lab: Lab, tmp_path: Path) -> None:
    applications = description()
    applications["hello"]["image"] = "sandbox/hello"
    never: dict[str, Any] = {"canary_version": "0.0.0-nowhere"}
    broken: dict[str, Any] = {"canary_version": "broken", "canary_applications": applications, "canary_weight": 50}
    (waited, failed), _run = Outcomes(lab, tmp_path, "canary", never, broken).run()

    assert said(waited) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True)
    assert waited["message"].startswith(
        "hello 0.0.0-nowhere was rolled back to 1.0.0, which receives all traffic again"
    )
    assert "Deployment hello-canary did not become complete" in waited["reason"]
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
        lease = leases.read_namespaced_lease("convoy-hello", lab.namespace)
        lease.spec.holder_identity = "somebody@elsewhere (1-00000000)"
        leases.replace_namespaced_lease("convoy-hello", lab.namespace, lease)
        output += running.communicate(timeout=60)[0]
    (outcome,) = outcomes.read()
    assert said(outcome) == ("taken over", "fail", "1.0.0", None, True, True), output
    assert "The lock of hello in namespace" in outcome["reason"]
    assert "was taken over by somebody@elsewhere" in outcome["reason"]
    assert (lab.replicas("hello"), lab.replicas("hello-canary")) == (3, 1)


def test_check_mode_proves_nothing_and_says_what_would_be(bad_lab: Lab, tmp_path: Path) -> None:
    runs = (TO_2, TO_2 | {"canary_promote": True}, {"canary_abort": True})
    before = bad_lab.spec_versions()
    (step, promotion, abort), _run = Outcomes(bad_lab, tmp_path, "canary", *runs).run("--check")
    for outcome in (step, promotion, abort):
        assert said(outcome) == ("check mode", "unverified", "1.0.0", "1.0.0", False, False)
    assert "would receive its share beside 1.0.0; asked 25%: 1 of 4 pods gives 25%" in step["message"]
    assert promotion["message"] == "hello 2.0.0 would be promoted and receive all traffic"
    assert "nothing to abort" in abort["lines"][-1]
    assert bad_lab.spec_versions() == before
