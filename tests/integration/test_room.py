"""What would not come to its end for want of room is refused before anything is changed."""

from __future__ import annotations

from typing import Any

from integration.playbooks import Lab


def bound_to_one_node(lab: Lab, **strategy: Any) -> None:
    """A Deployment of one pod that takes a port of the only node that it may be on."""
    node = lab.core.list_node().items[0].metadata.name
    labels = {"app": "bound"}
    pod = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "containers": [
            {
                "name": "bound",
                "image": "kelseyhightower/hello:1.0.0",
                "ports": [{"containerPort": 80, "hostPort": 18080}],
            }
        ],
    }
    lab.apps.create_namespaced_deployment(
        lab.namespace,
        {
            "metadata": {"name": "bound"},
            "spec": {
                "replicas": 1,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": strategy},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    )


def test_an_update_whose_new_pod_has_no_place_while_the_old_one_is_there_changes_nothing(empty: Lab) -> None:
    bound_to_one_node(empty, maxSurge=1, maxUnavailable=0)
    ready = empty.play("scale", application="bound", replicas="1")  # waits until its pod runs
    assert ready.code == 0, ready.output
    before = empty.spec_versions()
    run = empty.play("rolling_update", application="bound", version="2.0.0")
    said = " ".join(run.output.split())
    assert run.code != 0, run.output
    assert "Deployment bound was left as it is, as its new pods would not all run" in said
    assert "have the host port 18080/TCP taken" in said or "has the host port 18080/TCP taken" in said
    assert "maxSurge 0 and maxUnavailable 1" in said
    assert empty.spec_versions() == before
