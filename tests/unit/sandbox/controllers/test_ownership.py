"""Who belongs to whom: pods, ReplicaSets and Deployments find and lose each other by their labels."""

from __future__ import annotations

from typing import Any

import leaping
from convoy_sandbox import patch, resources
from convoy_sandbox.controllers.owners import controller_of
from unit.sandbox.controllers.support import World, empty_world, world


def owners(it: World) -> dict[str, str]:
    """The controller's name of each pod."""
    return {pod["metadata"]["name"]: (controller_of(pod) or {}).get("name", "") for pod in it.pods()}


def label(it: World, resource: Any, name: str, **labels: str | None) -> None:
    it.registry.patch(resource, "lab", name, patch.MERGE, {"metadata": {"labels": labels}})


def test_a_pod_that_is_relabelled_is_let_go_and_replaced() -> None:
    async def run() -> None:
        async with world() as it:
            name = it.pods()[0]["metadata"]["name"]
            label(it, resources.PODS, name, app="debug")
            await it.until(lambda: len(it.pods()) == 4 and it.complete(3)())
            assert "ownerReferences" not in it.get(resources.PODS, name)["metadata"]
            assert not it.get(resources.PODS, name)["metadata"].get("deletionTimestamp")

    leaping.run(run())


def test_a_pod_that_comes_back_is_adopted_and_another_one_goes() -> None:
    async def run() -> None:
        async with world() as it:
            name = it.pods()[0]["metadata"]["name"]
            label(it, resources.PODS, name, app="debug")
            await it.until(lambda: len(it.pods()) == 4 and it.complete(3)())
            label(it, resources.PODS, name, app="hello")
            await it.until(lambda: len(it.pods()) == 3)
            (replica_set,) = it.store.list(resources.REPLICASETS, "lab")
            assert set(owners(it).values()) == {replica_set["metadata"]["name"]}

    leaping.run(run())


def test_orphans_are_adopted_by_the_next_of_the_same_name() -> None:
    async def run() -> None:
        async with world() as it:
            pods = set(owners(it))
            deployment = it.get(resources.DEPLOYMENTS, "hello")
            it.registry.delete(resources.DEPLOYMENTS, "lab", "hello", propagation="Orphan")
            await it.until(lambda: not it.store.list(resources.DEPLOYMENTS, "lab"))
            body = {"metadata": {"name": "hello"}, "spec": deployment["spec"]}
            it.registry.create(resources.DEPLOYMENTS, "lab", body)
            await it.until(it.complete(3))
            assert set(owners(it)) == pods
            (replica_set,) = it.store.list(resources.REPLICASETS, "lab")
            owner = controller_of(replica_set) or {}
            assert owner.get("uid") == it.get(resources.DEPLOYMENTS, "hello")["metadata"]["uid"]

    leaping.run(run())


def test_a_replica_set_that_a_deployment_no_longer_selects_is_let_go() -> None:
    async def run() -> None:
        async with world() as it:
            (old,) = it.store.list(resources.REPLICASETS, "lab")
            name = old["metadata"]["name"]
            label(it, resources.REPLICASETS, name, app="other")
            await it.until(lambda: controller_of(it.get(resources.REPLICASETS, name)) is None)

    leaping.run(run())


def test_a_pod_of_its_own_is_adopted_by_a_new_replica_set() -> None:
    async def run() -> None:
        async with empty_world() as it:
            spec = {"containers": [{"name": "a", "image": "a:1"}]}
            it.registry.create(
                resources.PODS, "lab", {"metadata": {"name": "mine", "labels": {"app": "a"}}, "spec": spec}
            )
            it.registry.create(
                resources.PODS, "lab", {"metadata": {"name": "other", "labels": {"app": "b"}}, "spec": spec}
            )
            template = {"metadata": {"labels": {"app": "a"}}, "spec": spec}
            body = {"replicas": 2, "selector": {"matchLabels": {"app": "a"}}, "template": template}
            it.registry.create(resources.REPLICASETS, "lab", {"metadata": {"name": "set"}, "spec": body})
            await it.until(lambda: it.get(resources.REPLICASETS, "set")["status"].get("availableReplicas") == 2)
            found = owners(it)
            assert len(found) == 3
            assert (found["mine"], found["other"]) == ("set", "")

    leaping.run(run())
