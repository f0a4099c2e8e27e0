"""Every exchange of the recordings, asked again of a sandbox: at least 95 of 100 must be answered alike.

The same run shows the order of states: what the controllers did to each ReplicaSet and said of each
Deployment, held against the recorded timelines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import kubernetes
import pytest
import yaml
from conformance import recordings, webhooks
from conformance.ordering import Event, Track, agreement, tracks
from conformance.replay import PATIENCE_SECONDS, HttpCluster, Replay, Result, Watching
from convoy_sandbox import store
from convoy_sandbox.network.images import Image
from convoy_sandbox.settings import INSTANT
from convoy_sandbox.testing import sandbox

_REQUIRED = 0.95
_KNOWN = yaml.safe_load(Path(__file__).with_name("known_differences.yml").read_text())

#: The recorded node's pace: states that a client saw there must last long enough to be seen here.
_PACE = dataclasses.replace(INSTANT, pull=0.5, start=0.9, stop=2.0, crash_backoff=10.0)
#: How much faster the recordings are replayed in which scenarios slept, and the pace that goes with it.
_SPEED = {"policy": 6.0, "pods": 6.0}
#: How many changes the cluster remembers where a recording asks for some that are forgotten.
_HISTORY = {"policy": 300}
_TIMINGS: dict[str, dict[str, float]] = {
    "policy": {"pull": 0.2, "start": 0.5, "stop": 1.0, "relist": 1.0, "autoscaler_period": 2.5, "crash_backoff": 2.0},
    "pods": {"pull": 0.1, "start": 0.4, "relist": 1.0, "stop": 1.5, "autoscaler_period": 2.5, "crash_backoff": 2.0},
}


def _known(name: str, what: str = "exchanges") -> set[int]:
    """The lines of a recording that are known to differ, or `sometimes` do: numbers, or ranges of them."""
    found: set[int] = set()
    for key in _KNOWN[what].get(name) or ():
        first, _, last = str(key).partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def replay(name: str) -> tuple[list[Result], list[Event]]:
    """The results of one recording against a sandbox of its own, and the states that its workloads had."""
    tool = (sys.executable, "-S", str(Path(__file__).with_name("tool.py")))
    images = {
        "kelseyhightower/hello:crash": Image("hello", ready=False, crash_after=1.6),
        "lab/tool:1": Image(command=tool),
        "lab/empty:1": Image(),
    }
    timing = dataclasses.replace(_PACE, **_TIMINGS.get(name, {}))
    with contextlib.ExitStack() as stack:
        hooks = stack.enter_context(webhooks.serve())
        # The recorded cluster had compacted its oldest revisions.
        stack.enter_context(mock.patch.object(store, "HISTORY", _HISTORY.get(name, store.HISTORY)))
        cluster = stack.enter_context(
            sandbox(
                nodes=1,
                node_cpu="2",
                timing=timing,
                load_balancer=name in _SPEED,
                images=images,
                data_plane="instant",
            )
        )
        client = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))
        core = kubernetes.client.CoreV1Api(client)
        core.create_namespace({"metadata": {"name": name}})
        for body in _made_there(name):
            core.create_namespaced_config_map(name, body)
        texts = [(webhooks.RECORDED, hooks.address), *((text, hooks.authority) for text in _authorities(name))]
        http = HttpCluster(client.rest_client.pool_manager, client.configuration.host, texts)

        def before(exchange: recordings.Exchange) -> None:
            """The webhooks were stopped before the one write that found nobody there."""
            said = (exchange.get("response") or {}).get("message", "") if exchange["method"] == "POST" else ""
            if f"dial tcp {webhooks.RECORDED}: connect: connection refused" in said:
                hooks.stop()

        times = {
            line["object"]["metadata"]["resourceVersion"]: line["t"] for line in recordings.read(f"{name}.timeline")
        }
        known = _known(name)
        workloads = [
            http.open_watch(f"/apis/apps/v1/namespaces/{name}/{kind}?watch=true", {})
            for kind in ("deployments", "replicasets")
        ]
        results = Replay(http.send, http.open_watch, before).run(
            recordings.read(f"{name}.http"), name, times, known, _SPEED.get(name, 0)
        )
        return results, _states(workloads, recorded_tracks(name))


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


def _states(workloads: list[Watching], expected: dict[str, Track]) -> list[Event]:
    """What the workloads went through, once the last rollout of the recording has come to its end here too."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        events = [event for watching in workloads for event in list(watching.events)]
        ours = tracks(events)
        if all(track[-1] == ours.get(name, [""])[-1] for name, track in expected.items()):
            return events
        left = deadline - time.monotonic()
        if left <= 0:
            return events
        with workloads[0].arrived:
            workloads[0].arrived.wait(min(left, 0.5))


# A recording is replayed once, by the one process that runs its tests.
@pytest.fixture(
    scope="module",
    params=["lab", "faults", "core", "crd", "policy", "pods"],
)
def replayed(request: pytest.FixtureRequest) -> tuple[str, list[Result], list[Event]]:
    """One recording's name, its results and its states."""
    return request.param, *replay(request.param)


def test_the_sandbox_answers_as_recorded(
    replayed: tuple[str, list[Result], list[Event]], report: Callable[[str], None]
) -> None:
    name, results, _ = replayed
    share = sum(1 for result in results if not result.differences) / len(results)
    report(f"{name}.http.jsonl: {share:.1%} of {len(results)} exchanges agree")
    differ = {result.index: result for result in results if result.differences}
    known = _known(name)
    unexplained = [
        f"{index} {differ[index].title}: {'; '.join(differ[index].differences[:3])}"
        for index in sorted(set(differ) - known - _known(name, "sometimes"))
    ]
    assert not unexplained, "differences that known_differences.yml does not explain:\n" + "\n".join(unexplained)
    assert known <= set(differ), f"these agree now, take them out: {sorted(known - set(differ))}"
    # What is chance may differ all at once on a busy machine.
    assert 1 - len(set(differ) - _known(name, "sometimes")) / len(results) >= _REQUIRED


def test_states_come_in_the_recorded_order(
    replayed: tuple[str, list[Result], list[Event]], report: Callable[[str], None]
) -> None:
    name, _, events = replayed
    recorded, ours = recorded_tracks(name), tracks(events)
    if not recorded:
        pytest.skip("no workloads are in this recording")
    assert set(recorded) == set(ours)
    counts = [agreement(recorded[track], ours.get(track, [])) for track in recorded]
    same, total = sum(count[0] for count in counts), sum(count[1] for count in counts)
    report(f"{name}.timeline.jsonl: {same / total:.1%} of {total} states of {len(counts)} orders agree")
    differ = {track for track in recorded if recorded[track] != ours[track]}
    known = set(_KNOWN["orders"].get(name) or ())
    chance = set(_KNOWN["orders_sometimes"].get(name) or ())
    unexplained = [f"{track}: {ours[track]}, recorded {recorded[track]}" for track in sorted(differ - known - chance)]
    assert not unexplained, "orders that known_differences.yml does not explain:\n" + "\n".join(unexplained)
    assert known <= differ, f"these agree now, take them out: {sorted(known - differ)}"
    assert same / total >= _REQUIRED or chance
