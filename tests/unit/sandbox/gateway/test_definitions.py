"""Gateway API's kinds: the API server takes them, and they refuse and fill in what the API's reference says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from convoy_sandbox import resources
from convoy_sandbox.controllers.definitions import DefinitionController
from convoy_sandbox.errors import ApiError
from convoy_sandbox.gateway import manifests
from convoy_sandbox.registry import Registry
from convoy_sandbox.store import Store

GROUP = "gateway.networking.k8s.io"
PARENT = {"name": "web", "namespace": "gateway"}


@pytest.fixture(scope="module")
def registry() -> Registry:
    """A cluster with the kinds established."""

    async def made() -> Registry:
        store = Store()
        registry = Registry(store)
        controller = DefinitionController(store, registry)
        controller.start()
        registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
        for definition in manifests.definitions():
            registry.create(resources.CUSTOMRESOURCEDEFINITIONS, "", definition)
        plurals = [each["spec"]["names"]["plural"] for each in manifests.definitions()]
        while not all(registry.catalog.find(GROUP, "v1", plural) for plural in plurals):  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0)
        controller.close()
        return registry

    return asyncio.run(asyncio.wait_for(made(), 300))


def create(registry: Registry, plural: str, spec: dict[str, Any], version: str = "v1") -> dict[str, Any]:
    resource = registry.catalog.find(GROUP, version, plural)
    assert resource is not None
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "a"}, "spec": spec}
    return registry.create(resource, "lab" if resource.namespaced else "", body, dry_run=True)


def route(*backends: dict[str, Any], **rule: Any) -> dict[str, Any]:
    return {"parentRefs": [PARENT], "rules": [{"backendRefs": list(backends), **rule}]}


HELLO = {"name": "hello", "port": 80}


def test_a_route_gets_its_defaults(registry: Registry) -> None:
    spec = create(registry, "httproutes", route(HELLO))["spec"]
    assert spec["parentRefs"] == [{"group": GROUP, "kind": "Gateway", **PARENT}]
    assert spec["rules"] == [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backendRefs": [{"group": "", "kind": "Service", "weight": 1, **HELLO}],
        }
    ]


def test_the_older_version_is_served_too(registry: Registry) -> None:
    assert create(registry, "httproutes", route(HELLO), "v1beta1")["apiVersion"] == f"{GROUP}/v1beta1"


@pytest.mark.parametrize(
    ("spec", "where", "why"),
    [
        (route({**HELLO, "weight": -5}), "weight", "should be greater than or equal to 0"),
        (route({**HELLO, "weight": 1000001}), "weight", "should be less than or equal to 1000000"),
        (route({"name": "hello"}), "backendRefs[0]", "Must have port for Service reference"),
        (route({**HELLO, "name": ""}), "name", "should be at least 1 chars long"),
        (route(*[HELLO] * 17), "backendRefs", "must have at most 16 items"),
        (route(HELLO, matches=[{"path": {"value": "hello"}}]), "path", "must be an absolute path"),
        (route(HELLO, matches=[{"path": {"value": "/a//b"}}]), "path", "must not contain '//'"),
        (route(HELLO, matches=[{"headers": [{"name": "x"}]}]), "value", "Required value"),
        (route(HELLO, filters=[{"type": "URLRewrite"}]), "filters[0]", "urlRewrite must be specified"),
        (
            route(HELLO, filters=[{"type": "RequestRedirect", "requestRedirect": {}}]),
            "rules[0]",
            "RequestRedirect filter must not be used together with backendRefs",
        ),
        (
            route(HELLO, timeouts={"request": "1s", "backendRequest": "2s"}),
            "timeouts",
            "backendRequest timeout cannot be longer than request timeout",
        ),
        ({**route(HELLO), "hostnames": ["UPPER"]}, "hostnames[0]", "should match"),
        ({**route(HELLO), "parentRefs": [PARENT, PARENT]}, "parentRefs", "sectionName must be unique"),
    ],
)
def test_a_wrong_route_is_refused(registry: Registry, spec: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(ApiError) as refused:
        create(registry, "httproutes", spec)
    assert refused.value.code == 422
    causes = refused.value.status["details"]["causes"]
    assert [each for each in causes if where in each["field"] and why in each["message"]], causes


def test_a_gateway_that_makes_no_sense_is_refused(registry: Registry) -> None:
    listener = {"name": "web", "port": 8000, "protocol": "HTTP"}
    made = create(registry, "gateways", {"gatewayClassName": "traefik", "listeners": [listener]})
    assert made["spec"]["listeners"][0]["allowedRoutes"] == {"namespaces": {"from": "Same"}}
    twice = [listener, {**listener, "name": "other"}]
    with pytest.raises(ApiError, match="Combination of port, protocol and hostname must be unique"):
        create(registry, "gateways", {"gatewayClassName": "traefik", "listeners": twice})


def test_the_other_kinds_are_taken(registry: Registry) -> None:
    create(registry, "gatewayclasses", {"controllerName": "example.com/gateway"})
    create(
        registry,
        "referencegrants",
        {"from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": "a"}], "to": [{"group": "", "kind": "Service"}]},
    )
    create(registry, "grpcroutes", {"parentRefs": [PARENT], "rules": [{"backendRefs": [HELLO]}]})
    create(
        registry,
        "tlsroutes",
        {"parentRefs": [PARENT], "hostnames": ["a.example"], "rules": [{"backendRefs": [HELLO]}]},
    )
    create(
        registry,
        "backendtlspolicies",
        {
            "targetRefs": [{"group": "", "kind": "Service", "name": "hello"}],
            "validation": {"hostname": "a.example", "wellKnownCACertificates": "System"},
        },
    )
