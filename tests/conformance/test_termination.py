"""What users meet while pods end, held against the recordings: how many requests are lost, how, and in which order
a pod and its endpoint go."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import leaping
import pytest
from conformance import recordings
from convoy_sandbox import resources
from convoy_sandbox.cluster import Cluster
from convoy_sandbox.settings import Settings
from convoy_sandbox.store import Change

Object = dict[str, Any]

INTERVAL = 0.01  #: seconds between two requests, as recorded
NOTHING = 3.0  #: seconds after which a request that nobody answers is lost, as recorded
RECORDINGS = ("termination_more", "termination_more_quiet")
HELLO = ("kelseyhightower/hello:1.0.0", "kelseyhightower/hello:2.0.0")
ROLLS = 4  #: how often a Deployment is rolled, as many of its requests are lost in one roll and few in another
PAIR = 2  #: how many times as many, or as few, requests may be lost as in the rounds that were recorded


@contextlib.asynccontextmanager
async def application(sleep: int | None = None) -> AsyncIterator[Application]:
    """Three pods behind a Service, in a cluster whose data plane is as slow as a node's, once users are answered."""
    async with Cluster(Settings(name="termination", data_plane="kube-proxy")) as cluster:
        made = Application(cluster, sleep)
        await made.wait()
        while await Asking(made.address).one() is not None:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(INTERVAL)
        yield made


class Application:
    """Three pods behind a Service."""

    def __init__(self, cluster: Cluster, sleep: int | None) -> None:
        self.cluster, self.name, self.registry = cluster, "hello", cluster.registry
        container: Object = {
            "name": "hello",
            "image": HELLO[0],
            "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"path": "/readiness", "port": 81}, "periodSeconds": 1},
        }
        if sleep:
            container["lifecycle"] = {"preStop": {"sleep": {"seconds": sleep}}}
        self._container = container
        self.deploy(self.name)
        spec = {"selector": {"app": self.name}, "ports": [{"port": 80, "targetPort": 80}]}
        body = {"metadata": {"name": self.name}, "spec": spec}
        ip = self.registry.create(resources.SERVICES, "default", body)["spec"]["clusterIP"]
        self.address = (ip, cluster.ports.real(ip, 80))

    def deploy(self, name: str) -> None:
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [self._container]}}
        spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
        self.registry.create(resources.DEPLOYMENTS, "default", {"metadata": {"name": name}, "spec": spec})

    def modify(self, resource: Any, change: Callable[[Object], None]) -> None:
        self.registry.modify(resource, "default", self.name, change, manager="test")

    async def roll(self) -> None:
        """Give it the other image, and wait until every pod has it."""

        def change(deployment: Object) -> None:
            container = deployment["spec"]["template"]["spec"]["containers"][0]
            container["image"] = HELLO[1 - HELLO.index(container["image"])]

        self.modify(resources.DEPLOYMENTS, change)
        await self.wait()

    async def switch(self) -> None:
        """Lead the Service to another Deployment that is complete."""
        self.deploy(f"{self.name}-green")
        await self.wait(f"{self.name}-green")
        self.modify(resources.SERVICES, lambda service: service["spec"]["selector"].update(app=f"{self.name}-green"))

    def pods(self) -> list[Object]:
        """Its pods."""
        every = self.cluster.store.list(resources.PODS, "default")
        return [pod for pod in every if pod["metadata"]["labels"]["app"] == self.name]

    async def delete_one(self) -> str:
        """Delete a pod, and return its name once it is gone."""
        name = str(self.pods()[0]["metadata"]["name"])
        self.registry.delete(resources.PODS, "default", name)
        while name in [pod["metadata"]["name"] for pod in self.pods()]:  # noqa: ASYNC110 - only looking tells
            await asyncio.sleep(INTERVAL)
        return name

    async def wait(self, name: str = "") -> None:
        """Wait until its rollout is complete."""
        while True:
            item = self.registry.get(resources.DEPLOYMENTS, "default", name or self.name)
            status, generation = item.get("status") or {}, item["metadata"]["generation"]
            counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
            if status.get("observedGeneration") == generation and counts == [3, 3, 3]:
                return
            await asyncio.sleep(INTERVAL)


class Asking:
    """A new connection every 10 ms, and what became of each."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.asked = 0
        self.lost: Counter[str] = Counter()

    async def one(self) -> str | None:
        """Why a request is lost, None where it is answered."""
        writer = None
        try:
            async with asyncio.timeout(NOTHING):
                reader, writer = await asyncio.open_connection(*self._address)
                writer.write(b"GET /version HTTP/1.0\r\n\r\n")
                return None if await reader.read(1000) else "closed without an answer"
        except TimeoutError:
            return "nothing in 3 s"
        except OSError:
            return "refused"
        finally:
            if writer is not None:
                writer.close()

    async def _ask(self) -> None:
        lost = await self.one()
        if lost:
            self.lost[lost] += 1

    async def during(self, change: Callable[[], Awaitable[object]]) -> None:
        """Ask while something is changed, and until everything has settled."""
        loop = asyncio.get_running_loop()
        over = asyncio.Event()

        async def ask() -> None:
            async with asyncio.TaskGroup() as requests:
                while not over.is_set():
                    self.asked += 1
                    requests.create_task(self._ask())
                    await asyncio.sleep(INTERVAL)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask())
            began = loop.time()
            await change()
            await asyncio.sleep(max(2.0, 6.0 - (loop.time() - began)))
            over.set()


def recorded(change: str, *, sleeps: bool) -> list[tuple[int, int]]:
    """Of each round that was recorded, how many requests to the Service were lost, and of how many."""
    return [
        (sum(line["service"]["lost"].values()), line["service"]["asked since"])
        for name in RECORDINGS
        for line in recordings.read(name)
        if line["change"] == change and bool(line["preStop sleep"]) is sleeps
    ]


def asked(change: Callable[[Application], Awaitable[object]], *, sleep: int | None = None, times: int = 1) -> Asking:
    """What users meet while something is changed, so many times."""

    async def run() -> Asking:
        async with application(sleep) as made:
            asking = Asking(made.address)
            for _time in range(times):
                await asking.during(lambda: change(made))
            return asking

    return leaping.run(run())


def test_a_rolled_deployment_loses_as_many_requests_as_on_a_real_cluster(report: Callable[[str], None]) -> None:
    shares = [lost / asked for lost, asked in recorded("roll", sleeps=False)]
    span = f"{min(shares):.1%} to {max(shares):.1%}"
    asking = asked(Application.roll, times=ROLLS)
    share = sum(asking.lost.values()) / asking.asked
    report(f"termination: a roll loses {share:.1%} ({dict(asking.lost)}), recorded {span}")
    assert set(asking.lost) <= {"refused", "nothing in 3 s", "closed without an answer"}
    assert min(shares) / PAIR < share < max(shares) * PAIR


def test_a_rolled_deployment_that_drains_loses_nothing() -> None:
    assert not any(lost for lost, _asked in recorded("roll", sleeps=True))
    assert not asked(Application.roll, sleep=5).lost


def test_a_switch_of_the_selector_loses_nothing() -> None:
    assert not any(lost for lost, _asked in recorded("switch", sleeps=False))
    assert not asked(Application.switch).lost


@pytest.mark.parametrize("sleep", [None, 3])
def test_a_pod_and_its_endpoint_end_in_the_recorded_order(sleep: int | None) -> None:
    changes: list[Change] = []

    async def run() -> str:
        async with application(sleep) as made:
            made.cluster.store.subscribe(changes.append)
            return await made.delete_one()

    name = leaping.run(run())
    ours = {"pod": _pod(changes, name), "endpoint": _endpoint(changes, name)}
    for line in recordings.read("termination_quiet"):
        if line["preStop sleep"] == sleep:
            for kind, track in ours.items():
                assert track == _recorded(line, kind), kind


def _deduplicated(track: list[str]) -> list[str]:
    return [each for each, _group in itertools.groupby(track)]


def _recorded(line: Object, kind: str) -> list[str]:
    """What was said of one of them, each once, up to its end."""
    said = [text.partition(": ") for _at, text in line["events"]]
    texts = [
        rest if first == "endpoint" else f"{first} {rest}" for first, _colon, rest in said if first.startswith(kind)
    ]
    texts = ["pod DELETED" if text.startswith("pod DELETED") else text for text in texts]
    texts = [text.replace("pod ADDED", "pod").replace("pod MODIFIED", "pod") for text in texts]
    return _deduplicated([text for text in texts if "serving False" not in text])  # a probe that failed in time


def _pod(changes: list[Change], name: str) -> list[str]:
    track = []
    for change in changes:
        if change.resource == resources.PODS and change.object["metadata"]["name"] == name:
            status = change.object["status"]
            state = next(iter((status.get("containerStatuses") or [{"state": {"": None}}])[0]["state"]))
            said = f"pod deletionTimestamp set, phase {status['phase']}, container {state}"
            track.append("pod DELETED" if change.type == "DELETED" else said)
    return _deduplicated(track)


def _endpoint(changes: list[Change], name: str) -> list[str]:
    track = []
    for change in changes:
        if change.resource != resources.ENDPOINTSLICES or change.old is None:
            continue
        before, now = (
            {each["targetRef"]["name"]: each["conditions"] for each in item.get("endpoints") or ()}
            for item in (change.old, change.object)
        )
        if name in now and now[name]["terminating"]:
            said = [f"{key} {now[name][key]}" for key in ("ready", "serving", "terminating")]
            track.append(", ".join(said))
        elif name in before and name not in now:
            track.append("gone")
    return _deduplicated([text for text in track if "serving False" not in text])
