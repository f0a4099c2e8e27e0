# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guarded changes that the tasks of blue/green share: of Services, of what scales a colour, and of its replicas."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _given, _place, _workloads
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

#: Annotations of a Service, or what makes them of it as it is; None takes one away.
Noted = t.Union[t.Mapping[str, t.Optional[str]], t.Callable[[_api.Object], t.Mapping[str, t.Optional[str]]]]


def pointed(
    options: t.Mapping[str, t.Any],
    task: Task,
    run: _run.Run,
    name: str,
    selector: t.Mapping[str, str | None] | None,
    message: str,
    noted: Noted,
    known: t.Mapping[str, str | None] | None = None,
) -> dict[str, t.Any]:
    """Give a Service a selector and annotations, where its selector is the `known` one or that already.

    Without a selector it keeps its own.
    """
    place = Place("Service", options["namespace"], name)
    expected = without_nulls(known or {})

    def plan(service: _api.Object) -> list[_api.Object]:
        there = service["spec"].get("selector") or {}
        wanted = there if selector is None else without_nulls(selector)
        if known is not None and there not in (expected, wanted):
            _given.check(service, _given.Given("Service", name, {_given.SELECTOR: expected}))
        patch = _workloads.annotated(service, noted(service) if callable(noted) else noted)
        return [*patch, *([{"op": "add", "path": "/spec/selector", "value": wanted}] if there != wanted else [])]

    with contextlib.closing(_api.api(options, task.environ)) as api:
        before = _place.found(api, place)
        after = _place.changed(api, place, before, plan, dry_run=task.check_mode, before_write=run.check_given)
    if not task.check_mode:
        run.gave(place, {_given.SELECTOR: after["spec"].get("selector") or {}})
    result = _place.difference(before, after)
    if result["changed"]:
        run.journal.note("changed", message=message)
    return {**result, "message": f"{message}."}


def without_nulls(selector: t.Mapping[str, str | None]) -> dict[str, str]:
    """A selector without the keys that are to be taken away."""
    return {key: value for key, value in selector.items() if value is not None}


def scalers_moved(
    options: t.Mapping[str, t.Any], task: Task, run: _run.Run, source: str, target: str
) -> list[dict[str, t.Any]]:
    """Have what scales the one colour scale the other. Raises Failure."""
    plan, results = options["plan"], []
    old, new = plan[source]["deployment"], plan[target]["deployment"]

    def moved(scaler: _api.Object) -> list[_api.Object]:
        if scaler["spec"]["scaleTargetRef"].get("name") != old:
            return []  # it was moved before, or is somebody else's by now
        return [{"op": "replace", "path": "/spec/scaleTargetRef/name", "value": new}]

    with contextlib.closing(_api.api(options, task.environ)) as api:
        for name in plan["autoscalers"]:
            place = Place("HorizontalPodAutoscaler", options["namespace"], name)
            before = _place.found(api, place)
            after = _place.changed(api, place, before, moved, dry_run=task.check_mode, before_write=run.check_given)
            result = _place.difference(before, after)
            message = f"{place} scales Deployment {new}"
            if result["changed"]:
                run.journal.note("changed", message=message)
            results.append({**result, "message": f"{message}."})
    return results


def to_none(options: t.Mapping[str, t.Any], task: Task, run: _run.Run, place: Place) -> dict[str, t.Any]:
    """Scale a Deployment to 0."""

    def scaled(deployment: _api.Object) -> list[_api.Object]:
        if not deployment["spec"].get("replicas", 1):
            return []
        return [{"op": "add", "path": "/spec/replicas", "value": 0}]

    with contextlib.closing(_api.api(options, task.environ)) as api:
        before = _place.found(api, place)
        after = _place.changed(api, place, before, scaled, dry_run=task.check_mode, before_write=run.check_given)
    result = _place.difference(before, after)
    if result["changed"]:
        run.journal.note("changed", message=f"{place} is scaled to 0")
    return {**result, "message": f"{place} has 0 replicas."}


def together(results: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """What a task returns of several changes."""
    diffs = [result["diff"] for result in results if "diff" in result]
    return {
        "changed": any(result["changed"] for result in results),
        "message": " ".join(result["message"] for result in results),
        **({"diff": diffs} if diffs else {}),
    }
