"""Services as the network sees them: who gets a connection, when it is refused, where they are."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from convoy_sandbox import resources
from convoy_sandbox.network import addresses as addresses_module
from convoy_sandbox.network.addresses import Addresses, Ports
from convoy_sandbox.network.images import Image
from convoy_sandbox.network.programs import App
from convoy_sandbox.network.services import LoadBalancers, ServiceProxy, backends, environment, resolve
from convoy_sandbox.registry import Registry
from convoy_sandbox.store import Store
from unit.sandbox.network.support import addresses, exchange, get, refused, until

HIGH = ["-http=0.0.0.0:8080", "-health=0.0.0.0:8081"]


def _slice(*endpoints: tuple[str, dict[str, bool]], name: str = "hello", port_name: str = "") -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{name}-abcde",
            "namespace": "lab",
            "labels": {"kubernetes.io/service-name": name},
        },
        "ports": [{"name": port_name, "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [ip], "conditions": conditions} for ip, conditions in endpoints],
    }


READY = {"ready": True, "serving": True, "terminating": False}
STARTING = {"ready": False, "serving": False, "terminating": False}
DRAINING = {"ready": False, "serving": True, "terminating": True}
GONE = {"ready": False, "serving": False, "terminating": True}


@pytest.mark.parametrize(
    ("endpoints", "chosen"),
    [
        ([], []),
        ([("a", READY), ("b", STARTING), ("c", DRAINING)], ["a"]),
        ([("a", {})], ["a"]),
        ([("b", STARTING), ("c", DRAINING), ("d", GONE)], ["c"]),
        ([("b", STARTING), ("d", GONE)], []),
    ],
)
def test_ready_endpoints_come_first_then_those_that_drain(endpoints: list[Any], chosen: list[str]) -> None:
    assert backends([_slice(*endpoints)], "") == [(ip, 8080) for ip in chosen]


def test_what_is_sent_to_an_address_that_no_pod_has_any_more_is_answered_by_nobody() -> None:
    async def test(lab: Lab) -> None:
        ip = lab.service()
        gone = lab.pod("1")
        lab.endpoints((gone, READY))
        lab.ports.gone(gone)
        reader, writer = await asyncio.open_connection(ip, 8000)
        writer.write(b"GET /version HTTP/1.1\r\nHost: hello\r\n\r\n")
        answer = asyncio.ensure_future(reader.read())
        lab.endpoints((lab.pod("2"), READY))
        assert await _versions(ip, 8000, 20) == {"2": 20}
        assert not answer.done(), "neither answered nor reset"
        lab.proxy.close()
        with pytest.raises(ConnectionResetError):
            await answer
        writer.close()

    in_lab(test)


def test_an_address_that_is_another_pods_answers_again() -> None:
    async def test(lab: Lab) -> None:
        ip, pod = lab.service(), lab.pod("1")
        lab.endpoints((pod, READY))
        lab.ports.gone(pod)
        lab.ports.taken(pod)
        assert await _versions(ip, 8000, 1) == {"1": 1}

    in_lab(test)


def test_a_port_is_found_by_its_name() -> None:
    assert backends([_slice(("a", READY), port_name="http")], "http") == [("a", 8080)]
    assert backends([_slice(("a", READY), port_name="http")], "https") == []


class Lab:
    """Pods, a store and what stands between them and a client."""

    def __init__(self, block: Addresses) -> None:
        self.block = block
        self.store = Store()
        self.ports = Ports()
        self.registry = Registry(self.store, allocate_ip=block.services.take)
        self.registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
        self.proxy = ServiceProxy(self.store, self.ports, "instant")
        self.apps: list[App] = []

    def pod(self, version: str, **options: Any) -> str:
        ip = self.block.pods.take()
        self.apps.append(App(Image("hello", version=version, **options), ip, self.ports, list(HIGH)))
        return ip

    def service(self, **spec: Any) -> str:
        made = self.registry.create(
            resources.SERVICES,
            "lab",
            {"metadata": {"name": "hello"}, "spec": {"ports": [{"port": 8000, "targetPort": 8080}], **spec}},
        )
        return str(made["spec"]["clusterIP"])

    def endpoints(self, *endpoints: tuple[str, dict[str, bool]]) -> None:
        self.store.put(resources.ENDPOINTSLICES, _slice(*endpoints))

    def balancing(self) -> dict[str, Any]:
        found: dict[str, Any] = self.registry.get(resources.SERVICES, "lab", "hello")["status"]["loadBalancer"]
        return found

    async def close(self) -> None:
        self.proxy.close()
        for app in self.apps:
            await app.stop(0)


def in_lab(test: Any) -> None:
    async def run() -> None:
        with addresses() as block:
            lab = Lab(block)
            try:
                await asyncio.wait_for(test(lab), 300)
            finally:
                await lab.close()

    asyncio.run(run())


async def _versions(ip: str, port: int, count: int) -> Counter[str]:
    return Counter([json.loads((await get(ip, port, "/version")).body)["version"] for _ in range(count)])


def test_each_connection_takes_an_endpoint_at_random() -> None:
    async def test(lab: Lab) -> None:
        ip = lab.service()
        lab.endpoints((lab.pod("1"), READY), (lab.pod("2"), READY), (lab.pod("3"), STARTING))
        seen = await _versions(ip, 8000, 200)
        assert set(seen) == {"1", "2"}
        # 200 fair draws fall outside this range once in 10^13 runs.
        assert 50 < seen["1"] < 150

    in_lab(test)


def test_without_endpoints_connections_are_refused() -> None:
    async def test(lab: Lab) -> None:
        ip = lab.service()
        assert await refused(ip, 8000)
        pod = lab.pod("1")
        lab.endpoints((pod, READY))
        assert await _versions(ip, 8000, 1) == {"1": 1}
        lab.endpoints((pod, STARTING))
        assert await refused(ip, 8000)
        lab.endpoints((pod, READY))
        assert await _versions(ip, 8000, 1) == {"1": 1}
        lab.registry.delete(resources.SERVICES, "lab", "hello")
        assert await refused(ip, 8000)

    in_lab(test)


def test_a_switch_of_endpoints_takes_the_next_connection_and_leaves_the_open_one() -> None:
    async def test(lab: Lab) -> None:
        ip = lab.service()
        blue, green = lab.pod("1", delay=0.2), lab.pod("2")
        lab.endpoints((blue, READY))
        asked = asyncio.create_task(get(ip, 8000, "/version"))
        await until(lambda: lab.proxy._splices)
        lab.endpoints((green, READY))
        assert await _versions(ip, 8000, 5) == {"2": 5}
        assert json.loads((await asked).body) == {"version": "1"}

    in_lab(test)


def test_a_client_keeps_its_endpoint_with_affinity() -> None:
    async def test(lab: Lab) -> None:
        ip = lab.service(sessionAffinity="ClientIP")
        pods = {str(number): lab.pod(str(number)) for number in range(4)}
        lab.endpoints(*((pod, READY) for pod in pods.values()))
        seen = await _versions(ip, 8000, 30)
        assert len(seen) == 1
        (mine,) = seen
        # Its endpoint leaves: another one, and that is kept as well.
        lab.endpoints(*((pod, READY if version != mine else GONE) for version, pod in pods.items()))
        then = await _versions(ip, 8000, 30)
        assert len(then) == 1
        assert then.keys() != seen.keys()

    in_lab(test)


def test_affinity_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(lab: Lab) -> None:
        ip = lab.service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}})
        lab.endpoints(*((lab.pod(str(number)), READY) for number in range(4)))
        now = [1000.0]
        # The module's clock only: the event loop reads the same function of `time`.
        monkeypatch.setattr("convoy_sandbox.network.services.time", SimpleNamespace(monotonic=lambda: now[0]))
        seen: Counter[str] = Counter()
        for _ in range(60):
            now[0] += 61
            seen += await _versions(ip, 8000, 1)
        assert len(seen) > 1

    in_lab(test)


def test_an_endpoint_that_nobody_listens_at_resets_the_connection() -> None:
    async def test(lab: Lab) -> None:
        ip = lab.service()
        lab.endpoints((lab.block.pods.take(), READY))
        with pytest.raises(ConnectionResetError):
            await exchange(ip, 8000, b"GET / HTTP/1.0\r\n\r\n")

    in_lab(test)


def test_node_ports_lead_to_the_service() -> None:
    async def test(lab: Lab) -> None:
        node = lab.block.nodes.take()
        lab.store.put(
            resources.NODES,
            {
                "metadata": {"name": "node1"},
                "status": {"addresses": [{"type": "InternalIP", "address": node}]},
            },
        )
        lab.service(type="NodePort")
        lab.endpoints((lab.pod("1"), READY))
        (port,) = lab.registry.get(resources.SERVICES, "lab", "hello")["spec"]["ports"]
        assert await _versions(node, port["nodePort"], 1) == {"1": 1}

    in_lab(test)


def test_nothing_listens_beyond_loopback() -> None:
    async def test(lab: Lab) -> None:
        lab.service(clusterIP="0.0.0.0")
        lab.endpoints((lab.pod("1"), READY))
        assert lab.ports.place("0.0.0.0", 8000) is None
        assert await refused("127.0.0.1", 8000)

    in_lab(test)


async def _ingress(lab: Lab) -> dict[str, Any]:
    await until(lab.balancing)
    (ingress,) = lab.balancing()["ingress"]
    return dict(ingress)


def test_a_load_balancer_has_an_external_address_for_as_long_as_it_is_one() -> None:
    async def test(lab: Lab) -> None:
        balancers = LoadBalancers(lab.store, lab.registry, lab.proxy, lab.block, lab.ports)
        lab.service(type="LoadBalancer")
        lab.endpoints((lab.pod("1"), READY))
        ingress = await _ingress(lab)
        assert ingress == {"ip": ingress["ip"], "ipMode": "VIP"}
        assert await _versions(ingress["ip"], 8000, 1) == {"1": 1}

        def internal(obj: dict[str, Any]) -> None:
            obj["spec"]["type"] = "ClusterIP"

        lab.registry.modify(resources.SERVICES, "lab", "hello", internal)
        await until(lambda: not lab.balancing())
        assert await refused(ingress["ip"], 8000)
        balancers.close()

    in_lab(test)


def test_an_asked_for_external_address_is_given() -> None:
    async def test(lab: Lab) -> None:
        wanted = str(next(iter(lab.block.external.network.hosts())) + 99)
        balancers = LoadBalancers(lab.store, lab.registry, lab.proxy, lab.block, lab.ports)
        lab.service(type="LoadBalancer", loadBalancerIP=wanted)
        assert (await _ingress(lab))["ip"] == wanted
        balancers.close()

    in_lab(test)


def test_an_external_port_that_cannot_be_had_is_told_on_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = addresses_module._bound

    def not_8000(ip: str, port: int) -> socket.socket:
        if port == 8000:
            raise PermissionError(13, "Permission denied")
        return bound(ip, port)

    monkeypatch.setattr(addresses_module, "_bound", not_8000)

    async def test(lab: Lab) -> None:
        balancers = LoadBalancers(lab.store, lab.registry, lab.proxy, lab.block, lab.ports)
        cluster_ip = lab.service(type="LoadBalancer")
        lab.endpoints((lab.pod("1"), READY))
        ingress = await _ingress(lab)
        error = "sandbox.convoy.rollout/PortNotPermitted"
        assert ingress["ports"] == [{"port": 8000, "protocol": "TCP", "error": error}]
        service = lab.registry.get(resources.SERVICES, "lab", "hello")
        high = service["metadata"]["annotations"]["sandbox.convoy.rollout/port-8000"]
        assert await _versions(ingress["ip"], int(high), 1) == {"1": 1}
        (event,) = lab.store.list(resources.EVENTS, "lab")
        assert event["reason"] == "PortElsewhere"
        assert f"port {high} is used instead" in event["message"]
        assert environment(lab.store, lab.ports, "lab")["HELLO_SERVICE_PORT"] == str(lab.ports.real(cluster_ip, 8000))
        # Endpoints that come and go do not move it.
        lab.endpoints()
        lab.endpoints((lab.pod("2"), READY))
        assert await _versions(ingress["ip"], int(high), 1) == {"2": 1}
        balancers.close()

    in_lab(test)


def test_services_are_found_by_name() -> None:
    async def test(lab: Lab) -> None:
        ip = lab.service()
        for host in (
            "hello",
            "hello.lab",
            "hello.lab.svc",
            "hello.lab.svc.cluster.local",
            "hello.lab.svc.cluster.local.",
        ):
            assert resolve(lab.store, "lab", host) == ip
        assert resolve(lab.store, "default", "hello.lab") == ip
        for host in ("hello.default", "hello.lab.example.com", "nobody", ""):
            assert resolve(lab.store, "lab", host) is None
        assert resolve(lab.store, "default", "hello") is None
        assert environment(lab.store, lab.ports, "lab") == {
            "HELLO_SERVICE_HOST": ip,
            "HELLO_SERVICE_PORT": "8000",
        }
        assert environment(lab.store, lab.ports, "default") == {}

    in_lab(test)
