"""Module rollout on StatefulSets and DaemonSets, which the cluster's own controllers roll out."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.convoy.rollout.plugins.modules import rollout
from integration.conftest import printed
from integration.playbooks import PATIENCE, Lab

LABELS = {"app": "hello"}


def template(version: str) -> dict[str, Any]:
    """Pods of hello that become ready at once."""
    container = {"name": "hello", "image": f"kelseyhightower/hello:{version}"}
    return {"metadata": {"labels": LABELS}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_it_is_completed_restarted_and_undone_and_its_history_known(empty: Lab, kind: str) -> None:
    def ran(**options: Any) -> dict[str, Any]:
        where = {"kubeconfig": empty.kubeconfig, "namespace": empty.namespace, "name": "hello", "kind": kind}
        return printed(rollout, {**where, **options})

    def history() -> list[tuple[int, str, bool]]:
        return [(item["revision"], item["images"][0], item["current"]) for item in ran()["history"]]

    spec: dict[str, Any] = {"selector": {"matchLabels": LABELS}, "template": template("1.0.0")}
    if kind == "StatefulSet":
        spec |= {"replicas": 2, "serviceName": "hello"}
        create, patch = empty.apps.create_namespaced_stateful_set, empty.apps.patch_namespaced_stateful_set
    else:
        create, patch = empty.apps.create_namespaced_daemon_set, empty.apps.patch_namespaced_daemon_set
    create(empty.namespace, {"metadata": {"name": "hello"}, "spec": spec})
    made = ran(timeout=PATIENCE)
    assert (made["status"], made["changed"], made["revision"]) == ("complete", False, 1), made
    assert all(pod["ready"] and pod["revision"] == 1 for pod in made["pods"])

    before = {pod["name"]: pod for pod in made["pods"]}
    assert ran(state="restarted")["changed"]
    restarted = ran()
    assert (restarted["status"], restarted["revision"], len(restarted["pods"])) == ("complete", 2, len(before))

    patch("hello", empty.namespace, {"spec": {"template": template("2.0.0")}})
    updated = ran()
    assert [pod["version"] for pod in updated["pods"]] == ["2.0.0"] * len(before)
    assert history() == [
        (1, "kelseyhightower/hello:1.0.0", False),
        (2, "kelseyhightower/hello:1.0.0", False),
        (3, "kelseyhightower/hello:2.0.0", True),
    ]

    undone = ran(state="undone", to_revision=1, failed=True)
    assert undone["changed"], undone
    assert undone["message"].endswith("is rolled back to revision 1 (kelseyhightower/hello:1.0.0).")
    back = ran()
    assert [pod["version"] for pod in back["pods"]] == ["1.0.0"] * len(before)
    assert history()[-1] == (4, "kelseyhightower/hello:1.0.0", True)
    again = ran(state="undone", to_revision=4, failed=True)  # as by a run that comes after it: nothing else has failed
    assert not again["changed"]
    assert [item["revision"] for item in again["history"] if item["failed"]] == [3]

    paused = ran(state="paused")
    assert paused["failed"]
    assert f"{kind} hello cannot be paused: only Deployments have a pause; " in paused["msg"]


def test_a_pause_keeps_no_pods_of_the_version_that_runs_back(empty: Lab) -> None:
    def ran(**options: Any) -> dict[str, Any]:
        where = {"kubeconfig": empty.kubeconfig, "namespace": empty.namespace, "name": "hello", "timeout": PATIENCE}
        return printed(rollout, {**where, **options})

    spec = {"selector": {"matchLabels": LABELS}, "template": template("1.0.0"), "replicas": 1}
    empty.apps.create_namespaced_deployment(empty.namespace, {"metadata": {"name": "hello"}, "spec": spec})
    assert ran()["status"] == "complete"
    empty.apps.patch_namespaced_deployment("hello", empty.namespace, {"spec": {"paused": True, "replicas": 3}})
    scaled = ran(replicas=3)
    assert (scaled.get("msg"), scaled["replicas"]["availableReplicas"]) == (None, 3), scaled
    empty.apps.patch_namespaced_deployment("hello", empty.namespace, {"spec": {"template": template("2.0.0")}})
    assert "it is paused; resume it" in ran()["msg"]
