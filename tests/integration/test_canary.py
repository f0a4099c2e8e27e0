"""playbooks/canary.yml: its share, step by step, promoted, taken away, and everything that must not harm users."""

from __future__ import annotations

from typing import Any

import pytest
from integration.history import History
from integration.playbooks import Lab, Traffic, description


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


def test_a_quarter_then_half_then_all_of_it_loses_no_request(lab: Lab) -> None:
    with History(lab) as history, Traffic(lab) as traffic:
        quarter = lab.play("canary", version="2.0.0")
        assert quarter.code == 0, quarter.output
        assert "1 of 4 pods gives 25%" in quarter.output
        assert (lab.replicas("hello"), lab.replicas("hello-canary")) == (3, 1)
        before = lab.spec_versions()

        again = lab.play("canary", version="2.0.0")
        assert (again.code, again.changed) == (0, 0), again.output
        other = lab.play("canary", version="3.0.0")
        assert other.code != 0
        assert "2.0.0 runs already" in other.output
        assert lab.spec_versions() == before

        steps = [{"weight": 25}, {"weight": 50, "pause": "1s"}]
        promoted = lab.play("canary", version="2.0.0", promote=True, canary_steps=steps)
        assert promoted.code == 0, promoted.output
        assert lab.deployments() == {"auth", "frontend", "hello"}
        assert lab.versions() == {"2.0.0": 20}

        done = lab.play("canary", promote=True)
        assert (done.code, done.changed) == (0, 0), done.output
    assert traffic.lost == []
    assert set(traffic.versions) == {"1.0.0", "2.0.0"}
    good_copies_stay(history)
    gone = [before for before, after in history.steps() if len(after.deployments) < len(before.deployments)]
    assert [before.deployments["hello"].images for before in gone] == [("kelseyhightower/hello:2.0.0",)]


def test_all_of_it_and_back_gives_stable_its_copies_back(lab: Lab) -> None:
    with History(lab) as history, Traffic(lab) as traffic:
        whole = lab.play("canary", version="2.0.0", canary_weight=100)
        assert whole.code == 0, whole.output
        assert (lab.replicas("hello"), lab.replicas("hello-canary")) == (0, 3)
        assert lab.versions() == {"2.0.0": 20}

        aborted = lab.play("canary", abort=True)
        assert aborted.code == 0, aborted.output
        assert lab.deployments() == {"auth", "frontend", "hello"}
        assert lab.replicas("hello") == 3
        assert lab.versions() == {"1.0.0": 20}

        again = lab.play("canary", abort=True)
        assert again.code == 0, again.output
        assert again.changed == 0, again.output
        assert "nothing to abort; to go back from 1.0.0: rollback.yml" in again.output
    assert traffic.lost == []
    good_copies_stay(history)


@pytest.mark.parametrize("version", ["broken", "crash"])
def test_a_canary_that_fails_is_removed_by_itself(lab: Lab, version: str) -> None:
    applications = description()
    applications["hello"]["image"] = "sandbox/hello"
    with History(lab) as history:
        run = lab.play("canary", version=version, applications=applications, canary_weight=50)
    assert run.code != 0
    good_copies_stay(history)
    assert "rolled back to 1.0.0, which receives all traffic again" in run.output, run.output
    assert "HTTP 500" in run.output or "CrashLoopBackOff" in run.output, run.output
    assert lab.deployments() == {"auth", "frontend", "hello"}
    assert lab.versions() == {"1.0.0": 20}


def test_a_canary_that_is_too_slow_is_not_waited_for(lab: Lab) -> None:
    applications = description()
    applications["hello"]["image"] = "sandbox/hello"
    entry = {"service": "frontend", "scheme": "https", "path": "/version", "validate_certs": False, "max_p99": 0.5}
    run = lab.play(
        "canary",
        "-v",
        version="slow",
        applications=applications,
        canary_weight=50,
        canary_settle=20,
        application_entry=entry,
    )
    assert run.code != 0
    assert "took more than 0.5 s for" in run.output, run.output
    assert lab.versions() == {"1.0.0": 20}


def test_a_run_that_was_cut_off_in_a_promotion_goes_on(lab: Lab) -> None:
    assert lab.play("canary", version="2.0.0").code == 0
    container = {"name": "hello", "image": "kelseyhightower/hello:2.0.0"}
    template = {"metadata": {"labels": {"version": "2.0.0"}}, "spec": {"containers": [container]}}
    lab.apps.patch_namespaced_deployment("hello", lab.namespace, {"spec": {"template": template}})
    run = lab.play("canary", version="2.0.0")
    assert run.code == 0, run.output
    assert lab.deployments() == {"auth", "frontend", "hello"}
    assert lab.versions() == {"2.0.0": 20}


def test_a_deployment_of_ones_own(lab: Lab) -> None:
    text = [{"name": "TEXT", "value": "{{ lookup('pipe', 'echo it-was-$((6*7))') }}"}]
    template = {"spec": {"containers": [{"name": "hello", "env": text}]}}
    lab.apps.patch_namespaced_deployment("hello", lab.namespace, {"spec": {"template": template}})
    entry = {"service": "frontend", "port": 443, "scheme": "https", "validate_certs": False}
    run = lab.play("canary", version="2.0.0", applications={}, canary_entry=entry, canary_weight=50)
    assert run.code == 0, run.output
    pod = lab.apps.read_namespaced_deployment("hello-canary", lab.namespace).spec.template
    assert pod.metadata.labels == {"app": "hello", "track": "canary", "version": "2.0.0"}
    assert pod.spec.containers[0].env[0].value == text[0]["value"]  # what looks like a template is text


@pytest.mark.parametrize(
    ("extra_vars", "sentence"),
    [
        ({"version": 2.0}, "quote"),
        ({"promote": True}, "no canary of hello to promote"),
        ({"version": "2.0.0", "canary_weight": 101}, "at most 100"),
        ({"version": "2.0.0", "canary_weight": 10}, "10% needs 9 stable and 1 canary"),
        ({"version": "2.0.0", "canary_steps": [{"weight": 50}, {"weight": 25}]}, "go from 50% to 25%"),
        ({"version": "2.0.0", "application": "goodbye"}, "no Deployment goodbye"),
        ({"version": "2.0.0", "canary_service": "nowhere"}, "no Service nowhere"),
        ({"version": "2.0.0", "application_namespace": "nowhere"}, "no namespace nowhere"),
    ],
)
def test_a_bad_variable_touches_nothing(bad_lab: Lab, extra_vars: dict[str, Any], sentence: str) -> None:
    before = bad_lab.spec_versions()
    run = bad_lab.play("canary", **extra_vars)
    assert run.code != 0, run.output
    assert sentence in " ".join(run.output.split()), run.output
    assert bad_lab.spec_versions() == before


def test_check_mode_says_what_it_would_do(bad_lab: Lab) -> None:
    before = bad_lab.spec_versions()
    dry = bad_lab.play("canary", "--check", "--diff", version="2.0.0", promote=True)
    assert dry.code == 0, dry.output
    assert dry.changed > 0
    assert bad_lab.spec_versions() == before


def test_session_affinity_is_a_property_of_the_application(lab: Lab) -> None:
    applications = description()
    applications["hello"]["service_session_affinity"] = "ClientIP"
    run = lab.play("app_deploy", applications=applications)
    assert run.code == 0, run.output
    assert lab.core.read_namespaced_service("hello", lab.namespace).spec.session_affinity == "ClientIP"
    canary = lab.play("canary", version="2.0.0", applications=applications)
    assert canary.code == 0, canary.output  # one client, the frontend's pod, has one version: only losses count


def test_traffic_that_becomes_bad_during_a_pause_takes_the_canary_away(lab: Lab) -> None:
    with lab.start("canary", version="2.0.0", canary_steps=[{"weight": 25, "pause": "5m"}]) as running:
        assert running.stdout is not None
        output = ""
        while "observed: " not in output:  # the canary has its share, and the pause begins
            line = running.stdout.readline()
            assert line, output
            output += line
        container = {"name": "hello", "image": "sandbox/hello:broken"}
        template = {"spec": {"template": {"spec": {"containers": [container]}}}}
        lab.apps.patch_namespaced_deployment("hello-canary", lab.namespace, template)
        output += running.communicate(timeout=120)[0]
    assert running.returncode != 0
    assert "was rolled back to 1.0.0, which receives all traffic again" in output, output
    assert "HTTP 500" in output
    assert lab.deployments() == {"auth", "frontend", "hello"}
