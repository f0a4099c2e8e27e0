"""Every exchange of the recordings, asked again of a sandbox: at least 98 of 100 must be answered alike.

The same run shows the order of states: what the controllers did to each ReplicaSet and said of each
Deployment, held against the recorded timelines.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import leaping
import pytest
import yaml
from conformance import recordings, webhooks
from conformance.ordering import Event, Track, agreement, tracks
from conformance.reduce import PACED, base_name
from conformance.replay import PATIENCE_SECONDS, HttpCluster, Replay, Result, Watching
from conformance.tool import Tool
from convoy_sandbox import resources, store
from convoy_sandbox.certificates import Certificates
from convoy_sandbox.cluster import Cluster
from convoy_sandbox.network.images import Image
from convoy_sandbox.settings import INSTANT, Settings, Timing

#: The share of exchanges, and of states, that has to agree. `faults` is short, and what differs there is chance, or the
#: recorder's own machine.
_REQUIRED = {"faults": 0.96}
_REQUIRED_ELSEWHERE = 0.98
_KNOWN = yaml.safe_load(Path(__file__).with_name("known_differences.yml").read_text())

#: The recorded node's pace.
_PACE = dataclasses.replace(INSTANT, pull=0.5, start=0.9, stop=2.0, crash_backoff=10.0)
#: How many changes the cluster remembers where a recording asks for some that are forgotten.
_HISTORY = {"policy": 300}
#: What is no pod's own where a recording is replayed at its own pace.
_NODE = Timing(pull=0.5, start=2.0, signal=0.0, unreachable=0.0, stop=2.0)
#: How seldom the recorded kubelet looked at its containers, in seconds.
_LOOKS = {"policy": 2.0, "pods": 1.0}


class Pace:
    """How long the recorded node took for each pod: the first of a name here is as fast as the first there.

    Where that was not recorded, a pod is as fast as the one before: a busy node is slow for all of them.
    """

    def __init__(self, name: str) -> None:
        self._last = dataclasses.replace(_NODE, relist=_LOOKS[name])
        self._left: dict[str, list[dict[str, float]]] = {}
        for line in recordings.read(f"{name}.pace"):
            took = {span: seconds for span, seconds in line.items() if span != "pod"}
            self._left.setdefault(line["pod"], []).append(took)

    def __call__(self, pod: dict[str, Any]) -> Timing:
        """The timing of a pod that is new."""
        left = self._left.get(base_name(pod["metadata"]))
        if left:
            self._last = dataclasses.replace(self._last, **left.pop(0))
        return self._last


def _known(name: str) -> set[int]:
    """The lines of a recording that are known to differ."""
    return set(_KNOWN["exchanges"].get(name) or ())


async def replay(name: str) -> tuple[list[Result], list[Event]]:
    """The results of one recording against a sandbox of its own, and the states that its workloads had."""
    images = {
        "kelseyhightower/hello:crash": Image("hello", ready=False, crash_after=1.6),
        "lab/tool:1": Image(start=Tool),
        "lab/empty:1": Image(),
    }
    settings = Settings(
        nodes=1,
        node_cpu="2",
        timing=_NODE if name in PACED else _PACE,
        pace=Pace(name) if name in PACED else None,
        load_balancer=name in PACED,  # as recorded
        images=images,
        data_plane="instant",
    )
    async with contextlib.AsyncExitStack() as stack:
        hooks = await stack.enter_async_context(webhooks.serve())
        stack.enter_context(mock.patch.object(store, "HISTORY", _HISTORY.get(name, store.HISTORY)))
        cluster = await stack.enter_async_context(Cluster(settings))
        texts = [(webhooks.RECORDED, hooks.address), *((text, hooks.authority) for text in _authorities(name))]
        http = HttpCluster(cluster.server, _administrator(cluster.certificates), texts)
        stack.push_async_callback(http.close)
        cluster.registry.create(resources.NAMESPACES, "", {"metadata": {"name": name}})
        for body in _made_there(name):
            cluster.registry.create(resources.CONFIGMAPS, name, body)

        cluster.store.forget(cluster.store.revision)  # as a cluster that has been there for longer

        async def before(exchange: recordings.Exchange) -> None:
            """The webhooks were stopped before the one write that found nobody there."""
            said = (exchange.get("response") or {}).get("message", "") if exchange["method"] == "POST" else ""
            if f"dial tcp {webhooks.RECORDED}: connect: connection refused" in said:
                await hooks.stop()

        times = {
            line["object"]["metadata"]["resourceVersion"]: line["t"] for line in recordings.read(f"{name}.timeline")
        }
        workloads = [
            await http.open_watch(f"/apis/apps/v1/namespaces/{name}/{kind}?watch=true", {})
            for kind in ("deployments", "replicasets")
        ]
        results = await Replay(http.send, http.open_watch, before).run(
            recordings.read(f"{name}.http"), name, times, _known(name), paced=name in PACED
        )
        return results, await _states(workloads, recorded_tracks(name))


def _administrator(certificates: Certificates) -> ssl.SSLContext:
    """What trusts a cluster, and is trusted by it."""
    context = ssl.create_default_context(cadata=certificates.ca.decode())
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificates.client_cert + certificates.client_key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _made_there(name: str) -> list[recordings.Exchange]:
    """What the recorded cluster's own controllers put into every namespace, and no other cluster's do."""
    found: dict[str, recordings.Exchange] = {}
    for exchange in recordings.read(f"{name}.http"):
        response = exchange.get("response")
        for item in (response.get("items") or ()) if isinstance(response, dict) else ():
            if item.get("metadata", {}).get("name") == "openshift-service-ca.crt" and "data" in item:
                meta = {key: item["metadata"][key] for key in ("name", "annotations")}
                found[meta["name"]] = {"metadata": meta, "data": item["data"]}
    return list(found.values())


def _authorities(name: str) -> set[str]:
    """The authorities of webhooks that a recording names."""
    hooks = [
        hook
        for exchange in recordings.read(f"{name}.http")
        if isinstance(exchange.get("body"), dict)
        for hook in exchange["body"].get("webhooks") or ()
    ]
    return {hook["clientConfig"]["caBundle"] for hook in hooks if "caBundle" in hook["clientConfig"]}


def recorded_tracks(name: str) -> dict[str, Track]:
    """The orders of states of a recording."""
    return tracks(line for line in recordings.read(f"{name}.timeline") if line["kind"] in ("Deployment", "ReplicaSet"))


async def _states(workloads: list[Watching], expected: dict[str, Track]) -> list[Event]:
    """What the workloads went through, once the last rollout of the recording has come to its end here too."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    while True:
        events = [event for watching in workloads for event in watching.events]
        ours = tracks(events)
        if all(track[-1] == ours.get(name, [""])[-1] for name, track in expected.items()) or loop.time() > deadline:
            return events
        await asyncio.sleep(0.5)


# A recording is replayed once, by the one process that runs its tests.
@pytest.fixture(scope="module", params=["lab", "faults", "core", "crd", "policy", "pods"])
def replayed(request: pytest.FixtureRequest) -> Run:
    """One recording's replay."""
    name = request.param
    return Run(name, *leaping.run(replay(name), recordings.began(name)))


@dataclasses.dataclass
class Run:
    """One replay of a recording, held against what is known to differ."""

    name: str
    results: list[Result]
    events: list[Event]

    @functools.cached_property
    def differ(self) -> dict[int, Result]:
        """The exchanges that differ."""
        return {result.index: result for result in self.results if result.differences}

    @functools.cached_property
    def unexplained(self) -> set[int]:
        """Those of which nobody knew."""
        return set(self.differ) - _known(self.name)

    @functools.cached_property
    def stale(self) -> set[int]:
        """Those that are known to differ and agree."""
        return _known(self.name) - set(self.differ)

    @functools.cached_property
    def orders(self) -> dict[str, tuple[Track, Track]]:
        """The recorded order of states, and the one here, of each that there is."""
        ours = tracks(self.events)
        return {track: (states, ours.get(track, [])) for track, states in recorded_tracks(self.name).items()}

    @functools.cached_property
    def disordered(self) -> set[str]:
        """The orders that differ."""
        return {track for track, (recorded, ours) in self.orders.items() if recorded != ours}

    @functools.cached_property
    def strange(self) -> set[str]:
        """Those of which nobody knew."""
        return self.disordered - _orders(self.name)

    @functools.cached_property
    def settled(self) -> set[str]:
        """Those that are known to differ and agree."""
        return _orders(self.name) - self.disordered


def _orders(name: str) -> set[str]:
    return set(_KNOWN["orders"].get(name) or ())


def test_the_sandbox_answers_as_recorded(replayed: Run, report: Callable[[str], None]) -> None:
    run, total = replayed, len(replayed.results)
    agreeing = 1 - len(run.differ) / total
    report(f"{run.name}.http.jsonl: {agreeing:.1%} of {total} exchanges agree")
    unexplained = [
        f"{index} {run.differ[index].title}: {'; '.join(run.differ[index].differences[:3])}"
        for index in sorted(run.unexplained)
    ]
    assert not unexplained, "differences that known_differences.yml does not explain:\n" + "\n".join(unexplained)
    assert not run.stale, f"these agree now, take them out: {sorted(run.stale)}"
    assert agreeing >= _REQUIRED.get(run.name, _REQUIRED_ELSEWHERE)


def test_states_come_in_the_recorded_order(replayed: Run, report: Callable[[str], None]) -> None:
    run = replayed
    if not run.orders:
        pytest.skip("no workloads are in this recording")
    assert set(run.orders) == set(tracks(run.events))
    counts = [agreement(recorded, ours) for recorded, ours in run.orders.values()]
    same, total = sum(count[0] for count in counts), sum(count[1] for count in counts)
    report(f"{run.name}.timeline.jsonl: {same / total:.1%} of {total} states of {len(counts)} orders agree")
    unexplained = [f"{track}: {run.orders[track][1]}, recorded {run.orders[track][0]}" for track in sorted(run.strange)]
    assert not unexplained, "orders that known_differences.yml does not explain:\n" + "\n".join(unexplained)
    assert not run.settled, f"these agree now, take them out: {sorted(run.settled)}"
    assert same / total >= _REQUIRED.get(run.name, _REQUIRED_ELSEWHERE)
