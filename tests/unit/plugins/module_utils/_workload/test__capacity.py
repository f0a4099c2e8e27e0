"""Whether pods fit, as the scheduler and the quotas count."""

from __future__ import annotations

import typing as t
from fractions import Fraction

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _capacity
from ansible_collections.convoy.rollout.plugins.module_utils._workload._amounts import quantity, requests, shown
from ansible_collections.convoy.rollout.plugins.module_utils._workload._capacity import (
    Room,
    Scene,
    placed,
    schedulable,
    update_room,
)

Object = dict[str, t.Any]


def room(
    pod_spec: Object,
    replicas: int,
    nodes: list[Object],
    pods: list[Object],
    quotas: list[Object],
    ranges: t.Sequence[Object] | None = (),
    **more: t.Any,
) -> Room:
    """The room for pods of a specification."""
    scene = Scene(nodes=nodes, pods=pods, quotas=quotas, limit_ranges=ranges)
    return _capacity.room({"spec": pod_spec}, replicas, scene, **more)


def spec(cpu: str = "200m", memory: str = "10Mi", **more: t.Any) -> Object:
    """A pod specification with one container that has limits."""
    return {"containers": [{"resources": {"limits": {"cpu": cpu, "memory": memory}}}], **more}


def node(name: str, cpu: str = "1", pods: int = 110, **more: t.Any) -> Object:
    """A node that is ready."""
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "cores": "4"}},
        "spec": more,
        "status": {
            "allocatable": {"cpu": cpu, "memory": "1Gi", "pods": str(pods)},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(on: str | None, cpu: str = "200m", phase: str = "Running", **metadata: t.Any) -> Object:
    """A pod, on a node or waiting for one."""
    return {
        "metadata": {"namespace": "default", **metadata},
        "spec": spec(cpu, **({"nodeName": on} if on else {})),
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("200m", Fraction(1, 5)),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("3.75Gi", Fraction(375, 100) * 1024**3),
        ("1e3", Fraction(1000)),
        ("1E", Fraction(10**18)),
        ("5k", Fraction(5000)),
        (2, Fraction(2)),
    ],
)
def test_quantities(text: str | int, number: Fraction) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "m", "1 Gi", "1KiB", "abc", "0x1"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [("cpu", "400m"), ("cpu", "2"), ("memory", "10Mi"), ("memory", "2Gi"), ("pods", "7"), ("memory", "0")],
)
def test_amounts_are_shown_as_they_are_written(name: str, text: str) -> None:
    assert shown(name, quantity(text)) == text


def container(cpu: str, **more: t.Any) -> Object:
    """A container that requests cpu."""
    return {"resources": {"requests": {"cpu": cpu}}, **more}


@pytest.mark.parametrize(
    ("pod_spec", "cpu"),
    [
        ({"containers": [container("100m"), container("200m")]}, "300m"),
        ({"containers": [container("100m")], "initContainers": [container("500m")]}, "500m"),
        (
            {"containers": [container("100m")], "initContainers": [container("50m", restartPolicy="Always")]},
            "150m",
        ),
        (
            {
                "containers": [container("100m")],
                "initContainers": [container("50m", restartPolicy="Always"), container("100m")],
            },
            "150m",
        ),
        ({"containers": [container("100m")], "overhead": {"cpu": "20m"}}, "120m"),
        ({"containers": [container("100m")], "resources": {"requests": {"cpu": "1"}}}, "1"),
        ({"containers": [{"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "10m"}}}]}, "10m"),
        (spec("200m"), "200m"),
    ],
    ids=["sum", "largest init", "sidecar", "sidecar and init", "overhead", "pod level", "request", "limit"],
)
def test_what_a_pod_requests(pod_spec: Object, cpu: str) -> None:
    assert requests(pod_spec)["cpu"] == quantity(cpu)


TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("where", "pod_spec", "fits"),
    [
        (node("a"), {}, True),
        (node("a", unschedulable=True), {}, False),
        (node("a", unschedulable=True), {"tolerations": [{"operator": "Exists"}]}, True),
        (node("a", taints=[TAINT]), {}, False),
        (node("a", taints=[dict(TAINT, effect="PreferNoSchedule")]), {}, True),
        (node("a", taints=[TAINT]), {"tolerations": [{"key": "gpu", "value": "yes"}]}, True),
        (node("a", taints=[TAINT]), {"tolerations": [{"key": "gpu", "value": "no"}]}, False),
        (node("a", taints=[TAINT]), {"tolerations": [{"key": "gpu", "operator": "Exists"}]}, True),
        (node("a", taints=[TAINT]), {"tolerations": [{"operator": "Exists"}]}, True),
        (node("a", taints=[TAINT]), {"tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}, False),
        (node("a"), {"nodeSelector": {"kubernetes.io/hostname": "b"}}, False),
        (node("a"), {"nodeSelector": {"kubernetes.io/hostname": "a"}}, True),
    ],
)
def test_which_nodes_take_a_pod(where: Object, pod_spec: Object, fits: bool) -> None:
    assert schedulable(where, pod_spec) is fits


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"key": "kubernetes.io/hostname", "operator": "In", "values": ["a", "b"]}, True),
        ({"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["a"]}, False),
        ({"key": "zone", "operator": "NotIn", "values": ["x"]}, True),
        ({"key": "zone", "operator": "Exists"}, False),
        ({"key": "zone", "operator": "DoesNotExist"}, True),
        ({"key": "cores", "operator": "Gt", "values": ["3"]}, True),
        ({"key": "cores", "operator": "Lt", "values": ["3"]}, False),
        ({"key": "zone", "operator": "Gt", "values": ["3"]}, False),
    ],
)
def test_required_node_affinity(rule: Object, fits: bool) -> None:
    required = {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    assert schedulable(node("a"), {"affinity": affinity}) is fits


@pytest.mark.parametrize(
    ("term", "fits"),
    [
        ({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}, True),
        ({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["a"]}]}, False),
        (
            {
                "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}],
                "matchExpressions": [{"key": "cores", "operator": "In", "values": ["8"]}],
            },
            False,
        ),
        ({}, False),  # a term that asks for nothing selects nothing
    ],
)
def test_required_node_affinity_by_the_node_itself(term: Object, fits: bool) -> None:
    required = {"nodeSelectorTerms": [term]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    assert schedulable(node("a"), {"affinity": affinity}) is fits


def test_a_node_that_is_not_ready_takes_nothing() -> None:
    where = node("a")
    where["status"]["conditions"][0]["status"] = "Unknown"
    assert not schedulable(where, {})


def test_room_is_counted_node_by_node() -> None:
    # 0.3 and 0.3 are left: one copy each, though 0.6 would be three.
    nodes, pods = [node("a"), node("b")], [pod("a", "700m"), pod("b", "700m")]
    assert room(spec(), 2, nodes, pods, []).message == "2 more pods fit"
    short = room(spec(), 3, nodes, pods, [])
    assert (short.most, short.limited_by) == (2, "cpu")
    assert short.missing == "needs 3 x 200m cpu, but schedulable nodes have 600m free, at most 300m on one node"


def test_what_is_missing_is_said_in_the_words_of_an_operator() -> None:
    nodes, pods = [node("a"), node("b", unschedulable=True)], [pod("a", "600m")]
    said = room(spec(), 3, nodes, pods, []).missing
    assert said == "needs 3 x 200m cpu, but schedulable nodes have only 400m free"


def test_pods_that_ended_take_no_room_and_those_without_a_node_none_either() -> None:
    pods = [pod("a", "1", phase="Succeeded"), pod("a", "1", phase="Failed"), pod(None, "1", phase="Pending")]
    assert room(spec(), 5, [node("a")], pods, []).missing is None


def test_the_number_of_pods_can_be_what_is_missing() -> None:
    said = room({"containers": [{}]}, 3, [node("a", pods=2)], [], [])
    assert (said.most, said.limited_by) == (2, "pods")
    assert said.missing == "needs 3 pods, but schedulable nodes have room for only 2"


def test_an_extended_resource_that_no_node_has() -> None:
    gpu = {"containers": [{"resources": {"limits": {"nvidia.com/gpu": 1}}}]}
    said = room(gpu, 1, [node("a")], [], [])
    assert said.missing == "needs 1 x 1 nvidia.com/gpu, but schedulable nodes have none free"


def test_no_node_takes_them() -> None:
    said = room(spec(), 2, [node("a", unschedulable=True)], [], [])
    assert (said.most, said.missing) == (0, "needs nodes for 2 pods, but none of 1 nodes accepts them")
    assert room(spec(), 0, [], [], []).message == "no more pods are needed"


@pytest.mark.parametrize(
    ("hard", "used", "missing"),
    [
        ({"pods": "5"}, {"pods": "3"}, "needs 3 pods, but quota q has only 2 left"),
        (
            {"requests.cpu": "1"},
            {"requests.cpu": "600m"},
            "needs 3 x 200m requests.cpu, but quota q has only 400m left",
        ),
        ({"limits.memory": "20Mi"}, {}, "needs 3 x 10Mi limits.memory, but quota q has only 20Mi left"),
        ({"cpu": "600m", "services": "1"}, {"services": "1"}, None),
    ],
)
def test_quotas(hard: Object, used: Object, missing: str | None) -> None:
    quota = {"metadata": {"name": "q"}, "spec": {}, "status": {"hard": hard, "used": used}}
    assert room(spec(), 3, [node("a", cpu="10")], [], [quota]).missing == missing


def test_a_quota_of_an_extended_resource() -> None:
    gpu = {"containers": [{"resources": {"limits": {"nvidia.com/gpu": 2}}}]}
    where = node("a")
    where["status"]["allocatable"]["nvidia.com/gpu"] = "8"
    hard, used = {"requests.nvidia.com/gpu": "6"}, {"requests.nvidia.com/gpu": "2"}
    quota = {"metadata": {"name": "q"}, "spec": {}, "status": {"hard": hard, "used": used}}
    said = room(gpu, 3, [where], [], [quota])
    assert (said.most, said.limited_by) == (2, "requests.nvidia.com/gpu")
    assert said.missing == "needs 3 x 2 requests.nvidia.com/gpu, but quota q has only 4 left"


@pytest.mark.parametrize(
    ("spec_of_quota", "more", "counts"),
    [
        ({"scopes": ["Terminating"]}, {}, False),
        ({"scopes": ["Terminating"]}, {"activeDeadlineSeconds": 5}, True),
        ({"scopes": ["NotTerminating", "NotBestEffort"]}, {}, True),
        ({"scopes": ["NotTerminating", "BestEffort"]}, {}, False),
        ({"scopes": ["BestEffort"]}, {"containers": [{}]}, True),
        ({"scopes": ["CrossNamespacePodAffinity"]}, {}, False),
        ({"scopes": ["PriorityClass"]}, {"priorityClassName": "high"}, True),
        ({"scopes": ["PriorityClass"]}, {}, False),
    ],
)
def test_a_quota_counts_the_pods_of_its_scopes(spec_of_quota: Object, more: Object, counts: bool) -> None:
    quota = {"metadata": {"name": "q"}, "spec": spec_of_quota, "status": {"hard": {"pods": "2"}}}
    assert (room(spec() | more, 3, [node("a", cpu="10")], [], [quota]).most == 2) is counts


@pytest.mark.parametrize(("operator", "priority", "counts"), [("In", "high", True), ("NotIn", "high", False)])
def test_a_quota_of_certain_priorities(operator: str, priority: str, counts: bool) -> None:
    rule = {"scopeName": "PriorityClass", "operator": operator, "values": ["high"]}
    quota = {
        "metadata": {"name": "q"},
        "spec": {"scopeSelector": {"matchExpressions": [rule]}},
        "status": {"hard": {"pods": "2"}},
    }
    said = room(spec(priorityClassName=priority), 3, [node("a", cpu="10")], [], [quota])
    assert (said.most == 2) is counts


def test_limits_of_init_containers_count_against_a_quota() -> None:
    init = {"resources": {"limits": {"memory": "30Mi", "cpu": "1m"}}}
    quota = {"metadata": {"name": "q"}, "status": {"hard": {"limits.memory": "60Mi"}}}
    assert room(spec(initContainers=[init]), 1, [node("a", cpu="10")], [], [quota]).most == 2


def test_ephemeral_storage_is_counted_on_nodes_and_in_quotas() -> None:
    where = node("a", cpu="10")
    where["status"]["allocatable"]["ephemeral-storage"] = "10Gi"
    pod_spec = {"containers": [{"resources": {"requests": {"ephemeral-storage": "4Gi"}}}]}
    said = room(pod_spec, 3, [where], [], [])
    assert (said.most, said.limited_by) == (2, "ephemeral-storage")
    quota = {"metadata": {"name": "q"}, "status": {"hard": {"ephemeral-storage": "5Gi"}}}
    assert room(pod_spec, 3, [where], [], [quota]).most == 1


def test_a_quota_bounds_the_room() -> None:
    quota = {"metadata": {"name": "q"}, "status": {"hard": {"pods": "5"}, "used": {"pods": "3"}}}
    said = room(spec(), 1, [node("a", cpu="10")], [], [quota])
    assert (said.most, said.limited_by, said.missing) == (2, "pods", None)


def test_only_pods_that_have_their_node_are_placed() -> None:
    deployment = {
        "metadata": {"namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "hello"}}},
    }
    pods = [
        pod("a", labels={"app": "hello", "x": "y", "pod-template-hash": "1"}),
        pod("a", labels={"app": "hello"}),  # no ReplicaSet would adopt it
        pod(None, labels={"app": "hello", "pod-template-hash": "1"}),
        pod("a", labels={"app": "auth"}),
        pod("a", labels={"app": "hello", "pod-template-hash": "1"}, deletionTimestamp="2026-11-24T00:00:00Z"),
        pod("a") | {"metadata": {"namespace": "other", "labels": {"app": "hello", "pod-template-hash": "1"}}},
    ]
    assert placed(deployment, pods) == 1


def test_a_quota_on_what_containers_do_not_name_is_no_room_unless_a_limit_range_gives_it() -> None:
    node = {"metadata": {"name": "a"}, "status": {"allocatable": {"cpu": "4", "memory": "4Gi", "pods": "10"}}}
    quota = {"metadata": {"name": "team"}, "status": {"hard": {"requests.cpu": "1", "pods": "20"}}}
    spec = {"containers": [{"name": "web", "image": "web:1"}]}
    found = room(spec, 2, [node], [], [quota])
    assert (found.most, found.limited_by) == (0, "requests.cpu")
    assert str(found.missing).startswith(
        "failed quota: team: must specify requests.cpu for: web; no pod is admitted until they are set"
    )
    defaults = {"spec": {"limits": [{"type": "Container", "defaultRequest": {"cpu": "400m"}}]}}
    assert room(spec, 2, [node], [], [quota], [defaults]).most == 2  # and then they count
    assert room(spec, 2, [node], [], [quota], None).missing is None


# -- what admits pods --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hard", "names"),
    [
        ({"requests.memory": "1Gi"}, "requests.memory"),
        ({"limits.cpu": "4"}, "limits.cpu"),
        ({"memory": "1Gi"}, "memory"),
        ({"requests.ephemeral-storage": "1Gi"}, ""),  # only cpu and memory have to be named
        ({"requests.nvidia.com/gpu": "0"}, ""),
    ],
)
def test_a_quota_on_what_a_template_does_not_name(hard: Object, names: str) -> None:
    quota = {"metadata": {"name": "q"}, "status": {"hard": hard}}
    said = room({"containers": [{"name": "web"}]}, 1, [node("a")], [], [quota])
    assert (said.limited_by if said.missing else "") == names


def test_a_quota_that_its_controller_has_not_taken_in_yet_counts_as_asked_for() -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}}
    assert room(spec(), 2, [node("a", cpu="10")], [], [quota]).missing == "needs 2 pods, but quota q has only 1 left"


def test_pods_that_wait_for_a_node_are_admitted_already() -> None:
    quota = {"metadata": {"name": "q"}, "status": {"hard": {"pods": "4"}, "used": {"pods": "3"}}}
    # Of four replicas one has a node, two wait and one is new.
    assert room(spec(), 3, [node("a", cpu="10")], [], [quota], admitted=2).missing is None
    assert (
        room(spec(), 4, [node("a", cpu="10")], [], [quota], admitted=2).missing
        == "needs 2 pods, but quota q has only 1 left"
    )


@pytest.mark.parametrize(
    ("hard", "used", "missing"),
    [
        ({"count/deployments.apps": "2"}, {"count/deployments.apps": "2"}, "needs 1 more count/deployments.apps"),
        ({"services": "1"}, {"services": "1"}, "needs 1 more services"),
        ({"count/services": "3"}, {"count/services": "1"}, ""),
        ({"count/replicasets.apps": "5"}, {"count/replicasets.apps": "5"}, ""),
    ],
)
def test_quotas_count_what_is_created_beside_the_pods(hard: Object, used: Object, missing: str) -> None:
    quota = {"metadata": {"name": "q"}, "status": {"hard": hard, "used": used}}
    objects = {"deployments.apps": 1, "services": 1}
    said = room(spec(), 1, [node("a")], [], [quota], objects=objects)
    assert bool(said.missing) is bool(missing)
    assert missing in str(said.missing)
    assert room(spec(), 0, [node("a")], [], [quota], objects=objects).missing is None


def test_the_default_priority_class_decides_which_quota_counts() -> None:
    rule = {"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}
    quota = {
        "metadata": {"name": "q"},
        "spec": {"scopeSelector": {"matchExpressions": [rule]}},
        "status": {"hard": {"pods": "0"}},
    }
    template = {"spec": spec()}
    low = {"metadata": {"name": "low"}, "globalDefault": True}
    scene = Scene(nodes=[node("a")], quotas=[quota], priority_classes=[low])
    assert _capacity.room(template, 1, scene).missing == "needs 1 pod, but quota q has none left"
    scene = Scene(nodes=[node("a")], quotas=[quota], priority_classes=None)
    assert "default PriorityClass" in _capacity.room(template, 1, scene).message


def test_a_runtime_class_adds_overhead_and_says_which_nodes() -> None:
    classes = [
        {
            "metadata": {"name": "kata"},
            "overhead": {"podFixed": {"cpu": "300m"}},
            "scheduling": {"nodeSelector": {"kubernetes.io/hostname": "a"}},
        }
    ]
    template = {"spec": spec(runtimeClassName="kata")}
    nodes = [node("a"), node("b")]
    assert _capacity.room(template, 1, Scene(nodes=nodes, runtime_classes=classes)).most == 2
    assert "RuntimeClass kata" in _capacity.room(template, 1, Scene(nodes=nodes, runtime_classes=None)).message


def test_a_limit_range_that_refuses_the_pods_is_no_room() -> None:
    ranges = [{"spec": {"limits": [{"type": "Container", "max": {"cpu": "100m"}}]}}]
    found = room(spec(), 1, [node("a")], [], [], ranges)
    assert (found.most, found.limited_by) == (0, "cpu")
    assert str(found.missing).startswith("the LimitRange has a maximum of 100m cpu per Container")


# -- rolling updates ---------------------------------------------------------------------------------------------------


def deployment(replicas: int = 2, pod_spec: Object | None = None, **strategy: t.Any) -> Object:
    """A Deployment whose pods have the label app=web."""
    labels = {"app": "web"}
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": strategy} if strategy else {},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec or spec()},
        },
    }


def owned(on: str, cpu: str = "200m", **more: t.Any) -> Object:
    """A pod of that Deployment."""
    found = pod(
        on,
        cpu,
        labels={"app": "web", "pod-template-hash": "1"},
        ownerReferences=[{"controller": True, "name": "web-1", "uid": "1"}],
    )
    return dict(found, spec={**found["spec"], **more})


@pytest.mark.parametrize(
    ("replicas", "strategy", "moves"),
    [
        (4, {}, (1, 1)),
        (3, {}, (1, 0)),
        (10, {"maxSurge": "25%", "maxUnavailable": "30%"}, (3, 3)),
        (2, {"maxSurge": 0, "maxUnavailable": "10%"}, (0, 1)),  # rounded down it would never move
        (2, {"maxSurge": "100%", "maxUnavailable": 0}, (2, 0)),
    ],
)
def test_how_many_pods_an_update_moves_at_a_time(replicas: int, strategy: Object, moves: tuple[int, int]) -> None:
    assert _capacity.moves(deployment(replicas, **strategy)) == moves


def updated(there: Object, scene: Scene, **template: t.Any) -> Room:
    """The room for an update of a Deployment."""
    return update_room(there, template or there["spec"]["template"], scene)


def test_an_update_without_a_free_place_works_where_old_pods_may_go_first() -> None:
    nodes, pods = [node("a", cpu="500m")], [owned("a"), owned("a")]
    scene = Scene(nodes=nodes, pods=pods)
    assert updated(deployment(maxSurge=1, maxUnavailable=1), scene).missing is None
    said = updated(deployment(maxSurge=1, maxUnavailable=0), scene).missing
    assert said == (
        "no old pod may go before a new one is ready (maxUnavailable 0), and one more pod needs 1 x 200m cpu, "
        "but schedulable nodes have only 100m free"
    )
    recreate = deployment()
    recreate["spec"]["strategy"] = {"type": "Recreate"}
    assert updated(recreate, scene).missing is None


def test_an_update_by_surge_needs_a_free_host_port() -> None:
    ports = spec()
    ports["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 80}]
    pods = [owned("a", containers=ports["containers"]), owned("b", containers=ports["containers"])]
    scene = Scene(nodes=[node("a"), node("b")], pods=pods)
    assert "host port 80/TCP taken" in str(updated(deployment(pod_spec=ports), scene).missing)
    assert updated(deployment(pod_spec=ports, maxSurge=0, maxUnavailable=1), scene).missing is None


def test_an_update_whose_new_pods_have_no_place_in_the_end_is_refused() -> None:
    scene = Scene(nodes=[node("a"), node("b", unschedulable=True)], pods=[owned("a", "600m"), owned("b", "600m")])
    said = updated(deployment(pod_spec=spec("600m"), maxUnavailable=1), scene)
    assert said.missing == "needs 2 x 600m cpu, but schedulable nodes have only 1 free"


def test_a_quota_that_is_full_lets_an_update_work_where_old_pods_give_back_first() -> None:
    quota = {"metadata": {"name": "q"}, "status": {"hard": {"pods": "2"}, "used": {"pods": "2"}}}
    scene = Scene(nodes=[node("a")], pods=[owned("a"), owned("a")], quotas=[quota])
    assert updated(deployment(maxSurge=1, maxUnavailable=1), scene).missing is None
    assert "quota q has none left" in str(updated(deployment(maxSurge=1, maxUnavailable=0), scene).missing)


def test_an_update_of_nothing_needs_no_room() -> None:
    assert updated(deployment(0), Scene()).missing is None


def test_pods_that_end_take_their_room_until_they_are_gone_and_are_not_counted_as_replicas() -> None:
    going = owned("a", "600m")
    going["metadata"]["deletionTimestamp"] = "2026-11-24T00:00:00Z"
    assert _capacity.own(deployment(), [going, owned("a")]) == [owned("a")]
    assert room(spec("600m"), 1, [node("a")], [going], []).missing == (
        "needs 1 x 600m cpu, but schedulable nodes have only 400m free"
    )


def test_quotas_count_what_is_created_before() -> None:
    hard = {"requests.cpu": "1", "pods": "5", "count/deployments.apps": "1"}
    quota = {"metadata": {"name": "team"}, "spec": {"hard": hard}, "status": {"hard": hard, "used": {"pods": "1"}}}
    scene = Scene(nodes=[node("a", cpu="4")], quotas=[quota])
    one: Object = {"spec": spec("400m")}
    assert _capacity.room(one, 2, scene).missing is None
    later = _capacity.after(one, 2, scene, objects={"deployments.apps": 1})
    assert _capacity.room(one, 1, later).missing == "needs 1 x 400m requests.cpu, but quota team has only 200m left"
    assert _capacity.room({"spec": spec("100m")}, 2, later).missing is None
    assert "more count/deployments.apps" in str(
        _capacity.room({"spec": spec("100m")}, 1, later, objects={"deployments.apps": 1}).missing
    )
    assert scene.quotas[0]["status"]["used"] == {"pods": "1"}


def test_pods_that_were_put_before_take_their_nodes() -> None:
    scene = Scene(nodes=[node("a"), node("b")])
    large, small = {"spec": spec("600m")}, {"spec": spec("400m")}
    later = _capacity.after(large, 2, scene)
    assert _capacity.room(small, 2, later).missing is None
    assert _capacity.room(small, 3, later).missing == "needs 3 x 400m cpu, but schedulable nodes have only 800m free"
    assert _capacity.room(small, 3, _capacity.after(large, 3, scene)).missing is not None  # two of the three got a node
    # Those that leave make room for what replaces them.
    replaced = _capacity.after(small, 2, later, leaving=later.pods)
    assert _capacity.room(large, 2, replaced).missing is None
    assert scene.pods == ()


def test_a_port_of_the_node_and_pods_that_keep_apart_count_for_those_that_come_later() -> None:
    port = {**spec(), "containers": [{**spec()["containers"][0], "ports": [{"containerPort": 80, "hostPort": 80}]}]}
    scene = Scene(nodes=[node("a"), node("b")])
    one: Object = {"metadata": {"labels": {"app": "one"}}, "spec": port}
    assert _capacity.room(one, 1, _capacity.after(one, 1, scene)).missing is None
    assert "host port 80/TCP taken" in str(_capacity.room(one, 1, _capacity.after(one, 2, scene)).missing)


def test_pods_of_another_namespace_take_nodes_and_nothing_of_these_quotas() -> None:
    hard = {"pods": "1"}
    quota = {"metadata": {"name": "q"}, "status": {"hard": hard, "used": {}}}
    scene = Scene(nodes=[node("a")], quotas=[quota])
    later = _capacity.after({"spec": spec("600m")}, 1, scene, namespace="elsewhere")
    assert later.quotas == [quota]
    assert "but schedulable nodes have only 400m free" in str(_capacity.room({"spec": spec("600m")}, 1, later).missing)
