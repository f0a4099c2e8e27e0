"""What a blue/green run leaves as its outcome, whatever became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from integration.outcomes import Outcomes, gateway, said
from integration.playbooks import Lab, description
from kubernetes import client

TO_2: dict[str, Any] = {"bluegreen_version": "2.0.0"}
BACK: dict[str, Any] = {"bluegreen_rollback": True}


def test_success_again_refusal_and_the_way_back_in_one_play(lab: Lab, tmp_path: Path) -> None:
    outcomes, _run = Outcomes(lab, tmp_path, "bluegreen", BACK, TO_2, TO_2, {"bluegreen_version": "a b"}, BACK).run()
    nowhere, first, again, refused, back = outcomes

    assert said(nowhere) == ("refused", "fail", None, None, False, True)
    assert "nothing to roll back to" in nowhere["reason"]

    assert said(first) == ("success", "pass", "1.0.0", "2.0.0", True, False)
    assert (first["target"], first["way_back"], first["lost"]) == ("2.0.0", "-e version=1.0.0", 0)
    assert [each["what"] for each in first["evidence"]] == ["before", "preview", "traffic"]
    assert first["lines"][0] == first["message"] == "takes all traffic: hello 2.0.0 (green, Deployment hello-green)"

    assert said(again) == ("success", "pass", "2.0.0", "2.0.0", False, False)
    assert 500 <= again["samples"] < 600  # its own, not the first one's, and those on their way when it was known

    assert said(refused) == ("refused", "fail", None, None, False, True)
    assert refused["message"].startswith('bluegreen_version is "a b"; give the version to go to')
    assert refused["evidence"] == []

    assert said(back) == ("success", "pass", "2.0.0", "1.0.0", True, False)


def test_a_colour_that_never_gets_ready_and_one_that_fails_requests(lab: Lab, tmp_path: Path) -> None:
    applications = description()
    applications["hello"]["image"] = "sandbox/hello"
    never: dict[str, Any] = {"bluegreen_version": "0.0.0-nowhere"}
    broken: dict[str, Any] = {"bluegreen_version": "broken", "bluegreen_applications": applications}
    (waited, failed), run = Outcomes(lab, tmp_path, "bluegreen", never, broken).run()
    assert run.output.count("Deployment hello-green did not become complete") == 1  # the reason is said once

    assert said(waited) == ("failed", "fail", "1.0.0", "1.0.0", True, True)
    assert "Deployment hello-green did not become complete" in waited["reason"]
    assert "Users get 1.0.0 as before." in waited["message"]
    assert waited["lost"] == 0
    assert (
        "Deployment hello-green was removed; Service hello-preview was removed; Service hello has its selector "
        "app=hello back."
    ) in waited["message"]

    assert said(failed) == ("failed", "fail", "1.0.0", "1.0.0", True, True)
    assert "HTTP 500" in failed["reason"]
    assert (failed["evidence"][-1]["what"], failed["evidence"][-1]["verdict"]) == ("preview", "fail")
    assert lab.versions() == {"1.0.0": 20}
    assert lab.deployments() == {"auth", "frontend", "hello"}
    assert lab.selector() == {"app": "hello"}


def test_a_third_version_that_fails_gives_the_way_back_back(lab: Lab, tmp_path: Path) -> None:
    never: dict[str, Any] = {"bluegreen_version": "0.0.0-nowhere"}
    (_first, failed, back), _run = Outcomes(lab, tmp_path, "bluegreen", TO_2, never, BACK).run()
    assert said(failed) == ("failed", "fail", "2.0.0", "2.0.0", True, True)
    assert "Deployment hello has kelseyhightower/hello:1.0.0 back, in 3 replicas" in failed["message"]
    assert said(back) == ("success", "pass", "2.0.0", "1.0.0", True, False)
    assert lab.versions() == {"1.0.0": 20}
    metadata = lab.core.read_namespaced_service("hello", lab.namespace).metadata
    assert "convoy.rollout/unfinished" not in (metadata.annotations or {})


def test_a_colour_that_fails_once_it_has_the_traffic_goes_back(lab: Lab, tmp_path: Path) -> None:
    # What users come in by cannot do with the new version, which shows only after the switch.
    def version() -> str | None:
        return "1.0.0" if lab.selector().get("version", "1.0.0") == "1.0.0" else None

    with gateway(version) as url:
        variables = TO_2 | {"bluegreen_entry": {"url": url}}
        (outcome,), _run = Outcomes(lab, tmp_path, "bluegreen", variables).run()
    assert said(outcome) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True)
    assert "HTTP 502" in outcome["reason"]
    assert outcome["message"].startswith(
        "hello 2.0.0 failed verification and the traffic was switched back to 1.0.0, which answers every request again"
    )
    assert [(each["what"], each["verdict"]) for each in outcome["evidence"]] == [
        ("before", "pass"),
        ("preview", "pass"),
        ("traffic", "fail"),
    ]
    assert lab.selector()["version"] == "1.0.0"


def test_check_mode_proves_nothing(lab: Lab, tmp_path: Path) -> None:
    (outcome,), run = Outcomes(lab, tmp_path, "bluegreen", TO_2).run("--check")
    assert said(outcome) == ("check mode", "unverified", "1.0.0", "1.0.0", False, False)
    assert outcome["target"] == "2.0.0"
    assert run.changed > 0
    assert lab.deployments() == {"auth", "frontend", "hello"}


def test_a_run_whose_lock_is_taken_over_before_its_switch_changes_nothing_more(lab: Lab, tmp_path: Path) -> None:
    slow = description()
    slow["hello"]["container"]["readinessProbe"]["initialDelaySeconds"] = 8
    outcomes = Outcomes(lab, tmp_path, "bluegreen", TO_2 | {"bluegreen_applications": slow})
    with outcomes.start() as running:
        assert running.stdout is not None
        output = ""
        while "hello-green: " not in output:
            line = running.stdout.readline()
            assert line, output
            output += line
        leases = client.CoordinationV1Api(lab.api)
        lease = leases.read_namespaced_lease("convoy-hello", lab.namespace)
        lease.spec.holder_identity = "somebody@elsewhere (1-00000000)"
        leases.replace_namespaced_lease("convoy-hello", lab.namespace, lease)
        selector = lab.selector()
        output += running.communicate(timeout=120)[0]
    (outcome,) = outcomes.read()
    assert said(outcome) == ("taken over", "fail", "1.0.0", None, True, True), output
    assert "was taken over by somebody@elsewhere" in outcome["reason"]
    assert lab.selector() == selector
    leases.delete_namespaced_lease("convoy-hello", lab.namespace)
