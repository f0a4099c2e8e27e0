"""What a scaling leaves as its outcome, whatever became of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from convoy_sandbox.testing import sandbox
from convoy_sandbox.writes import Write
from integration.outcomes import Outcomes, gateway, refuses, said, watched_well
from integration.playbooks import PATIENCE, Lab
from kubernetes import client


def test_up_again_a_step_refusals_and_none_in_one_play(lab: Lab, tmp_path: Path) -> None:
    runs = [{"scale_replicas": replicas} for replicas in ("5", "5", "-2", "many", "-9", "900000", "0")]
    (up, again, step, many, fewer, room, none), run = Outcomes(lab, tmp_path, "scale", *runs).run()

    assert said(up) == ("success", "pass", 3, 5, True, False)
    assert up["message"] == "Deployment hello was scaled from 3 to 5 replicas."
    assert (up["requested"]["replicas"], up["target"], up["way_back"]) == ("5", 5, "-e replicas=3")
    assert [(each["what"], each["verdict"]) for each in up["evidence"] if each["final"]] == [
        ("pods", "pass"),
        ("traffic", "pass"),
    ]
    assert "observed: 5 of 5 pods are ready" in up["lines"]
    answered = re.compile(r"observed: 1\.0\.0 (\d+) of \1 requests, 0 lost by ")
    assert any(answered.match(line) for line in up["lines"]), up["lines"]
    watched_well(up, r"all answers from 1\.0\.0")
    assert run.changed == 4  # the file of the outcomes is one, too
    assert (up["samples"] > 0, up["lost"]) == (True, 0)

    assert said(again) == ("success", "pass", 5, 5, False, False)
    assert again["verified_by"] == "versions"  # the number may be there already as another run was cut off
    assert again["message"] == "Deployment hello already has 5 replicas."
    assert (again["way_back"], again["watched"]) == ("", None)

    assert said(step) == ("success", "pass", 5, 3, True, False)

    assert said(many) == ("refused", "fail", None, None, False, True)
    assert "set a number such as 5" in many["message"]
    for outcome, sentence in ((fewer, "which is negative"), (room, "cannot have 900000 replicas, it keeps its 3: ")):
        assert said(outcome) == ("refused", "fail", 3, 3, False, True)
        assert sentence in outcome["message"]
        assert outcome["evidence"] == []

    assert said(none) == ("success", "pass", 3, 0, True, False)
    assert [each["what"] for each in none["evidence"] if each["final"]] == ["pods"]


def test_where_an_autoscaler_decides_nothing_is_proved(lab: Lab, tmp_path: Path) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 8}
    scalers = client.AutoscalingV2Api(lab.api)
    scalers.create_namespaced_horizontal_pod_autoscaler(lab.namespace, {"metadata": {"name": "busy"}, "spec": spec})
    (outcome,), _run = Outcomes(lab, tmp_path, "scale", {"scale_replicas": "5"}).run()
    assert said(outcome) == ("unverified", "unverified", 3, 3, False, False)
    assert "HorizontalPodAutoscaler busy sets them, from 2 to 8" in outcome["message"]
    assert lab.replicas("hello") == 3


def test_what_is_not_there_is_refused(bad_lab: Lab, tmp_path: Path) -> None:
    five: dict[str, Any] = {"scale_replicas": "5"}
    refuses(
        bad_lab,
        tmp_path,
        "scale",
        (five | {"scale_application": "goodbye"}, "There is no Deployment goodbye in namespace"),
        (five | {"scale_namespace": "nowhere"}, "There is no namespace nowhere"),
    )


def test_check_mode_proves_nothing_and_changes_nothing(bad_lab: Lab, tmp_path: Path) -> None:
    before = bad_lab.spec_versions()
    (outcome,), run = Outcomes(bad_lab, tmp_path, "scale", {"scale_replicas": "+1"}).run("--check", "--diff")
    assert run.changed == 2  # the file of the outcomes is one, too
    assert re.search(r'^\+ +"?replicas"?: 4', run.output, re.MULTILINE), run.output
    assert said(outcome) == ("check mode", "unverified", 3, 3, False, False)
    assert outcome["message"] == "Deployment hello would be scaled from 3 to 4 replicas."
    assert bad_lab.spec_versions() == before


def test_pods_that_never_get_ready_are_left_and_told(lab: Lab, tmp_path: Path) -> None:
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"limits.cpu": "100"}}}
    lab.core.create_namespaced_resource_quota(lab.namespace, quota)
    # An image that cannot be pulled: the two new pods never start.
    template = {"spec": {"containers": [{"name": "hello", "image": "kelseyhightower/hello:0.0.0-nowhere"}]}}
    patch: dict[str, Any] = {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 0}}, "template": template}}
    lab.apps.patch_namespaced_deployment("hello", lab.namespace, patch)
    (outcome,), _run = Outcomes(lab, tmp_path, "scale", {"scale_replicas": "4"}).run()
    assert said(outcome) == ("failed", "fail", 3, 4, True, True)
    assert "Deployment hello did not complete its rollout: pod hello-" in outcome["reason"]
    assert (
        f"pods ready, and nothing was rolled back. To go back to 3 replicas: kubectl -n {lab.namespace} scale "
        "deployment/hello --replicas=3."
    ) in outcome["message"]


def test_pods_that_are_ready_and_fail_requests_fail_it(lab: Lab, tmp_path: Path) -> None:
    with gateway(lambda: "1.0.0" if lab.replicas("hello") == 3 else None) as url:
        variables = {"scale_replicas": "5", "scale_entry": {"url": url}, "scale_settle": 1}
        (outcome,), _run = Outcomes(lab, tmp_path, "scale", variables).run()
    assert said(outcome) == ("failed", "fail", 3, 5, True, True)
    assert "HTTP 502" in outcome["reason"]
    assert "Deployment hello has 5 of 5 pods ready, and nothing was rolled back." in outcome["message"]
    assert [(each["what"], each["verdict"]) for each in outcome["evidence"]] == [
        ("before", "pass"),
        ("pods", "pass"),
        ("traffic", "fail"),
    ]


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    """A sandbox of one's own whose pods take a second to start, with two pods of shop behind a Service."""
    container = {"name": "hello", "image": "kelseyhightower/hello:1.0.0", "ports": [{"containerPort": 80}]}
    labels = {"app": "shop"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    with sandbox(nodes=1) as cluster:
        lab = Lab(str(cluster.kubeconfig), "default")
        lab.apps.create_namespaced_deployment("default", {"metadata": {"name": "shop"}, "spec": spec})
        ports = [{"port": 80, "targetPort": 80}]
        service = {"metadata": {"name": "release"}, "spec": {"selector": labels, "ports": ports}}
        lab.core.create_namespaced_service("default", service)
        lab.complete()
        yield cluster, lab


def scaling(write: Write) -> bool:
    """A write of a Deployment."""
    return write.action.resource == "deployments" and write.action.name == "shop"


def test_somebody_elses_number_is_a_failure_that_names_the_field_and_who_wrote_it(shop: Any, tmp_path: Path) -> None:
    cluster, lab = shop
    outcomes = Outcomes(lab, tmp_path, "scale", {"scale_application": "shop", "scale_replicas": "7"})
    with cluster.hold(1, "after", scaling) as held:
        running = outcomes.start()
        assert held.wait(PATIENCE) is not None
        lab.apps.patch_namespaced_deployment_scale("shop", "default", {"spec": {"replicas": 3}}, field_manager="eve")
        held.release()
        output = running.communicate(timeout=PATIENCE)[0]
    (outcome,) = outcomes.read()
    assert said(outcome) == ("failed", "fail", 2, 3, True, True), output
    assert outcome["reason"] == (
        "Deployment shop was scaled from 7 to 3 replicas by somebody else during this run (field manager eve wrote "
        "spec.replicas); find out who did that, and run the playbook again."
    )
    assert "of 3 pods ready, and nothing was rolled back." in outcome["message"]
    assert lab.replicas("shop") == 3


def test_a_run_whose_lock_is_taken_over_before_it_writes_changes_nothing(shop: Any, tmp_path: Path) -> None:
    cluster, lab = shop

    def locked(write: Write) -> bool:
        return write.action.resource == "leases"

    outcomes = Outcomes(lab, tmp_path, "scale", {"scale_application": "shop", "scale_replicas": "5"})
    with cluster.hold(1, "after", locked) as held:
        running = outcomes.start()
        assert held.wait(PATIENCE) is not None
        leases = client.CoordinationV1Api(lab.api)
        # A patch, as the run renews it meanwhile.
        taken = {"spec": {"holderIdentity": "somebody@elsewhere (1-00000000)"}}
        leases.patch_namespaced_lease("convoy-shop", "default", taken)
        held.release()
        output = running.communicate(timeout=PATIENCE)[0]
    (outcome,) = outcomes.read()
    assert said(outcome) == ("taken over", "fail", 2, 2, False, True), output
    assert "was taken over by somebody@elsewhere" in outcome["reason"]
    assert lab.replicas("shop") == 2


def test_one_that_somebody_else_scales_meanwhile_keeps_their_number() -> None:
    def scales(write: Write) -> bool:
        return write.action.resource == "deployments" and write.action.name == "hello"

    container = {"name": "hello", "image": "kelseyhightower/hello:1.0.0"}
    labels = {"app": "hello"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    with sandbox(nodes=1) as cluster:
        lab = Lab(str(cluster.kubeconfig), "default")
        lab.apps.create_namespaced_deployment("default", {"metadata": {"name": "hello"}, "spec": spec})
        lab.complete()
        with cluster.hold(1, "before", scales) as held:
            running = lab.start("scale", replicas=5, application_entry={})
            assert held.wait(PATIENCE) is not None, running.communicate(timeout=PATIENCE)[0]
            lab.apps.patch_namespaced_deployment_scale("hello", "default", {"spec": {"replicas": 4}})
            held.release()
            output = running.communicate(timeout=PATIENCE)[0]
        assert running.returncode != 0
        said = "Deployment hello was scaled from 2 to 4 replicas by somebody else during this run (field manager "
        assert said in " ".join(output.split()), output
        # How far the other one has come by now is not for this run to say.
        assert re.search(r"Deployment hello has \d of 4 pods ready\.", " ".join(output.split())), output
        assert lab.replicas("hello") == 4
