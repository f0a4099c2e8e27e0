"""Somebody else at work on what a run changes: it stops, names the field and who wrote it, and one version is live."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from convoy_sandbox.writes import Write
from integration.outcomes import Outcomes, said
from integration.playbooks import PATIENCE, Lab, Traffic, description
from kubernetes import client
from reliability.kills import Bench, Object, bench, start_of

GIT = "argocd-controller"
SELECTOR = {"app": "hello"}


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[Bench, dict[str, list[Object]]]]:
    """A sandbox that stops runs at what they write, and the lab's application to be made there."""
    with bench(quick=True) as it:
        lab = it.lab()
        run, _started = it.run(lab, ("app_deploy", {}))
        assert run.code == 0, run.output
        yield it, start_of(it.objects(lab))


@pytest.fixture
def place(made: tuple[Bench, dict[str, list[Object]]]) -> Iterator[tuple[Bench, Lab]]:
    """That sandbox, and the lab's application in a namespace of its own."""
    it, start = made
    lab = it.begin(start)
    yield it, lab
    it.forget(lab)


def of(lab: Lab, resource: str, name: str) -> Callable[[Write], bool]:
    """The writes of one object."""
    return lambda write: (
        (write.action.namespace, write.action.resource, write.action.name)
        == (
            lab.namespace,
            resource,
            name,
        )
    )


def selected(lab: Lab, selector: dict[str, Any]) -> None:
    """Somebody gives the Service another selector, whatever it has."""
    there = lab.selector()
    patch = {**dict.fromkeys(there), **selector}
    lab.core.patch_namespaced_service("hello", lab.namespace, {"spec": {"selector": patch}}, field_manager=GIT)


def imaged(lab: Lab, deployment: str, image: str) -> None:
    """Somebody gives a Deployment another image."""
    container = {"name": "hello", "image": image}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    lab.apps.patch_namespaced_deployment(deployment, lab.namespace, patch, field_manager="colleague")


def slow() -> dict[str, Any]:
    """A description whose new pods are not ready as long as a test lasts."""
    applications = description()
    applications["hello"]["container"]["readinessProbe"]["initialDelaySeconds"] = 600
    return applications


def test_where_the_pin_is_gone_the_other_colour_is_not_created(place: tuple[Bench, Lab], tmp_path: Path) -> None:
    it, lab = place
    outcomes = Outcomes(lab, tmp_path, "bluegreen", {"bluegreen_version": "2.0.0"})
    outcome = outcomes.met(it.cluster, of(lab, "services", "hello"), lambda: selected(lab, SELECTOR))
    assert said(outcome) == ("failed", "fail", "1.0.0", "1.0.0", True, True)
    field = f"spec.selector of Service hello was changed from app=hello,version=1.0.0 to app=hello by {GIT} during"
    assert field in outcome["reason"]
    assert "Turn off self-heal in its Argo CD application" in outcome["reason"]
    assert lab.deployments() == {"auth", "frontend", "hello"}
    assert lab.selector() == SELECTOR


def test_a_colour_that_gets_traffic_before_it_was_verified_is_removed(place: tuple[Bench, Lab], tmp_path: Path) -> None:
    it, lab = place
    outcomes = Outcomes(lab, tmp_path, "bluegreen", {"bluegreen_version": "2.0.0"})
    outcome = outcomes.met(it.cluster, of(lab, "deployments", "hello-green"), lambda: selected(lab, SELECTOR))
    assert said(outcome) == ("failed", "fail", "1.0.0", "1.0.0", True, True)
    assert f"from app=hello,version=1.0.0 to app=hello by {GIT}" in outcome["reason"]
    assert "Users get 1.0.0 as before." in outcome["message"]
    assert lab.deployments() == {"auth", "frontend", "hello"}
    assert lab.versions() == {"1.0.0": 20}


def test_a_run_whose_lock_is_taken_over_before_its_switch_changes_nothing_more(
    place: tuple[Bench, Lab], tmp_path: Path
) -> None:
    it, lab = place
    outcomes = Outcomes(lab, tmp_path, "bluegreen", {"bluegreen_version": "2.0.0"})

    def taken_over() -> None:
        leases = client.CoordinationV1Api(lab.api)
        # A patch, as the run renews it meanwhile.
        taken = {"spec": {"holderIdentity": "somebody@elsewhere (1-00000000)"}}
        leases.patch_namespaced_lease("convoy-hello", lab.namespace, taken)

    outcome = outcomes.met(it.cluster, of(lab, "services", "hello-preview"), taken_over)
    assert said(outcome) == ("taken over", "fail", "1.0.0", None, True, True)
    assert "was taken over by somebody@elsewhere" in outcome["reason"]
    assert lab.selector() == SELECTOR | {"version": "1.0.0"}  # to which it was pinned for the other colour


def test_a_switch_that_is_put_back_ends_with_one_version_live(place: tuple[Bench, Lab], tmp_path: Path) -> None:
    it, lab = place

    def heal() -> None:
        """Git has a Service without a pin, and puts it back as soon as users get another version."""
        assert lab.selector()["version"] == "2.0.0"
        selected(lab, SELECTOR)

    outcomes = Outcomes(lab, tmp_path, "bluegreen", {"bluegreen_version": "2.0.0"})
    with Traffic(lab) as traffic:
        outcome = outcomes.met(it.cluster, of(lab, "services", "hello"), heal, number=2)
    assert said(outcome)[1:] == ("fail", "1.0.0", "1.0.0", True, True)
    assert "hello 2.0.0 was not verified and the traffic was switched back to 1.0.0" in outcome["message"]
    assert f"from app=hello,color=green,version=2.0.0 to app=hello by {GIT}" in outcome["reason"]
    assert lab.versions() == {"1.0.0": 20}
    assert traffic.lost == []


def test_who_deletes_the_other_colour_or_gives_it_another_image_is_said(
    place: tuple[Bench, Lab], tmp_path: Path
) -> None:
    it, lab = place
    outcomes = Outcomes(lab, tmp_path, "bluegreen", {"bluegreen_version": "2.0.0", "bluegreen_applications": slow()})

    def image() -> None:
        imaged(lab, "hello-green", "kelseyhightower/hello:3.0.0")

    outcome = outcomes.met(it.cluster, of(lab, "services", "hello-preview"), image)
    assert said(outcome) == ("failed", "fail", "1.0.0", "1.0.0", True, True)
    changed = "was changed from kelseyhightower/hello:2.0.0 to kelseyhightower/hello:3.0.0 by colleague"
    assert f"spec.template.spec.containers[name=hello].image of Deployment hello-green {changed}" in outcome["reason"]

    def deleted() -> None:
        lab.apps.delete_namespaced_deployment("hello-green", lab.namespace)

    outcome = outcomes.met(it.cluster, of(lab, "deployments", "hello-green"), deleted)
    assert said(outcome) == ("failed", "fail", "1.0.0", "1.0.0", True, True)
    assert "Deployment hello-green was deleted by somebody else" in outcome["reason"]
    assert lab.versions() == {"1.0.0": 20}


def test_who_pauses_a_rolling_update_is_said(place: tuple[Bench, Lab], tmp_path: Path) -> None:
    it, lab = place
    outcomes = Outcomes(lab, tmp_path, "rolling_update", {"rolling_update_version": "2.0.0"})

    def paused() -> None:
        patch = {"spec": {"paused": True}}
        lab.apps.patch_namespaced_deployment("hello", lab.namespace, patch, field_manager="colleague")

    outcome = outcomes.met(it.cluster, of(lab, "deployments", "hello"), paused)
    assert "spec.paused of Deployment hello was changed from false to true by colleague" in outcome["reason"]
    assert outcome["failed"]
    assert "failed verification" not in outcome["message"]


def test_a_rolling_update_whose_service_leads_elsewhere_says_who_did_it(
    place: tuple[Bench, Lab], tmp_path: Path
) -> None:
    it, lab = place
    variables = {"rolling_update_version": "2.0.0", "rolling_update_settle": 3}
    outcomes = Outcomes(lab, tmp_path, "rolling_update", variables)
    outcome = outcomes.met(it.cluster, of(lab, "deployments", "hello"), lambda: selected(lab, {"app": "auth"}))
    assert f"from app=hello to app=auth by {GIT}" in outcome["reason"]
    assert outcome["failed"]


def test_who_deletes_what_is_scaled_is_said(place: tuple[Bench, Lab], tmp_path: Path) -> None:
    it, lab = place
    outcomes = Outcomes(lab, tmp_path, "scale", {"scale_replicas": "5"})

    def deleted() -> None:
        lab.apps.delete_namespaced_deployment("hello", lab.namespace)

    outcome = outcomes.met(it.cluster, of(lab, "deployments", "hello"), deleted)
    assert said(outcome) == ("failed", "fail", 3, None, True, True)
    assert "Deployment hello was deleted by somebody else" in outcome["reason"]


@pytest.mark.parametrize("what", ["label", "weight"])
def test_what_changes_in_a_canarys_pause_is_said(place: tuple[Bench, Lab], tmp_path: Path, what: str) -> None:
    _it, lab = place
    steps = [{"weight": 25, "pause": "5m"}, {"weight": 75}]
    outcomes = Outcomes(lab, tmp_path, "canary", {"canary_version": "2.0.0", "canary_steps": steps})
    acts: dict[str, Callable[[], Any]] = {
        "label": lambda: selected(lab, {"app": "hello", "track": "stable"}),
        "weight": lambda: lab.apps.patch_namespaced_deployment_scale(
            "hello", lab.namespace, {"spec": {"replicas": 9}}, field_manager="colleague"
        ),
    }
    reasons = {
        "label": f"from app=hello to app=hello,track=stable by {GIT}",
        "weight": "spec.replicas of Deployment hello was changed from 3 to 9 by colleague",
    }
    with outcomes.start() as running:
        assert running.stdout is not None
        output = ""
        while "observed: " not in output:
            line = running.stdout.readline()
            assert line, output
            output += line
        acts[what]()
        output += running.communicate(timeout=PATIENCE)[0]
    (outcome,) = outcomes.read()
    assert reasons[what] in outcome["reason"], output
    assert outcome["verdict"] == "fail"
    assert "hello-canary" not in lab.deployments()


def test_replicas_that_are_put_back_while_all_is_deployed_are_said(place: tuple[Bench, Lab], tmp_path: Path) -> None:
    it, lab = place
    applications = description()
    applications["hello"]["replicas"] = 5
    outcomes = Outcomes(lab, tmp_path, "app_deploy", {"app_deploy_applications": applications})

    def scaled() -> None:
        patch = {"spec": {"replicas": 2}}
        lab.apps.patch_namespaced_deployment_scale("hello", lab.namespace, patch, field_manager="colleague")

    outcome = outcomes.met(it.cluster, of(lab, "deployments", "hello"), scaled)
    assert "spec.replicas of Deployment hello was changed from 5 to 2 by colleague" in outcome["reason"]
    assert (outcome["ending"], outcome["verdict"]) == ("failed", "fail")
