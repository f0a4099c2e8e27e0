"""Each strategy, run by a user who may do what docs/rbac.yaml grants it and nothing else."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from convoy_sandbox.authorization import Action, Authorizer
from convoy_sandbox.users import User
from integration.conftest import judged
from integration.playbooks import ROOT, Lab
from kubernetes import client
from reliability.rbac import document

ROLES = list(yaml.safe_load_all((ROOT / "docs/rbac.yaml").read_text()))


def test_the_file_is_what_is_generated() -> None:
    assert (ROOT / "docs/rbac.yaml").read_text() == document(), "run make rbac"


def restricted(cluster: Any, lab: Lab, strategy: str) -> Lab:
    """The lab as a user sees it who may do what a strategy needs."""
    user, name = f"{strategy}-{uuid.uuid4().hex[:6]}", f"convoy-{strategy.replace('_', '-')}"
    rbac = client.RbacAuthorizationV1Api(lab.api)
    subjects = [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}]
    for role in (role for role in ROLES if role["metadata"]["name"] in (name, f"{name}-room")):
        ref = {"kind": role["kind"], "name": role["metadata"]["name"], "apiGroup": "rbac.authorization.k8s.io"}
        binding = {"metadata": {"name": user}, "roleRef": ref, "subjects": subjects}
        if role["kind"] == "Role":
            rbac.create_namespaced_role(lab.namespace, role)
            rbac.create_namespaced_role_binding(lab.namespace, binding)
        else:
            rbac.create_cluster_role(role)
            rbac.create_cluster_role_binding(binding)
    kubeconfig: Path = cluster.user(user)
    return replace(lab, kubeconfig=str(kubeconfig))


#: What not every run asks for. All else that is granted is asked for below, so that nothing is granted for nothing.
NOT_ALWAYS = {
    *(f"{kind} {verb}" for kind in ("deployments", "replicasets", "pods") for verb in ("list", "watch")),  # to wait
    *("events list", "pods/log get"),  # to say why something failed
    "leases update",  # to hold a lock for long
    "services/proxy get",  # where a Service has no address of its own
    "endpointslices list",  # where shares are judged
    *(f"horizontalpodautoscalers {verb}" for verb in ("get", "patch")),  # where one goes with the traffic
    *("services delete", "deployments delete"),  # to take back what a run that failed has created
    *(f"{kind} {verb}" for kind in ("statefulsets", "daemonsets") for verb in ("get", "list", "watch", "patch")),
    *(f"controllerrevisions {verb}" for verb in ("list", "watch")),
}


def granted(strategy: str) -> set[str]:
    """What the Role and the ClusterRole of a strategy allow, each right as resource and verb."""
    name = f"convoy-{strategy.replace('_', '-')}"
    return {
        f"{resource} {verb}{' everywhere' if role['kind'] == 'ClusterRole' else ''}"
        for role in ROLES
        if role["metadata"]["name"] in (name, f"{name}-room")
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_every_strategy_under_its_own_role(guarded: tuple[Any, Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, lab = guarded
    asked: dict[str, set[str]] = defaultdict(set)
    require = Authorizer.require

    def noted(self: Authorizer, user: User, action: Action) -> None:
        if action.resource:
            right = f"{action.full_resource} {action.verb}{'' if action.namespace else ' everywhere'}"
            asked[user.name.rpartition("-")[0]].add(right)
        require(self, user, action)

    monkeypatch.setattr(Authorizer, "require", noted)
    users = {
        strategy: restricted(cluster, lab, strategy)
        for strategy in ("app_deploy", "scale", "rolling_update", "canary", "bluegreen")
    }
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("app_deploy", "app_deploy", {}),
        ("scale", "scale", {"replicas": 4}),
        ("rolling_update", "rolling_update", {"version": "2.0.0"}),
        ("rolling_update", "rollback", {}),
        ("canary", "canary", {"version": "2.0.0"}),
        ("canary", "canary", {"promote": True}),
        ("canary", "canary", {"version": "crash"}),
        ("bluegreen", "bluegreen", {"version": "1.0.0"}),
        ("bluegreen", "bluegreen", {"rollback": True}),
    ]
    for strategy, playbook, variables in steps:
        run = users[strategy].play(playbook, **variables)
        assert (run.code == 0) == (variables.get("version") != "crash"), f"{playbook} {variables}: {run.output}"
        assert "orbidden" not in run.output, run.output
    verify = restricted(cluster, lab, "verify")
    every = {"expected_from": "endpoints", "agree": ["traffic", "endpoints", "pods"]}
    for way in ("url", "proxy"):
        judgement = judged(verify, via=way, **every)
        assert (judgement.get("verdict"), judgement.get("via")) == ("pass", way), judgement
    assert "allow this user to do that" in judged(users["app_deploy"], **every)["msg"]
    for strategy in users:
        assert granted(strategy) - asked[strategy] <= NOT_ALWAYS, strategy
    refused = users["scale"].play("bluegreen", version="1.0.0")
    assert refused.code != 0
    assert "allow this user to do that" in refused.output or "orbidden" in refused.output, refused.output
