"""What a cluster says of a Service's traffic: where samples cannot tell it, and what is ready."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._workload._reachable import (
    NO_POD,
    by_endpoints,
    by_pods,
    judge,
    uneven,
)

Object = dict[str, t.Any]


def pod(name: str, version: str, tag: str = "", ready: str = "True") -> Object:
    """A pod of hello."""
    return {
        "metadata": {"name": name, "labels": {"version": version}},
        "spec": {"containers": [{"name": "hello", "image": f"hello:{tag or version}"}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def endpoint(name: str, **more: t.Any) -> Object:
    """An endpoint of a pod."""
    return {"addresses": [f"10.0.0.{name}"], "targetRef": {"kind": "Pod", "name": name}, **more}


@pytest.mark.parametrize(
    ("spec", "annotations", "hints", "entry", "said"),
    [
        ({}, {}, False, True, ""),
        ({"sessionAffinity": "None", "externalTrafficPolicy": "Cluster"}, {}, False, True, ""),
        ({"sessionAffinity": "ClientIP"}, {}, False, True, "has sessionAffinity ClientIP"),
        ({"sessionAffinity": "ClientIP"}, {}, False, False, "has sessionAffinity ClientIP"),
        ({"externalTrafficPolicy": "Local"}, {}, False, True, "has externalTrafficPolicy Local"),
        ({"externalTrafficPolicy": "Local"}, {}, False, False, ""),
        ({"internalTrafficPolicy": "Local"}, {}, False, False, "has internalTrafficPolicy Local"),
        ({"trafficDistribution": "PreferClose"}, {}, False, True, "topology (trafficDistribution PreferClose)"),
        ({}, {"service.kubernetes.io/topology-mode": "Auto"}, False, True, "topology-mode: Auto)"),
        ({}, {"service.kubernetes.io/topology-mode": "Disabled"}, False, True, ""),
        ({}, {"service.kubernetes.io/topology-aware-hints": "auto"}, False, True, "topology-aware-hints: auto)"),
        ({}, {}, True, True, "(EndpointSlices with hints)"),
    ],
)
def test_a_service_that_is_not_balanced_evenly_is_told(
    spec: Object, annotations: Object, hints: bool, entry: bool, said: str
) -> None:
    service = {"metadata": {"name": "hello", "annotations": annotations}, "spec": spec}
    one = endpoint("a", **({"hints": {"forZones": [{"name": "z"}]}} if hints else {}))
    why = uneven(service, [{"endpoints": [one]}], entry)
    assert said in why
    assert bool(why) == bool(said)
    assert not why or why.endswith("expect one version, or judge what is reachable with source=endpoints.")


def test_many_clients_tell_the_shares_of_a_service_that_keeps_each_of_them() -> None:
    service = {"metadata": {"name": "hello"}, "spec": {"sessionAffinity": "ClientIP"}}
    assert "; ask from many source_addresses, expect one" in uneven(service, [], entry=True)
    assert uneven(service, [], entry=True, clients=True) == ""
    behind = uneven(service, [], entry=False, clients=True)
    assert "all clients come to it by the Service in front of it" in behind
    assert "source_addresses" not in behind
    service["spec"]["externalTrafficPolicy"] = "Local"
    assert "Local" in uneven(service, [], entry=True, clients=True)


def test_ready_endpoints_count_once_by_their_pods_labels() -> None:
    pods = [pod("1", "1.0.0"), pod("2", "1.0.0"), pod("3", "2.0.0")]
    ready = [endpoint("1"), endpoint("2", conditions={"ready": False}), endpoint("3", conditions={"ready": True})]
    other_family = [endpoint("1", addresses=["fd00::1"])]
    assert by_endpoints([{"endpoints": ready}, {"endpoints": other_family}], pods) == {"1.0.0": 1, "2.0.0": 1}
    assert by_endpoints([{"endpoints": [endpoint("9"), {"addresses": ["10.0.0.8"]}]}], pods) == {NO_POD: 2}
    assert by_endpoints([{"endpoints": None}], pods) == {}


def test_ready_pods_count_by_their_images() -> None:
    going = pod("4", "1.0.0")
    going["metadata"]["deletionTimestamp"] = "2026-11-25T12:00:00Z"
    pods = [pod("1", "1.0.0"), pod("2", "1.0.0", tag="liar"), pod("3", "2.0.0", ready="False"), going]
    assert by_pods(pods) == {"1.0.0": 1, "liar": 1}


def test_what_is_counted_is_judged_as_it_is() -> None:
    canary = {"1": 0.75, "2": 0.25}
    assert judge({"1": 3, "2": 1}, canary, lambda _share: 0.0, "ready endpoints", "hello") == ("pass", "")
    assert judge({"1": 1, "2": 1}, canary, lambda _share: 0.1, "ready endpoints", "hello") == (
        "fail",
        "hello 1 is 1 of 2 ready endpoints, expected 75 ± 10",
    )
    assert judge({"1": 99, "2": 1}, {"1": 1.0}, lambda _share: 0.1, "ready pods", "hello")[1].endswith("expected 100%")
    assert judge({}, {}, lambda _share: 0.1, "ready pods", "hello") == ("fail", "hello has no ready pods")
