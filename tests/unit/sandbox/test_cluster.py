"""A whole cluster: up, used by a real client, gone without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import time
import warnings
from asyncio.unix_events import _UnixSubprocessTransport
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from convoy_sandbox import resources
from convoy_sandbox.cluster import Cluster, PortInUseError
from convoy_sandbox.errors import ApiError
from convoy_sandbox.network.images import Image
from convoy_sandbox.settings import Settings
from convoy_sandbox.testing import Sandbox, sandbox
from kubernetes import client, config, watch
from unit.sandbox.network.support import until

LABELS = {"app": "hello"}


def _deployment(image: str, replicas: int = 2) -> dict[str, Any]:
    container = {
        "name": "hello",
        "image": image,
        "args": ["-http=:8080", "-health=:8081"],
        "readinessProbe": {"httpGet": {"path": "/readiness", "port": 8081}, "periodSeconds": 1},
    }
    return {
        "metadata": {"name": "hello"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}},
        },
    }


def _wait_available(apps: client.AppsV1Api, version: str) -> None:
    """Watch until the Deployment is complete with pods of one version."""
    deadline = time.monotonic() + 300
    stream = watch.Watch()
    for event in stream.stream(apps.list_namespaced_deployment, "default", timeout_seconds=300):
        deployment = event["object"]
        status = deployment.status
        template = deployment.spec.template.spec.containers[0].image
        if (
            template.endswith(version)
            and status.observed_generation == deployment.metadata.generation
            and status.updated_replicas == status.available_replicas == status.replicas == deployment.spec.replicas
        ):
            stream.stop()
            return
    raise AssertionError(f"not complete after {300 + time.monotonic() - deadline:.0f} s")


def _version(url: str) -> str:
    answer = urllib3.PoolManager().request("GET", f"{url}/version", headers={"Connection": "close"}, retries=False)
    version: str = answer.json()["version"]
    return version


def test_a_rollout_from_deployment_to_traffic() -> None:
    with sandbox(nodes=2, data_plane="instant") as running:
        api = config.new_client_from_config(str(running.kubeconfig))
        core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
        assert len(core.list_node().items) == 2
        apps.create_namespaced_deployment("default", _deployment("kelseyhightower/hello:1.0.0"))
        core.create_namespaced_service(
            "default",
            {
                "metadata": {"name": "hello"},
                "spec": {
                    "type": "LoadBalancer",
                    "selector": LABELS,
                    "ports": [{"port": 8000, "targetPort": 8080}],
                },
            },
        )
        _wait_available(apps, "1.0.0")
        service = core.read_namespaced_service("hello", "default")
        external = service.status.load_balancer.ingress[0].ip
        for ip in (service.spec.cluster_ip, external):
            assert _version(f"http://{ip}:8000") == "1.0.0"
        apps.patch_namespaced_deployment("hello", "default", _deployment("kelseyhightower/hello:2.0.0"))
        _wait_available(apps, "2.0.0")
        assert {_version(f"http://{external}:8000") for _ in range(10)} == {"2.0.0"}
        proxied = core.connect_get_namespaced_service_proxy_with_path("hello:8000", "default", "version")
        assert "2.0.0" in proxied
        pod = core.list_namespaced_pod("default").items[0]
        assert "Starting server..." in core.read_namespaced_pod_log(pod.metadata.name, "default")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((external, 8000))


def test_two_clusters_at_once_share_no_address() -> None:
    with sandbox(nodes=1) as one, sandbox(nodes=1) as two:
        addresses = []
        for running in (one, two):
            core = client.CoreV1Api(config.new_client_from_config(str(running.kubeconfig)))
            addresses.append(core.read_namespaced_service("kubernetes", "default").spec.cluster_ip)
        assert addresses[0].split(".")[1] != addresses[1].split(".")[1]


def test_the_kubeconfig_is_its_owners_and_names_the_cluster(tmp_path: Path) -> None:
    async def run() -> str:
        async with Cluster(Settings(name="blue", nodes=1)) as cluster:
            cluster.write_kubeconfig(tmp_path / "kubeconfig")
            return cluster.server

    server = asyncio.run(run())
    written = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    assert written["current-context"] == "blue"
    assert written["clusters"][0]["cluster"]["server"] == server
    assert (tmp_path / "kubeconfig").stat().st_mode & 0o777 == 0o600


def test_a_taken_port_is_told_and_nothing_is_left() -> None:
    async def run() -> set[asyncio.Task[Any]]:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(PortInUseError, match=f"port {port} of 127.0.0.1 is taken"):
                await Cluster(Settings(name="taken", port=port)).__aenter__()
        await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    assert asyncio.run(run()) == set()


def test_without_a_load_balancer_there_is_no_external_address() -> None:
    async def run() -> dict[str, Any]:
        async with Cluster(Settings(nodes=1, load_balancer=False)) as cluster:
            spec = {"type": "LoadBalancer", "ports": [{"port": 8000}]}
            made = {"metadata": {"name": "hello"}, "spec": spec}
            cluster.registry.create(resources.SERVICES, "default", made)
            await asyncio.sleep(0.05)
            status: dict[str, Any] = cluster.registry.get(resources.SERVICES, "default", "hello")["status"]
            return status

    assert asyncio.run(run()) == {"loadBalancer": {}}


def test_cluster_ips_are_used_again_after_their_service() -> None:
    async def run() -> int:
        async with Cluster(Settings(nodes=1)) as cluster:
            pool = cluster.addresses.services
            before = len(pool._taken)
            cluster.registry.create(
                resources.SERVICES,
                "default",
                {"metadata": {"name": "hello"}, "spec": {"ports": [{"port": 8000}]}},
            )
            cluster.registry.delete(resources.SERVICES, "default", "hello")
            return len(pool._taken) - before

    assert asyncio.run(run()) == 0


def test_what_fails_at_the_start_is_raised_in_the_test() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortInUseError), sandbox(port=other.getsockname()[1]):
            raise AssertionError("it is up")


def test_no_connection_outlives_the_cluster() -> None:
    gc.collect()  # what other tests have left
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ResourceWarning)
        with sandbox(nodes=1) as running:
            core = client.CoreV1Api(config.new_client_from_config(str(running.kubeconfig)))
            assert core.list_node().items  # over a connection that the client keeps
        gc.collect()
    assert [str(each.message) for each in seen if "transport" in str(each.message)] == []


STUBBORN = Image(command=("sh", "-c", "trap '' TERM; echo up; while :; do sleep 600; done"))


@pytest.mark.parametrize("moment", ["starts", "runs", "is probed", "is stopped", "is gone by force"])
def test_no_process_outlives_the_cluster(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does not heed its signal, whatever is happening to its pod when the cluster ends."""
    begun: list[_UnixSubprocessTransport] = []
    start, kill = _UnixSubprocessTransport._start, os.killpg
    probed, kills = tmp_path / "probed", []

    def started(transport: _UnixSubprocessTransport, *args: Any, **named: Any) -> None:
        start(transport, *args, **named)
        begun.append(transport)

    def killed(group: int, number: int) -> None:
        kills.append(group)
        if moment != "is gone by force" or len(kills) > 1:  # else it has not come to an end when the cluster does
            kill(group, number)

    async def run() -> set[asyncio.Task[Any]]:
        async with Cluster(Settings(nodes=1, images={"example/stubborn:1": STUBBORN})) as cluster:
            container: dict[str, Any] = {"name": "main", "image": "example/stubborn:1"}
            if moment == "is probed":
                command = ["sh", "-c", f"touch {probed}; sleep 600; true"]
                container["readinessProbe"] = {"timeoutSeconds": 300, "exec": {"command": command}}
            pod = {"metadata": {"name": "stubborn"}, "spec": {"containers": [container]}}
            cluster.registry.create(resources.PODS, "default", pod)
            await until(lambda: begun if moment == "starts" else "up" in _printed(cluster, "stubborn"))
            if moment == "is probed":
                await until(probed.exists)
            elif moment == "is stopped":
                cluster.registry.delete(resources.PODS, "default", "stubborn")
                await until(lambda: "Killing" in _events(cluster))
            elif moment == "is gone by force":
                cluster.registry.delete(resources.PODS, "default", "stubborn", grace_period_seconds=0)
                await until(lambda: kills)
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    monkeypatch.setattr(_UnixSubprocessTransport, "_start", started)
    monkeypatch.setattr(os, "killpg", killed)
    assert asyncio.run(run()) == set()
    assert begun
    assert not [each for each in begun if each.get_returncode() is None or not each.is_closing()]


def _printed(cluster: Cluster, pod: str) -> str:
    with contextlib.suppress(ApiError):
        return "".join(line.text for line in cluster.controllers.kubelet.read("default", pod, "main", previous=False))
    return ""


def _events(cluster: Cluster) -> set[str]:
    return {event["reason"] for event in cluster.store.list(resources.EVENTS)}


def test_the_fixture_gives_a_running_cluster(convoy_sandbox: Sandbox) -> None:
    names = convoy_sandbox.call(
        lambda: [n["metadata"]["name"] for n in convoy_sandbox.cluster.store.list(resources.NODES)]
    )
    assert names == ["node1", "node2", "node3", "node4", "node5"]
