# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin scale do, and how a run of that strategy begins."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _baseline,
    _called,
    _capacity,
    _endings,
    _rollout,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._planning import Begin, Planning
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _scale
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import MIN_SUCCESS, Plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _given,
    _namespace,
    _place,
    _reachable,
    _subject,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    **_run.OPTION,
    "state": {"type": "str", "choices": ["scaled", "verified", "back"], "default": "scaled"},
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "replicas": {"type": "str"},
    "current_replicas": {"type": "int"},
    "entry": _version_distribution.ARGUMENTS["entry"],
    "samples": {"type": "int", "default": 500},
    "min_success": {"type": "float", "default": MIN_SUCCESS},
    "settle": {"type": "int", "default": 30},
    "timeout": {"type": "int", "default": 600},
    "failure": {"type": "raw", "default": ""},
}


def _planned(api: _api.Api, begin: Begin) -> Plan:
    there = _namespace.read(api, begin.namespace)
    service = begin.entry.get("service") or ""
    known = service if any(item["metadata"]["name"] == service for item in there.services) else ""
    try:
        subject = _subject.subject(there, begin.application, service=known)
    except Failure:
        _place.check_namespace(api, begin.namespace)
        raise
    plan = _scale.begin(subject, begin.request)
    if plan.changes and plan.target > plan.before:
        live = _subject.taking(subject)
        room = _capacity.found(api, begin.namespace, plan.target, live.deployment["spec"]["template"], live.deployment)
        if room.missing is not None:
            raise Failure(
                f"Deployment {live.name} cannot have {plan.target} replicas, it keeps its {plan.before}: {room.message}"
                "; make room, or request fewer replicas.",
                {"before": plan.before},
            )
        if room.unjudged:
            plan = dataclasses.replace(
                plan, hints=[*plan.hints, f"the check for free room leaves out {'; '.join(room.unjudged)}"]
            )
    return plan


PLANNING = Planning(
    arguments=_scale.REQUEST,
    check=lambda begin: _scale.check(begin.application, begin.request),
    purpose=lambda begin: f"scale to {begin.request['replicas']}",
    plan=_planned,
)


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Give a Deployment a number of replicas, or verify that it has them. Raises Failure."""
    if options["state"] == "back":
        return _left(options, task)
    if options["replicas"] is None:
        raise Failure(f"Set replicas, which state={options['state']} needs.")
    return _run.in_run({"scaled": _scaled, "verified": _verified}[options["state"]], options, task)


def _scaled(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Give a Deployment as many replicas as are requested, where nobody else decides on that. Raises Failure."""
    place = _place_of(options)
    with contextlib.closing(_api.api(options, task.environ)) as api:
        deployment = _place.found(api, place)
        _scale.check_paused(deployment)
        there, expected = _scale.replicas_of(deployment), options["current_replicas"]
        requested = _scale.target(place.name, there if expected is None else expected, options["replicas"])
        owner = _subject.autoscaler(place.name, _namespace.autoscalers(api, place.namespace))
        result = {"changed": False, "before": there, "after": there, "autoscaler": _told(owner)}
        if owner:
            return {**result, "message": _scale.left_alone(place.name, owner, there)}

        def plan(workload: _api.Object) -> list[_api.Object]:
            _scale.check_unchanged(workload, str(place), there if expected is None else expected, requested)
            if _scale.replicas_of(workload) == requested:
                return []
            return [{"op": "add", "path": "/spec/replicas", "value": requested}]

        after = _place.changed(api, place, deployment, plan, dry_run=task.check_mode, before_write=run.check_given)
    if not task.check_mode:
        run.gave(place, _given.images(after))  # its number is looked at by itself
    said = f"has {there} replicas" if there == requested else f"was scaled from {there} to {requested} replicas"
    difference = _place.difference(deployment, after)
    if difference["changed"]:
        run.journal.note("changed", message=f"{place} {said}")
        if not task.check_mode:
            run.journal.note("serving", version=None)  # until it is verified
    return {**result, **difference, "after": requested, "message": f"{place} {said}."}


def _verified(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """See that as many pods are ready as were requested, and that users lose no more requests than before.

    Raises Failure.
    """
    place = _place_of(options)
    with contextlib.closing(_api.api(options, task.environ)) as api:
        deployment = _place.found(api, place)
        owner = _subject.autoscaler(place.name, _namespace.autoscalers(api, place.namespace))
    there = _scale.replicas_of(deployment)
    result = {"changed": False, "before": there, "after": there, "autoscaler": _told(owner)}
    if owner:
        message = _scale.left_alone(place.name, owner, there)
        why = f"HorizontalPodAutoscaler {owner.name} sets the replicas, so nothing was done that can be verified"
        run.verified("pods", {"verdict": "unverified", "by": "nothing", "message": why}, final=True)
        return {**result, "message": message}
    requested = _scale.target(place.name, there, options["replicas"])
    if task.check_mode:
        return {**result, "message": f"Check mode: {place} has {there} replicas, {requested} are requested."}
    complete = _rollout.run(
        _called.options(
            _rollout.ARGUMENTS,
            options,
            namespace=options["namespace"],
            name=options["name"],
            state="complete",
            replicas=requested,
            timeout=options["timeout"],
        ),
        task,
    )
    message = _scale.ready(complete["pods"], requested)
    run.verified("pods", {"verdict": "pass", "by": "pods", "message": message}, final=True)
    baseline = run.handle.get("baseline") or {}
    entry = _called.given(options["entry"])
    by = baseline.get("by") or entry.get("source")
    # A run that finds the number there already may go on where another one was cut off, which had not asked yet.
    asks = bool(baseline or run.handle.get("service") or entry.get("service") or entry.get("url"))
    if requested and asks and by not in ("endpoints", "pods"):
        _ask(options, task, run, requested)
    run.stand()
    run.journal.note("serving", version=requested)
    return {**result, "after": requested, "message": f"{message}."}


def _ask(
    options: t.Mapping[str, t.Any],
    task: Task,
    run: _run.Run,
    requested: int,
) -> None:
    """See what users get, once it has settled. Raises Failure where too few requests are answered."""
    place = _place_of(options)

    def expecting(_last: bool) -> dict[str, float]:
        with contextlib.closing(_api.api(options, task.environ)) as api:
            run.check_given()
            _scale.check_unchanged(_place.found(api, place), str(place), requested)
        return {}

    # How fast answers are says nothing about a number of replicas.
    entry = {**_called.given(options["entry"]), "max_p99": None}
    proof = _baseline.Proof({**options, "entry": entry}, task, run)
    proof.verified(
        "traffic",
        final=True,
        expecting=expecting,
        endings=_endings_of(options, task, run, requested),
        samples=options["samples"],
        max_samples=max(_baseline.MOST, options["samples"]),
        min_success=options["min_success"],
        settle=options["settle"],
        settles="verdict",
    )


def _endings_of(options: t.Mapping[str, t.Any], task: Task, run: _run.Run, requested: int) -> _endings.Endings | None:
    """What looks out for the pods that end where there are fewer of them now."""
    place = _place_of(options)
    planned = [event for event in run.journal.events() if event["kind"] == "planned"]
    if not planned or not (planned[-1]["before"] or 0) > requested:
        return None

    def read() -> dict[str, _reachable.Standing]:
        with contextlib.closing(_api.api(options, task.environ)) as api:
            return _reachable.standing(_place.around(api, place, _place.found(api, place))[1])

    return _endings.Endings(run, read, changed=True)


def _left(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Take nothing back, as whatever number there is may be somebody else's: say what users get now."""
    try:
        handle = _run.handle_of(options["run"])
    except Failure:
        return {"changed": False, "message": "The run had not begun, so there is nothing to report."}
    run = _run.Run(handle, lambda: _api.api(options, task.environ))
    with contextlib.closing(run):
        run.failed_elsewhere(_called.reason(options["failure"]))
        if run.taken_over:
            return {"changed": False, "message": "Another run holds the lock, and reports what runs."}
        place = _place_of(options)
        try:
            with contextlib.closing(_api.api(options, task.environ)) as api:
                deployment = _place.found(api, place)
        except Failure as failure:
            run.journal.note("serving", version=None)
            return {"changed": False, "message": failure.message}
        there, ready = _scale.replicas_of(deployment), deployment.get("status", {}).get("readyReplicas", 0)
        changed = not task.check_mode and any(event["kind"] == "changed" for event in run.journal.events())
        left = f"{place} has {ready} of {there} pods ready{', and nothing was rolled back' if changed else ''}."
        plan = options["run"].get("plan") or {}
        before = plan.get("before")
        if changed and before is not None and before != there == plan["target"]:  # else it is somebody else's number
            again = f"kubectl -n {place.namespace} scale deployment/{place.name} --replicas={before}"
            left += f" To go back to {before} replicas: {again}."
        run.journal.note("left", message=left)
        run.journal.note("serving", version=there)
        return {"changed": False, "message": left}


def _place_of(options: t.Mapping[str, t.Any]) -> Place:
    return Place("Deployment", options["namespace"], options["name"])


def _told(owner: _subject.Autoscaler | None) -> dict[str, t.Any] | None:
    """What is returned of an autoscaler."""
    if owner is None:
        return None
    return {"name": owner.name, "min_replicas": owner.min_replicas, "max_replicas": owner.max_replicas}
