"""What the controllers decide from plain objects."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from convoy_sandbox.controllers import disruption, endpointslice, pod_inputs, pod_status, replicaset, scheduler
from convoy_sandbox.controllers.deployment import template_hash, without_hash
from convoy_sandbox.controllers.pod_status import ContainerState


def pod(
    name: str = "a", *, ready: bool = True, node: str = "node1", phase: str = "Running", **meta: Any
) -> dict[str, Any]:
    status: dict[str, Any] = {"phase": phase, "podIP": "127.64.0.1"}
    if ready:
        status["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    spec: dict[str, Any] = {
        "containers": [{"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}]}]
    }
    if node:
        spec["nodeName"] = node
    return {
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "lab", "uid": name, "generation": 1, "labels": {"app": "hello"},
            "creationTimestamp": "2026-01-01T00:00:00Z", **meta,
        },
        "spec": spec,
        "status": status,
    }  # fmt: skip


def node(cpu: str = "1", taints: list[dict[str, str]] | None = None, **labels: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"taints": taints} if taints else {}
    return {
        "metadata": {"name": "node1", "labels": labels},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "3"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


# -- ReplicaSets ---------------------------------------------------------------------------------


def test_the_pods_that_cost_least_are_taken_away_first() -> None:
    just_ready = pod("just-ready")
    just_ready["status"]["conditions"][0]["lastTransitionTime"] = "2026-02-28T23:00:00Z"
    restarted = pod("restarted")
    restarted["status"]["containerStatuses"] = [{"restartCount": 0}, {"restartCount": 2}]
    pods = [
        pod("old"),
        pod("a-little-younger", creationTimestamp="2026-01-01T00:10:00Z"),
        pod("young", creationTimestamp="2026-02-28T00:00:00Z"),
        restarted,
        just_ready,
        pod("unready", ready=False),
        pod("pending", ready=False, phase="Pending"),
        pod("unscheduled", ready=False, phase="Pending", node=""),
        pod("cheap", annotations={"controller.kubernetes.io/pod-deletion-cost": "-1"}),
        pod("dear", annotations={"controller.kubernetes.io/pod-deletion-cost": "1"}),
        pod("no-cost", annotations={"controller.kubernetes.io/pod-deletion-cost": "cheap"}, node="node2"),
    ]
    now = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    order = [p["metadata"]["name"] for p in replicaset.deletion_order(pods, {"node1": 1, "node2": 5}, now)]
    # Ten minutes are nothing in two months: between those two decides chance, their uids.
    assert order == [
        "unscheduled", "pending", "unready", "cheap", "no-cost", "just-ready", "restarted", "young",
        "a-little-younger", "old", "dear",
    ]  # fmt: skip


def test_available_is_ready_for_long_enough() -> None:
    assert replicaset.seconds_until_available(pod(ready=False), 0) is None
    assert replicaset.seconds_until_available(pod(), 0) == 0
    assert replicaset.seconds_until_available(pod(), 5) == 0
    fresh = pod()
    fresh["status"]["conditions"][0]["lastTransitionTime"] = "2999-01-01T00:00:00Z"
    left = replicaset.seconds_until_available(fresh, 5)
    assert left is not None
    assert left > 5


def test_a_template_has_one_hash() -> None:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}}
    labelled = {"metadata": {"labels": {"app": "a", "pod-template-hash": "x"}}, "spec": {"containers": []}}
    assert without_hash(labelled) == template
    assert template_hash(labelled) == template_hash(template) != template_hash(template, 1)


# -- EndpointSlices ------------------------------------------------------------------------------


def service(target: int | str = 80, **spec: Any) -> dict[str, Any]:
    return {
        "spec": {"selector": {"app": "hello"}, "ports": [{"protocol": "TCP", "port": 80, "targetPort": target}], **spec}
    }


@pytest.mark.parametrize(
    ("one", "conditions"),
    [
        (pod(), {"ready": True, "serving": True, "terminating": False}),
        (pod(ready=False), {"ready": False, "serving": False, "terminating": False}),
        (pod(deletionTimestamp="now"), {"ready": False, "serving": True, "terminating": True}),
    ],
)
def test_which_endpoints_take_traffic(one: dict[str, Any], conditions: dict[str, bool]) -> None:
    ((ports, (found,)),) = endpointslice.endpoints(service(), [one]).items()
    assert ports == (("", "TCP", 80, ""),)
    assert found["conditions"] == conditions


def test_which_pods_are_endpoints() -> None:
    other = pod("other", labels={"app": "auth"})
    done = pod("done", phase="Succeeded")
    no_ip = pod("new")
    del no_ip["status"]["podIP"]
    assert endpointslice.endpoints(service(), [other, done, no_ip]) == {(): []}
    unready = endpointslice.endpoints(service(publishNotReadyAddresses=True), [pod(ready=False)])
    assert next(iter(unready.values()))[0]["conditions"]["ready"]


def test_a_named_port_is_looked_up_in_each_pod() -> None:
    second = pod("b")
    second["spec"]["containers"][0]["ports"][0]["containerPort"] = 8080
    found = endpointslice.endpoints(service("http"), [pod("a"), second])
    assert sorted(ports[0][2] for ports in found) == [80, 8080]


def test_the_labels_of_endpoint_slices() -> None:
    own = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    own["kubernetes.io/service-name"] = "hello"
    one: dict[str, Any] = {"metadata": {"name": "hello", "labels": {"app": "hello"}}, "spec": {}}
    assert endpointslice.slice_labels(one) == {"app": "hello", **own}
    one["spec"]["clusterIP"] = "None"
    assert endpointslice.slice_labels(one) == {"app": "hello", "service.kubernetes.io/headless": "", **own}


# -- the scheduler -------------------------------------------------------------------------------


def requesting(cpu: str, **spec: Any) -> dict[str, Any]:
    one = pod(node="")
    one["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    one["spec"].update(spec)
    return one


def test_what_a_pod_asks_for() -> None:
    one = requesting("200m")
    one["spec"]["initContainers"] = [
        {"name": "sidecar", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
        {"name": "init", "resources": {"requests": {"cpu": "1"}}},
    ]
    assert scheduler.requests(one)["cpu"] == Decimal("1.1")


@pytest.mark.parametrize(
    ("one", "where", "why"),
    [
        (requesting("1"), node(), ""),
        (requesting("1"), node(taints=[{"key": "k", "effect": "NoSchedule"}]), "node(s) had untolerated taint(s)"),
        (
            requesting("1", tolerations=[{"key": "k", "operator": "Exists"}]),
            node(taints=[{"key": "k", "effect": "NoSchedule"}]),
            "",
        ),
        (requesting("1"), node(taints=[{"key": "k", "effect": "PreferNoSchedule"}]), ""),
        (requesting("1", nodeSelector={"disk": "ssd"}), node(), "node(s) didn't match Pod's node affinity/selector"),
        (requesting("1", nodeSelector={"disk": "ssd"}), node(disk="ssd"), ""),
    ],
)
def test_where_a_pod_may_go(one: dict[str, Any], where: dict[str, Any], why: str) -> None:
    assert scheduler.obstacle(one, where) == why


def test_what_is_free_on_a_node() -> None:
    left = scheduler.free(node(), [requesting("600m")])
    assert left["cpu"] == Decimal("0.4")
    assert scheduler.shortage(scheduler.requests(requesting("500m")), left) == ["Insufficient cpu"]
    assert scheduler.shortage(scheduler.requests(requesting("400m")), left) == []
    full = scheduler.free(node(), [pod("a"), pod("b"), pod("c")])
    assert scheduler.shortage(scheduler.requests(pod("d")), full) == ["Too many pods"]


def test_the_scheduler_says_why() -> None:
    assert scheduler.unschedulable_message([["Insufficient cpu"]], 1) == (
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are "
        "available: 1 Preemption is not helpful for scheduling."
    )
    assert scheduler.unschedulable_message([], 0) == "no nodes available to schedule pods"


# -- budgets, statuses, inputs -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "scale", "expected", "allowed"),
    [
        ({"minAvailable": 2}, 3, 3, 1),
        ({"minAvailable": 2}, 4, 3, 1),
        ({"minAvailable": "50%"}, 3, 3, 1),
        ({"minAvailable": "50%"}, 4, 4, 1),
        ({"maxUnavailable": 1}, 3, 3, 1),
        ({"maxUnavailable": 1}, 2, 2, 2),
        ({"maxUnavailable": "50%"}, 3, 3, 2),
    ],
)
def test_how_many_pods_a_budget_lets_go(spec: dict[str, Any], scale: int, expected: int, allowed: int) -> None:
    pods = [pod("a"), pod("b"), pod("c")]
    budget = {"metadata": {"generation": 1}, "spec": spec}
    status = disruption.budget_status(budget, pods, scale)
    assert (status["expectedPods"], status["disruptionsAllowed"]) == (expected, allowed)
    pods[0] = pod("a", ready=False)
    assert disruption.budget_status(budget, pods, scale)["disruptionsAllowed"] == allowed - 1


def test_a_pod_that_ends_is_expected_by_a_budget_and_not_healthy() -> None:
    ending = pod("a")
    ending["metadata"] = {**ending["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    budget = {"metadata": {"generation": 1}, "spec": {"minAvailable": 1}}
    status = disruption.budget_status(budget, [ending, pod("b")], 0)
    assert (status["expectedPods"], status["currentHealthy"], status["disruptionsAllowed"]) == (2, 1, 0)


def test_a_budget_says_since_when_it_allows_nothing() -> None:
    budget: dict[str, Any] = {"metadata": {"generation": 1}, "spec": {"minAvailable": 1}}
    before = {"type": "DisruptionAllowed", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    budget["status"] = {"conditions": [before]}
    (condition,) = disruption.budget_status(budget, [pod("a")], 1)["conditions"]
    assert (condition["reason"], condition["lastTransitionTime"]) == ("InsufficientPods", "2026-01-01T00:00:00Z")
    (condition,) = disruption.budget_status(budget, [pod("a"), pod("b")], 2)["conditions"]
    assert condition["reason"] == "SufficientPods"
    assert condition["lastTransitionTime"] > "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("policy", "states", "phase"),
    [
        ("Always", [{"waiting": {"reason": "ContainerCreating"}}], "Pending"),
        ("Always", [{"running": {}}], "Running"),
        ("Always", [{"running": {}}, {"waiting": {"reason": "ImagePullBackOff"}}], "Pending"),
        ("Always", [{"terminated": {"exitCode": 1}}], "Running"),
        ("Never", [{"terminated": {"exitCode": 0}}], "Succeeded"),
        ("Never", [{"terminated": {"exitCode": 1}}], "Failed"),
        ("OnFailure", [{"terminated": {"exitCode": 1}}], "Running"),
    ],
)
def test_the_phase_of_a_pod(policy: str, states: list[dict[str, Any]], phase: str) -> None:
    one = pod()
    one["spec"]["restartPolicy"] = policy
    containers = [ContainerState(str(i), "i", state=state) for i, state in enumerate(states)]
    assert pod_status.phase(one, [], containers, initialized=True) == phase


def test_a_sidecar_has_a_say_in_readiness_but_not_in_the_end() -> None:
    one = pod()
    one["spec"]["initContainers"] = [{"name": "init", "image": "i"}, {"name": "proxy", "image": "i"}]
    one["spec"]["containers"] = [{"name": "c", "image": "i"}]
    init = ContainerState("init", "i", state={"terminated": {"exitCode": 0}})
    proxy = ContainerState("proxy", "i", sidecar=True, state={"running": {}})
    main = ContainerState("c", "i", state={"running": {}}, ready=True, started=True)

    def compute(*, initialized: bool) -> dict[str, Any]:
        status = pod_status.compute(
            one, [init, proxy], [main], ip="", host_ip="", sandbox_ready=True, initialized=initialized,
            start_time="", now="",
        )  # fmt: skip
        conditions = {c["type"]: c for c in status["conditions"]}
        ready = [entry["ready"] for entry in status["initContainerStatuses"]]
        return {"phase": status["phase"], "ready": ready, **conditions}

    found = compute(initialized=False)
    assert found["Initialized"]["message"] == "containers with incomplete status: [proxy]"
    assert found["ready"] == [True, False]
    found = compute(initialized=True)
    assert found["Ready"]["message"] == "containers with unready status: [proxy]"
    proxy.ready = proxy.started = True
    assert compute(initialized=True)["Ready"]["status"] == "True"
    one["spec"]["restartPolicy"] = "Never"
    main.state = {"terminated": {"exitCode": 0}}
    assert compute(initialized=True)["phase"] == "Succeeded"
    proxy.state, proxy.started = {"terminated": {"exitCode": 1}}, False
    assert compute(initialized=False)["phase"] == "Pending"


def test_a_crashed_container_that_waits_is_still_a_running_pod() -> None:
    state = ContainerState("c", "i", state={"waiting": {"reason": "CrashLoopBackOff"}}, last={"terminated": {}})
    assert pod_status.phase(pod(), [], [state], initialized=True) == "Running"


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("kelseyhightower/hello:1.0.0", "docker.io/kelseyhightower/hello:1.0.0"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("r.example/a@sha256:0", "r.example/a@sha256:0"),
    ],
)
def test_image_references_in_full(image: str, full: str) -> None:
    assert pod_status.qualified(image) == full


def test_variables_are_expanded_as_documented() -> None:
    known = {"NAME": "hello"}
    assert pod_inputs.expand("$(NAME) $$(NAME) $(OTHER) $NAME", known) == "hello $(NAME) $(OTHER) $NAME"


def test_services_are_in_the_environment() -> None:
    found = pod_inputs.service_links(
        [{"metadata": {"name": "my-app"}, "spec": {"clusterIP": "127.96.0.1", "ports": [{"port": 80, "name": "web"}]}}]
    )
    assert found == {
        "MY_APP_SERVICE_HOST": "127.96.0.1",
        "MY_APP_SERVICE_PORT": "80",
        "MY_APP_SERVICE_PORT_WEB": "80",
    }
