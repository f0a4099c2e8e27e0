"""What a deployment as described leaves as its outcome, whatever became of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from convoy_sandbox.writes import Write
from integration.outcomes import Outcomes, said
from integration.playbooks import PATIENCE, Lab, description, faulty
from kubernetes import client


def test_a_first_time_again_a_refusal_and_a_change_in_one_play(empty: Lab, tmp_path: Path) -> None:
    versions = {name: item["version"] for name, item in description().items()}
    wrong, changed, broken = description(), description(), description()
    wrong["hello"]["version"] = 2.0
    changed["hello"]["version"] = "2.0.0"
    broken["hello"]["container"]["ports"][0]["containerPort"] = 700000
    applications = [description(), description(), wrong, broken, changed]
    missing = f"{empty.namespace}-more"
    runs: list[dict[str, Any]] = [{"app_deploy_namespace": missing}]
    runs += [{"app_deploy_applications": each} for each in applications]
    outcomes, run = Outcomes(empty, tmp_path, "app_deploy", *runs).run()
    nowhere, first, again, refused, half, new = outcomes
    assert run.changed == 3  # the file of the outcomes is one, too
    assert empty.versions() == {"2.0.0": 20}

    assert (nowhere["ending"], nowhere["changed"]) == ("refused", False)
    assert f"There is no namespace {missing}; create it, or let the role create it with" in nowhere["reason"]

    assert said(first) == ("success", "pass", {}, versions, True, False)
    assert first["application"] == "auth, frontend, hello"
    assert first["message"] == f"auth, frontend, hello in namespace {empty.namespace} run as described"
    assert [(each["what"], each["verdict"]) for each in first["evidence"] if each["final"]] == [
        ("pods", "pass"),
        ("traffic", "pass"),
    ]
    assert [row["deployment"] for row in first["applications"]] == ["auth", "frontend", "hello"]
    assert {row["ready"] for row in first["applications"]} == {"1/1", "3/3"}
    assert first["watched"] is None

    assert said(again) == ("success", "pass", versions, versions, False, False)
    assert again["lost"] == 0
    assert again["watched"]["lost"] == 0

    assert said(refused) == ("refused", "fail", None, None, False, True)
    assert "Application hello cannot be deployed: version must be a quoted string" in refused["message"]

    assert said(half) == ("refused", "fail", versions, versions, False, True)
    assert "must be between 1 and 65535" in half["reason"]
    assert "ready now: auth 1.0.0 1/1, frontend " in half["message"]

    assert said(new) == ("success", "pass", versions, {**versions, "hello": "2.0.0"}, True, False)
    assert new["target"]["hello"] == "2.0.0"
    assert "applied: Deployment hello" in run.output


def test_a_version_that_never_starts_is_left_and_told(lab: Lab, tmp_path: Path) -> None:
    applications = description()
    applications["hello"]["version"] = "0.0.0-nowhere"
    (outcome,), _run = Outcomes(lab, tmp_path, "app_deploy", {"app_deploy_applications": applications}).run()
    assert (outcome["ending"], outcome["verdict"], outcome["changed"]) == ("failed", "fail", True)
    assert "Deployment hello did not complete its rollout: pod hello-" in outcome["reason"]
    assert "check that the image exists" in outcome["reason"]
    assert "Nothing was rolled back; ready now: auth 1.0.0 1/1, frontend " in outcome["message"]
    assert outcome["lost"] == 0
    assert outcome["watched"]["versions"].keys() == {"1.0.0"}


def test_a_version_that_loses_requests_fails_however_often_it_is_deployed(lab: Lab, tmp_path: Path) -> None:
    """Nothing takes it away, and what it loses before the second run is no reason for it to pass there."""
    applications = faulty()
    applications["hello"]["version"] = "flaky"  # which loses a fifth of them
    flaky = {"app_deploy_applications": applications, "app_deploy_settle": 2}
    outcomes, _run = Outcomes(lab, tmp_path, "app_deploy", flaky, flaky).run()
    for outcome in outcomes:
        assert (outcome["ending"], outcome["verdict"]) == ("failed", "fail"), outcome
        assert re.search(r"lost.*expected 95% or more", outcome["reason"]), outcome


def test_an_entry_that_does_not_answer_fails(lab: Lab, tmp_path: Path) -> None:
    entry: dict[str, Any] = {"service": "frontend", "port": 443, "scheme": "https", "path": "/login"}  # 401
    variables = {"app_deploy_entry": entry | {"validate_certs": False}}
    (outcome,), _run = Outcomes(lab, tmp_path, "app_deploy", variables).run()
    assert (outcome["ending"], outcome["verdict"]) == ("failed", "fail")
    assert outcome["evidence"][-1]["verdict"] == "fail"
    assert "Nothing was changed; ready now: " in outcome["message"]


def test_check_mode_proves_nothing_and_changes_nothing(bad_lab: Lab, tmp_path: Path) -> None:
    before = bad_lab.spec_versions()
    applications = description()
    applications["hello"]["version"] = "2.0.0"
    variables = {"app_deploy_applications": applications}
    (outcome,), run = Outcomes(bad_lab, tmp_path, "app_deploy", variables).run("--check")
    assert (outcome["ending"], outcome["verdict"], outcome["changed"]) == ("check mode", "unverified", False)
    assert outcome["before"] == outcome["after"]
    assert outcome["message"] == f"auth, frontend, hello would be deployed in namespace {bad_lab.namespace}"
    assert "would be applied: Deployment hello" in run.output
    assert bad_lab.spec_versions() == before


def test_a_run_of_which_one_lock_is_taken_over_applies_nothing(guarded: tuple[Any, Lab], tmp_path: Path) -> None:
    cluster, lab = guarded

    def last_lock(write: Write) -> bool:
        action = write.action
        return (action.resource, action.namespace) == ("leases", lab.namespace)

    outcomes = Outcomes(lab, tmp_path, "app_deploy", {})
    with cluster.hold(3, "after", last_lock) as held:
        running = outcomes.start()
        assert held.wait(PATIENCE) is not None
        leases = client.CoordinationV1Api(lab.api)
        # A patch, as the run renews it meanwhile.
        taken = {"spec": {"holderIdentity": "somebody@elsewhere (1-00000000)"}}
        leases.patch_namespaced_lease("convoy-auth", lab.namespace, taken)
        held.release()
        output = running.communicate(timeout=PATIENCE)[0]
    (outcome,) = outcomes.read()
    assert said(outcome) == ("taken over", "fail", {}, {}, False, True), output
    assert "The lock of auth in namespace" in outcome["reason"]
    assert lab.deployments() == set()
    # The locks that are still this run's are released, and the other one is left to whoever has it.
    assert [item.metadata.name for item in leases.list_namespaced_lease(lab.namespace).items] == ["convoy-auth"]
