"""playbooks/scale.yml: to a number or by a step, where there is room and nobody else decides."""

from __future__ import annotations

import re
from typing import Any

import pytest
from convoy_sandbox.testing import sandbox
from convoy_sandbox.writes import Write
from integration.playbooks import Lab
from kubernetes import client


def test_to_five_and_back_and_by_a_step(lab: Lab) -> None:
    up = lab.play("scale", replicas=5)
    assert (up.code, up.changed) == (0, 1), up.output
    assert "was scaled from 3 to 5 replicas.\n  observed: 5 of 5 pods are ready" in up.output
    assert re.search(r"observed: 1\.0\.0 20 of 20 requests, 0 lost by ", up.output), up.output
    assert re.search(r"watched: \d+ requests, 0 lost; all answers from 1\.0\.0", up.output), up.output
    again = lab.play("scale", replicas=5)
    assert (again.code, again.changed) == (0, 0), again.output
    down = lab.play("scale", replicas="-2")
    assert "was scaled from 5 to 3 replicas.\n  observed: 3 of 3 pods are ready" in down.output, down.output
    assert lab.replicas("hello") == 3


def test_check_mode_tells_and_changes_nothing(bad_lab: Lab) -> None:
    dry = bad_lab.play("scale", "--check", "--diff", replicas="+1")
    assert (dry.code, dry.changed) == (0, 1), dry.output
    assert "would be scaled from 3 to 4 replicas" in dry.output
    assert re.search(r'^\+ +"?replicas"?: 4', dry.output, re.MULTILINE), dry.output
    assert bad_lab.replicas("hello") == 3


@pytest.mark.parametrize(
    ("extra_vars", "sentence"),
    [
        ({}, "Give the number of replicas or a step for hello"),
        ({"replicas": "many"}, "give a number as 5"),
        ({"replicas": "-4"}, "fewer than none"),
        ({"replicas": 500}, "Deployment hello cannot have 500 replicas, it keeps its 3"),
        ({"replicas": 5, "application": "goodbye"}, "There is no Deployment goodbye in namespace"),
        ({"replicas": 5, "application_namespace": "nowhere"}, "There is no namespace nowhere"),
    ],
)
def test_what_cannot_be_is_refused_and_touches_nothing(bad_lab: Lab, extra_vars: dict[str, Any], sentence: str) -> None:
    before = bad_lab.spec_versions()
    run = bad_lab.play("scale", **extra_vars)
    assert run.code != 0, run.output
    assert sentence in " ".join(run.output.split()), run.output
    assert bad_lab.spec_versions() == before


def test_where_an_autoscaler_decides_the_number_is_left_alone(lab: Lab) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 8}
    scalers = client.AutoscalingV2Api(lab.api)
    scalers.create_namespaced_horizontal_pod_autoscaler(lab.namespace, {"metadata": {"name": "busy"}, "spec": spec})
    run = lab.play("scale", replicas=5)
    assert (run.code, run.changed) == (0, 0), run.output
    assert "HorizontalPodAutoscaler busy" in " ".join(run.output.split()), run.output
    assert lab.replicas("hello") == 3


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
        with cluster.hold(1, "before", scales) as held:
            running = lab.start("scale", replicas=5, application_entry={})
            assert held.wait(120) is not None, running.communicate(timeout=60)[0]
            lab.apps.patch_namespaced_deployment_scale("hello", "default", {"spec": {"replicas": 4}})
            held.release()
            output = running.communicate(timeout=120)[0]
        assert running.returncode != 0
        said = "Deployment hello was scaled from 2 to 4 replicas by somebody else meanwhile (field manager "
        assert said in " ".join(output.split()), output
        assert "Deployment hello has 2 of 4 pods ready." in " ".join(output.split()) or "4 of 4 pods ready." in output
        assert lab.replicas("hello") == 4
