"""Nodes that lose their power, and pods that taints drive away."""

from __future__ import annotations

import dataclasses
import datetime

import leaping
import pytest
from convoy_sandbox import patch, resources
from convoy_sandbox.controllers import conditions
from convoy_sandbox.controllers.node_lifecycle import seconds_on_node
from convoy_sandbox.store import Object
from unit.sandbox.controllers import support
from unit.sandbox.controllers.support import World, world

NOW = datetime.datetime(2026, 1, 1, 12, 0, 10, tzinfo=datetime.UTC)
TAINT = {"key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T12:00:00Z"}


@pytest.mark.parametrize(
    ("tolerations", "expected"),
    [
        ([], 0.0),
        ([{"key": "k", "operator": "Exists", "effect": "NoExecute"}], None),
        ([{"key": "k", "operator": "Exists", "tolerationSeconds": 30}], 20.0),
        (
            [
                {"operator": "Exists", "tolerationSeconds": 30},
                {"key": "k", "operator": "Exists", "tolerationSeconds": 5},
            ],
            0.0,
        ),
        ([{"key": "other", "operator": "Exists"}], 0.0),
    ],
)
def test_how_long_a_pod_stays(tolerations: list[Object], expected: float | None) -> None:
    assert seconds_on_node({"spec": {"tolerations": tolerations}}, {"spec": {"taints": [TAINT]}}, NOW) == expected


def test_other_taints_drive_nobody_away() -> None:
    node = {"spec": {"taints": [{**TAINT, "effect": "NoSchedule"}]}}
    assert seconds_on_node({"spec": {}}, node, NOW) is None


def node_of(pod: Object) -> str:
    return str(pod["spec"].get("nodeName", ""))


def node_ready(it: World, name: str) -> str:
    node = it.store.get(resources.NODES, "", name)
    assert node is not None
    condition = conditions.find(node["status"], "Ready")
    assert condition is not None
    return str(condition["status"])


def test_a_lost_node_loses_its_pods_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "TIMING", dataclasses.replace(support.TIMING, node_grace=0.05))

    async def run() -> None:
        async with world() as it:
            short = [
                {
                    "key": f"node.kubernetes.io/{key}",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 1,
                }
                for key in ("unreachable", "not-ready")
            ]
            change = {"spec": {"template": {"spec": {"tolerations": short}}}}
            it.registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.STRATEGIC, change)
            await it.until(it.complete(3))
            await it.until(lambda: len(it.pods()) == 3)
            lost = {pod["metadata"]["name"] for pod in it.pods() if node_of(pod) == "node1"}
            assert lost
            it.lifecycle.stop_node("node1")
            await it.until(lambda: node_ready(it, "node1") == "Unknown")
            await it.until(lambda: it.status().get("availableReplicas", 0) == 3 - len(lost))
            await it.until(lambda: it.status().get("availableReplicas") == 3)
            going = {pod["metadata"]["name"] for pod in it.pods() if pod["metadata"].get("deletionTimestamp")}
            assert going == lost  # nobody is there who could end them
            said = [pod["status"]["conditions"][-1] for pod in it.pods() if pod["metadata"]["name"] in going]
            assert {(each["type"], each["reason"]) for each in said} == {("DisruptionTarget", "DeletionByTaintManager")}
            assert {node_of(pod) for pod in it.pods() if pod["metadata"]["name"] not in lost} == {"node2"}
            assert any(
                message.startswith("Marking for deletion Pod lab/") for message in it.events("TaintManagerEviction")
            )
            it.lifecycle.start_node("node1")
            await it.until(lambda: len(it.pods()) == 3)
            await it.until(lambda: node_ready(it, "node1") == "True")

    leaping.run(run())


def test_a_node_that_comes_back_in_time_starts_its_pods_again() -> None:
    async def run() -> None:
        async with world() as it:
            before = {pod["metadata"]["uid"] for pod in it.pods()}
            it.lifecycle.stop_node("node1")
            it.runtime.started.clear()
            it.lifecycle.start_node("node1")
            here = sum(node_of(pod) == "node1" for pod in it.pods())
            await it.until(lambda: len(it.runtime.started) == here and it.complete(3)())
            assert {pod["metadata"]["uid"] for pod in it.pods()} == before

    leaping.run(run())


def test_a_taint_drives_pods_away() -> None:
    async def run() -> None:
        async with world() as it:
            taint = {"key": "maintenance", "effect": "NoExecute"}
            it.registry.patch(resources.NODES, "", "node1", patch.MERGE, {"spec": {"taints": [taint]}})
            await it.until(lambda: {node_of(pod) for pod in it.pods()} == {"node2"} and it.complete(3)())

    leaping.run(run())
