# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps of a canary: which are left, and how many replicas they take. Pure functions."""

from __future__ import annotations

import math
import re
import typing as t
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _statistics
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary_standing, _weights
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import (
    BESIDE,
    WATCHED,
    WEIGHT,
    Asked,
    Object,
    Seen,
    in_percent,
    is_shrunk,
    number,
    replicas_of,
    scaler_of,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _testers
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _capacity
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import annotations_of

PAUSE = re.compile(r"^(?=.)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?$")

LOOK = 30  #: seconds that one look at the traffic may take, and more where it takes many requests
RATE = 200  #: requests a second of a look


def seconds(pause: t.Any) -> int:
    """A pause such as 90, 30s, 5m or 1h30m in seconds. Raises Failure."""
    found = PAUSE.match(str(pause).strip())
    if not found:
        raise Failure(f"The pause {pause!r} cannot be read; write seconds, or a time such as 30s, 5m or 1h30m.")
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


def headers_of(step: Object) -> dict[str, str]:
    """The headers of the requests that a step leads to the canary whatever its weight is: those of testers."""
    headers = (step.get("match") or {}).get("headers") or {}
    return {str(name): str(value) for name, value in headers.items()}


def weights(steps: t.Sequence[Object]) -> list[tuple[Fraction, int]]:
    """The weights (0..1) and pauses (seconds) of steps, which have to go up. Raises Failure."""
    found: list[tuple[Fraction, int]] = []
    for step in steps:
        try:
            weight = _weights.weight_of(step["weight"])
        except ValueError:
            weight = Fraction(-1)
        if weight < 0 or not (weight or headers_of(step)):
            raise Failure(f"The weight of a step is {step['weight']:g}; it must be above 0 and at most 100.")
        if found and weight <= found[-1][0]:
            before, after = _weights.percent(found[-1][0]), _weights.percent(weight)
            raise Failure(f"The steps go from {before} to {after}; each must be above the one before it.")
        found.append((weight, seconds(step.get("pause") or 0)))
    return found


def remaining(seen: Seen, asked: Asked, wanted: t.Sequence[tuple[Fraction, int]], whole: int) -> list[dict[str, t.Any]]:
    """The steps that are left, from the weight that the canary has on. Raises Failure."""
    reached = number(seen.canary, WEIGHT)
    watched = seen.canary is not None and WATCHED in annotations_of(seen.canary)
    over = number(seen.canary, WATCHED) if watched else None
    left = [(weight, pause) for weight, pause in wanted if weight >= reached]
    if not left and reached and asked.promote:
        left = [(reached, 0)]
    name = seen.stable["metadata"]["name"]
    if not left and wanted:
        has, last = _weights.percent(reached), _weights.percent(wanted[-1][0])
        raise Failure(
            f"The canary of {name} already has {has}, so it cannot go down to {last}; go on with a weight of at least "
            f"{has}, promote it or abort it."
        )
    steps = []
    if seen.router is not None:
        asked_of = {_weights.weight_of(step["weight"]): step for step in asked.steps}
        return [
            _routed(seen, weight, 0 if weight == over else pause, asked_of.get(weight, {}), whole)
            for weight, pause in left
        ]
    for weight, pause in left:
        split = _weights.nearest(weight, whole)
        if abs(split.share - weight) * 100 > Fraction(str(asked.tolerance)):
            raise Failure(
                f"{_weights.missed(weight, split, whole)}. Scale {name}, request {_weights.percent(split.share)}, or "
                f"accept it by a tolerance of {math.ceil(abs(split.share - weight) * 100)}."
            )
        steps.append(
            {
                "weight": in_percent(weight),
                "pause": 0 if weight == over else pause,
                "canary": split.canary,
                "stable": split.stable,
                "share": float(split.share),
                "message": f"weight {_weights.percent(weight)}: {split}",
            }
        )
    return steps


def _routed(seen: Seen, weight: Fraction, pause: int, step: Object, whole: int) -> dict[str, t.Any]:
    """A step whose share a router gives, beside all replicas of stable, to as many of the canary as it takes."""
    router = seen.split().router
    canary = step.get("replicas") or max(1, math.ceil(weight * whole))
    pods = "1 replica" if canary == 1 else f"{canary} replicas"
    headers = headers_of(step)
    gives = f"{router} gives it to {pods} beside {whole} of stable"
    if headers:
        gives += f", and to these each request with {_testers.said(headers)}"
    return {
        "weight": in_percent(weight),
        "pause": pause,
        "canary": canary,
        "stable": whole,
        "share": float(weight),
        "router": str(router),
        "headers": headers,
        "message": f"weight {_weights.percent(weight)}: {gives}",
    }


def without_canary(seen: Seen, asked: Asked, phase: str) -> int:
    """How many replicas stable has when no canary takes their place. Raises Failure where somebody scaled it."""
    now = replicas_of(seen.stable)
    if not is_shrunk(seen) or (now and scaler_of(seen)):
        return now  # stable is whole; whoever scaled it changed what the weights mean
    weight, beside = number(seen.canary, WEIGHT), int(number(seen.canary, BESIDE) * 100)
    if asked.abort or phase == "promoting":
        return max(beside, now)
    least = _weights.nearest(weight, beside).stable
    if not least <= now <= beside:
        name = seen.stable["metadata"]["name"]
        raise Failure(
            f"Deployment {name} has {now} replicas, but beside its canary it should have {least}: somebody scaled it "
            f"during the canary; scale it to {least}, or abort the canary."
        )
    return beside


def standard(step: Object, request: t.Mapping[str, t.Any], min_success: float) -> _statistics.Standard:
    """What the shares of a step are judged by."""
    share = step["share"]
    return _statistics.Standard(
        {track: part for track, part in (("canary", share), ("stable", 1 - share)) if part},
        tolerance=request["tolerance"] / 100 or None,
        min_success=min_success,
        looks=request["settle"] + 1,
    )


def longest(steps: t.Sequence[Object], request: t.Mapping[str, t.Any]) -> int:
    """Seconds that steps may take at most where all is well, however short the tasks of a caller are to be."""
    timeout, looks = request["timeout"], request["settle"] + 1
    return sum(2 * step["pause"] + timeout + _seconds_of_a_look(step, request) * looks for step in steps)


def _seconds_of_a_look(step: Object, request: t.Mapping[str, t.Any]) -> int:
    most = request["samples"] or _statistics.needed(standard(step, request, request["min_success"]))
    return max(LOOK, math.ceil(2 * most / RATE))


def is_whole(stable: Object, canary: Object | None) -> bool:
    """Whether stable has as many available replicas as it had without a canary, or as it is to have if that is less."""
    status = stable.get("status") or {}
    if status.get("observedGeneration", 0) < stable["metadata"].get("generation", 0):
        return False
    beside = int(number(canary, BESIDE) * 100)
    return int(status.get("availableReplicas", 0)) >= min(beside, replicas_of(stable))


def needed(seen: Seen, steps: t.Sequence[Object], whole: int, promote: bool) -> int:
    """How many more pods there are to be at most at one time."""
    at_most = max([step["canary"] for step in steps], default=replicas_of(seen.canary))
    ready = _canary_standing.endpoints(seen)["ready"]
    # A pod that has its node and is not ready yet needs no other one.
    canary = max(ready["canary"], _placed(seen.canary, seen))
    if not promote:
        return max(0, at_most - canary)
    stable = max(ready["stable"], _placed(seen.stable, seen))
    return max(0, at_most + whole + _surge(seen.stable, whole) - stable - canary)


def _placed(deployment: Object | None, seen: Seen) -> int:
    """How many pods a Deployment has on nodes."""
    return _capacity.placed(deployment, seen.pods) if deployment is not None else 0


def _surge(deployment: Object, whole: int) -> int:
    """How many pods a rolling update may have beyond the replicas."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0
    surge = str((strategy.get("rollingUpdate") or {}).get("maxSurge", "25%"))
    return math.ceil(whole * int(surge[:-1]) / 100) if surge.endswith("%") else int(surge)
