"""Services: types, ports and addresses."""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import patch, resources
from convoy_sandbox.errors import ApiError
from convoy_sandbox.registry import NODE_PORTS, Registry
from convoy_sandbox.store import Store


@pytest.fixture
def registry() -> Registry:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    return registry


def create(registry: Registry, name: str = "hello", **spec: Any) -> dict[str, Any]:
    body = {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}
    return registry.create(resources.SERVICES, "lab", body)


def merge(registry: Registry, spec: dict[str, Any]) -> dict[str, Any]:
    stored, _ = registry.patch(resources.SERVICES, "lab", "hello", patch.MERGE, {"spec": spec})
    return stored


def test_a_cluster_ip_service(registry: Registry) -> None:
    service = create(registry, type="")
    address = service["spec"].pop("clusterIP")
    assert service["spec"] == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "clusterIPs": [address],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
    }
    assert service["status"] == {"loadBalancer": {}}


def test_a_headless_service_has_no_address(registry: Registry) -> None:
    assert create(registry, clusterIP="None", ports=[])["spec"]["clusterIPs"] == ["None"]


def test_client_ip_affinity_lasts_three_hours_unless_said(registry: Registry) -> None:
    spec = create(registry, sessionAffinity="ClientIP")["spec"]
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    assert "sessionAffinityConfig" not in merge(registry, {"sessionAffinity": "None"})["spec"]


def test_node_ports_come_and_go_with_the_type(registry: Registry) -> None:
    create(registry)
    spec = merge(registry, {"type": "NodePort"})["spec"]
    port = spec["ports"][0]["nodePort"]
    assert port in NODE_PORTS
    assert spec["externalTrafficPolicy"] == "Cluster"
    balanced = merge(registry, {"type": "LoadBalancer"})["spec"]
    assert balanced["ports"][0]["nodePort"] == port
    assert balanced["allocateLoadBalancerNodePorts"] is True
    back = merge(registry, {"type": "ClusterIP"})["spec"]
    assert "nodePort" not in back["ports"][0]
    assert "externalTrafficPolicy" not in back
    assert back["clusterIP"] == spec["clusterIP"]


def test_a_node_port_that_is_asked_for(registry: Registry) -> None:
    ports = [{"port": 80, "nodePort": 30080}]
    assert create(registry, type="NodePort", ports=ports)["spec"]["ports"][0]["nodePort"] == 30080
    # one's own port is not taken
    assert merge(registry, {"ports": ports, "externalTrafficPolicy": "Local"})["spec"]["ports"][0]["nodePort"] == 30080
    with pytest.raises(ApiError, match=r"ports\[0\].nodePort: Invalid value: 30080: provided port is already alloc"):
        create(registry, "other", type="NodePort", ports=ports)
    with pytest.raises(
        ApiError, match=r"is not in the valid range\. The range of valid ports is 30000-32767"
    ) as caught:
        create(registry, "other", type="NodePort", ports=[{"port": 80, "nodePort": 80}])
    assert caught.value.code == 422


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ports": []}, "spec.ports: Required value"),
        ({"ports": [{}]}, "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ({"ports": [{"port": 1}, {"port": 2, "name": "b"}]}, "spec.ports[0].name: Required value"),
        (
            {"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]},
            'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":1,"TargetPort":0,'
            '"NodePort":0}',
        ),
        (
            {"ports": [{"port": 1, "targetPort": "Http"}]},
            'spec.ports[0].targetPort: Invalid value: "Http": must contain only alpha-numeric characters (a-z, 0-9), '
            "and hyphens (-)",
        ),
        (
            {"ports": [{"port": 1, "protocol": "tcp"}]},
            'spec.ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
        ),
        (
            {"type": "Balancer"},
            'spec.type: Unsupported value: "Balancer": supported values: "ClusterIP", "ExternalName", '
            '"LoadBalancer", "NodePort"',
        ),
        ({"type": "ExternalName"}, "spec.externalName: Required value"),
        (
            {"ports": [{"port": 1, "nodePort": 30001}]},
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            {"clusterIP": "hello"},
            'spec.clusterIPs[0]: Invalid value: "hello": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        ),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}},
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less "
            "than 86400",
        ),
    ],
)
def test_a_service_that_is_refused(registry: Registry, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as caught:
        create(registry, **spec)
    assert caught.value.code == 422
    assert caught.value.message == f'Service "hello" is invalid: {message}'


def test_a_service_is_named_as_dns_would(registry: Registry) -> None:
    with pytest.raises(ApiError, match=r'metadata\.name: Invalid value: "1hello": a DNS-1035 label must consist of'):
        create(registry, "1hello")


def test_a_cluster_ip_stays(registry: Registry) -> None:
    create(registry)
    with pytest.raises(ApiError, match=r"spec.clusterIPs\[0\]: Invalid value: .*: may not change once set"):
        merge(registry, {"clusterIP": "127.96.9.9"})


def test_addresses_and_ports_that_others_have_are_refused() -> None:
    registry = Registry(Store(), in_range=lambda ip: ip.startswith("127.96."))
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    create(registry, "one", clusterIP="127.96.0.9", type="NodePort", ports=[{"port": 80, "nodePort": 30100}])
    for spec, why in (
        (
            {"clusterIP": "127.96.0.9"},
            'spec.clusterIPs: Invalid value: ["127.96.0.9"]: failed to allocate IP 127.96.0.9: provided IP is already '
            "allocated",
        ),
        (
            {"clusterIP": "192.168.0.1"},
            'spec.clusterIPs: Invalid value: ["192.168.0.1"]: failed to allocate IP 192.168.0.1: the provided network '
            "does not match the current range",
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30100}]},
            "spec.ports[0].nodePort: Invalid value: 30100: provided port is already allocated",
        ),
    ):
        with pytest.raises(ApiError) as caught:
            create(registry, "two", **spec)
        assert caught.value.message == f'Service "two" is invalid: {why}'


def test_two_protocols_share_a_node_port(registry: Registry) -> None:
    ports = [{"name": name, "port": 80, "protocol": name.upper(), "nodePort": 30101} for name in ("tcp", "udp")]
    create(registry, type="NodePort", ports=ports)


def test_a_service_that_becomes_a_name_has_no_address_any_more(registry: Registry) -> None:
    create(registry)
    spec = merge(registry, {"type": "ExternalName", "externalName": "example.com"})["spec"]
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "internalTrafficPolicy"} & set(spec)


def test_local_traffic_has_a_port_for_health_checks(registry: Registry) -> None:
    spec = create(registry, type="LoadBalancer", externalTrafficPolicy="Local")["spec"]
    assert spec["healthCheckNodePort"] in NODE_PORTS
    assert "healthCheckNodePort" not in merge(registry, {"externalTrafficPolicy": "Cluster"})["spec"]
