"""Which nodes take another pod beside those that are there."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._workload._capacity import HASH, Room, Scene, hashed, room

Object = dict[str, t.Any]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
WEB = {"matchLabels": {"app": "web"}}


def node(name: str, zone: str = "z1", cpu: str = "10", **labels: str) -> Object:
    """A node of a zone that is ready."""
    return {
        "metadata": {"name": name, "labels": {HOST: name, ZONE: zone, **labels}},
        "status": {"allocatable": {"cpu": cpu, "pods": "110"}},
    }


NODES = [node("a"), node("b"), node("c", "z2")]


def pod(on: str, labels: Object | None = None, namespace: str = "default", **spec: t.Any) -> Object:
    """A pod that runs on a node."""
    metadata = {"namespace": namespace, "labels": {"app": "web"} if labels is None else labels}
    return {"metadata": metadata, "spec": {"nodeName": on, "containers": [{}], **spec}, "status": {"phase": "Running"}}


def affinity(kind: str, *terms: Object) -> Object:
    """A required affinity to pods, or an anti-affinity."""
    return {"affinity": {kind: {REQUIRED: list(terms)}}}


def term(key: str = HOST, selector: Object | None = None, **more: t.Any) -> Object:
    """A term that means the pods of the application."""
    return {"topologyKey": key, "labelSelector": WEB if selector is None else selector, **more}


def spread(most: int = 1, key: str = ZONE, selector: Object | None = None, **more: t.Any) -> Object:
    """A topology spread constraint that must hold."""
    rule = {"maxSkew": most, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule"}
    return {"topologySpreadConstraints": [{**rule, "labelSelector": WEB if selector is None else selector, **more}]}


def place(replicas: int, pods: list[Object], labels: Object | None = None, nodes: t.Any = NODES, **spec: t.Any) -> Room:
    """The room for pods of the application."""
    template = {
        "metadata": {"labels": {"app": "web"} if labels is None else labels},
        "spec": {"containers": [{"name": "web"}], **spec},
    }
    return room(template, replicas, Scene(nodes=nodes, pods=pods))


PORT = [{"name": "web", "ports": [{"containerPort": 80, "hostPort": 8080}]}]


@pytest.mark.parametrize(
    ("ports", "there", "fits"),
    [
        ([{"containerPort": 80, "hostPort": 8080}], [], 3),
        ([{"containerPort": 80, "hostPort": 8080}], [{"containerPort": 1, "hostPort": 8080}], 2),
        ([{"containerPort": 80, "hostPort": 8080}], [{"containerPort": 1, "hostPort": 8080, "protocol": "UDP"}], 3),
        ([{"hostPort": 8080, "hostIP": "10.0.0.1"}], [{"hostPort": 8080, "hostIP": "10.0.0.2"}], 3),
        ([{"hostPort": 8080, "hostIP": "10.0.0.1"}], [{"hostPort": 8080}], 2),
        ([{"containerPort": 80}], [{"hostPort": 80}], 9),
    ],
)
def test_host_ports(ports: list[Object], there: list[Object], fits: int) -> None:
    found = place(9, [pod("a", {}, containers=[{"ports": there}])], containers=[{"name": "web", "ports": ports}])
    assert min(found.most, 9) == fits
    assert (found.missing is None) == (fits == 9)


def test_what_is_said_of_a_host_port_that_is_taken() -> None:
    found = place(2, [pod("a", {}, containers=PORT), pod("b", {}, containers=PORT)], containers=PORT)
    assert (found.most, found.limited_by) == (1, "hostPort")
    assert found.missing == (
        "needs nodes for 2 pods, but only 1 of them can be placed: of 3 nodes, 3 have the host port 8080/TCP taken"
    )


def test_in_the_nodes_network_each_port_is_the_nodes_also_a_native_sidecars() -> None:
    ports = {"containers": [{"ports": [{"containerPort": 80}]}], "hostNetwork": True}
    assert place(9, [], **ports).most == 3
    sidecar = [{"name": "proxy", "restartPolicy": "Always", "ports": [{"hostPort": 15001}]}]
    assert place(9, [pod("b", {}, containers=[{"ports": [{"hostPort": 15001}]}])], initContainers=sidecar).most == 2


@pytest.mark.parametrize(
    ("term_", "pods", "fits"),
    [
        (term(), [], 3),
        (term(ZONE), [], 2),
        (term(), [pod("a")], 2),
        (term(), [pod("a", namespace="other")], 3),
        (term(namespaces=["other"]), [pod("a", namespace="other")], 9),
        (term(namespaceSelector={}), [pod("a", namespace="other")], 2),
        (
            term(namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "other"}}),
            [pod("a", namespace="other")],
            9,
        ),
        (term(selector={"matchExpressions": [{"key": "app", "operator": "Exists"}]}), [pod("a", {"app": "x"})], 2),
        (term(selector={"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), [pod("a")], 9),
        (term("no-such-label"), [pod("a")], 9),
    ],
)
def test_pods_that_are_kept_apart(term_: Object, pods: list[Object], fits: int) -> None:
    found = place(9, pods, **affinity("podAntiAffinity", term_))
    assert found.most == fits
    assert (found.limited_by == "podAntiAffinity") is (fits < 9)


def test_pods_that_want_to_be_alone_keep_others_away() -> None:
    alone = pod("a", {"app": "db"}, **affinity("podAntiAffinity", term(ZONE)))
    assert place(9, [alone]).most == 9  # c is in another zone
    assert place(1, [alone], nodes=NODES[:2]).missing == (
        "needs nodes for 1 pod, but none of them can be placed: of 2 nodes, 2 have a pod that these are kept away "
        "from (podAntiAffinity)"
    )
    assert place(1, [alone], {"app": "other"}, nodes=NODES[:2]).missing is None


def test_a_second_colour_that_shares_the_labels_of_the_first_has_no_place_beside_it() -> None:
    apart = affinity("podAntiAffinity", term())
    blue = [pod(name, {"app": "web", "color": "blue"}, **apart) for name in "abc"]
    assert place(3, blue, {"app": "web", "color": "green"}, **apart).most == 0
    own = affinity("podAntiAffinity", term(matchLabelKeys=["color"]))
    assert place(3, blue[:0], {"app": "web", "color": "green"}, **own).missing is None
    blue = [pod(name, {"app": "web", "color": "blue"}, **own) for name in "abc"]
    assert place(3, blue, {"app": "web", "color": "green"}, **own).missing is None


def test_pods_that_must_be_beside_others() -> None:
    beside = affinity("podAffinity", term(ZONE, {"matchLabels": {"app": "db"}}))
    assert place(1, [], **beside).limited_by == "podAffinity"
    assert place(2, [pod("a", {"app": "db"})], nodes=[node("a", cpu="0"), node("c", "z2")], **beside).most == 2
    # The first of pods that are to be together may be anywhere, and then the others are where it is.
    assert place(4, [], nodes=[node("a"), node("c", "z2")], **affinity("podAffinity", term(ZONE))).missing is None


def test_the_first_of_pods_that_are_to_be_together_decides_where_the_others_are() -> None:
    together = affinity("podAffinity", term())
    requests = [{"name": "web", "resources": {"requests": {"cpu": "4"}}}]
    assert place(3, [], containers=requests, **together).most == 2


@pytest.mark.parametrize(
    ("rule", "pods", "fits"),
    [
        (spread(), [], 9),
        (spread(key=HOST), [pod("a"), pod("a")], 9),
        (spread(), [pod("a"), pod("b")], 9),
        (spread(minDomains=3), [], 2),
        (spread(key="rack"), [], 0),
        (spread(selector={"matchLabels": {"app": "x"}}), [pod("a", {"app": "x"})], 9),
    ],
)
def test_pods_that_are_spread(rule: Object, pods: list[Object], fits: int) -> None:
    assert place(9, pods, **rule).most == fits


def test_a_spread_over_zones_ends_where_one_zone_is_full() -> None:
    requests = [{"name": "web", "resources": {"requests": {"cpu": "1"}}}]
    nodes = [node("a", cpu="10"), node("c", "z2", cpu="1")]
    found = place(4, [], nodes=nodes, containers=requests, **spread())
    assert (found.most, found.limited_by) == (3, "topologySpreadConstraints")
    assert str(found.missing).endswith(
        "1 has as many pods per topology.kubernetes.io/zone as maxSkew 1 allows, 1 has no room left"
    )


def test_pods_that_end_and_nodes_that_may_not_be_taken_do_not_count_for_a_spread() -> None:
    going = pod("a")
    going["metadata"]["deletionTimestamp"] = "2026-11-24T00:00:00Z"
    assert place(2, [going], nodes=[node("a"), node("c", "z2")], **spread()).missing is None
    # By default a zone counts whose nodes have a taint, so that nothing may be placed beyond it.
    tainted = dict(node("d", "z3"), spec={"taints": [{"key": "x", "effect": "NoSchedule"}]})
    assert place(9, [], nodes=[node("a"), tainted], **spread()).most == 1
    assert place(9, [], nodes=[node("a"), tainted], **spread(nodeTaintsPolicy="Honor")).most == 9
    other = node("d", "z3", disk="slow")
    fast = {"nodeSelector": {"disk": "fast"}}
    assert place(9, [], nodes=[node("a", disk="fast"), other], **fast, **spread()).most == 9
    assert place(9, [], nodes=[node("a", disk="fast"), other], **fast, **spread(nodeAffinityPolicy="Ignore")).most == 1


def test_pods_of_a_new_template_are_told_from_those_of_the_old_one_by_their_hash() -> None:
    rule = affinity("podAntiAffinity", term(matchLabelKeys=[HASH]))
    spec = {"containers": [{"name": "web"}], **rule}
    old = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    there = [pod(name, {"app": "web", HASH: "1"}, **rule) for name in "abc"]
    scene = Scene(nodes=NODES, pods=there)
    assert room(hashed(old, {"spec": {"template": old}}, there), 1, scene).missing is not None
    assert room(hashed(old, None, []), 3, scene).missing is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "x"}}]}, "the volumes data can be used"),
        ({"volumes": [{"name": "tmp", "ephemeral": {}}, {"name": "etc", "configMap": {}}]}, ""),
        ({"schedulerName": "volcano"}, "what the scheduler volcano decides"),
        ({"resourceClaims": [{"name": "gpu"}]}, "resource claims"),
        (affinity("podAffinity", term(namespaceSelector={"matchLabels": {"team": "x"}})), "selected by labels"),
    ],
)
def test_what_cannot_be_judged_is_said(spec: Object, said: str) -> None:
    found = place(1, [], **spec)
    assert bool(found.unjudged) is bool(said)
    assert said in found.message
    assert ("not judged" in found.message) is bool(said)
