"""Each strategy, run by a user who may do what docs/rbac.yaml grants it and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.conftest import judged, namespace
from integration.playbooks import ROOT, Lab
from kubernetes import client
from reliability.rbac import document

ROLES = list(yaml.safe_load_all((ROOT / "docs/rbac.yaml").read_text()))


def test_the_file_is_what_is_generated() -> None:
    assert (ROOT / "docs/rbac.yaml").read_text() == document(), "run make rbac"


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[Any, Lab]]:
    """A sandbox of one's own and the lab's namespace in it, for whoever makes users."""
    from convoy_sandbox.testing import sandbox

    with sandbox(name=f"rbac-{uuid.uuid4().hex[:8]}") as cluster, namespace(str(cluster.kubeconfig)) as lab:
        yield cluster, lab


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


def test_every_strategy_under_its_own_role(guarded: tuple[Any, Lab]) -> None:
    cluster, lab = guarded
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
        ("bluegreen", "bluegreen", {"version": "1.0.0"}),
    ]
    for strategy, playbook, variables in steps:
        run = users[strategy].play(playbook, **variables)
        assert run.code == 0, f"{playbook} {variables}: {run.output}"
    verify = restricted(cluster, lab, "verify")
    every = {"expected_from": "endpoints", "agree": ["traffic", "endpoints", "pods"]}
    for way in ("url", "proxy"):
        judgement = judged(verify, via=way, **every)
        assert (judgement.get("verdict"), judgement.get("via")) == ("pass", way), judgement
    assert "have this user allowed to do that" in judged(users["scale"], **every)["msg"]
    refused = users["scale"].play("bluegreen", version="2.0.0")
    assert refused.code != 0
    assert "have this user allowed to do that" in refused.output or "orbidden" in refused.output, refused.output
