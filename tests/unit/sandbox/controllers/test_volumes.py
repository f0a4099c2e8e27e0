"""Claims, the volumes that they are bound to, and pods that wait for them."""

from __future__ import annotations

import asyncio
from typing import Any

import leaping
from convoy_sandbox import resources
from convoy_sandbox.controllers.volumes import VOLUMES, fits
from unit.sandbox.controllers.support import World, empty_world


def claim(it: World, name: str = "data", **spec: Any) -> None:
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    it.registry.create(resources.PERSISTENTVOLUMECLAIMS, "lab", {"metadata": {"name": name}, "spec": body})


def volume(it: World, name: str, storage: str = "1Gi", **spec: Any) -> None:
    body = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": storage}, "hostPath": {"path": "/x"}, **spec}
    it.registry.create(VOLUMES, "", {"metadata": {"name": name}, "spec": body})


def pod(it: World, claim_name: str = "data") -> None:
    spec = {
        "containers": [{"name": "a", "image": "a:1"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim_name}}],
    }
    it.registry.create(resources.PODS, "lab", {"metadata": {"name": "one"}, "spec": spec})


def scheduled(it: World) -> dict[str, Any]:
    listed = it.get(resources.PODS, "one")["status"].get("conditions") or ()
    return next((c for c in listed if c["type"] == "PodScheduled"), {})


def test_a_pod_waits_for_its_claim_and_the_claim_for_a_volume() -> None:
    async def run() -> None:
        async with empty_world() as it:
            pod(it)
            await it.until(lambda: 'persistentvolumeclaim "data" not found' in scheduled(it).get("message", ""))
            claim(it)
            await it.until(lambda: "unbound immediate PersistentVolumeClaims" in scheduled(it)["message"])
            volume(it, "small", "500Mi")
            volume(it, "large", "9Gi")
            await it.until(lambda: it.get(resources.PODS, "one")["status"].get("phase") == "Running")
            bound = it.get(resources.PERSISTENTVOLUMECLAIMS, "data")
            assert (bound["status"]["phase"], bound["spec"]["volumeName"]) == ("Bound", "large")
            assert bound["status"]["capacity"] == {"storage": "9Gi"}
            small, large = (it.store.get(VOLUMES, "", name) or {} for name in ("small", "large"))
            await it.until(lambda: (it.store.get(VOLUMES, "", "large") or {})["status"]["phase"] == "Bound")
            assert small["status"]["phase"] == "Available"
            assert large["spec"]["claimRef"]["name"] == "data"

    leaping.run(run())


def test_a_volume_is_released_when_its_claim_is_gone() -> None:
    async def run() -> None:
        async with empty_world() as it:
            volume(it, "one")
            claim(it)
            await it.until(lambda: (it.store.get(VOLUMES, "", "one") or {})["status"]["phase"] == "Bound")
            it.registry.delete(resources.PERSISTENTVOLUMECLAIMS, "lab", "data")
            await it.until(lambda: (it.store.get(VOLUMES, "", "one") or {})["status"]["phase"] == "Released")
            claim(it, "other")
            await asyncio.sleep(0)
            assert it.get(resources.PERSISTENTVOLUMECLAIMS, "other")["status"]["phase"] == "Pending"

    leaping.run(run())


def test_a_volume_of_another_class_mode_or_claim_does_not_fit() -> None:
    asked = {
        "metadata": {"name": "c", "namespace": "n", "uid": "1"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }  # fmt: skip

    def offered(**spec: Any) -> bool:
        plain = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "volumeMode": "Filesystem"}
        return fits({"metadata": {"name": "v"}, "spec": {**plain, **spec}}, asked)

    assert offered()
    assert offered(claimRef={"namespace": "n", "name": "c"})
    assert not offered(storageClassName="fast")
    assert not offered(accessModes=["ReadOnlyMany"])
    assert not offered(capacity={"storage": "1023Mi"})
    assert not offered(claimRef={"namespace": "n", "name": "other"})
    assert not offered(claimRef={"namespace": "n", "name": "c", "uid": "2"})
