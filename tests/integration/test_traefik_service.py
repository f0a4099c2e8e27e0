"""playbooks/canary.yml by a TraefikService, on a real Traefik that serves its own kinds: no request lost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from convoy_sandbox.network import traefik
from convoy_sandbox.testing import Sandbox, sandbox
from integration.playbooks import Traffic
from integration.routed import Routed, behind, deployed, until
from kubernetes import client, config

pytestmark = pytest.mark.skipif(traefik.program() is None, reason=traefik.MISSING)

GROUP, VERSION = "traefik.io", "v1alpha1"
#: What Traefik watches with this provider; it serves nothing while one of them is missing.
KINDS = {
    "ingressroutes": "IngressRoute",
    "ingressroutetcps": "IngressRouteTCP",
    "ingressrouteudps": "IngressRouteUDP",
    "middlewares": "Middleware",
    "middlewaretcps": "MiddlewareTCP",
    "serverstransports": "ServersTransport",
    "serverstransporttcps": "ServersTransportTCP",
    "tlsoptions": "TLSOption",
    "tlsstores": "TLSStore",
    "traefikservices": "TraefikService",
}
_SERVICE = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "kind": {"type": "string", "enum": ["Service", "TraefikService"]},
        "port": {"x-kubernetes-int-or-string": True},
        "weight": {"type": "integer", "minimum": 0},
    },
}
_WEIGHTED = {"type": "object", "properties": {"services": {"type": "array", "items": _SERVICE}}}


def definition(plural: str, kind: str) -> dict[str, Any]:
    """A kind of Traefik's, reduced to what a canary needs of it."""
    spec: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    if kind == "TraefikService":
        spec = {"type": "object", "properties": {"weighted": _WEIGHTED}}
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[Sandbox]:
    with sandbox(name=f"traefik-{uuid.uuid4().hex[:8]}", gateway=True) as running:
        api = config.new_client_from_config(str(running.kubeconfig))
        extensions, rbac, apps = (
            client.ApiextensionsV1Api(api),
            client.RbacAuthorizationV1Api(api),
            client.AppsV1Api(api),
        )
        for plural, kind in KINDS.items():
            extensions.create_custom_resource_definition(definition(plural, kind))
        role = rbac.read_cluster_role("traefik")
        more = {"apiGroups": [GROUP], "resources": ["*"], "verbs": ["get", "list", "watch"]}
        nodes = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}
        rules = [*api.sanitize_for_serialization(role.rules), more, nodes]
        rbac.patch_cluster_role("traefik", {"rules": rules})
        deployment = apps.read_namespaced_deployment("traefik", "gateway")
        arguments = [*deployment.spec.template.spec.containers[0].args, "--providers.kubernetescrd"]
        containers = [{"name": "traefik", "args": arguments}]
        patch = {"spec": {"template": {"spec": {"containers": containers}}}}
        generation = apps.patch_namespaced_deployment("traefik", "gateway", patch).metadata.generation

        def served() -> bool:
            status = apps.read_namespaced_deployment_status("traefik", "gateway").status
            return bool(
                status.observed_generation >= generation
                and (status.replicas, status.updated_replicas, status.ready_replicas) == (1, 1, 1)
            )

        until(served)
        yield running


@pytest.fixture(scope="module")
def source(cluster: Sandbox) -> Iterator[Routed]:
    with deployed(cluster) as found:
        yield found


@pytest.fixture
def lab(source: Routed) -> Iterator[Routed]:
    def made(found: Routed) -> None:
        found.variables["application_router"] = {}
        services = [{"name": "hello", "port": 80}]
        create(found, "traefikservices", "TraefikService", {"weighted": {"services": services}})
        route = {
            "match": f"Host(`{found.host}`)",
            "kind": "Rule",
            "services": [{"name": "hello", "kind": "TraefikService"}],
        }
        create(found, "ingressroutes", "IngressRoute", {"entryPoints": ["web"], "routes": [route]})

    with behind(source, made) as found:
        yield found


def create(lab: Routed, plural: str, kind: str, spec: dict[str, Any]) -> None:
    body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"name": "hello"}, "spec": spec}
    lab.custom.create_namespaced_custom_object(GROUP, VERSION, lab.namespace, plural, body)


def weights(lab: Routed) -> dict[str, int]:
    item = lab.custom.get_namespaced_custom_object(GROUP, VERSION, lab.namespace, "traefikservices", "hello")
    return {each["name"]: each.get("weight") for each in item["spec"]["weighted"]["services"]}


def is_as_before(lab: Routed, version: str) -> None:
    assert lab.deployments() == {"hello"}
    assert lab.services() == {"hello"}
    assert weights(lab) == {"hello": 1}
    assert lab.selector() == {"app": "hello"}
    assert lab.versions(50) == {version: 50}


def test_it_is_found_gives_small_shares_and_all_of_it_and_loses_no_request(lab: Routed) -> None:
    with Traffic(lab) as traffic:
        one = lab.canary(version="2.0.0", canary_steps=[{"weight": 1}])
        assert one.code == 0, one.output
        assert "weight 1%: TraefikService hello gives it to 1 replica beside 3 of stable" in one.output
        assert weights(lab) == {"hello": 99, "hello-canary": 1}
        done = lab.canary(version="2.0.0", canary_steps=[{"weight": 25}, {"weight": 100}], promote=True)
        assert done.code == 0, done.output
        is_as_before(lab, "2.0.0")
    assert traffic.lost == []
