"""StatefulSets and DaemonSets, over containers that do what a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import leaping
import pytest
from convoy_sandbox import patch, resources
from convoy_sandbox.controllers.volumes import VOLUMES
from convoy_sandbox.resources import Resource
from convoy_sandbox.selectors import labels_of
from convoy_sandbox.store import Object
from unit.sandbox.controllers.support import World, empty_world


def create(it: World, resource: Resource, **spec: Any) -> None:
    probe = {"httpGet": {"port": 81}, "periodSeconds": 1}
    container = {"name": "hello", "image": "hello:1", "readinessProbe": probe}
    template = {"metadata": {"labels": {"app": "hello"}}, "spec": {"containers": [container]}}
    body = {"selector": {"matchLabels": {"app": "hello"}}, "template": template, **spec}
    it.registry.create(resource, "lab", {"metadata": {"name": "hello"}, "spec": body})


def set_image(it: World, resource: Resource, image: str) -> None:
    change = {"spec": {"template": {"spec": {"containers": [{"name": "hello", "image": image}]}}}}
    it.registry.patch(resource, "lab", "hello", patch.STRATEGIC, change)


def images(it: World) -> dict[str, str]:
    """Each pod's image; a pod that is going is left out."""
    return {
        pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"]
        for pod in it.pods()
        if not pod["metadata"].get("deletionTimestamp")
    }


def revisions(it: World) -> list[int]:
    return sorted(obj["revision"] for obj in it.store.list(resources.CONTROLLERREVISIONS, "lab"))


def rolled(it: World, resource: Resource, image: str, pods: int) -> Callable[[], bool]:
    """Whether all pods have an image and the status says that they serve."""

    def check() -> bool:
        found = it.get(resource, "hello")
        status = found["status"]
        ready = status.get("readyReplicas") if resource == resources.STATEFULSETS else status.get("numberAvailable")
        return (
            ready == pods
            and status.get("observedGeneration") == found["metadata"]["generation"]
            and list(images(it).values()) == [image] * pods
        )

    return check


STATEFUL, DAEMON = resources.STATEFULSETS, resources.DAEMONSETS


def test_a_stateful_set_makes_and_takes_its_pods_in_order() -> None:
    async def run() -> None:
        async with empty_world() as it:
            ready: list[int] = []
            it.store.subscribe(
                lambda change: (
                    ready.append(sum(p["status"].get("phase") == "Running" for p in it.pods()))
                    if change.resource == resources.PODS and change.type == "ADDED"
                    else None
                )
            )
            create(it, STATEFUL, replicas=3, serviceName="hello")
            await it.until(rolled(it, STATEFUL, "hello:1", 3))
            assert ready == [0, 1, 2]  # each waits for the one before it
            pod = it.get(resources.PODS, "hello-1")
            assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("hello-1", "hello")
            status = it.get(STATEFUL, "hello")["status"]
            assert labels_of(pod) == {
                "app": "hello",
                "apps.kubernetes.io/pod-index": "1",
                "statefulset.kubernetes.io/pod-name": "hello-1",
                "controller-revision-hash": status["currentRevision"],
            }
            gone: list[str] = []
            it.store.subscribe(
                lambda change: (
                    gone.append(change.object["metadata"]["name"])
                    if change.resource == resources.PODS and change.type == "DELETED"
                    else None
                )
            )
            it.registry.patch(STATEFUL, "lab", "hello", patch.MERGE, {"spec": {"replicas": 1}})
            await it.until(rolled(it, STATEFUL, "hello:1", 1))
            assert gone == ["hello-2", "hello-1"]
            it.registry.delete(resources.PODS, "lab", "hello-0", grace_period_seconds=0)
            await it.until(lambda: len(gone) == 3 and rolled(it, STATEFUL, "hello:1", 1)())

    leaping.run(run())


def test_a_stateful_set_rolls_from_its_last_pod_down_and_back() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create(it, STATEFUL, replicas=3)
            await it.until(rolled(it, STATEFUL, "hello:1", 3))
            first = it.get(STATEFUL, "hello")["status"]["currentRevision"]
            mixes: list[dict[str, str]] = []
            it.store.subscribe(lambda _: mixes.append(images(it)))
            set_image(it, STATEFUL, "hello:2")
            await it.until(rolled(it, STATEFUL, "hello:2", 3))
            await it.until(lambda: it.get(STATEFUL, "hello")["status"]["currentRevision"] != first)
            for mix in mixes:
                assert len(mix) >= 2
                new = [name for name, image in mix.items() if image == "hello:2"]
                assert new == [f"hello-{number}" for number in range(3 - len(new), 3)] or len(mix) == 2
            status = it.get(STATEFUL, "hello")["status"]
            assert status["currentRevision"] == status["updateRevision"]
            assert (status["currentReplicas"], status["updatedReplicas"], status["availableReplicas"]) == (3, 3, 3)
            assert revisions(it) == [1, 2]
            set_image(it, STATEFUL, "hello:1")  # as `rollout undo` does it
            await it.until(lambda: it.get(STATEFUL, "hello")["status"]["currentRevision"] == first)
            assert revisions(it) == [2, 3]

    leaping.run(run())


def test_a_stateful_set_keeps_the_pods_below_its_partition() -> None:
    async def run() -> None:
        async with empty_world() as it:
            strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
            create(it, STATEFUL, replicas=3, updateStrategy=strategy)
            await it.until(rolled(it, STATEFUL, "hello:1", 3))
            set_image(it, STATEFUL, "hello:2")
            await it.until(lambda: it.get(STATEFUL, "hello")["status"].get("updatedReplicas") == 1)
            it.registry.delete(resources.PODS, "lab", "hello-0", grace_period_seconds=0)
            await it.until(lambda: it.get(STATEFUL, "hello")["status"].get("readyReplicas", 0) < 3)
            await it.until(lambda: it.get(STATEFUL, "hello")["status"].get("readyReplicas") == 3)
            assert images(it) == {"hello-0": "hello:1", "hello-1": "hello:1", "hello-2": "hello:2"}
            status = it.get(STATEFUL, "hello")["status"]
            assert (status["currentReplicas"], status["updatedReplicas"]) == (2, 1)
            assert status["currentRevision"] != status["updateRevision"]

    leaping.run(run())


def test_an_update_that_is_not_ready_stops_at_its_first_pod() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create(it, STATEFUL, replicas=3)
            await it.until(rolled(it, STATEFUL, "hello:1", 3))
            it.runtime.failing.add("hello:2")
            set_image(it, STATEFUL, "hello:2")
            await it.until(lambda: images(it).get("hello-2") == "hello:2")
            await it.until(lambda: bool(it.events("Unhealthy")))
            assert [images(it)[f"hello-{number}"] for number in range(2)] == ["hello:1", "hello:1"]
            assert it.get(STATEFUL, "hello")["status"]["readyReplicas"] == 2

    leaping.run(run())


def test_parallel_pods_do_not_wait_for_each_other() -> None:
    async def run() -> None:
        async with empty_world() as it:
            it.runtime.failing.add("hello:1")
            create(it, STATEFUL, replicas=3, podManagementPolicy="Parallel")
            await it.until(lambda: len(images(it)) == 3)
            it.registry.patch(STATEFUL, "lab", "hello", patch.MERGE, {"spec": {"replicas": 0}})
            await it.until(lambda: not it.pods())

    leaping.run(run())


@pytest.mark.parametrize("resource", [STATEFUL, DAEMON])
def test_on_delete_leaves_pods_until_somebody_deletes_them(resource: Resource) -> None:
    async def run() -> None:
        async with empty_world() as it:
            replicas = {"replicas": 2} if resource == STATEFUL else {}
            create(it, resource, updateStrategy={"type": "OnDelete"}, **replicas)
            await it.until(rolled(it, resource, "hello:1", 2))
            set_image(it, resource, "hello:2")
            await it.until(lambda: revisions(it) == [1, 2])
            assert list(images(it).values()) == ["hello:1", "hello:1"]
            for pod in it.pods():
                it.registry.delete(resources.PODS, "lab", pod["metadata"]["name"], grace_period_seconds=0)
            await it.until(rolled(it, resource, "hello:2", 2))

    leaping.run(run())


def test_the_pods_of_a_stateful_set_keep_their_volumes() -> None:
    async def run() -> None:
        async with empty_world() as it:
            size = {"requests": {"storage": "1Gi"}}
            spec = {"accessModes": ["ReadWriteOnce"], "resources": size}
            claim = {"metadata": {"name": "data"}, "spec": spec}
            for name in ("one", "two"):
                source = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}
                volume = {"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], **source}}
                it.registry.create(VOLUMES, "", volume)
            create(it, STATEFUL, replicas=2, volumeClaimTemplates=[claim])
            await it.until(rolled(it, STATEFUL, "hello:1", 2))
            claims = [obj["metadata"]["name"] for obj in it.store.list(resources.PERSISTENTVOLUMECLAIMS, "lab")]
            assert claims == ["data-hello-0", "data-hello-1"]
            volumes = it.get(resources.PODS, "hello-1")["spec"]["volumes"]
            assert {"name": "data", "persistentVolumeClaim": {"claimName": "data-hello-1"}} in volumes
            it.registry.delete(STATEFUL, "lab", "hello")
            await it.until(lambda: not it.pods())
            assert len(it.store.list(resources.PERSISTENTVOLUMECLAIMS, "lab")) == 2

    leaping.run(run())


@pytest.mark.parametrize(("rolling", "least"), [({"maxUnavailable": 1}, 1), ({"maxSurge": 1, "maxUnavailable": 0}, 2)])
def test_a_daemon_set_rolls_node_by_node(rolling: dict[str, int], least: int) -> None:
    async def run() -> None:
        async with empty_world() as it:
            create(it, DAEMON, updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling})
            await it.until(rolled(it, DAEMON, "hello:1", 2))
            assert sorted(pod["spec"]["nodeName"] for pod in it.pods()) == ["node1", "node2"]
            ready: list[int] = []

            def look(_: object) -> None:
                ready.append(
                    sum(
                        any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
                        for pod in it.pods()
                        if not pod["metadata"].get("deletionTimestamp")
                    )
                )

            it.store.subscribe(look)
            set_image(it, DAEMON, "hello:2")
            await it.until(rolled(it, DAEMON, "hello:2", 2))
            await it.until(lambda: it.get(DAEMON, "hello")["status"].get("updatedNumberScheduled") == 2)
            assert min(ready) >= least
            status = it.get(DAEMON, "hello")["status"]
            assert status == {
                "currentNumberScheduled": 2, "desiredNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": 2,
                "numberAvailable": 2, "updatedNumberScheduled": 2,
                "observedGeneration": it.get(DAEMON, "hello")["metadata"]["generation"],
            }  # fmt: skip
            assert revisions(it) == [1, 2]

    leaping.run(run())


def test_daemons_go_where_nodes_and_taints_let_them() -> None:
    async def run() -> None:
        async with empty_world() as it:

            def node(name: str, change: Object) -> None:
                it.registry.patch(resources.NODES, "", name, patch.MERGE, change)

            node("node1", {"metadata": {"labels": {"disk": "ssd"}}, "spec": {"unschedulable": True}})
            create(it, DAEMON)
            it.registry.patch(
                DAEMON, "lab", "hello", patch.MERGE, {"spec": {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}}
            )
            await it.until(lambda: [p["spec"].get("nodeName") for p in it.pods()] == ["node1"])
            node("node2", {"metadata": {"labels": {"disk": "ssd"}}})
            await it.until(lambda: sorted(p["spec"].get("nodeName", "") for p in it.pods()) == ["node1", "node2"])
            taint = {"key": "no", "effect": "NoExecute"}
            node("node2", {"spec": {"taints": [taint]}})
            await it.until(lambda: [p["spec"].get("nodeName") for p in it.pods()] == ["node1"])
            await it.until(lambda: it.get(DAEMON, "hello")["status"]["desiredNumberScheduled"] == 1)

    leaping.run(run())


def test_a_revision_whose_name_is_taken_gets_another() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create(it, STATEFUL, replicas=1)
            await it.until(rolled(it, STATEFUL, "hello:1", 1))
            (own,) = it.store.list(resources.CONTROLLERREVISIONS, "lab")
            it.registry.delete(STATEFUL, "lab", "hello", propagation="Orphan")
            await it.until(lambda: not it.store.list(STATEFUL, "lab"))

            def alien(obj: Object) -> None:
                obj["metadata"]["labels"] = {}

            it.registry.modify(resources.CONTROLLERREVISIONS, "lab", own["metadata"]["name"], alien)
            create(it, STATEFUL, replicas=1)
            await it.until(lambda: it.get(STATEFUL, "hello")["status"].get("collisionCount") == 1)
            await it.until(lambda: len(it.store.list(resources.CONTROLLERREVISIONS, "lab")) == 2)

    leaping.run(run())


def test_old_revisions_go_beyond_the_limit() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create(it, DAEMON, revisionHistoryLimit=1)
            for image in ("hello:1", "hello:2", "hello:3"):
                set_image(it, DAEMON, image)
                await it.until(rolled(it, DAEMON, image, 2))
            await it.until(lambda: revisions(it) == [2, 3])

    leaping.run(run())
