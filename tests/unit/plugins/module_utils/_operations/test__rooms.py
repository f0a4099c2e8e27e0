"""Whether all that is in manifests has room together, before any of it is applied."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import ApiError
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _rooms

Object = dict[str, t.Any]


class Cluster:
    """What an API server has in lists, by the last part of their paths; it takes every manifest as it is."""

    def __init__(self, nodes: t.Sequence[str] = ("4", "4"), **lists: t.Sequence[Object]) -> None:
        made = [_node(f"node{number}", cpu) for number, cpu in enumerate(nodes)]
        self._lists: dict[str, t.Sequence[Object]] = {"nodes": made, **lists}

    def items(self, path: str, **_query: t.Any) -> list[Object]:
        """A list."""
        return list(self._lists.get(path.rpartition("/")[2], []))

    def get(self, path: str) -> Object:
        """An object. Raises ApiError."""
        collection, _slash, name = path.rpartition("/")
        for item in self.items(collection):
            if item["metadata"]["name"] == name:
                return item
        raise ApiError(404, "NotFound", f"nothing at {path}")

    def tried(self, _path: str, manifest: Object) -> Object:
        """What would become of a manifest."""
        return manifest


def _node(name: str, cpu: str) -> Object:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": cpu, "memory": "16Gi", "pods": "110"}, "conditions": []},
    }


def deployment(name: str, replicas: int, cpu: str = "1", **spec: t.Any) -> Object:
    """A Deployment of pods that request so much."""
    container = {"name": name, "image": "x:1", "resources": {"requests": {"cpu": cpu}}, **spec}
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def pods_of(item: Object, count: int, node: str = "node0") -> list[Object]:
    """Pods of a Deployment that have a node."""
    owner = {"controller": True, "kind": "ReplicaSet", "name": f"{item['metadata']['name']}-1", "uid": "1"}
    labels = {**item["spec"]["template"]["metadata"]["labels"], "pod-template-hash": "1"}
    name = item["metadata"]["name"]
    return [
        {
            "metadata": {
                "name": f"{name}-1-{number}",
                "namespace": "shop",
                "labels": labels,
                "ownerReferences": [owner],
            },
            "spec": {**item["spec"]["template"]["spec"], "nodeName": node},
            "status": {"phase": "Running"},
        }
        for number in range(count)
    ]


def check(cluster: Cluster, *items: Object) -> list[str]:
    """What could not be judged. Raises Failure."""
    return _rooms.check(t.cast("t.Any", cluster), items, "shop")


def test_deployments_that_fit_each_alone_and_not_together_are_refused_with_what_is_beside_them() -> None:
    one, other = deployment("one", 5), deployment("other", 5)
    assert check(Cluster(), one) == check(Cluster(), other) == []
    with pytest.raises(Failure) as failure:
        check(Cluster(), one, other)
    assert failure.value.message == (
        "Nothing was applied, as there is no room for Deployment other with its 5 pods beside those of Deployment "
        "one, which would be applied with it: needs 5 x 1 cpu, but schedulable nodes have only 3 free. Make room, or "
        "describe fewer replicas or smaller requests, and run the playbook again."
    )
    assert check(Cluster(["5", "5"]), one, other) == []


def test_one_that_has_no_room_by_itself_is_not_said_to_lack_it_for_others() -> None:
    with pytest.raises(Failure) as failure:
        check(Cluster(), deployment("one", 1), deployment("other", 9))
    assert "beside" not in failure.value.message


def test_small_pods_that_come_first_do_not_take_the_places_of_large_ones() -> None:
    # As they stand, two small pods go to two nodes, and the large one finds no node that is whole.
    assert check(Cluster(["2", "2"]), deployment("small", 2), deployment("large", 1, "2")) == []


def test_two_that_want_the_same_port_of_one_node_are_refused() -> None:
    ports = [{"containerPort": 80, "hostPort": 80}]
    with pytest.raises(Failure, match="host port 80/TCP taken"):
        check(Cluster(["4"]), deployment("one", 1, ports=ports), deployment("other", 1, ports=ports))


def test_what_is_replaced_makes_room_for_what_comes_after_it() -> None:
    large, small = deployment("one", 3, "1"), deployment("one", 3, "200m")
    cluster = Cluster(["4"], deployments=[large], pods=pods_of(large, 3))
    assert check(cluster, small, deployment("other", 3)) == []
    with pytest.raises(Failure, match="beside those of Deployment one"):
        check(Cluster(["4"], deployments=[small], pods=pods_of(small, 3)), large, deployment("other", 2))


def test_a_quota_counts_what_an_earlier_one_requests_more_than_before() -> None:
    small, large = deployment("one", 2, "100m"), deployment("one", 2, "400m")
    hard = {"requests.cpu": "1"}
    quota = {"metadata": {"name": "team"}, "status": {"hard": hard, "used": {"requests.cpu": "200m"}}}
    cluster = Cluster(deployments=[small], pods=pods_of(small, 2), resourcequotas=[quota])
    assert check(cluster, large) == []
    with pytest.raises(Failure, match="quota team has only 200m left"):
        check(cluster, large, deployment("other", 1, "300m"))


def test_a_deployment_of_another_namespace_takes_nodes_and_none_of_the_quotas() -> None:
    elsewhere = deployment("one", 5)
    elsewhere["metadata"]["namespace"] = "elsewhere"
    with pytest.raises(Failure, match="beside those of Deployment one"):
        check(Cluster(), elsewhere, deployment("other", 5))


def service(name: str, **spec: t.Any) -> Object:
    """A Service with two ports."""
    ports = [{"port": 80}, {"port": 81}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports, **spec}}


@pytest.mark.parametrize(
    ("hard", "items", "said"),
    [
        ({"services": "3"}, [service("a"), service("b")], "needs 2 more services, but quota team has 1 left"),
        ({"count/services": "3"}, [service("a"), service("b")], "needs 2 more count/services"),
        ({"services": "3"}, [service("a"), service("there")], ""),
        ({"services.nodeports": "3"}, [service("a", type="NodePort")], ""),
        (
            {"services.nodeports": "3"},
            [service("a", type="NodePort"), service("b", type="LoadBalancer")],
            "needs 4 more services.nodeports",
        ),
        (
            {"services.nodeports": "3"},
            [service("a", type="NodePort"), service("b", type="LoadBalancer", allocateLoadBalancerNodePorts=False)],
            "",
        ),
        ({"services.loadbalancers": "1"}, [service(name, type="LoadBalancer") for name in "ab"], "services.loadbalanc"),
        ({"configmaps": "2"}, [service("a")], ""),
    ],
)
def test_quotas_on_objects_count_all_that_are_created(hard: Object, items: list[Object], said: str) -> None:
    used = {name: "2" if name.endswith("services") else "0" for name in hard}
    quota = {"metadata": {"name": "team"}, "status": {"hard": hard, "used": used}}
    cluster = Cluster(resourcequotas=[quota], services=[service("there")])
    if not said:
        assert check(cluster, *items) == []
        return
    with pytest.raises(
        Failure, match="Nothing was applied, as there is no room for all of it in namespace shop"
    ) as error:
        check(cluster, *items)
    assert said in error.value.message


def test_who_may_not_list_nodes_is_told_that_room_was_not_judged() -> None:
    class Closed(Cluster):
        """A cluster whose nodes this user may not list."""

        def items(self, path: str, **query: t.Any) -> list[Object]:
            if path.endswith("nodes"):
                raise ApiError(403, "Forbidden", "nodes is forbidden")
            return super().items(path, **query)

    assert "free room was not checked" in check(Closed(), deployment("one", 1), deployment("other", 1))[0]
