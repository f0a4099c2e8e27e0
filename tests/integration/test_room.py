"""What would not come to its end for want of room is refused before anything is changed."""

from __future__ import annotations

from typing import Any

from integration.playbooks import Lab, description


def takes_pods(node: Any) -> bool:
    """Whether a node takes any pod: a cluster may have nodes for its control plane alone."""
    effects = {taint.effect for taint in node.spec.taints or ()}
    return not (node.spec.unschedulable or effects & {"NoSchedule", "NoExecute"})


def bound_to_one_node(lab: Lab, **strategy: Any) -> None:
    """A Deployment of one pod that takes a port of the only node that it may be on."""
    node = next(each for each in lab.core.list_node().items if takes_pods(each)).metadata
    labels = {"app": "bound"}
    pod = {
        "nodeSelector": {"kubernetes.io/hostname": node.labels["kubernetes.io/hostname"]},
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


def test_a_deployment_that_has_no_room_is_refused_before_any_object_is_applied(empty: Lab) -> None:
    quota = {"metadata": {"name": "team"}, "spec": {"hard": {"pods": "5"}}}
    empty.core.create_namespaced_resource_quota(empty.namespace, quota)
    applications = description()
    applications["hello"] |= {"replicas": 4}  # beside auth and frontend with a pod each
    refused = empty.play("app_deploy", applications=applications)
    assert refused.code != 0
    said = " ".join(refused.output.split())
    assert "Nothing was applied, as there is no room for Deployment" in said
    assert "but quota team has" in said
    assert not empty.apps.list_namespaced_deployment(empty.namespace).items
    assert not empty.core.list_namespaced_service(empty.namespace).items

    applications["hello"] |= {"replicas": 3}
    deployed = empty.play("app_deploy", applications=applications)
    assert deployed.code == 0, deployed.output
    # More of the same pods, and other pods beside the old ones: both need what is not left.
    for change in ({"replicas": 4}, {"version": "2.0.0"}):
        more = empty.play("app_deploy", applications=applications | {"hello": applications["hello"] | change})
        assert more.code != 0
        assert "Nothing was applied, as there is no room for Deployment hello" in " ".join(more.output.split())
    hello = empty.apps.read_namespaced_deployment("hello", empty.namespace)
    assert (hello.spec.replicas, hello.status.observed_generation) == (3, 1)
