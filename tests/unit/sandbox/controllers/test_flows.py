"""Controllers together, over containers that do what a test says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from convoy_sandbox import controllers, patch, resources
from unit.sandbox.controllers.support import reason_of, world


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
            it.runtime.failing.add("hello:2")
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
            if fault == "missing":
                it.runtime.missing.add("hello:2")
            else:
                it.runtime.ending["hello:2"] = 1
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
