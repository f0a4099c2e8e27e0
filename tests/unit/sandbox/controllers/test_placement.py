"""Where pods can go as far as other pods decide it."""

from __future__ import annotations

from typing import Any

import leaping
import pytest
from convoy_sandbox import patch, resources
from convoy_sandbox.controllers import placement
from unit.sandbox.controllers.support import World, empty_world

Object = dict[str, Any]

HOSTNAME = "kubernetes.io/hostname"


def pod(name: str = "new", namespace: str = "lab", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    meta = {"name": name, "namespace": namespace, "labels": {"app": "hello"} if labels is None else labels}
    return {"metadata": meta, "spec": {"containers": [{"name": "main", "image": "i"}], **spec}}


def node(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": {HOSTNAME: name, **labels}}}


def scene(**pods: list[Object]) -> placement.Scene:
    """Nodes a1, a2 in zone a and b1 in zone b, and what is on them."""
    nodes = (node("a1", zone="a"), node("a2", zone="a"), node("b1", zone="b"))
    return placement.Scene(nodes, pods, {"lab": {"team": "one"}, "other": {"team": "two"}})


def away(key: str = HOSTNAME, **term: Any) -> Object:
    rule = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": "hello"}}, **term}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}


def near(key: str, app: str) -> Object:
    rule = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}


def spread(key: str = "zone", **more: Any) -> list[Object]:
    selector = {"matchLabels": {"app": "hello"}}
    return [{"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector, **more}]


def obstacles(new: Object, there: placement.Scene) -> dict[str, str]:
    return {each["metadata"]["name"]: placement.obstacle(new, each, there, there.nodes) for each in there.nodes}


def ports(number: int, protocol: str = "TCP", address: str = "") -> Object:
    port = {"containerPort": 80, "hostPort": number, "protocol": protocol, "hostIP": address}
    return pod(containers=[{"name": "main", "image": "i", "ports": [port]}])


@pytest.mark.parametrize(
    ("other", "collides"),
    [
        (ports(80), True),
        (ports(81), False),
        (ports(80, "UDP"), False),
        (ports(80, address="127.0.0.1"), True),
        (pod(), False),
    ],
)
def test_a_host_port_is_one_pods_alone(other: Object, collides: bool) -> None:
    assert placement.port_obstacle(ports(80), [other]) == (placement.PORTS if collides else "")


def test_host_ports_of_two_addresses_do_not_collide() -> None:
    assert placement.port_obstacle(ports(80, address="127.0.0.1"), [ports(80, address="127.0.0.2")]) == ""


def test_anti_affinity_keeps_a_pod_away_from_whole_domains() -> None:
    there = scene(a1=[pod("one")])
    assert obstacles(pod(affinity=away()), there) == {"a1": placement.ANTI_AFFINITY, "a2": "", "b1": ""}
    by_zone = obstacles(pod(affinity=away("zone")), there)
    assert by_zone == {"a1": placement.ANTI_AFFINITY, "a2": placement.ANTI_AFFINITY, "b1": ""}


def test_a_pod_that_is_there_keeps_others_away() -> None:
    there = scene(a1=[pod("one", affinity=away())])
    assert obstacles(pod(), there) == {"a1": placement.EXISTING_ANTI_AFFINITY, "a2": "", "b1": ""}
    assert obstacles(pod(labels={"app": "else"}), there)["a1"] == ""


@pytest.mark.parametrize(
    ("term", "kept_away"),
    [
        ({}, False),
        ({"namespaces": ["other"]}, True),
        ({"namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "two"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "one"}}}, False),
    ],
)
def test_terms_mean_their_own_namespace_unless_they_name_others(term: Object, kept_away: bool) -> None:
    found = obstacles(pod(affinity=away(**term)), scene(b1=[pod("one", "other")]))
    assert found["b1"] == (placement.ANTI_AFFINITY if kept_away else "")


def test_keys_of_labels_narrow_a_term_to_one_revision() -> None:
    there = scene(a1=[pod("old", labels={"app": "hello", "pod-template-hash": "1"})])
    new = pod(labels={"app": "hello", "pod-template-hash": "2"}, affinity=away(matchLabelKeys=["pod-template-hash"]))
    assert obstacles(new, there)["a1"] == ""


def test_affinity_wants_company_and_lets_the_first_of_a_group_in() -> None:
    assert set(obstacles(pod(affinity=near("zone", "cache")), scene()).values()) == {placement.AFFINITY}
    assert set(obstacles(pod(affinity=near("zone", "hello")), scene()).values()) == {""}
    there = scene(a1=[pod("cache", labels={"app": "cache"})])
    assert obstacles(pod(affinity=near("zone", "cache")), there) == {"a1": "", "a2": "", "b1": placement.AFFINITY}


def test_spread_counts_domains_and_the_nodes_without_one() -> None:
    there = scene(a1=[pod("one")])
    found = obstacles(pod(topologySpreadConstraints=spread()), there)
    assert found == {"a1": placement.SPREAD, "a2": placement.SPREAD, "b1": ""}
    assert set(obstacles(pod(topologySpreadConstraints=spread("rack")), there).values()) == {placement.SPREAD_LABEL}
    assert set(obstacles(pod(topologySpreadConstraints=spread(maxSkew=2)), there).values()) == {""}


def test_pods_that_are_ending_or_of_another_revision_are_not_spread_over() -> None:
    ending = pod("ending")
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert obstacles(pod(topologySpreadConstraints=spread()), scene(a1=[ending]))["a1"] == ""
    old = scene(a1=[pod("old", labels={"app": "hello", "pod-template-hash": "1"})])
    constraints = spread(matchLabelKeys=["pod-template-hash"])
    new = pod(labels={"app": "hello", "pod-template-hash": "2"}, topologySpreadConstraints=constraints)
    assert obstacles(new, old)["a1"] == ""


def test_too_few_domains_count_as_an_empty_one() -> None:
    there = scene(a1=[pod("one")], b1=[pod("two")])
    assert set(obstacles(pod(topologySpreadConstraints=spread(minDomains=3)), there).values()) == {placement.SPREAD}


def test_preferences_choose_among_nodes_that_fit() -> None:
    rule = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "hello"}}}
    weighted = [{"weight": 7, "podAffinityTerm": rule}]
    affinity = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": weighted}}
    there = scene(a1=[pod("one")], a2=[pod("two")])
    liked = {
        each["metadata"]["name"]: placement.preference(pod(affinity=affinity), each, there) for each in there.nodes
    }
    assert liked == {"a1": -14, "a2": -14, "b1": 0}


# -- the scheduler -------------------------------------------------------------------------------


def manifest(name: str, **spec: Any) -> Object:
    containers = spec.pop("containers", [{"name": "main", "image": "hello:1"}])
    return {"metadata": {"name": name, "labels": {"app": "hello"}}, "spec": {"containers": containers, **spec}}


def scheduled(world: World, name: str) -> Object:
    conditions = world.get(resources.PODS, name)["status"].get("conditions") or ()
    return next((each for each in conditions if each["type"] == "PodScheduled"), {})


def test_the_third_of_two_nodes_waits_until_one_has_gone() -> None:
    async def check() -> None:
        async with empty_world() as it:
            for name in ("one", "two", "three"):
                it.registry.create(resources.PODS, "lab", manifest(name, affinity=away()))
            await it.until(lambda: scheduled(it, "three").get("status") == "False")
            assert scheduled(it, "three")["message"] == (
                "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. no new claims to deallocate, "
                "preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
            )
            assert len({it.get(resources.PODS, name)["spec"]["nodeName"] for name in ("one", "two")}) == 2
            it.registry.delete(resources.PODS, "lab", "one", grace_period_seconds=0)
            await it.until(lambda: scheduled(it, "three").get("status") == "True")

    leaping.run(check())


def test_a_gated_pod_is_held_until_its_gates_are_gone() -> None:
    async def check() -> None:
        async with empty_world() as it:
            made = it.registry.create(resources.PODS, "lab", manifest("held", schedulingGates=[{"name": "lab/hold"}]))
            assert made["status"]["conditions"][0]["reason"] == "SchedulingGated"
            it.registry.create(resources.PODS, "lab", manifest("free"))
            await it.until(lambda: scheduled(it, "free").get("status") == "True")
            assert scheduled(it, "held")["reason"] == "SchedulingGated"
            remove = [{"op": "remove", "path": "/spec/schedulingGates/0"}]
            it.registry.patch(resources.PODS, "lab", "held", patch.JSON, remove)
            await it.until(lambda: scheduled(it, "held").get("status") == "True")

    leaping.run(check())


def test_company_that_comes_later_is_waited_for() -> None:
    async def check() -> None:
        async with empty_world() as it:
            it.registry.create(resources.PODS, "lab", manifest("late", affinity=near(HOSTNAME, "cache")))
            await it.until(lambda: scheduled(it, "late").get("status") == "False")
            cache = manifest("cache")
            cache["metadata"]["labels"] = {"app": "cache"}
            it.registry.create(resources.PODS, "lab", cache)
            await it.until(lambda: scheduled(it, "late").get("status") == "True")
            late, other = (it.get(resources.PODS, name)["spec"]["nodeName"] for name in ("late", "cache"))
            assert late == other

    leaping.run(check())
