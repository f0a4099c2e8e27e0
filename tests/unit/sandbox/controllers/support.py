"""A cluster's controllers over containers that do what a test says."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from convoy_sandbox import controllers, patch, resources
from convoy_sandbox.controllers.kubelet import Kubelet
from convoy_sandbox.controllers.node_lifecycle import NodeLifecycle
from convoy_sandbox.network.containers import ImageError, LogLine
from convoy_sandbox.registry import Registry
from convoy_sandbox.resources import Resource
from convoy_sandbox.settings import INSTANT, Settings
from convoy_sandbox.store import Object, Store

TIMING = dataclasses.replace(INSTANT, pull=0, start=0, crash_backoff=0.05)


class Scripted:
    """A container that runs until it is told to end, or for as long as a stubborn one is given."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.container_id = "containerd://scripted"
        self.end_reason = ""
        self.end_message = ""
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.graces: list[float] = []
        self._stubborn = stubborn

    def log_lines(self) -> list[LogLine]:
        return [LogLine(0, 0.0, "hello")]

    def logs(self) -> str:
        return "hello\n"

    def end(self, code: int) -> None:
        if not self.exited.done():
            self.exited.set_result(code)

    async def stop(self, grace_seconds: float) -> None:
        self.graces.append(grace_seconds)
        if self._stubborn:
            await asyncio.wait([self.exited], timeout=grace_seconds)
            self.end(137)
        self.end(0)


class Runtime:
    """Images and probes as a test wants them."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.failing: set[str] = set()  # images whose probes fail
        self.ending: dict[str, int] = {}  # images whose containers end at once, with their exit codes
        self.stubborn: set[str] = set()
        self.started: list[str] = []  # names of containers, in the order they started
        self.containers: dict[str, Scripted] = {}  # the last of each name
        self.given: dict[str, dict[str, Any]] = {}  # what that one was given: ip, env, mounts

    def has_image(self, image: str) -> bool:
        return image not in self.missing

    async def pull(self, image: str) -> None:
        if image in self.missing:
            raise ImageError("not found")

    async def start(self, pod: Object, container: Object, **given: Any) -> Scripted:
        running = Scripted(stubborn=container["image"] in self.stubborn)
        self.started.append(container["name"])
        self.containers[container["name"]] = running
        self.given[container["name"]] = given
        if container["image"] in self.ending:
            running.end(self.ending[container["image"]])
        return running

    async def probe(self, pod: Object, container: Object, probe: Object, *, ip: str) -> str:
        return "not now" if container["image"] in self.failing else ""


class World:
    """A store with controllers, and waits on it."""

    def __init__(self) -> None:
        self.store = Store()
        self.registry = Registry(self.store)
        self.runtime = Runtime()
        self.kubelet: Kubelet
        self.lifecycle: NodeLifecycle

    async def until(self, condition: Callable[[], Any], seconds: float = 300) -> None:
        changed = asyncio.Event()
        unsubscribe = self.store.subscribe(lambda _: changed.set())
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    changed.clear()
                    await changed.wait()
        finally:
            unsubscribe()

    def get(self, resource: Resource, name: str) -> Object:
        found = self.store.get(resource, "lab", name)
        assert found is not None
        return found

    def status(self, name: str = "hello") -> Object:
        return self.get(resources.DEPLOYMENTS, name)["status"]

    def events(self, reason: str) -> list[str]:
        return [e["message"] for e in self.store.list(resources.EVENTS, "lab") if e["reason"] == reason]

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
async def empty_world() -> AsyncIterator[World]:
    """A cluster of two nodes with the namespace lab."""
    it = World()
    numbers = itertools.count(1)
    running = controllers.start_all(
        it.store, it.registry, Settings(nodes=2, timing=TIMING), it.runtime,
        allocate_ip=lambda: f"127.64.0.{next(numbers)}", release_ip=lambda _: None,
        allocate_node_ip=lambda: "127.64.200.1",
    )  # fmt: skip
    it.kubelet = running.kubelet
    it.lifecycle = running.lifecycle
    it.registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    failures = _Failures()
    logging.getLogger("convoy_sandbox").addHandler(failures)
    try:
        yield it
    finally:
        await running.close()
        logging.getLogger("convoy_sandbox").removeHandler(failures)
    assert not failures.messages


class _Failures(logging.Handler):
    """Keeps what controllers log of exceptions, which would else pass unseen."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@asynccontextmanager
async def world(**spec: Any) -> AsyncIterator[World]:
    """The same with the Deployment hello in it, complete."""
    probe = {"httpGet": {"port": 81}, "periodSeconds": 1}
    template = {
        "metadata": {"labels": {"app": "hello"}},
        "spec": {"containers": [{"name": "hello", "image": "hello:1", "readinessProbe": probe}]},
    }
    body = {"replicas": 3, "selector": {"matchLabels": {"app": "hello"}}, "template": template, **spec}
    async with empty_world() as it:
        it.registry.create(resources.DEPLOYMENTS, "lab", {"metadata": {"name": "hello"}, "spec": body})
        await it.until(it.complete(body["replicas"]))
        yield it


def reason_of(condition: str, status: Object) -> str:
    return next((c["reason"] for c in status.get("conditions") or () if c["type"] == condition), "")
