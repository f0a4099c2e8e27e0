"""What users meet while pods end, held against the recordings: how many requests are lost, how, and in which order
a pod and its endpoint go."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conformance import recordings
from convoy_sandbox import resources
from convoy_sandbox.store import Change
from convoy_sandbox.testing import Sandbox, sandbox

Object = dict[str, Any]

INTERVAL = 0.01  #: seconds between two requests, as recorded
NOTHING = 3.0  #: seconds after which a request that nobody answers is lost, as recorded
RECORDINGS = ("termination_more", "termination_more_quiet")
HELLO = ("kelseyhightower/hello:1.0.0", "kelseyhightower/hello:2.0.0")
ROLLS = 5  #: how often a Deployment is rolled until as many requests are lost as it should lose
PAIR = 2  #: how many times as many, or as few, requests may be lost as in the rounds that were recorded


@pytest.fixture(scope="module")
def cluster() -> Iterator[Sandbox]:
    """A sandbox whose data plane is as slow as a node's."""
    with sandbox(data_plane="kube-proxy") as cluster:
        yield cluster


class Application:
    """Three pods behind a Service."""

    def __init__(self, cluster: Sandbox, name: str, sleep: int | None) -> None:
        self.cluster, self.name, self.registry = cluster, name, cluster.cluster.registry
        container: Object = {
            "name": "hello",
            "image": HELLO[0],
            "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"path": "/readiness", "port": 81}, "periodSeconds": 1},
        }
        if sleep:
            container["lifecycle"] = {"preStop": {"sleep": {"seconds": sleep}}}
        self._container = container
        self.deploy(name)
        spec = {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 80}]}
        service = self._call(
            lambda: self.registry.create(resources.SERVICES, "default", {"metadata": {"name": name}, "spec": spec})
        )
        ip = service["spec"]["clusterIP"]
        self.wait()
        self.address = (ip, self._call(lambda: cluster.cluster.ports.real(ip, 80)))
        while Asking(self.address).one() is not None:
            time.sleep(INTERVAL)

    def _call(self, function: Callable[[], Any]) -> Any:
        return self.cluster.call(function)

    def deploy(self, name: str) -> None:
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [self._container]}}
        spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
        body = {"metadata": {"name": name}, "spec": spec}
        self._call(lambda: self.registry.create(resources.DEPLOYMENTS, "default", body))

    def modify(self, resource: Any, change: Callable[[Object], None]) -> None:
        self._call(lambda: self.registry.modify(resource, "default", self.name, change, manager="test"))

    def roll(self) -> None:
        """Give it the other image, and wait until every pod has it."""

        def change(deployment: Object) -> None:
            container = deployment["spec"]["template"]["spec"]["containers"][0]
            container["image"] = HELLO[1 - HELLO.index(container["image"])]

        self.modify(resources.DEPLOYMENTS, change)
        self.wait()

    def switch(self) -> None:
        """Lead the Service to another Deployment that is complete."""
        self.deploy(f"{self.name}-green")
        self.wait(f"{self.name}-green")
        self.modify(resources.SERVICES, lambda service: service["spec"]["selector"].update(app=f"{self.name}-green"))

    def pods(self) -> list[Object]:
        """Its pods."""
        every = self._call(lambda: list(self.cluster.cluster.store.list(resources.PODS, "default")))
        return [pod for pod in every if pod["metadata"]["labels"]["app"] == self.name]

    def delete_one(self) -> str:
        """Delete a pod, and return its name once it is gone."""
        name = str(self.pods()[0]["metadata"]["name"])
        self._call(lambda: self.registry.delete(resources.PODS, "default", name))
        while name in [pod["metadata"]["name"] for pod in self.pods()]:
            time.sleep(INTERVAL)
        return name

    def wait(self, name: str = "") -> None:
        """Wait until its rollout is complete."""
        while True:
            item = self._call(lambda: self.registry.get(resources.DEPLOYMENTS, "default", name or self.name))
            status, generation = item.get("status") or {}, item["metadata"]["generation"]
            counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
            if status.get("observedGeneration") == generation and counts == [3, 3, 3]:
                return
            time.sleep(INTERVAL)


class Asking:
    """A new connection every 10 ms, and what became of each."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.asked = 0
        self.lost: Counter[str] = Counter()

    def one(self) -> str | None:
        """Why a request is lost, None where it is answered."""
        try:
            with socket.create_connection(self._address, timeout=NOTHING) as connection:
                connection.sendall(b"GET /version HTTP/1.0\r\n\r\n")
                return None if connection.recv(1000) else "closed without an answer"
        except TimeoutError:
            return "nothing in 3 s"
        except OSError:
            return "refused"

    def _ask(self) -> None:
        lost = self.one()
        if lost:
            self.lost[lost] += 1

    def during(self, change: Callable[[], object]) -> None:
        """Ask while something is changed, and until everything has settled."""
        stop = threading.Event()
        threads: list[threading.Thread] = []

        def ask() -> None:
            while not stop.wait(INTERVAL):
                self.asked += 1
                threads.append(threading.Thread(target=self._ask))
                threads[-1].start()

        asker = threading.Thread(target=ask)
        asker.start()
        try:
            began = time.monotonic()
            change()
            stop.wait(max(2.0, 6.0 - (time.monotonic() - began)))
        finally:
            stop.set()
            asker.join()
            for thread in threads:
                thread.join()


def recorded(change: str, *, sleeps: bool) -> list[tuple[int, int]]:
    """Of each round that was recorded, how many requests to the Service were lost, and of how many."""
    return [
        (sum(line["service"]["lost"].values()), line["service"]["asked since"])
        for name in RECORDINGS
        for line in recordings.read(name)
        if line["change"] == change and bool(line["preStop sleep"]) is sleeps
    ]


def test_a_rolled_deployment_loses_as_many_requests_as_on_a_real_cluster(
    cluster: Sandbox, report: Callable[[str], None]
) -> None:
    shares = [lost / asked for lost, asked in recorded("roll", sleeps=False)]
    application = Application(cluster, "at-once", None)
    span = f"{min(shares):.1%} to {max(shares):.1%}"
    # Where this machine is busy a new pod takes longer to become ready than the rules wait, and a roll loses nothing.
    for _roll in range(ROLLS):
        asking = Asking(application.address)
        asking.during(application.roll)
        share = sum(asking.lost.values()) / asking.asked
        report(f"termination: a roll loses {share:.1%} ({dict(asking.lost)}), recorded {span}")
        assert set(asking.lost) <= {"refused", "nothing in 3 s", "closed without an answer"}
        assert share < max(shares) * PAIR
        if share > min(shares) / PAIR:
            return
    pytest.fail(f"none of {ROLLS} rolls lost as much")


def test_a_rolled_deployment_that_drains_loses_nothing(cluster: Sandbox) -> None:
    assert not any(lost for lost, _asked in recorded("roll", sleeps=True))
    application = Application(cluster, "sleeps", 5)
    asking = Asking(application.address)
    asking.during(application.roll)
    assert not asking.lost


def test_a_switch_of_the_selector_loses_nothing(cluster: Sandbox) -> None:
    assert not any(lost for lost, _asked in recorded("switch", sleeps=False))
    application = Application(cluster, "switched", None)
    asking = Asking(application.address)
    asking.during(application.switch)
    assert not asking.lost


@pytest.mark.parametrize("sleep", [None, 3])
def test_a_pod_and_its_endpoint_end_in_the_recorded_order(cluster: Sandbox, sleep: int | None) -> None:
    application = Application(cluster, f"one-{sleep or 'at-once'}", sleep)
    changes: list[Change] = []
    stop = cluster.call(lambda: cluster.cluster.store.subscribe(changes.append))
    name = application.delete_one()
    cluster.call(stop)
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
