"""Controllers together, over containers that do what a test says."""

from __future__ import annotations

from typing import Any

import leaping
import pytest
from convoy_sandbox import controllers, patch, resources
from unit.sandbox.controllers.support import World, reason_of, world


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

    leaping.run(run())


def test_recreate_starts_nothing_before_all_is_gone() -> None:
    async def run() -> None:
        async with world(strategy={"type": "Recreate"}) as it:
            images: list[set[str]] = []
            it.store.subscribe(lambda _: images.append({p["spec"]["containers"][0]["image"] for p in it.pods()}))
            it.set_image("hello:2")
            await it.until(it.complete(3))
            assert {"hello:1", "hello:2"} not in images

    leaping.run(run())


def test_a_version_that_is_not_ready_leaves_the_old_one_in_place() -> None:
    async def run() -> None:
        async with world(progressDeadlineSeconds=1) as it:
            it.runtime.failing.add("hello:2")
            it.set_image("hello:2")
            await it.until(lambda: reason_of("Progressing", it.status()) == "ProgressDeadlineExceeded")
            assert it.status()["availableReplicas"] == 3
            assert reason_of("Available", it.status()) == "MinimumReplicasAvailable"

    leaping.run(run())


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

    leaping.run(run())


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

    leaping.run(run())


def test_the_history_is_kept_to_its_limit() -> None:
    async def run() -> None:
        async with world(revisionHistoryLimit=1) as it:
            for image in ("hello:2", "hello:3", "hello:4"):
                it.set_image(image)
                await it.until(it.complete(3))
            await it.until(lambda: len(it.store.list(resources.REPLICASETS, "lab")) == 2)

    leaping.run(run())


def test_a_paused_deployment_is_scaled_but_not_updated() -> None:
    async def run() -> None:
        async with world(paused=False) as it:
            it.registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"paused": True}})
            it.set_image("hello:2")
            it.registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"replicas": 4}})
            await it.until(lambda: it.status().get("availableReplicas") == 4)
            assert reason_of("Progressing", it.status()) == "DeploymentPaused"
            assert {p["spec"]["containers"][0]["image"] for p in it.pods()} == {"hello:1"}

    leaping.run(run())


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

    leaping.run(run())


def test_orphans_live_on() -> None:
    async def run() -> None:
        async with world() as it:
            it.registry.delete(resources.DEPLOYMENTS, "lab", "hello", propagation="Orphan")
            await it.until(lambda: not it.store.list(resources.DEPLOYMENTS, "lab"))
            (left,) = it.store.list(resources.REPLICASETS, "lab")
            assert not left["metadata"].get("ownerReferences")
            assert len(it.pods()) == 3

    leaping.run(run())


def test_a_deleted_namespace_is_emptied_first() -> None:
    async def run() -> None:
        async with world() as it:
            it.registry.delete(resources.NAMESPACES, "", "lab")
            await it.until(lambda: it.store.get(resources.NAMESPACES, "", "lab") is None)
            assert not it.pods()

    leaping.run(run())


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

    leaping.run(run())


def scale(it: World, replicas: int) -> None:
    it.registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"replicas": replicas}})


def sizes(it: World) -> dict[str, int]:
    """Replicas asked for, by image."""
    return {
        s["spec"]["template"]["spec"]["containers"][0]["image"]: s["spec"]["replicas"]
        for s in it.store.list(resources.REPLICASETS, "lab")
    }


def test_a_rollout_that_is_scaled_halfway_keeps_its_proportions() -> None:
    async def run() -> None:
        async with world(replicas=4, strategy={"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}}) as it:
            it.runtime.failing.add("hello:2")
            it.set_image("hello:2")
            await it.until(lambda: sizes(it) == {"hello:1": 4, "hello:2": 2})
            scale(it, 10)
            await it.until(lambda: sizes(it) == {"hello:1": 8, "hello:2": 4})
            await it.until(lambda: it.status().get("availableReplicas") == 8)
            it.runtime.failing.clear()
            await it.until(it.complete(10))
            assert sizes(it) == {"hello:1": 0, "hello:2": 10}

    leaping.run(run())


def test_scaling_is_told_in_events() -> None:
    async def run() -> None:
        async with world() as it:
            (replica_set,) = it.store.list(resources.REPLICASETS, "lab")
            name = replica_set["metadata"]["name"]
            scale(it, 5)
            await it.until(it.complete(5))
            scale(it, 3)
            await it.until(it.complete(3))
            assert it.events("ScalingReplicaSet") == [
                f"Scaled up replica set {name} from 0 to 3",
                f"Scaled up replica set {name} from 3 to 5",
                f"Scaled down replica set {name} from 5 to 3",
            ]
            assert len(it.events("SuccessfulCreate")) == 5
            assert len(it.events("SuccessfulDelete")) == 2

    leaping.run(run())


def test_pods_count_as_available_after_min_ready_seconds() -> None:
    async def run() -> None:
        async with world(strategy={"rollingUpdate": {"maxSurge": "100%"}}) as it:
            seconds = {"spec": {"minReadySeconds": 2}}
            it.registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, seconds)
            it.set_image("hello:2")
            seen: list[tuple[int, int]] = []

            def look(_: object) -> None:
                for s in it.store.list(resources.REPLICASETS, "lab"):
                    if s["spec"]["template"]["spec"]["containers"][0]["image"] == "hello:2":
                        seen.append((s["status"].get("readyReplicas", 0), s["status"].get("availableReplicas", 0)))

            it.store.subscribe(look)
            await it.until(it.complete(3))
            assert (3, 0) in seen
            assert all(available <= ready for ready, available in seen)

    leaping.run(run())


def test_a_quota_that_is_reached_is_told_and_tried_again() -> None:
    async def run() -> None:
        async with world() as it:
            quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "4"}}}
            it.registry.create(resources.RESOURCEQUOTAS, "lab", quota)
            scale(it, 6)
            await it.until(lambda: reason_of("ReplicaFailure", it.status()) == "FailedCreate")
            (condition,) = [c for c in it.status()["conditions"] if c["type"] == "ReplicaFailure"]
            assert condition["message"].endswith(
                "is forbidden: exceeded quota: few, requested: pods=1, used: pods=4, limited: pods=4"
            )
            assert it.events("FailedCreate")[0] == f"Error creating: {condition['message']}"
            used = it.get(resources.RESOURCEQUOTAS, "few")["status"]["used"]
            assert used == {"pods": "4"}
            more = {"spec": {"hard": {"pods": "6"}}}
            it.registry.patch(resources.RESOURCEQUOTAS, "lab", "few", patch.MERGE, more)
            await it.until(it.complete(6))
            assert reason_of("ReplicaFailure", it.status()) == ""

    leaping.run(run())


def test_a_quota_of_replica_sets_stops_a_rollout() -> None:
    async def run() -> None:
        async with world() as it:
            quota = {"metadata": {"name": "one"}, "spec": {"hard": {"count/replicasets.apps": "1"}}}
            it.registry.create(resources.RESOURCEQUOTAS, "lab", quota)
            it.set_image("hello:2")
            await it.until(lambda: reason_of("Progressing", it.status()) == "ReplicaSetCreateError")
            (message,) = {c["message"] for c in it.status()["conditions"] if c["type"] == "Progressing"}
            assert message.startswith('Failed to create new replica set "hello-')
            assert it.events("ReplicaSetCreateError") == [message]
            it.registry.delete(resources.RESOURCEQUOTAS, "lab", "one")
            await it.until(it.complete(3))

    leaping.run(run())


def test_a_deployment_without_a_deadline_tells_of_no_progress() -> None:
    async def run() -> None:
        async with world() as it:
            assert reason_of("Progressing", it.status()) == "NewReplicaSetAvailable"
            none = {"spec": {"progressDeadlineSeconds": 2147483647}}
            it.registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, none)
            await it.until(lambda: reason_of("Progressing", it.status()) == "")

    leaping.run(run())


def test_a_service_follows_its_pods() -> None:
    async def run() -> None:
        async with world() as it:
            ports = [{"port": 80}]
            body = {"metadata": {"name": "hello"}, "spec": {"selector": {"app": "hello"}, "ports": ports}}
            it.registry.create(resources.SERVICES, "lab", body)

            def ready() -> int:
                return sum(
                    1
                    for item in it.store.list(resources.ENDPOINTSLICES, "lab")
                    for endpoint in item.get("endpoints") or ()
                    if endpoint["conditions"]["ready"]
                )

            await it.until(lambda: ready() == 3)
            scale(it, 5)
            await it.until(lambda: ready() == 5)
            labels = {"metadata": {"labels": {"tier": "web"}}}
            it.registry.patch(resources.SERVICES, "lab", "hello", patch.MERGE, labels)
            await it.until(
                lambda: it.store.list(resources.ENDPOINTSLICES, "lab")[0]["metadata"]["labels"].get("tier") == "web"
            )
            it.registry.patch(resources.SERVICES, "lab", "hello", patch.MERGE, {"spec": {"selector": {"app": "no"}}})
            await it.until(lambda: ready() == 0)
            it.registry.delete(resources.SERVICES, "lab", "hello")
            await it.until(lambda: not it.store.list(resources.ENDPOINTSLICES, "lab"))

    leaping.run(run())


def test_a_budget_is_counted_by_what_the_deployment_asks_for() -> None:
    async def run() -> None:
        async with world() as it:
            spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "hello"}}}
            it.registry.create(resources.PODDISRUPTIONBUDGETS, "lab", {"metadata": {"name": "hello"}, "spec": spec})

            def counts() -> tuple[int, int, int]:
                status = it.get(resources.PODDISRUPTIONBUDGETS, "hello")["status"]
                return tuple(status.get(key, -1) for key in ("expectedPods", "desiredHealthy", "disruptionsAllowed"))

            await it.until(lambda: counts() == (3, 2, 1))
            scale(it, 5)
            await it.until(lambda: counts() == (5, 4, 1))

    leaping.run(run())


def test_what_every_namespace_has_comes_back() -> None:
    async def run() -> None:
        async with world() as it:
            account = it.get(resources.SERVICEACCOUNTS, "default")
            it.registry.delete(resources.SERVICEACCOUNTS, "lab", "default")
            it.registry.delete(resources.CONFIGMAPS, "lab", "kube-root-ca.crt")
            await it.until(
                lambda: (
                    it.store.get(resources.SERVICEACCOUNTS, "lab", "default")
                    and it.store.get(resources.CONFIGMAPS, "lab", "kube-root-ca.crt")
                )
            )
            assert it.get(resources.SERVICEACCOUNTS, "default")["metadata"]["uid"] != account["metadata"]["uid"]

    leaping.run(run())


def test_every_node_holds_a_lease_that_goes_with_it() -> None:
    async def run() -> None:
        async with world() as it:
            leases = it.store.list(resources.LEASES, "kube-node-lease")
            assert [lease["spec"]["holderIdentity"] for lease in leases] == ["node1", "node2"]
            it.registry.delete(resources.NODES, "", "node2")
            await it.until(lambda: len(it.store.list(resources.LEASES, "kube-node-lease")) == 1)

    leaping.run(run())


def test_pods_are_spread_over_the_nodes() -> None:
    async def run() -> None:
        async with world(replicas=4) as it:
            nodes = [pod["spec"]["nodeName"] for pod in it.pods()]
            assert sorted(nodes) == ["node1", "node1", "node2", "node2"]

    leaping.run(run())
