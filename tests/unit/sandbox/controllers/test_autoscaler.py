"""HorizontalPodAutoscalers without metrics: minimum and maximum hold, and the conditions say what is missing."""

from __future__ import annotations

import dataclasses
from typing import Any

import leaping
import pytest
from convoy_sandbox import patch, resources
from convoy_sandbox.controllers.autoscaler import bounded
from convoy_sandbox.errors import ApiError
from convoy_sandbox.store import Object
from unit.sandbox.controllers import support
from unit.sandbox.controllers.support import World, empty_world, reason_of, world


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "TIMING", dataclasses.replace(support.TIMING, autoscaler_period=0.05))


def create(it: World, **spec: Any) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}
    body = {"metadata": {"name": "hello"}, "spec": {"scaleTargetRef": target, **spec}}
    it.registry.create(resources.HORIZONTALPODAUTOSCALERS, "lab", body)


def status(it: World) -> Object:
    found: Object = it.get(resources.HORIZONTALPODAUTOSCALERS, "hello")["status"]
    return found


def replicas(it: World) -> int:
    return int(it.get(resources.DEPLOYMENTS, "hello")["spec"]["replicas"])


@pytest.mark.parametrize(("current", "expected"), [(1, 2), (2, 2), (3, 3), (4, 3)])
def test_minimum_and_maximum(current: int, expected: int) -> None:
    wanted, why = bounded(current, 2, 3)
    assert wanted == expected
    assert bool(why) is (current != expected)


def test_replicas_are_brought_between_minimum_and_maximum_and_left_there() -> None:
    async def run() -> None:
        async with world(replicas=1) as it:
            create(it, minReplicas=2, maxReplicas=3)
            await it.until(lambda: replicas(it) == 2)
            await it.until(lambda: reason_of("ScalingActive", status(it)) == "FailedGetResourceMetric")
            assert (status(it)["currentReplicas"], status(it)["desiredReplicas"]) == (2, 2)
            it.registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"replicas": 5}})
            await it.until(lambda: replicas(it) == 3)
            assert "New size: 3; reason: Current number of replicas above Spec.MaxReplicas" in it.events(
                "SuccessfulRescale"
            )

    leaping.run(run())


def test_a_target_of_none_is_left_alone() -> None:
    async def run() -> None:
        async with world(replicas=1) as it:
            it.registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"replicas": 0}})
            create(it, minReplicas=2, maxReplicas=3)
            await it.until(lambda: reason_of("ScalingActive", status(it)) == "ScalingDisabled")
            assert replicas(it) == 0

    leaping.run(run())


def test_a_missing_target_is_told() -> None:
    async def run() -> None:
        async with empty_world() as it:
            create(it, maxReplicas=3)
            await it.until(lambda: reason_of("AbleToScale", status(it)) == "FailedGetScale")
            with pytest.raises(ApiError, match="must be greater than or equal to `minReplicas`"):
                it.registry.patch(
                    resources.HORIZONTALPODAUTOSCALERS, "lab", "hello", patch.MERGE, {"spec": {"minReplicas": 9}}
                )

    leaping.run(run())
