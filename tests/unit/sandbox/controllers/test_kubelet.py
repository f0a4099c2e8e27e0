"""Pods from their binding to their end, over containers that do what a test says."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import leaping
import pytest
from convoy_sandbox import errors, patch, resources
from convoy_sandbox.store import Object
from unit.sandbox.controllers.support import World, empty_world


def create_pod(it: World, *containers: dict[str, Any], **spec: Any) -> None:
    body = {"containers": list(containers), **spec}
    it.registry.create(resources.PODS, "lab", {"metadata": {"name": "one"}, "spec": body})


def conditions(it: World) -> dict[str, str]:
    return {c["type"]: c["status"] for c in it.get(resources.PODS, "one")["status"].get("conditions") or ()}


def container(it: World, name: str, field: str = "containerStatuses") -> Object:
    listed = it.get(resources.PODS, "one")["status"].get(field) or ()
    return next((entry for entry in listed if entry["name"] == name), {})


def waiting(it: World, name: str = "a") -> str:
    return str(((container(it, name).get("state") or {}).get("waiting") or {}).get("reason", ""))


def ready(it: World) -> bool:
    return conditions(it).get("Ready") == "True"


A = {"name": "a", "image": "a:1"}
B = {"name": "b", "image": "b:1"}
PROBE = {"httpGet": {"port": 81}, "periodSeconds": 1, "failureThreshold": 1}


def test_a_pod_with_two_containers_gets_ready() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create_pod(it, A, B)
            await it.until(lambda: ready(it))
            status = it.get(resources.PODS, "one")["status"]
            assert status["phase"] == "Running"
            assert status["podIP"].startswith("127.64.0.")
            assert [c["type"] for c in status["conditions"]] == [
                "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled",
            ]  # fmt: skip
            assert it.events("Started") == ["Container started", "Container started"]

    leaping.run(run())


def test_init_containers_run_one_after_the_other() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.ending = {"first:1": 0}
            init = [{"name": "first", "image": "first:1"}, {"name": "second", "image": "second:1"}]
            create_pod(it, A, initContainers=init)
            await it.until(lambda: "running" in (container(it, "second", "initContainerStatuses").get("state") or {}))
            assert it.runtime.started == ["first", "second"]
            assert waiting(it) == "PodInitializing"
            assert conditions(it)["Initialized"] == "False"
            it.runtime.containers["second"].end(0)
            await it.until(lambda: ready(it))
            assert it.runtime.started == ["first", "second", "a"]
            assert conditions(it)["Initialized"] == "True"
            assert container(it, "first", "initContainerStatuses")["ready"]

    leaping.run(run())


def test_an_init_container_that_fails_is_tried_again() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.ending = {"first:1": 3}
            create_pod(it, A, initContainers=[{"name": "first", "image": "first:1"}])
            await it.until(lambda: container(it, "first", "initContainerStatuses").get("restartCount", 0) >= 1)
            last = container(it, "first", "initContainerStatuses")["lastState"]["terminated"]
            assert (last["exitCode"], last["reason"]) == (3, "Error")
            it.runtime.ending = {"first:1": 0}
            await it.until(lambda: ready(it))

    leaping.run(run())


def test_an_init_container_that_fails_fails_a_pod_that_is_never_restarted() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.ending = {"first:1": 3}
            create_pod(it, A, initContainers=[{"name": "first", "image": "first:1"}], restartPolicy="Never")
            await it.until(lambda: it.get(resources.PODS, "one")["status"].get("phase") == "Failed")
            assert it.runtime.started == ["first"]

    leaping.run(run())


def test_a_sidecar_starts_before_the_others_and_stops_after_them() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.failing.add("proxy:1")
            proxy = {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always", "startupProbe": PROBE}
            create_pod(it, A, initContainers=[{**proxy, "startupProbe": {**PROBE, "failureThreshold": 100}}])
            await it.until(lambda: it.events("Unhealthy"))
            assert it.runtime.started == ["proxy"]
            it.runtime.failing.clear()
            await it.until(lambda: ready(it))
            assert it.runtime.started == ["proxy", "a"]
            alive: list[bool] = []
            it.runtime.containers["a"].exited.add_done_callback(
                lambda _: alive.append(not it.runtime.containers["proxy"].exited.done())
            )
            it.registry.delete(resources.PODS, "lab", "one")
            await it.until(lambda: not it.pods())
            assert alive == [True]
            assert it.runtime.started == ["proxy", "a"]

    leaping.run(run())


def test_a_finished_pod_stops_its_sidecars() -> None:
    async def run() -> None:
        async with empty_world() as it:
            proxy = {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"}
            create_pod(it, A, initContainers=[proxy], restartPolicy="Never")
            await it.until(lambda: ready(it))
            it.runtime.containers["a"].end(0)
            await it.until(lambda: "terminated" in container(it, "proxy", "initContainerStatuses")["state"])
            assert it.get(resources.PODS, "one")["status"]["phase"] == "Succeeded"

    leaping.run(run())


def test_a_pod_whose_work_is_done_is_not_started_again() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.ending = {"a:1": 0}
            create_pod(it, A, restartPolicy="OnFailure")
            await it.until(lambda: it.get(resources.PODS, "one")["status"].get("phase") == "Succeeded")
            assert conditions(it)["Ready"] == "False"
            assert it.runtime.started == ["a"]

    leaping.run(run())


def test_a_crash_is_kept_and_delays_the_next_start() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.ending = {"a:1": 1}
            create_pod(it, A)
            await it.until(lambda: waiting(it) == "CrashLoopBackOff")
            state = container(it, "a")
            assert state["restartCount"] == 1  # the first start after a crash is without delay
            assert state["lastState"]["terminated"]["exitCode"] == 1
            assert state["state"]["waiting"]["message"].startswith(
                "back-off 50ms restarting failed container=a pod=one_"
            )
            previous = it.kubelet.read("lab", "one", "a", previous=True)
            assert [line.text for line in previous] == ["hello"]

    leaping.run(run())


def test_a_failing_readiness_probe_takes_a_pod_out_without_a_restart() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create_pod(it, {**A, "readinessProbe": PROBE})
            await it.until(lambda: ready(it))
            it.runtime.failing.add("a:1")
            await it.until(lambda: not ready(it))
            assert it.events("Unhealthy") == ["Readiness probe failed: not now"]
            it.runtime.failing.clear()
            await it.until(lambda: ready(it))
            assert container(it, "a")["restartCount"] == 0

    leaping.run(run())


@pytest.mark.parametrize("kind", ["startup", "liveness"])
def test_a_failing_probe_of_life_restarts_the_container(kind: str) -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.failing.add("a:1")
            create_pod(it, {**A, f"{kind}Probe": PROBE})
            await it.until(lambda: container(it, "a").get("restartCount") == 1)
            assert it.events("Killing") == [f"Container a failed {kind} probe, will be restarted"]
            it.runtime.failing.clear()
            await it.until(lambda: ready(it))

    leaping.run(run())


def test_nothing_else_is_probed_before_a_container_has_started_up() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.failing.add("a:1")
            slow = {**PROBE, "failureThreshold": 100}
            create_pod(it, {**A, "startupProbe": slow, "livenessProbe": PROBE, "readinessProbe": PROBE})
            await it.until(lambda: it.events("Unhealthy"))
            assert not container(it, "a")["started"]
            it.runtime.failing.clear()
            await it.until(lambda: ready(it))
            assert it.events("Unhealthy") == ["Startup probe failed: not now"]

    leaping.run(run())


def test_a_readiness_gate_is_another_ones_to_open() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create_pod(it, A, readinessGates=[{"conditionType": "example.com/traffic"}])
            await it.until(lambda: conditions(it).get("ContainersReady") == "True")
            assert not ready(it)
            opened = {"status": {"conditions": [{"type": "example.com/traffic", "status": "True"}]}}
            it.registry.patch(resources.PODS, "lab", "one", patch.STRATEGIC, opened, subresource="status")
            await it.until(lambda: ready(it))
            assert conditions(it)["example.com/traffic"] == "True"

    leaping.run(run())


# -- what containers are given -------------------------------------------------------------------


def test_a_container_waits_for_the_config_map_it_names() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create_pod(it, {**A, "envFrom": [{"configMapRef": {"name": "settings"}}]})
            await it.until(lambda: waiting(it) == "CreateContainerConfigError")
            assert container(it, "a")["state"]["waiting"]["message"] == 'configmap "settings" not found'
            assert it.events("Failed") == ['Error: configmap "settings" not found']
            data = {"metadata": {"name": "settings"}, "data": {"COLOUR": "green"}}
            it.registry.create(resources.CONFIGMAPS, "lab", data)
            await it.until(lambda: ready(it))
            assert it.runtime.given["a"]["env"]["COLOUR"] == "green"

    leaping.run(run())


def test_a_pod_waits_for_the_secret_it_mounts() -> None:
    async def run() -> None:
        async with empty_world() as it:
            mount = {"name": "tls", "mountPath": "/etc/tls", "readOnly": True}
            create_pod(
                it, {**A, "volumeMounts": [mount]}, volumes=[{"name": "tls", "secret": {"secretName": "tls-certs"}}]
            )
            await it.until(lambda: it.events("FailedMount"))
            assert it.events("FailedMount") == [
                'MountVolume.SetUp failed for volume "tls" : secret "tls-certs" not found'
            ]
            data = {"metadata": {"name": "tls-certs"}, "data": {"tls.key": base64.b64encode(b"key").decode()}}
            it.registry.create(resources.SECRETS, "lab", data)
            await it.until(lambda: ready(it))
            mounts = {m.path: m.files for m in it.runtime.given["a"]["mounts"]}
            assert mounts["/etc/tls"] == {"tls.key": b"key"}

    leaping.run(run())


def test_an_image_that_cannot_be_had_is_asked_for_again() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.missing.add("a:1")
            create_pod(it, A)
            await it.until(lambda: waiting(it) == "ImagePullBackOff")
            message = container(it, "a")["state"]["waiting"]["message"]
            assert message == 'Back-off pulling image "a:1": ErrImagePull: not found'
            assert it.events("BackOff") == ['Back-off pulling image "a:1"']
            assert it.events("Failed") == [
                'Failed to pull image "a:1": not found', "Error: ErrImagePull", "Error: ImagePullBackOff",
            ]  # fmt: skip
            with pytest.raises(errors.ApiError, match="trying and failing to pull image"):
                it.kubelet.read("lab", "one", "a", previous=False)
            it.runtime.missing.clear()
            await it.until(lambda: ready(it))

    leaping.run(run())


# -- the end -------------------------------------------------------------------------------------


def test_a_deleted_pod_is_there_until_its_containers_have_ended() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.stubborn.add("a:1")
            create_pod(it, A, terminationGracePeriodSeconds=300)
            await it.until(lambda: ready(it))
            it.registry.delete(resources.PODS, "lab", "one")
            await it.until(lambda: it.events("Killing"))
            assert it.events("Killing") == ["Stopping container a"]
            assert ready(it)
            it.runtime.containers["a"].end(0)
            last: list[Object] = []
            it.store.subscribe(lambda change: last.append(change.object) if change.resource == resources.PODS else None)
            await it.until(lambda: not it.pods())
            (state,) = last[-1]["status"]["containerStatuses"]
            assert state["state"]["terminated"]["exitCode"] == 0
            assert last[-1]["status"]["phase"] == "Succeeded"

    leaping.run(run())


def test_a_shorter_grace_period_takes_the_place_of_a_longer_one() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.stubborn.add("a:1")
            create_pod(it, A, terminationGracePeriodSeconds=300)
            await it.until(lambda: ready(it))
            it.registry.delete(resources.PODS, "lab", "one")
            await it.until(lambda: it.events("Killing"))
            it.registry.delete(resources.PODS, "lab", "one", grace_period_seconds=1)
            await it.until(lambda: not it.pods())
            assert it.runtime.containers["a"].exited.result() == 137

    leaping.run(run())


def test_a_pod_that_is_deleted_by_force_is_killed_at_once() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.stubborn.add("a:1")
            create_pod(it, A, terminationGracePeriodSeconds=300)
            await it.until(lambda: ready(it))
            it.registry.delete(resources.PODS, "lab", "one", grace_period_seconds=0)
            async with asyncio.timeout(300):
                assert await it.runtime.containers["a"].exited == 137
            assert it.runtime.containers["a"].graces == [0]

    leaping.run(run())


def test_a_pod_that_ends_and_is_deleted_by_force_is_killed() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.stubborn.add("a:1")
            create_pod(it, A, terminationGracePeriodSeconds=300)
            await it.until(lambda: ready(it))
            it.registry.delete(resources.PODS, "lab", "one")
            await it.until(lambda: it.events("Killing"))
            it.registry.delete(resources.PODS, "lab", "one", grace_period_seconds=0)
            assert not it.pods()
            async with asyncio.timeout(300):
                assert await it.runtime.containers["a"].exited == 137

    leaping.run(run())


def test_the_hook_before_the_end_has_its_part_of_the_grace_period() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create_pod(
                it, {**A, "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}, terminationGracePeriodSeconds=300
            )
            await it.until(lambda: ready(it))
            it.registry.delete(resources.PODS, "lab", "one")
            await it.until(lambda: not it.pods())
            (grace,) = it.runtime.containers["a"].graces
            assert 0 < grace <= 299

    leaping.run(run())


def test_a_hook_that_outlasts_the_grace_period_is_cut_short() -> None:
    async def run() -> None:
        async with empty_world() as it:
            hook = {"preStop": {"exec": {"command": ["sh", "-c", "sleep 300"]}}}
            create_pod(it, {**A, "lifecycle": hook}, terminationGracePeriodSeconds=600)
            await it.until(lambda: ready(it))
            it.registry.delete(resources.PODS, "lab", "one")
            await it.until(lambda: it.events("Killing"))
            it.registry.delete(resources.PODS, "lab", "one", grace_period_seconds=1)
            await it.until(lambda: not it.pods())

    leaping.run(run())


def test_a_container_that_must_not_run_as_root_does_not() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create_pod(it, A, {**B, "securityContext": {"runAsUser": 65532}}, securityContext={"runAsNonRoot": True})
            await it.until(lambda: waiting(it) == "CreateContainerConfigError" and container(it, "b").get("ready"))
            message = container(it, "a")["state"]["waiting"]["message"]
            assert message.startswith('container has runAsNonRoot and image will run as root (pod: "one_lab(')

    leaping.run(run())


def test_a_pod_fails_when_it_has_been_active_for_as_long_as_it_may() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create_pod(it, A, activeDeadlineSeconds=1)
            await it.until(lambda: it.get(resources.PODS, "one")["status"].get("phase") == "Failed")
            status = it.get(resources.PODS, "one")["status"]
            assert status["reason"] == "DeadlineExceeded"
            assert "terminated" in container(it, "a")["state"]
            ended = [c.get("reason") for c in status["conditions"] if c["type"] in ("Ready", "ContainersReady")]
            assert ended == ["PodFailed", "PodFailed"]

    leaping.run(run())


def test_a_status_tells_what_a_pod_may_use_and_its_containers_by_name() -> None:
    async def run() -> None:
        async with empty_world() as it:
            needs = {"requests": {"cpu": "100m", "memory": "1Mi"}, "limits": {"memory": "2Mi"}}
            create_pod(it, {**B, "resources": needs}, {**A, "resources": {"requests": {"cpu": "200m"}}})
            await it.until(lambda: ready(it))
            status = it.get(resources.PODS, "one")["status"]
            assert [entry["name"] for entry in status["containerStatuses"]] == ["a", "b"]
            assert status["containerStatuses"][1]["allocatedResources"] == needs["requests"]
            assert status["resources"] == {"requests": {"cpu": "300m", "memory": "1Mi"}}

    leaping.run(run())
