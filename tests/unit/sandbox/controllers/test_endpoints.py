"""Endpoints of Services, and slices of Endpoints that a user has written."""

from __future__ import annotations

from typing import Any

import leaping
from convoy_sandbox import resources
from convoy_sandbox.controllers.endpoints import subsets
from unit.sandbox.controllers.support import World, empty_world

Object = dict[str, Any]


def service(it: World, **spec: Any) -> None:
    body = {"ports": [{"name": "http", "port": 80, "targetPort": 81}], **spec}
    it.registry.create(resources.SERVICES, "lab", {"metadata": {"name": "web", "labels": {"l": "m"}}, "spec": body})


def endpoints(it: World) -> Object:
    return it.store.get(resources.ENDPOINTS, "lab", "web") or {}


def slices(it: World) -> list[Object]:
    return it.store.list(resources.ENDPOINTSLICES, "lab")


def test_a_service_has_endpoints_as_clients_of_old_read_them() -> None:
    async def run() -> None:
        async with empty_world() as it:
            service(it, selector={"a": "b"})
            await it.until(lambda: bool(endpoints(it)))
            assert "subsets" not in endpoints(it)
            spec = {"containers": [{"name": "a", "image": "a:1"}]}
            it.registry.create(resources.PODS, "lab", {"metadata": {"name": "one", "labels": {"a": "b"}}, "spec": spec})
            await it.until(lambda: "addresses" in (endpoints(it).get("subsets") or [{}])[0])
            (subset,) = endpoints(it)["subsets"]
            assert subset["ports"] == [{"name": "http", "port": 81, "protocol": "TCP"}]
            (address,) = subset["addresses"]
            assert address["targetRef"]["name"] == "one"
            assert address["nodeName"]
            assert endpoints(it)["metadata"]["labels"] == {
                "l": "m",
                "endpoints.kubernetes.io/managed-by": "endpoint-controller",
            }
            it.registry.delete(resources.SERVICES, "lab", "web")
            await it.until(lambda: not endpoints(it))

    leaping.run(run())


def test_endpoints_that_are_not_ready_stand_apart_and_ending_ones_nowhere() -> None:
    def endpoint(ip: str, *, ready: bool, terminating: bool = False) -> Object:
        return {"addresses": [ip], "conditions": {"ready": ready, "terminating": terminating}}

    found = subsets(
        [
            {
                "endpoints": [
                    endpoint("1.1.1.1", ready=True),
                    endpoint("2.2.2.2", ready=False),
                    endpoint("3.3.3.3", ready=False, terminating=True),
                ],
                "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
            },
            {"endpoints": [], "ports": None},
        ]
    )
    assert found == [
        {
            "addresses": [{"ip": "1.1.1.1"}],
            "notReadyAddresses": [{"ip": "2.2.2.2"}],
            "ports": [{"port": 80, "protocol": "TCP"}],
        }
    ]


def test_endpoints_of_a_service_without_a_selector_become_slices() -> None:
    async def run() -> None:
        async with empty_world() as it:
            service(it)
            body = {"addresses": [{"ip": "127.0.0.9"}], "ports": [{"name": "http", "port": 81}]}
            it.registry.create(resources.ENDPOINTS, "lab", {"metadata": {"name": "web"}, "subsets": [body]})
            await it.until(lambda: bool(slices(it)))
            (found,) = slices(it)
            assert found["endpoints"] == [{"addresses": ["127.0.0.9"], "conditions": {"ready": True}}]
            assert found["ports"] == [{"name": "http", "port": 81, "protocol": "TCP"}]
            assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
            it.registry.delete(resources.ENDPOINTS, "lab", "web")
            await it.until(lambda: not slices(it))

    leaping.run(run())
