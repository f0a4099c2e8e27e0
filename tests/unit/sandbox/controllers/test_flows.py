"""Controllers together, over containers that do what a test says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from convoy_sandbox import controllers, patch, resources
from convoy_sandbox.network.containers import ImageError, LogLine
from convoy_sandbox.registry import Registry
from convoy_sandbox.settings import Settings, Timing
from convoy_sandbox.store import Object, Store

TIMING = Timing(pull=0, start=0, stop=0, crash_backoff=0.05)


class Scripted:
    """A container that runs until it is told to end."""

    def __init__(self) -> None:
        self.container_id = "containerd://scripted"
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def log_lines(self) -> list[LogLine]:
        return []

    async def stop(self, grace_seconds: float) -> None:
        if not self.exited.done():
            self.exited.set_result(0)


class Runtime:
    """Images and probes as a test wants them."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.unready: set[str] = set()
        self.crashing: set[str] = set()

    def has_image(self, image: str) -> bool:
        return image not in self.missing

    async def pull(self, image: str) -> None:
        if image in self.missing:
            raise ImageError("not found")

    async def start(self, pod: Object, container: Object, **_: Any) -> Scripted:
        running = Scripted()
        if container["image"] in self.crashing:
            running.exited.set_result(1)
        return running

    async def probe(self, pod: Object, container: Object, probe: Object, *, ip: str) -> str:
        return "not now" if container["image"] in self.unready else ""


class World:
    """A store with controllers, and waits on it."""

    def __init__(self) -> None:
        self.store = Store()
        self.registry = Registry(self.store)
        self.runtime = Runtime()

    async def until(self, condition: Callable[[], Any], seconds: float = 10) -> None:
        changed = asyncio.Event()
        unsubscribe = self.store.subscribe(lambda _: changed.set())
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    changed.clear()
                    await changed.wait()
        finally:
            unsubscribe()

    def status(self, name: str = "hello") -> Object:
        found = self.store.get(resources.DEPLOYMENTS, "lab", name)
        assert found is not None
        return found["status"]

    def complete(self, replicas: int) -> Callable[[], bool]:
        def check() -> bool:
            found = self.store.get(resources.DEPLOYMENTS, "lab", "hello")
            status = found["status"] if found else {}
            return (
                all(status.get(key) == replicas for key in ("replicas", "updatedReplicas", "availableReplicas"))
                and status.get("observedGeneration") == (found or {})["metadata"]["generation"]
            )

        return check

    def pods(self) -> list[Object]:
        return self.store.list(resources.PODS, "lab")

    def set_image(self, image: str) -> None:
        change = {"spec": {"template": {"spec": {"containers": [{"name": "hello", "image": image}]}}}}
        self.registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.STRATEGIC, change)


@asynccontextmanager
async def world(**spec: Any) -> AsyncIterator[World]:
    it = World()
    numbers = itertools.count(1)
    running = controllers.start_all(
        it.store, it.registry, Settings(nodes=2, timing=TIMING), it.runtime,
        allocate_ip=lambda: f"127.64.0.{next(numbers)}", release_ip=lambda _: None,
        allocate_node_ip=lambda: "127.64.200.1",
    )  # fmt: skip
    it.registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    probe = {"httpGet": {"port": 81}, "periodSeconds": 1}
    template = {
        "metadata": {"labels": {"app": "hello"}},
        "spec": {"containers": [{"name": "hello", "image": "hello:1", "readinessProbe": probe}]},
    }
    body = {"replicas": 3, "selector": {"matchLabels": {"app": "hello"}}, "template": template, **spec}
    it.registry.create(resources.DEPLOYMENTS, "lab", {"metadata": {"name": "hello"}, "spec": body})
    await it.until(it.complete(body["replicas"]))
    try:
        yield it
    finally:
        await running.close()


def reason_of(condition: str, status: Object) -> str:
    return next((c["reason"] for c in status.get("conditions") or () if c["type"] == condition), "")


def test_a_rolling_update_never_has_too_few_or_too_many() -> None:
    async def run() -> None:
        async with world() as it:
            seen: list[tuple[int, int]] = []

            def watch(_: object) -> None:
                pods = [p for p in it.pods() if not p["metadata"].get("deletionTimestamp")]
                ready = sum(1 for p in pods if controllers.replicaset.is_ready(p))
                seen.append((len(pods), ready))

            it.store.subscribe(watch)
            it.set_image("hello:2")
            await it.until(it.complete(3))
            assert max(total for total, _ in seen) <= 4
            assert min(ready for _, ready in seen) >= 3
            assert {
                p["spec"]["containers"][0]["image"] for p in it.pods() if not p["metadata"].get("deletionTimestamp")
            } == {"hello:2"}

    asyncio.run(run())


def test_recreate_starts_nothing_before_all_is_gone() -> None:
    async def run() -> None:
        async with world(strategy={"type": "Recreate"}) as it:
            images: list[set[str]] = []
            it.store.subscribe(lambda _: images.append({p["spec"]["containers"][0]["image"] for p in it.pods()}))
            it.set_image("hello:2")
            await it.until(it.complete(3))
            assert {"hello:1", "hello:2"} not in images

    asyncio.run(run())


def test_a_version_that_is_not_ready_leaves_the_old_one_in_place() -> None:
    async def run() -> None:
        async with world(progressDeadlineSeconds=1) as it:
            it.runtime.unready.add("hello:2")
            it.set_image("hello:2")
            await it.until(lambda: reason_of("Progressing", it.status()) == "ProgressDeadlineExceeded")
            assert it.status()["availableReplicas"] == 3
            assert reason_of("Available", it.status()) == "MinimumReplicasAvailable"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "reasons"), [("missing", {"ErrImagePull", "ImagePullBackOff"}), ("crashing", {"CrashLoopBackOff"})]
)
def test_containers_that_cannot_run_wait_with_a_reason(fault: str, reasons: set[str]) -> None:
    async def run() -> None:
        async with world() as it:
            getattr(it.runtime, fault).add("hello:2")
            it.set_image("hello:2")
            seen: set[str] = set()

            def look() -> bool:
                for one in it.pods():
                    for container in one["status"].get("containerStatuses") or ():
                        seen.add((container["state"].get("waiting") or {}).get("reason", ""))
                return reasons <= seen

            await it.until(look)

    asyncio.run(run())


def test_undo_uses_the_old_replica_set_under_a_new_revision() -> None:
    async def run() -> None:
        async with world() as it:
            first = it.store.list(resources.REPLICASETS, "lab")[0]["metadata"]["name"]
            it.set_image("hello:2")
            await it.until(it.complete(3))
            it.set_image("hello:1")
            await it.until(it.complete(3))
            sets = {s["metadata"]["name"]: s for s in it.store.list(resources.REPLICASETS, "lab")}
            assert len(sets) == 2
            annotations = sets[first]["metadata"]["annotations"]
            assert annotations["deployment.kubernetes.io/revision"] == "3"
            assert annotations["deployment.kubernetes.io/revision-history"] == "1"
            assert sets[first]["spec"]["replicas"] == 3

    asyncio.run(run())


def test_the_history_is_kept_to_its_limit() -> None:
    async def run() -> None:
        async with world(revisionHistoryLimit=1) as it:
            for image in ("hello:2", "hello:3", "hello:4"):
                it.set_image(image)
                await it.until(it.complete(3))
            await it.until(lambda: len(it.store.list(resources.REPLICASETS, "lab")) == 2)

    asyncio.run(run())


def test_a_paused_deployment_is_scaled_but_not_updated() -> None:
    async def run() -> None:
        async with world(paused=False) as it:
            it.registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"paused": True}})
            it.set_image("hello:2")
            it.registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"replicas": 4}})
            await it.until(lambda: it.status().get("availableReplicas") == 4)
            assert reason_of("Progressing", it.status()) == "DeploymentPaused"
            assert {p["spec"]["containers"][0]["image"] for p in it.pods()} == {"hello:1"}

    asyncio.run(run())


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_a_deleted_deployment_takes_everything_with_it(propagation: Any) -> None:
    async def run() -> None:
        async with world() as it:
            it.registry.delete(resources.DEPLOYMENTS, "lab", "hello", propagation=propagation)
            await it.until(
                lambda: (
                    not it.pods()
                    and not it.store.list(resources.REPLICASETS, "lab")
                    and not it.store.list(resources.DEPLOYMENTS, "lab")
                )
            )

    asyncio.run(run())


def test_orphans_live_on() -> None:
    async def run() -> None:
        async with world() as it:
            it.registry.delete(resources.DEPLOYMENTS, "lab", "hello", propagation="Orphan")
            await it.until(lambda: not it.store.list(resources.DEPLOYMENTS, "lab"))
            (left,) = it.store.list(resources.REPLICASETS, "lab")
            assert not left["metadata"].get("ownerReferences")
            assert len(it.pods()) == 3

    asyncio.run(run())


def test_a_deleted_namespace_is_emptied_first() -> None:
    async def run() -> None:
        async with world() as it:
            it.registry.delete(resources.NAMESPACES, "", "lab")
            await it.until(lambda: it.store.get(resources.NAMESPACES, "", "lab") is None)
            assert not it.pods()

    asyncio.run(run())


def test_a_pod_that_fits_nowhere_waits_until_there_is_room() -> None:
    async def run() -> None:
        async with world(replicas=1) as it:
            big = {"containers": [{"name": "a", "image": "hello:1", "resources": {"requests": {"cpu": "800m"}}}]}
            for name in ("one", "two", "three"):
                it.registry.create(resources.PODS, "lab", {"metadata": {"name": name}, "spec": big})

            def waiting() -> list[str]:
                return [p["metadata"]["name"] for p in it.pods() if not p["spec"].get("nodeName")]

            await it.until(
                lambda: (
                    reason_of("PodScheduled", it.store.get(resources.PODS, "lab", "three")["status"]) == "Unschedulable"
                )
            )
            assert waiting() == ["three"]
            it.registry.delete(resources.PODS, "lab", "one")
            await it.until(lambda: not waiting())

    asyncio.run(run())
