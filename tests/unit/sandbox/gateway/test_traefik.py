"""A cluster with a gateway: a real Traefik serves routes with their weights and writes their statuses."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3
from convoy_sandbox.network import traefik
from convoy_sandbox.testing import Sandbox, sandbox
from kubernetes import client, config

pytestmark = pytest.mark.skipif(traefik.program() is None, reason=traefik.MISSING)

GROUP, VERSION = "gateway.networking.k8s.io", "v1"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Sandbox]:
    with sandbox(nodes=2, gateway=True) as running:
        yield running


def until(reached: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 300
    while not (found := reached()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def _application(name: str, version: str) -> tuple[dict[str, Any], dict[str, Any]]:
    labels = {"app": name}
    container = {
        "name": "hello",
        "image": f"kelseyhightower/hello:{version}",
        "args": ["-http=:8080", "-health=:8081"],
        "readinessProbe": {"httpGet": {"path": "/readiness", "port": 8081}, "periodSeconds": 1},
    }
    deployment = {
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    service = {"metadata": {"name": name}, "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}}
    return deployment, service


def test_weights_are_what_users_get_and_statuses_are_written(cluster: Sandbox) -> None:
    api = config.new_client_from_config(str(cluster.kubeconfig))
    core, apps, custom = client.CoreV1Api(api), client.AppsV1Api(api), client.CustomObjectsApi(api)
    for name, version in (("stable", "1.0.0"), ("canary", "2.0.0")):
        deployment, service = _application(name, version)
        apps.create_namespaced_deployment("default", deployment)
        core.create_namespaced_service("default", service)
    for name in ("stable", "canary"):
        until(lambda name=name: apps.read_namespaced_deployment(name, "default").status.ready_replicas)
    route = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "HTTPRoute",
        "metadata": {"name": "hello"},
        "spec": {
            "parentRefs": [{"name": "web", "namespace": "gateway"}],
            "hostnames": ["hello.example.com"],
            "rules": [
                {
                    "backendRefs": [
                        {"name": "stable", "port": 80, "weight": 9},
                        {"name": "canary", "port": 80, "weight": 1},
                    ]
                }
            ],
        },
    }
    custom.create_namespaced_custom_object(GROUP, VERSION, "default", "httproutes", route)

    def parents() -> list[dict[str, Any]]:
        read = custom.get_namespaced_custom_object(GROUP, VERSION, "default", "httproutes", "hello")
        return list((read.get("status") or {}).get("parents") or ())

    accepted = until(parents)[0]
    conditions = {each["type"]: (each["status"], each["observedGeneration"]) for each in accepted["conditions"]}
    assert accepted["controllerName"] == "traefik.io/gateway-controller"
    assert conditions == {"Accepted": ("True", 1), "ResolvedRefs": ("True", 1)}
    service = core.read_namespaced_service("traefik", "gateway")
    address = service.status.load_balancer.ingress[0].ip
    port = (service.metadata.annotations or {}).get("sandbox.convoy.rollout/port-80", "80")
    http = urllib3.PoolManager(headers={"Host": "hello.example.com", "Connection": "close"})

    def asked() -> tuple[int, str]:
        answer = http.request("GET", f"http://{address}:{port}/version", retries=False)
        return answer.status, answer.json()["version"] if answer.status == 200 else ""

    # It begins its round anew whenever it hears of an endpoint, which may be in the middle of these.
    until(lambda: Counter(asked() for _ in range(100)) == {(200, "1.0.0"): 90, (200, "2.0.0"): 10})


def test_traefik_may_read_and_write_statuses_and_nothing_else(cluster: Sandbox) -> None:
    api = config.new_client_from_config(str(cluster.service_account("gateway", "traefik")))
    core, custom = client.CoreV1Api(api), client.CustomObjectsApi(api)
    assert custom.list_cluster_custom_object(GROUP, VERSION, "httproutes")["kind"] == "HTTPRouteList"
    for refused in (
        lambda: core.delete_namespaced_service("traefik", "gateway"),
        lambda: core.list_namespaced_pod("gateway"),
        lambda: custom.delete_namespaced_custom_object(GROUP, VERSION, "gateway", "gateways", "web"),
    ):
        with pytest.raises(client.ApiException) as problem:
            refused()
        assert problem.value.status == 403
