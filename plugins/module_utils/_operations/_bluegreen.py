# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin bluegreen do, and how a run of that strategy begins."""

from __future__ import annotations

import contextlib
import functools
import math
import time
import typing as t
from dataclasses import replace

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _apply,
    _baseline,
    _bluegreen_back,
    _bluegreen_pointing,
    _by_route,
    _called,
    _capacity,
    _looking,
    _pointing,
    _rollout,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._planning import Begin, Planning
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import (
    _bluegreen,
    _bluegreen_route,
    _pointers,
    _unfinished,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import MIN_SUCCESS, Plan
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _router, _testers
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _given,
    _images,
    _namespace,
    _place,
    _subject,
    _workloads,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    **_run.OPTION,
    "state": {
        "type": "str",
        "choices": ["prepared", "previewed", "switched", "verified", "retired", "back"],
        "required": True,
    },
    "namespace": {"type": "str"},
    "name": {"type": "str"},
    "plan": {"type": "dict", "default": {}},
    "definition": {"type": "raw", "no_log": True},
    "entry": _version_distribution.ARGUMENTS["entry"],
    "path": {"type": "str"},
    "samples": {"type": "int", "default": 500},
    "min_success": {"type": "float", "default": MIN_SUCCESS},
    "settle": {"type": "int", "default": 30},
    "keep": {"type": "bool", "default": False},
    "delay": {"type": "int", "default": 30},
    "timeout": {"type": "int", "default": 600},
    "failure": {"type": "raw", "default": ""},
}


def _planned(api: _api.Api, begin: Begin) -> Plan:
    name, namespace, request = begin.application, begin.namespace, begin.request
    there = _namespace.read(api, namespace)
    entry = begin.entry.get("service") or ""
    known = entry if any(item["metadata"]["name"] == entry for item in there.services) else ""
    try:
        subject = _subject.subject(there, name, service=known)
    except Failure as failure:
        _place.check_namespace(api, namespace)
        raise Failure(f"{failure.message} app_deploy.yml deploys what is described.") from failure
    service, others = _bluegreen.following(subject, there.services)
    found: t.Mapping[str, t.Any] = _bluegreen.plan(
        service,
        there.deployments,
        version=request["version"],
        rollback=request["rollback"],
        application=name,
        others=others,
        container=request["container"],
        rule=_images.rule(request["version_of"]),
    )
    way = _by_route.way(api, begin, found, there.services, there.deployments)
    found = way.resumed(found)
    endings = [] if request["keep_previous"] else _bluegreen.endings(found, there.deployments, service)
    plan = way.begun(_bluegreen.begin(found, name, begin.drained(api), request, endings), found, begin)
    if found["phase"] == "done":
        return plan
    pointers = _pointing.read(api, namespace)
    deployments = {item["metadata"]["name"]: item for item in there.deployments}
    active, preview = found["active"]["deployment"], found["preview"]["deployment"]
    if found["phase"] == "switch":
        colours = [_pointers.Colour(each, _workloads.pod_labels(deployments[each])) for each in (active, preview)]
        leading = [item["name"] for item in found["services"]]
        # Where a run that was cut off has a route lead to the preview Service as well, that is led away first.
        _pointers.check(pointers, colours[0], colours[1], [*leading, *([f"{name}-preview"] if way.split else [])])
    moving = _pointers.moving(pointers, active, preview)
    return replace(
        plan,
        facts={**plan.facts, "autoscalers": moving},
        hints=[
            *plan.hints,
            *way.hints,
            *_pointers.unjudged(pointers, active),
        ],
    )


def _checked(begin: Begin) -> None:
    _bluegreen.check(begin.application, begin.applications, begin.request)
    _router.check_entry(_router.named(begin.request["router"]), begin.application, begin.entry)


PLANNING = Planning(
    arguments=_bluegreen.REQUEST,
    check=_checked,
    purpose=lambda begin: f"blue/green {'back' if begin.request['rollback'] else 'to ' + begin.request['version']}",
    plan=_planned,
)


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Prepare the other colour, switch to it or back, or retire the old one. Raises Failure."""
    if options["state"] == "back":
        return _bluegreen_back.back(options, task)
    if not options["plan"] or not options["name"]:
        raise Failure("Set run to what the task with convoy.rollout.run registered, which has the plan and the name.")
    work = {
        "prepared": _prepared,
        "previewed": _previewed,
        "switched": _switched,
        "verified": _verified,
        "retired": _retired,
    }[options["state"]]
    return _run.in_run(work, options, task)


def _prepared(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """See that there is room for the other colour, that it can be made and that nothing stays behind, and pin the
    Services to the active one.

    What is created and changed until the switch is noted at the Services first, so that it can be taken back.
    """
    plan, namespace = options["plan"], options["namespace"]
    preview = plan["preview"]
    tried = plan["preview_service"]
    results: list[dict[str, t.Any]] = []
    if plan["route"] and not _bluegreen_route.keeps(plan):
        with _by_route.by_route(options, task, run) as by_route:
            by_route.home(plan["active"]["deployment"])  # of a run that was cut off
            results += by_route.results
    manifests = _apply.documents(_apply.text_of(options["definition"]))
    template = _bluegreen.template_of(manifests, preview["deployment"])
    with contextlib.closing(_api.api(options, task.environ)) as api:
        service = _place.there(api, Place("Service", namespace, tried))
    room = _capacity.run(
        _called.options(
            _capacity.ARGUMENTS,
            options,
            namespace=namespace,
            deployment=preview["deployment"],
            replicas=plan["replicas"],
            template=template,
            objects=_bluegreen.created(preview["exists"], service is not None),
        ),
        task,
    )
    if not room["fits"]:
        raise Failure(
            f"There is no room for the {plan['replicas']} replicas of Deployment {preview['deployment']}, the other "
            f"colour: {room['message']}. Make room, or request fewer with bluegreen_replicas, and run the playbook "
            "again."
        )
    if room["unjudged"]:
        task.tell(f"{options['name']}: {room['message']}")
    with contextlib.closing(_api.api(options, task.environ)) as api:
        place = Place("Deployment", namespace, plan["active"]["deployment"])
        active = _place.found(api, place)
        if not task.check_mode:
            run.gave(place, _given.images(active))  # the way back
        _pointers.check(
            _pointing.read(api, namespace),
            _pointers.Colour(plan["active"]["deployment"], _workloads.pod_labels(active)),
            _pointers.Colour(preview["deployment"], (template.get("metadata") or {}).get("labels") or {}),
            [item["name"] for item in plan["services"]],
        )
        _looking.looked(api, manifests, namespace, "refuse", "delete it, as it has no traffic")
        creates = [
            *([] if preview["exists"] else [f"Deployment {preview['deployment']}"]),
            *([] if service else [f"Service {tried}"]),
        ]
        changes = {
            "creates": tuple(creates),
            "router": plan["route"].get("name", ""),
            **(_running(api, namespace, preview) if preview["exists"] else {}),
        }
    for number, service in enumerate(plan["services"]):
        noted = functools.partial(_unfinished.begun, changes={"to": plan["version"], **({} if number else changes)})
        said = f"Service {service['name']} is pinned to its active version"
        results.append(_bluegreen_pointing.pointed(options, task, run, service["name"], service["active"], said, noted))
    return _bluegreen_pointing.together(results)


def _running(api: _api.Api, namespace: str, preview: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the other colour runs before it is given another version. Raises Failure."""
    place = Place("Deployment", namespace, preview["deployment"])
    deployment = _place.found(api, place)
    replica_sets, _pods = _place.around(api, place, deployment)
    current = _workloads.current(_workloads.revisions(deployment, replica_sets))
    return {
        "deployment": place.name,
        "replica_set": current.name if current else "",
        "replicas": deployment["spec"].get("replicas", 1),
    }


def _previewed(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """See that the other colour answers as it should, before it takes traffic. Raises Failure."""
    plan, given = options["plan"], _called.given(options["entry"])
    version, headers, results = plan["version"], plan["route"].get("headers") or {}, []
    if plan["route"]:
        with _by_route.by_route(options, task, run) as by_route:
            by_route.beside(headers)
            results = by_route.results
    service = plan["service"] if headers else plan["preview_service"]
    if headers:
        entry = {**given, "headers": {**(given.get("headers") or {}), **headers}}
    else:
        entry = _bluegreen.preview_entry(options["name"], plan["service"], given, options["path"] or "")
    proof = _baseline.Proof(options, task, run)
    proof.by(_baseline.asked(options, service, entry=entry))
    seen = proof.verified(
        "preview",
        final=False,
        samples=options["samples"],
        expected={version: 1},
        settle=options["settle"],
        settles="route" if headers else "answers",
        name=service,
        application_service=service,
        entry=entry,
    )
    asked = f" with {_testers.said(headers)}" if headers else ""
    said = [*results, {"changed": False, "message": f"{version} in the preview{asked}: {seen['message']}."}]
    return _bluegreen_pointing.together(said)


def _verified(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """See that every request gets the version and none is lost. Raises Failure."""
    version = options["plan"]["version"]
    seen = _asked(
        options,
        task,
        run,
        version,
        final=True,
        samples=options["samples"],
        max_samples=max(_baseline.MOST, options["samples"]),
        settle=options["settle"],
    )
    run.journal.note("serving", version=version)
    return {"changed": False, "message": f"{version}: {seen['message']}."}


def _switched(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Have the other colour get the traffic, and what scales the active one scale that.

    By a router that is one patch of its weights, and each Service follows once users were seen to get the other colour;
    else it is one patch of each Service.
    """
    plan = options["plan"]
    if plan["phase"] == "done":
        if plan["unfinished"]:
            return _bluegreen_back.withdrawn(options, task, run)
        return {"changed": False, "message": f"Service {plan['service']} already leads to {plan['version']}."}
    if not plan["route"]:
        run.journal.note("switching")
        return _bluegreen_pointing.together(_pointed_there(options, task, run, plan["services"]))
    with _by_route.by_route(options, task, run) as by_route:
        if plan["route"]["stand"] == "same":
            by_route.home(plan["active"]["deployment"])  # of a run that was cut off
        if plan["phase"] == "switch":
            by_route.beside({})
        run.journal.note("switching")
        if not task.check_mode:
            run.journal.note("serving", version=None)  # until it is verified
        by_route.switch()
        if not task.check_mode:
            asked = {"samples": options["samples"], "settle": options["settle"]}
            _asked(options, task, run, plan["version"], evidence="traffic by the weights", final=False, **asked)
            _baseline.Proof(options, task, run).follow(options["settle"])
        # The one by which a run that is cut off here knows that it has to go on is the last of them.
        results = _pointed_there(options, task, run, [*plan["services"][1:], plan["services"][0]])
        if not task.check_mode:
            by_route.home(plan["preview"]["deployment"])
        return _bluegreen_pointing.together([*by_route.results, *results])


def _pointed_there(
    options: t.Mapping[str, t.Any], task: Task, run: _run.Run, services: t.Sequence[t.Mapping[str, t.Any]]
) -> list[dict[str, t.Any]]:
    """Point Services at the other colour, in one patch of each, and what scales the active one after that."""
    plan, results = options["plan"], []
    for service in services:
        decides = service is plan["services"][0]
        noted = {_unfinished.UNFINISHED: None, **({_bluegreen.PREVIOUS: plan["way_back"]} if decides else {})}
        said = f"Service {service['name']} is switched from {plan['active']['version']} to {plan['version']}"
        known = None if task.check_mode else service["active"]  # which check mode did not pin it to
        results.append(
            _bluegreen_pointing.pointed(options, task, run, service["name"], service["preview"], said, noted, known)
        )
        if not task.check_mode:
            run.journal.note("serving", version=None)  # until it is verified
    return [*results, *_bluegreen_pointing.scalers_moved(options, task, run, "active", "preview")]


def _retired(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """End a rollout that was verified.

    A rollback is over. Where the old colour is not kept, the traffic is watched for as long as it is, and then it is
    scaled to 0.
    """
    plan = options["plan"]
    results = [] if options["keep"] else [_scaled_away(options, task, run)]
    if plan["rolls_back"]:
        said = f"Service {plan['service']} is rolled back to {plan['version']}"
        results.append(
            _bluegreen_pointing.pointed(options, task, run, plan["service"], None, said, {_bluegreen.PREVIOUS: None})
        )
    if not results:
        return {"changed": False, "message": f"Deployment {plan['old']['deployment']} is kept for a rollback."}
    return _bluegreen_pointing.together(results)


def _scaled_away(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Watch the traffic for as long as the old colour is kept, and then scale that to 0. Raises Failure."""
    plan = options["plan"]
    old = plan["old"]
    if old["replicas"] and not task.check_mode:
        if options["delay"]:
            rate, begun = _version_distribution.pace(options["entry"], 2.0), time.monotonic()
            _asked(
                options,
                task,
                run,
                plan["version"],
                evidence="traffic while the old colour was kept",
                final=False,
                samples=math.ceil(options["delay"] * rate),
                rate_limit=rate,
            )
            _version_distribution.wait_out(begun, options["delay"])
        if plan["phase"] == "preview":
            _see_none_restarted(options, task, run, plan["preview"]["deployment"])
    place = Place("Deployment", options["namespace"], old["deployment"])
    if not old.get("exists", True):
        return {"changed": False, "message": f"There is no {place} to scale to 0."}
    return _bluegreen_pointing.to_none(options, task, run, place)


def _asked(
    options: t.Mapping[str, t.Any],
    task: Task,
    run: _run.Run,
    version: str,
    *,
    final: bool,
    evidence: str = "traffic",
    **asked: t.Any,
) -> dict[str, t.Any]:
    """What users get, which has to be `version`. Raises Failure."""
    return _baseline.Proof(options, task, run).verified(
        evidence,
        final=final,
        expected={version: 1},
        min_success=options["min_success"],
        # Of the two times that a run may be taken back for what users get, and by a router of three.
        family_size=3 if options["plan"]["route"] else 2,
        on_inconclusive="pass",  # few requests do not show that one in a thousand is lost at most
        **asked,
    )


def _see_none_restarted(options: t.Mapping[str, t.Any], task: Task, run: _run.Run, deployment: str) -> None:
    """Raise Failure where a container ended since its Deployment was complete.

    One that ends and starts again at once may lose no request today, and many tomorrow.
    """
    complete = next((each for each in reversed(run.journal.events()) if each["kind"] == "complete"), None)
    now = _rollout.run(
        _called.options(
            _rollout.ARGUMENTS,
            options,
            namespace=options["namespace"],
            name=deployment,
            state="complete",
            timeout=options["timeout"],
        ),
        task,
    )
    ended = _workloads.restarts(now["pods"], since=(complete or {}).get("pods", []))
    if ended:
        raise Failure(
            f"A container of {', '.join(ended)} crashed while the old colour was kept, and was restarted; see why "
            f"with kubectl logs --previous {ended[0]}."
        )
