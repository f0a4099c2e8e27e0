"""playbooks/canary.yml where it was cut off, on what others made, and where its traffic turns bad."""

from __future__ import annotations

from integration.playbooks import PATIENCE, Lab, description


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
    lab.settled()
    entry = {"service": "frontend", "port": 443, "scheme": "https", "validate_certs": False}
    run = lab.play("canary", version="2.0.0", applications={}, canary_entry=entry, canary_weight=50)
    assert run.code == 0, run.output
    pod = lab.apps.read_namespaced_deployment("hello-canary", lab.namespace).spec.template
    assert pod.metadata.labels == {"app": "hello", "track": "canary", "version": "2.0.0"}
    assert pod.spec.containers[0].env[0].value == text[0]["value"]  # what looks like a template is text


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
        # A pod that users are led to as to the canary's own, that goes with it, and that knows no version.
        canary = lab.apps.read_namespaced_deployment("hello-canary", lab.namespace)
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello-canary", "uid": canary.metadata.uid}
        metadata = {"name": "stray", "labels": canary.spec.template.metadata.labels, "ownerReferences": [owner]}
        container = {"name": "nginx", "image": "nginx:1.28.0", "ports": [{"containerPort": 80}]}
        lab.core.create_namespaced_pod(lab.namespace, {"metadata": metadata, "spec": {"containers": [container]}})
        output += running.communicate(timeout=PATIENCE)[0]
    assert running.returncode != 0
    assert "was rolled back to 1.0.0, which receives all traffic again" in output, output
    assert "HTTP 404" in output, output
    assert lab.deployments() == {"auth", "frontend", "hello"}
