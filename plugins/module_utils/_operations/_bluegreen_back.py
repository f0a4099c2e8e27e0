# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking a blue/green rollout back, as far as it got."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _baseline,
    _bluegreen_pointing,
    _by_route,
    _called,
)
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline as _proof
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._run._lock import LockLostError
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _bluegreen, _unfinished
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _place, _selectors, _workloads
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

GONE = 60  #: seconds that the pods of a removed Deployment may take to end
POLL = 0.5  #: seconds between two looks at them


def back(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Undo what failed verification, as far as the run got; the outcome says what came of it."""
    try:
        handle = _run.handle_of(options["run"])
    except Failure:
        return {"changed": False, "message": "The run had not begun, so there is nothing to roll back."}
    run = _run.Run(handle, lambda: _api.api(options, task.environ))
    with contextlib.closing(run):
        run.failed_elsewhere(_called.reason(options["failure"]))
        if run.taken_over:
            return {"changed": False, "message": "Another run holds the lock, so nothing is rolled back."}
        if task.check_mode or not options["plan"]:
            return {"changed": False, "message": "Nothing was changed, so there is nothing to roll back."}
        run.let_go()
        if not any(event["kind"] == "switching" for event in run.journal.events()):
            return _left(options, task, run)
        try:
            return _switched_back(options, task, run)
        except Failure as failure:
            run.journal.note(
                "taken_back",
                message=f"{options['name']} {options['plan']['version']} failed verification, and the traffic could "
                f"not be switched back to {options['plan']['active']['version']}, so users may still get "
                f"{options['plan']['version']}: {failure.message}",
                complete=False,
                taken_over=isinstance(failure, LockLostError),
            )
            run.journal.note("serving", version=None)
            return {"changed": False, "message": failure.message}


def _left(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Take back what was prepared for a switch that did not come, and name what is left of it."""
    if not any(event["kind"] == "changed" for event in run.journal.events()) and not options["plan"]["unfinished"]:
        return {"changed": False, "message": "Nothing was changed, so there is nothing to roll back."}
    try:
        result = withdrawn(options, task, run)
    except LockLostError as lost:
        return {"changed": False, "message": run.failed(lost).message}
    except Failure as failure:
        message = f"What was prepared could not be removed: {failure.message}"
        _kept_apart(options, task, run)
        run.journal.note("left", message=message)
        return {"changed": False, "message": message}
    if _kept_apart(options, task, run):
        kept = options["plan"]["preview"]["deployment"]
        said = f"Deployment {kept} was scaled to 0, as the Service led to it as well."
        result = {"changed": True, "message": f"{result['message']} {said}".strip()}
    if result["message"]:
        old = options["plan"]["active"]["version"]
        said = f"{result['message']} Users get {old} {'as before' if options['plan']['before'] == old else 'again'}."
        run.journal.note("left", message=said)
    return result


def _kept_apart(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> bool:
    """Have the other colour, which was not switched to, get no traffic, and say whether it was scaled away for that."""
    try:
        return _scaled_where_both_are_live(options, task, run)
    except Failure as failure:
        run.failed(failure)
        return False


def withdrawn(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Remove what was created for a switch that did not happen, and restore the selectors of the Services.

    Raises Failure, naming what is left and the commands that remove it.
    """
    plan, namespace = options["plan"], options["namespace"]
    said = _led_home(options, task, run)
    with contextlib.closing(_api.api(options, task.environ)) as api:
        services = [_place.found(api, Place("Service", namespace, item["name"])) for item in plan["services"]]
        began = [item for item in map(_unfinished.unfinished_of, services) if item]
        created = [each for item in began for each in item.creates]
        preview = Place("Deployment", namespace, plan["preview"]["deployment"])
        changed = next((item["metadata"]["name"] for item in services if not _bluegreen.live(item, plan)), "")
        if changed:
            raise Failure(
                f"Service {changed} was changed by somebody else during this run; check where it leads to, and remove "
                f"what is not needed: {_unfinished.removal(namespace, began)}."
            )
        for each in created:
            kind, name = each.split(" ", 1)
            there = _place.there(api, Place(kind, namespace, name))
            if there is not None:
                run.let_go(Place(kind, namespace, name))
                _place.deleted(
                    api, Place(kind, namespace, name), there, dry_run=task.check_mode, before_write=run.check
                )
                run.journal.note("changed", message=f"{each} is removed")
                said.append(f"{each} was removed")
        given = next((item for item in began if item.deployment), None)
        if given:
            said += _given_back(api, task, run, Place("Deployment", namespace, given.deployment), given)
        if not task.check_mode:
            _see_gone(api, preview, options["timeout"], bool(created or (given and not given.replicas)))
        deployments = api.items(_api.path_of("deployments", namespace, group="apps"))
    for service, item in [(each, _unfinished.unfinished_of(each)) for each in services]:
        if item:
            said += _unpinned(options, task, run, service, item, deployments)
    message = "; ".join(said)
    return {"changed": bool(said), "message": f"{message}." if message else ""}


def _led_home(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> list[str]:
    """Have a router lead to the users' Service alone, before what it led to besides is removed. Raises Failure."""
    plan = options["plan"]
    if not plan["route"]:
        return []

    def look() -> None:
        _answers(options, task, run, plan["active"]["version"])
        _baseline.Proof(options, task, run).follow(options["settle"])

    with _by_route.by_route(options, task, run) as by_route:
        by_route.home(plan["active"]["deployment"], look)
        changed = bool(by_route.results)
    return [f"{plan['route']['name']} leads to Service {by_route.users} alone"] if changed else []


def _given_back(api: _api.Api, task: Task, run: _run.Run, place: Place, began: _unfinished.Unfinished) -> list[str]:
    """Give the other colour back what it ran, where its revision is still there, else take its replicas away."""
    deployment = _place.there(api, place)
    if deployment is None:
        return []
    replica_sets, _pods = _place.around(api, place, deployment)
    known = _workloads.revisions(deployment, replica_sets)
    to = next((item for item in known if began.replica_set and item.name == began.replica_set), None)
    replicas = began.replicas if to else 0

    def patch(there: _api.Object) -> list[_api.Object]:
        template = _workloads.undone(there, to) if to else []
        same = there["spec"].get("replicas", 1) == replicas
        return [*template, *([] if same else [{"op": "add", "path": "/spec/replicas", "value": replicas}])]

    after = _place.changed(api, place, deployment, patch, dry_run=task.check_mode, before_write=run.check)
    if not _place.difference(deployment, after)["changed"]:
        return []
    ran = f"{', '.join(_workloads.images(to.template))} again, with {replicas} replicas" if to else "0 replicas"
    message = f"{place} has {ran}"
    run.journal.note("changed", message=message)
    return [message]


def _unpinned(
    options: t.Mapping[str, t.Any],
    task: Task,
    run: _run.Run,
    service: _api.Object,
    began: _unfinished.Unfinished,
    deployments: t.Sequence[_api.Object],
) -> list[str]:
    """Give a Service back the selector that it had, where that leads to nothing but the active colour."""
    name, active = service["metadata"]["name"], options["plan"]["active"]["deployment"]
    there = service["spec"].get("selector") or {}
    besides = [
        item["metadata"]["name"]
        for item in deployments
        if item["metadata"]["name"] != active
        and item["spec"].get("replicas", 1)
        and _selectors.selects(began.selector, _workloads.pod_labels(item))
    ]
    if besides:
        return [
            f"Service {name} stays pinned to {_said(there)}, because it would otherwise lead to Deployment "
            f"{' and '.join(besides)} as well"
        ]
    message = f"Service {name} has its selector {_said(began.selector)} again"
    result = _bluegreen_pointing.pointed(
        options, task, run, name, began.selector, message, {_unfinished.UNFINISHED: None}, there
    )
    return [message] if result["changed"] and there != began.selector else []


def _said(selector: t.Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items())) or "none"


def _see_gone(api: _api.Api, deployment: Place, timeout: int, expected: bool) -> None:
    """Wait until a Deployment that is removed has no pods that take requests. Raises Failure."""
    end = time.monotonic() + min(timeout, GONE)
    while expected:
        pods = [
            pod["metadata"]["name"]
            for pod in api.items(_api.path_of("pods", deployment.namespace))
            if _workloads.deployment_of(pod) == deployment.name and "deletionTimestamp" not in pod["metadata"]
        ]
        if not pods:
            return
        if time.monotonic() > end:
            raise Failure(
                f"{deployment} was removed, but its pods {', '.join(sorted(pods))} are still there, so the Services "
                "stay pinned to the active version; find out what keeps them, and run the playbook again with -e "
                "rollback=true."
            )
        time.sleep(POLL)


def _switched_back(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    plan = options["plan"]
    version, old = plan["version"], plan["active"]["version"]
    results = []
    for number, service in enumerate(plan["services"]):
        # By a router, the Services may not have followed yet.
        previous = {} if number else {_bluegreen.PREVIOUS: plan["previous_version"] or None}
        noted = {_unfinished.UNFINISHED: None, **previous}
        said = f"Service {service['name']} {'leads' if plan['route'] else 'is switched back'} to {old}"
        results.append(_bluegreen_pointing.pointed(options, task, run, service["name"], service["active"], said, noted))
    if plan["route"]:
        with _by_route.by_route(options, task, run) as by_route:
            by_route.home(plan["active"]["deployment"])
            results += by_route.results
    result = _bluegreen_pointing.together(
        [*results, *_bluegreen_pointing.scalers_moved(options, task, run, "preview", "active")]
    )
    run.let_go()
    kept = plan["preview"]["deployment"]
    rest = (
        f"Deployment {kept} keeps its replicas of {version} and receives no traffic; remove them with kubectl -n "
        f"{options['namespace']} scale deployment/{kept} --replicas=0"
    )
    answers = _answers(options, task, run, old)
    if answers["verdict"] not in ("pass", "unverified") and _scaled_where_both_are_live(options, task, run):
        rest = f"Deployment {kept} was scaled to 0, as the Service led to it again"
        answers = _answers(options, task, run, old)
    complete = answers["verdict"] in ("pass", "unverified")
    ends = _proof.serves_again(answers["verdict"])
    others = any(event.get("by_others") for event in run.journal.events())
    failed = "was not verified" if others else "failed verification"
    run.journal.note(
        "taken_back",
        message=f"{options['name']} {version} {failed} and the traffic was switched back to {old}, which {ends} "
        f"({answers['message']}); {rest}",
        complete=complete,
    )
    run.journal.note("serving", version=old if complete else None)
    return result


def _scaled_where_both_are_live(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> bool:
    """Scale the other colour to 0 where a Service leads to both, and say whether it did.

    What somebody else made of the Service is left as it is: whoever puts its selector back would do so again.
    """
    plan, namespace = options["plan"], options["namespace"]
    pair = plan["active"]["deployment"], plan["preview"]["deployment"]
    with contextlib.closing(_api.api(options, task.environ)) as api:
        services = [_place.found(api, Place("Service", namespace, item["name"])) for item in plan["services"]]
        deployments = api.items(_api.path_of("deployments", namespace, group="apps"))
    if not any(_bluegreen.takes_both(service, deployments, *pair) for service in services):
        return False
    return bool(_bluegreen_pointing.to_none(options, task, run, Place("Deployment", namespace, pair[1]))["changed"])


def _answers(options: t.Mapping[str, t.Any], task: Task, run: _run.Run, version: str) -> dict[str, t.Any]:
    """What users get after something was taken back, which is to be `version` alone."""
    proof = _baseline.Proof(options, task, run)
    return proof.looked(
        samples=options["samples"],
        max_samples=max(_baseline.MOST, options["samples"]),
        expected={proof.as_before(version): 1},
        min_success=options["min_success"],
        settle=options["settle"],
        settles="verdict",
        fail_on="never",
    )
