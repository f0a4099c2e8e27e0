"""What a blue/green run leaves as its outcome, whatever became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from integration.history import History
from integration.outcomes import Outcomes, gateway, refuses, said
from integration.playbooks import Lab, Traffic, description
from kubernetes import client

TO_2: dict[str, Any] = {"bluegreen_version": "2.0.0"}
BACK: dict[str, Any] = {"bluegreen_rollback": True}


def test_success_again_refusal_and_the_way_back_in_one_play(lab: Lab, tmp_path: Path) -> None:
    runs = (BACK, TO_2, TO_2, {"bluegreen_version": "a b"}, BACK)
    lab.quick = False
    outcomes, _run = Outcomes(lab, tmp_path, "bluegreen", *runs).run()
    nowhere, first, again, refused, back = outcomes

    assert said(nowhere) == ("refused", "fail", None, None, False, True)
    assert "nothing to roll back to" in nowhere["reason"]

    assert said(first) == ("success", "pass", "1.0.0", "2.0.0", True, False)
    assert (first["target"], first["way_back"], first["lost"]) == ("2.0.0", "-e version=1.0.0", 0)
    assert [each["what"] for each in first["evidence"]] == ["before", "preview", "traffic"]
    assert (
        first["lines"][0] == first["message"] == "hello 2.0.0 (green, Deployment hello-green) now receives all traffic"
    )

    assert said(again) == ("success", "pass", "2.0.0", "2.0.0", False, False)
    assert 500 <= again["samples"] < 600  # its own, not the first one's, and those on their way when it was known

    assert said(refused) == ("refused", "fail", None, None, False, True)
    assert refused["message"].startswith('bluegreen_version is "a b"; set the version to go to')
    assert refused["evidence"] == []

    assert said(back) == ("success", "pass", "2.0.0", "1.0.0", True, False)


def test_a_colour_that_never_gets_ready_and_one_that_fails_requests(lab: Lab, tmp_path: Path) -> None:
    never: dict[str, Any] = {"bluegreen_version": "0.0.0-nowhere"}
    stranger = description()  # it is ready, and knows no /version
    stranger["hello"] |= {"image": "nginx"}
    stranger["hello"]["container"] = {
        "ports": [{"containerPort": 80}],
        "readinessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
    }
    broken: dict[str, Any] = {"bluegreen_version": "1.28.0", "bluegreen_applications": stranger}
    unready = description()
    unready["hello"]["container"]["readinessProbe"]["httpGet"]["path"] = "/nothing-here"
    late = TO_2 | {"bluegreen_applications": unready, "bluegreen_timeout": 4}
    wrong = TO_2 | {"bluegreen_version_of": {"pattern": "^2(.+)", "replace": r"3\1"}}  # it answers as another version
    with History(lab) as history, Traffic(lab) as traffic:
        outcomes, run = Outcomes(lab, tmp_path, "bluegreen", never, broken, late, wrong).run()
    waited, failed, timed_out, other = outcomes
    assert run.output.count("Deployment hello-green did not complete its rollout") == 2  # the reason is said once each
    assert "ErrImagePull" in waited["reason"] or "ImagePullBackOff" in waited["reason"]
    assert (traffic.lost, traffic.versions) == ([], ["1.0.0"])
    assert history.always_served("hello", 3)
    # Pinned to what has the traffic, and given back, and nothing else.
    moves = [after.selectors["hello"].get("version") for _before, after in history.moves("hello")]
    assert moves == ["1.0.0", None] * 4

    for outcome in (timed_out, other):
        assert said(outcome) == ("failed", "fail", "1.0.0", "1.0.0", True, True)
    assert "hello-green" in timed_out["reason"]
    assert (other["evidence"][-1]["what"], other["evidence"][-1]["verdict"]) == ("preview", "fail")
    assert "hello-preview 2.0.0 answers 20 of 20 requests, expected 0%" in other["reason"]

    assert said(waited) == ("failed", "fail", "1.0.0", "1.0.0", True, True)
    assert "Deployment hello-green did not complete its rollout" in waited["reason"]
    assert "Users get 1.0.0 as before." in waited["message"]
    assert waited["lost"] == 0
    assert (
        "Deployment hello-green was removed; Service hello-preview was removed; Service hello has its selector "
        "app=hello again."
    ) in waited["message"]

    assert said(failed) == ("failed", "fail", "1.0.0", "1.0.0", True, True)
    assert "HTTP 404" in failed["reason"]
    assert (failed["evidence"][-1]["what"], failed["evidence"][-1]["verdict"]) == ("preview", "fail")
    assert lab.versions() == {"1.0.0": 20}
    assert lab.deployments() == {"auth", "frontend", "hello"}
    assert lab.selector() == {"app": "hello"}


def test_a_third_version_that_fails_gives_the_way_back_back(lab: Lab, tmp_path: Path) -> None:
    never: dict[str, Any] = {"bluegreen_version": "0.0.0-nowhere"}
    (_first, failed, back), _run = Outcomes(lab, tmp_path, "bluegreen", TO_2, never, BACK).run()
    assert said(failed) == ("failed", "fail", "2.0.0", "2.0.0", True, True)
    assert "Deployment hello has kelseyhightower/hello:1.0.0 again, with 3 replicas" in failed["message"]
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
        "hello 2.0.0 failed verification and the traffic was switched back to 1.0.0, which receives all traffic again"
    )
    assert [(each["what"], each["verdict"]) for each in outcome["evidence"]] == [
        ("before", "pass"),
        ("preview", "pass"),
        ("traffic", "fail"),
    ]
    assert lab.selector()["version"] == "1.0.0"


def test_what_cannot_be_is_refused_and_touches_nothing(lab: Lab, tmp_path: Path) -> None:
    large = description()
    large["hello"]["container"]["resources"] = {"requests": {"cpu": "500"}}
    # What the cluster says is text: no template is evaluated, and no version is made of it.
    noted = {"convoy.rollout/previous-version": "{{ lookup('pipe', 'echo it-was-$((6*7))') }}"}
    lab.core.patch_namespaced_service("hello", lab.namespace, {"metadata": {"annotations": noted}})
    refuses(
        lab,
        tmp_path,
        "bluegreen",
        (TO_2 | {"bluegreen_applications": large}, "needs 3 x 500 cpu"),
        (BACK, "nothing to roll back to"),
    )
    selector = {"matchLabels": {"app": "hello", "version": "1.0.0"}}
    client.PolicyV1Api(lab.api).create_namespaced_pod_disruption_budget(
        lab.namespace, {"metadata": {"name": "hello"}, "spec": {"minAvailable": 2, "selector": selector}}
    )
    # It would stay with the colour that loses the traffic.
    stays = "PodDisruptionBudget hello selects app=hello,version=1.0.0, which the pods of Deployment hello-green"
    refuses(lab, tmp_path, "bluegreen", (TO_2, stays))


def test_check_mode_proves_nothing(bad_lab: Lab, tmp_path: Path) -> None:
    lab = bad_lab
    before = lab.spec_versions()
    (outcome,), run = Outcomes(lab, tmp_path, "bluegreen", TO_2).run("--check", "--diff")
    assert "hello-green" in run.output
    assert lab.spec_versions() == before
    assert said(outcome) == ("check mode", "unverified", "1.0.0", "1.0.0", False, False)
    assert outcome["target"] == "2.0.0"
    assert run.changed > 0
    assert lab.deployments() == {"auth", "frontend", "hello"}
