"""What belongs to a Deployment, and where it is reached."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._workload._applications import addresses, application
from ansible_collections.convoy.rollout.plugins.module_utils._workload._subject import Namespace

Object = dict[str, t.Any]


def template(version: str) -> Object:
    """A pod template of hello."""
    image = f"kelseyhightower/hello:{version}"
    return {
        "metadata": {"labels": {"app": "hello", "version": version}},
        "spec": {"containers": [{"name": "hello", "image": image}]},
    }


def owned(name: str, uid: str, owner: str, **more: t.Any) -> Object:
    """An object that another one owns."""
    metadata = {
        "name": name,
        "uid": uid,
        "creationTimestamp": "2026-11-25T08:00:00Z",
        "ownerReferences": [{"uid": owner, "controller": True}],
    }
    return {"metadata": metadata, **more}


DEPLOYMENT: Object = {
    "metadata": {"name": "hello", "uid": "d"},
    "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "hello"}}, "template": template("2.0.0")},
    "status": {"readyReplicas": 2},
}
SETS = [
    owned("hello-1", "r1", "d", spec={"template": template("1.0.0")}),
    owned("hello-2", "r2", "d", spec={"template": template("2.0.0")}),
    owned("other-1", "r3", "other", spec={"template": template("2.0.0")}),
]


def test_what_belongs_to_a_deployment() -> None:
    pods = [
        owned("hello-2-b", "p1", "r2", spec={}),
        owned("hello-1-a", "p2", "r1", spec={}),
        owned("other-1-a", "p3", "r3", spec={}),
    ]
    services = [
        {"metadata": {"name": "hello"}, "spec": {"selector": {"app": "hello"}, "ports": [{"port": 80}]}},
        {"metadata": {"name": "auth"}, "spec": {"selector": {"app": "auth"}, "ports": [{"port": 80}]}},
        {"metadata": {"name": "outside"}, "spec": {"ports": [{"port": 80}]}},
    ]
    there = Namespace("default", [DEPLOYMENT], SETS, pods, services)
    assert application(DEPLOYMENT, there) == {
        "deployment": "hello",
        "replica_set": "hello-2",
        "replicas": 3,
        "ready": "2/3",
        "version": "2.0.0",
        "images": ["kelseyhightower/hello:2.0.0"],
        "pods": ["hello-1-a", "hello-2-b"],
        "services": ["hello"],
        "addresses": [],
    }


@pytest.mark.parametrize(
    ("spec", "ingress", "found"),
    [
        ({"clusterIP": "10.0.0.7", "ports": [{"port": 80}]}, [], ["10.0.0.7:80"]),
        ({"clusterIP": "None", "ports": [{"port": 80}]}, [], []),
        ({"clusterIP": "10.0.0.7", "ports": [{"port": 443}]}, [{"ip": "203.0.113.7"}], ["203.0.113.7:443"]),
        ({"clusterIP": "10.0.0.7", "ports": [{"port": 443}]}, [{"hostname": "lb.example"}], ["lb.example:443"]),
        ({"clusterIP": "fd00::7", "ports": [{"port": 80}, {"port": 81}]}, [], ["[fd00::7]:80", "[fd00::7]:81"]),
        ({"type": "ExternalName"}, [], []),
    ],
)
def test_addresses(spec: Object, ingress: list[Object], found: list[str]) -> None:
    assert addresses({"spec": spec, "status": {"loadBalancer": {"ingress": ingress}}}) == found
