"""playbooks/app_deploy.yml: the application as described, its Secrets never shown."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from integration.outcomes import Outcomes
from integration.playbooks import ROOT, Lab, description, namespace_gone


def test_check_mode_tells_what_would_change_and_changes_nothing(empty: Lab) -> None:
    dry = empty.play("app_deploy", "--check", "--diff")
    assert dry.code == 0, dry.output
    assert dry.changed > 0
    assert "Deployment hello" in dry.output
    assert empty.deployments() == set()


def deploys(lab: Lab, folder: Path, *runs: dict[str, Any]) -> Outcomes:
    """A play that deploys once for each set of the role's variables, given without their prefix."""
    return Outcomes(lab, folder, "app_deploy", *({f"app_deploy_{key}": run[key] for key in run} for run in runs))


def test_secrets_never_show(empty: Lab, tmp_path: Path) -> None:
    secrets, runs = ("the-first-secret", "the-second-secret"), []
    for secret in secrets:
        applications = description()
        applications["auth"]["secrets"] = {"token": {"data": {"token": secret}}}
        runs.append({"applications": applications})
    outcomes, run = deploys(empty, tmp_path, *runs).run("-vvv", "--diff")
    assert [outcome["ending"] for outcome in outcomes] == ["success"] * 2
    stored = {name: item.data for name, item in empty.objects().items() if name.startswith("Secret")}
    assert base64.b64decode(stored["Secret token"]["token"]) == b"the-second-secret"
    hidden = {value for data in stored.values() for value in data.values()} | {*secrets, "PRIVATE KEY"}
    hidden |= {base64.b64encode(b"the-first-secret").decode()}
    assert not [secret for secret in hidden if secret in run.output]
    assert "Secret token" in run.output


def test_diff_shows_what_changed(lab: Lab) -> None:
    applications = description()
    applications["hello"]["container"]["env"] = [{"name": "GREETING", "value": "good-morning"}]
    dry = lab.play("app_deploy", "--check", "--diff", applications=applications)
    assert dry.changed == 1
    assert "good-morning" in dry.output
    assert "Deployment hello" in dry.output
    assert "Secret" not in dry.output


def test_a_changed_config_map_starts_new_pods_and_an_existing_certificate_is_kept(lab: Lab) -> None:
    before = lab.objects()["Secret tls-certs"]
    applications = description()
    conf = applications["frontend"]["config_maps"]["nginx-frontend-conf"]
    conf["frontend.conf"] = conf["frontend.conf"].replace("location /login", "location /version")
    run = lab.play("app_deploy", applications=applications)
    assert run.code == 0, run.output
    revision = lab.apps.read_namespaced_deployment("frontend", lab.namespace).metadata.annotations
    assert revision["deployment.kubernetes.io/revision"] == "2"
    after = lab.objects()["Secret tls-certs"]
    assert (after.data, after.metadata.resource_version) == (before.data, before.metadata.resource_version)
    assert lab.versions() == {"1.0.0": 20}


def test_a_field_that_leaves_the_description_leaves_the_cluster(lab: Lab, tmp_path: Path) -> None:
    applications = description()
    applications["hello"]["container"]["env"] = [{"name": "GREETING", "value": "hello"}]
    (there, gone), _run = deploys(lab, tmp_path, {"applications": applications}, {}).run()
    assert [(each["ending"], each["changed"]) for each in (there, gone)] == [("success", True)] * 2
    pod = lab.apps.read_namespaced_deployment("hello", lab.namespace).spec.template.spec
    assert pod.containers[0].env is None


def test_what_others_set_is_refused_or_taken_away_and_a_label_that_is_added_leaves_the_selector(
    lab: Lab, tmp_path: Path
) -> None:
    variable = {"name": "hello", "env": [{"name": "DEBUG", "value": "1"}]}
    patch = {"spec": {"template": {"spec": {"containers": [variable]}}}}
    lab.apps.patch_namespaced_deployment("hello", lab.namespace, patch, field_manager="kubectl-set")
    lab.settled()
    applications = description()
    applications["hello"]["labels"] = {**applications["hello"].get("labels", {}), "team": "red"}
    before = lab.objects()
    selector = before["Deployment hello"].spec.selector.match_labels
    given = {"applications": applications}
    taken = given | {"others": "take"}
    (refused, took, again), run = deploys(lab, tmp_path, given, taken, taken).run()
    assert (refused["ending"], refused["changed"]) == ("refused", False)
    assert "variable DEBUG of container hello (by kubectl-set)" in refused["reason"]
    ends = (took["ending"], again["ending"], again["changed"])
    assert ends == ("success", "success", False), took["reason"]
    assert "which is immutable" in " ".join(run.output.split())
    hello = lab.objects()["Deployment hello"]
    assert hello.metadata.generation == before["Deployment hello"].metadata.generation + 1  # written once
    assert hello.spec.selector.match_labels == selector
    assert hello.spec.template.metadata.labels["team"] == "red"
    assert hello.spec.template.spec.containers[0].env is None


def test_own_templates(empty: Lab, tmp_path: Path) -> None:
    ours = (ROOT / "roles/app_deploy/templates/deployment.yaml.j2").read_text()
    ours = ours.replace("metadata:\n  name:", "metadata:\n  annotations: {team: blue}\n  name:")
    (tmp_path / "deployment.yaml.j2").write_text(ours)
    (tmp_path / "budget.yaml.j2").write_text(
        "{% for name in deployments %}\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\n"
        "metadata: {name: '{{ name }}'}\n"
        "spec: {maxUnavailable: 1, selector: {matchLabels: {app: '{{ name }}'}}}\n{% endfor %}\n"
    )
    templates = {"deployment": str(tmp_path / "deployment.yaml.j2"), "budget": str(tmp_path / "budget.yaml.j2")}
    run = empty.play("app_deploy", application_templates=templates)
    assert run.code == 0, run.output
    hello = empty.apps.read_namespaced_deployment("hello", empty.namespace)
    assert hello.metadata.annotations["team"] == "blue"
    assert empty.versions() == {"1.0.0": 20}


def test_a_switched_service_stays_switched(lab: Lab, tmp_path: Path) -> None:
    assert lab.play("bluegreen", version="2.0.0", bluegreen_keep_previous=False, bluegreen_previous_delay=0).code == 0
    before, selector = lab.spec_versions(), lab.selector()
    (first, again), _run = deploys(lab, tmp_path, {}, {}).run()
    assert (first["ending"], again["ending"], again["changed"]) == ("success", "success", False)
    # The switch took the selector over; applying the same one shares it again, which is a change of owners only.
    after = lab.spec_versions()
    assert lab.selector() == selector
    assert {name for name in before | after if before.get(name) != after.get(name)} <= {"Service hello"}
    assert lab.versions() == {"2.0.0": 20}


def test_a_namespace_that_is_missing_is_created_only_where_asked(empty: Lab) -> None:
    missing = f"{empty.namespace}-more"
    dry = empty.play("app_deploy", "--check", application_namespace=missing, app_deploy_create_namespace=True)
    assert (dry.code, dry.changed) == (0, 2), dry.output
    assert f"would be applied once namespace {missing} exists: Secret tls-certs, ConfigMap" in dry.output
    assert missing not in {item.metadata.name for item in empty.core.list_namespace().items}
    try:
        run = empty.play("app_deploy", application_namespace=missing, app_deploy_create_namespace=True)
        assert run.code == 0, run.output
        hello = empty.apps.read_namespaced_deployment("hello", missing)
        assert hello.status.ready_replicas == 3
        sets = [item.metadata.name for item in empty.apps.list_namespaced_replica_set(missing).items]
        pods = [item.metadata.name for item in empty.core.list_namespaced_pod(missing).items]
        assert "DEPLOYMENT  READY  IMAGE" in run.output
        assert not [name for name in [*sets, *pods] if name not in run.output]
        assert re.search(r"observed: 1\.0\.0 (\d{2,3}) of \1 requests, 0 lost by ", run.output), run.output
    finally:
        namespace_gone(empty.core, missing)
