# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin bluegreen do, and how a run of that strategy begins."""

from __future__ import annotations

import contextlib
import functools
import time
import typing as t
from dataclasses import replace

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _apply,
    _baseline,
    _called,
    _capacity,
    _looking,
    _pointing,
    _rollout,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._planning import Begin, Planning
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._run._lock import LockLostError
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _bluegreen, _pointers
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import MIN_SUCCESS, Plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _given,
    _images,
    _namespace,
    _place,
    _selectors,
    _subject,
    _workloads,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

GONE = 60  #: seconds that the pods of a removed Deployment may take to end
POLL = 0.5  #: seconds between two looks at them

#: Annotations of a Service, or what makes them of it as it is; None takes one away.
Noted = t.Union[t.Mapping[str, t.Optional[str]], t.Callable[[_api.Object], t.Mapping[str, t.Optional[str]]]]

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    **_run.OPTION,
    "state": {
        "type": "str",
        "choices": ["prepared", "previewed", "switched", "verified", "retired", "back"],
        "required": True,
    },
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "plan": {"type": "dict", "default": {}},
    "template": {"type": "dict"},
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
    found = _bluegreen.plan(
        service,
        there.deployments,
        version=request["version"],
        rollback=request["rollback"],
        application=name,
        others=others,
        container=request["container"],
        rule=_images.rule(request["version_of"]),
    )
    endings = [] if request["keep_previous"] else _bluegreen.endings(found, there.deployments, service)
    plan = _bluegreen.begin(found, name, begin.drained(api), request, endings)
    if found["phase"] == "done":
        return plan
    pointers = _pointing.read(api, namespace)
    deployments = {item["metadata"]["name"]: item for item in there.deployments}
    active, preview = found["active"]["deployment"], found["preview"]["deployment"]
    if found["phase"] == "switch":
        colours = [_pointers.Colour(each, _workloads.pod_labels(deployments[each])) for each in (active, preview)]
        _pointers.check(pointers, colours[0], colours[1], [item["name"] for item in found["services"]])
    moving = _pointers.moving(pointers, active, preview)
    return replace(
        plan,
        facts={**plan.facts, "autoscalers": moving},
        hints=[*plan.hints, *_pointers.unjudged(pointers, active)],
    )


PLANNING = Planning(
    arguments=_bluegreen.REQUEST,
    check=lambda begin: _bluegreen.check(begin.application, begin.applications, begin.request),
    purpose=lambda begin: f"blue/green {'back' if begin.request['rollback'] else 'to ' + begin.request['version']}",
    plan=_planned,
)


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Prepare the other colour, switch to it or back, or retire the old one. Raises Failure."""
    if options["state"] == "back":
        return _back(options, task)
    if not options["plan"]:
        raise Failure("plan is empty: give it what convoy.rollout.run returned as plan.")
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
    with contextlib.closing(_api.api(options, task.environ)) as api:
        service = _place.there(api, Place("Service", namespace, tried))
    room = _capacity.run(
        _called.options(
            _capacity.ARGUMENTS,
            options,
            namespace=namespace,
            deployment=preview["deployment"],
            replicas=plan["replicas"],
            template=options["template"],
            objects=_bluegreen.created(preview["exists"], service is not None),
        ),
        task,
    )
    if not room["fits"]:
        raise Failure(room["message"])
    if room["unjudged"]:
        task.tell(f"{options['name']}: {room['message']}")
    with contextlib.closing(_api.api(options, task.environ)) as api:
        place = Place("Deployment", namespace, plan["active"]["deployment"])
        active = _place.found(api, place)
        if not task.check_mode:
            run.gave(place, _given.images(active))  # the way back
        labels = ((options["template"] or {}).get("metadata") or {}).get("labels") or {}
        _pointers.check(
            _pointing.read(api, namespace),
            _pointers.Colour(plan["active"]["deployment"], _workloads.pod_labels(active)),
            _pointers.Colour(preview["deployment"], labels),
            [item["name"] for item in plan["services"]],
        )
        manifests = _apply.documents(_apply.text_of(options["definition"]))
        _looking.looked(api, manifests, namespace, "refuse", "delete it, as it has no traffic")
        creates = [
            *([] if preview["exists"] else [f"Deployment {preview['deployment']}"]),
            *([] if service else [f"Service {tried}"]),
        ]
        changes = {"creates": tuple(creates), **(_running(api, namespace, preview) if preview["exists"] else {})}
    results = []
    for number, service in enumerate(plan["services"]):
        noted = functools.partial(_bluegreen.begun, changes={"to": plan["version"], **({} if number else changes)})
        said = f"Service {service['name']} is pinned to its active version"
        results.append(_pointed(options, task, run, service["name"], service["active"], said, noted))
    return _together(results)


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
    name, version = f"{options['name']}-preview", options["plan"]["version"]
    service = options["plan"]["service"]
    entry = _bluegreen.preview_entry(options["name"], service, _called.given(options["entry"]), options["path"] or "")
    proof = _baseline.Proof(options, task, run)
    proof.by(_baseline.asked(options, name, entry=entry))
    seen = proof.verified(
        "preview",
        final=False,
        samples=options["samples"],
        expected={version: 1},
        settle=options["settle"],
        settles="answers",
        name=name,
        application_service=name,
        entry=entry,
    )
    return {"changed": False, "message": f"{version} in the preview: {seen['message']}."}


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
        max_samples=5000,  # where some are lost and those do not tell
        settle=options["settle"],
    )
    run.journal.note("serving", version=version)
    return {"changed": False, "message": f"{version}: {seen['message']}."}


def _switched(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Point each Service at the other colour, in one patch of each, and what scales the active one after that."""
    plan = options["plan"]
    if plan["phase"] == "done":
        if plan["unfinished"]:
            return _withdrawn(options, task, run)
        return {"changed": False, "message": f"Service {plan['service']} leads to {plan['version']} already."}
    run.journal.note("switching")
    results = []
    for number, service in enumerate(plan["services"]):
        noted = {_bluegreen.UNFINISHED: None, **({} if number else {_bluegreen.PREVIOUS: plan["way_back"]})}
        said = f"Service {service['name']} is switched from {plan['active']['version']} to {plan['version']}"
        known = None if task.check_mode else service["active"]  # which check mode did not pin it to
        results.append(_pointed(options, task, run, service["name"], service["preview"], said, noted, known))
        if not task.check_mode:
            run.journal.note("serving", version=None)  # until it is verified
    return _together([*results, *_scalers_moved(options, task, run, "active", "preview")])


def _scalers_moved(
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


def _together(results: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """What a task returns of several changes."""
    diffs = [result["diff"] for result in results if "diff" in result]
    return {
        "changed": any(result["changed"] for result in results),
        "message": " ".join(result["message"] for result in results),
        **({"diff": diffs} if diffs else {}),
    }


def _pointed(
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
    expected = _without_nulls(known or {})

    def plan(service: _api.Object) -> list[_api.Object]:
        there = service["spec"].get("selector") or {}
        wanted = there if selector is None else _without_nulls(selector)
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


def _without_nulls(selector: t.Mapping[str, str | None]) -> dict[str, str]:
    """A selector without the keys that are to be taken away."""
    return {key: value for key, value in selector.items() if value is not None}


def _said(selector: t.Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items())) or "none"


def _retired(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """End a rollout that was verified.

    A rollback is over. Where the old colour is not kept, the traffic is watched for as long as it is, and then it is
    scaled to 0.
    """
    plan = options["plan"]
    results = [] if options["keep"] else [_scaled_away(options, task, run)]
    if plan["rolls_back"]:
        said = f"Service {plan['service']} is rolled back to {plan['version']}"
        results.append(_pointed(options, task, run, plan["service"], None, said, {_bluegreen.PREVIOUS: None}))
    if not results:
        return {"changed": False, "message": f"Deployment {plan['old']['deployment']} is kept for the way back."}
    return _together(results)


def _scaled_away(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Watch the traffic for as long as the old colour is kept, and then scale that to 0. Raises Failure."""
    plan = options["plan"]
    old = plan["old"]
    if old["replicas"] and not task.check_mode:
        if options["delay"]:
            seen = _asked(
                options,
                task,
                run,
                plan["version"],
                evidence="traffic while the old colour was kept",
                final=False,
                samples=options["delay"] * 2,
                rate_limit=2.0,
            )
            if seen["by"] not in ("versions", "requests"):
                time.sleep(options["delay"])  # which requests would have taken
        if plan["phase"] == "preview":
            _see_none_restarted(options, task, run, plan["preview"]["deployment"])
    place = Place("Deployment", options["namespace"], old["deployment"])
    if not old.get("exists", True):
        return {"changed": False, "message": f"There is no {place} to scale away."}
    return _to_none(options, task, run, place)


def _to_none(options: t.Mapping[str, t.Any], task: Task, run: _run.Run, place: Place) -> dict[str, t.Any]:
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
        family_size=2,  # of the two times that a run may be taken back for what users get
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
            f"A container of {', '.join(ended)} crashed while the old colour was kept, and was started again; see why "
            f"with kubectl logs --previous {ended[0]}."
        )


def _back(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Take back what did not pass verification, as far as the run got; what becomes of it is the outcome's to say."""
    try:
        handle = _run.handle_of(options["run"])
    except Failure:
        return {"changed": False, "message": "The run had not begun, so there is nothing to take back."}
    run = _run.Run(handle, lambda: _api.api(options, task.environ))
    events = run.journal.events()
    if not any(event["kind"] == "failed" for event in events):
        run.failed(Failure(_called.reason(options["failure"])))
    with contextlib.closing(run):
        if any(event.get("taken_over") for event in run.journal.events()):
            return {"changed": False, "message": "Another run has the lock, so nothing is taken back."}
        if task.check_mode or not options["plan"]:
            return {"changed": False, "message": "Nothing was changed, so there is nothing to take back."}
        run.let_go()
        if not any(event["kind"] == "switching" for event in events):
            return _left(options, task, run)
        try:
            return _switched_back(options, task, run)
        except Failure as failure:
            run.journal.note(
                "taken_back",
                message=f"{options['name']} {options['plan']['version']} failed verification, and the traffic could "
                f"not be switched back to {options['plan']['active']['version']}: {failure.message}",
                complete=False,
                taken_over=isinstance(failure, LockLostError),
            )
            run.journal.note("serving", version=None)
            return {"changed": False, "message": failure.message}


def _left(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Take back what was prepared for a switch that did not come, and name what is left of it."""
    if not any(event["kind"] == "changed" for event in run.journal.events()) and not options["plan"]["unfinished"]:
        return {"changed": False, "message": "Nothing was changed, so there is nothing to take back."}
    try:
        result = _withdrawn(options, task, run)
    except LockLostError as lost:
        return {"changed": False, "message": run.failed(lost).message}
    except Failure as failure:
        message = f"What was prepared could not be taken back: {failure.message}"
        _kept_apart(options, task, run)
        run.journal.note("left", message=message)
        return {"changed": False, "message": message}
    if _kept_apart(options, task, run):
        kept = options["plan"]["preview"]["deployment"]
        said = f"Deployment {kept} was scaled to 0, as the Service led to it as well."
        result = {"changed": True, "message": f"{result['message']} {said}".strip()}
    if result["message"]:
        said = f"{result['message']} Users get {options['plan']['active']['version']} as before."
        run.journal.note("left", message=said)
    return result


def _kept_apart(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> bool:
    """Have the other colour, which was not switched to, get no traffic, and say whether it was scaled away for that."""
    try:
        return _scaled_where_both_are_live(options, task, run)
    except Failure as failure:
        run.failed(failure)
        return False


def _withdrawn(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Remove what was created for a switch that did not come, and give the Services their selectors back.

    Raises Failure, naming what is left and the commands that remove it.
    """
    plan, namespace = options["plan"], options["namespace"]
    said: list[str] = []
    with contextlib.closing(_api.api(options, task.environ)) as api:
        services = [_place.found(api, Place("Service", namespace, item["name"])) for item in plan["services"]]
        began = [item for item in map(_bluegreen.unfinished_of, services) if item]
        created = [each for item in began for each in item.creates]
        preview = Place("Deployment", namespace, plan["preview"]["deployment"])
        changed = next((item["metadata"]["name"] for item in services if not _bluegreen.live(item, plan)), "")
        if changed:
            raise Failure(
                f"Service {changed} was changed by somebody else meanwhile; see where it leads to, and remove what is "
                f"not needed: {_bluegreen.removal(namespace, began)}."
            )
        for each in created:
            kind, name = each.split(" ", 1)
            there = _place.there(api, Place(kind, namespace, name))
            if there is not None:
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
    for service, item in [(each, _bluegreen.unfinished_of(each)) for each in services]:
        if item:
            said += _unpinned(options, task, run, service, item, deployments)
    message = "; ".join(said)
    return {"changed": bool(said), "message": f"{message}." if message else ""}


def _given_back(api: _api.Api, task: Task, run: _run.Run, place: Place, began: _bluegreen.Unfinished) -> list[str]:
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
    ran = f"{', '.join(_workloads.images(to.template))} back, in {replicas} replicas" if to else "0 replicas"
    message = f"{place} has {ran}"
    run.journal.note("changed", message=message)
    return [message]


def _unpinned(
    options: t.Mapping[str, t.Any],
    task: Task,
    run: _run.Run,
    service: _api.Object,
    began: _bluegreen.Unfinished,
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
            f"Service {name} stays pinned to {_said(there)}, as it would lead to Deployment {' and '.join(besides)} as "
            "well otherwise"
        ]
    message = f"Service {name} has its selector {_said(began.selector)} back"
    result = _pointed(options, task, run, name, began.selector, message, {_bluegreen.UNFINISHED: None}, there)
    return [message] if result["changed"] and there != began.selector else []


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
                "stay pinned to the active version; see what keeps them, and run again with -e rollback=true."
            )
        time.sleep(POLL)


def _switched_back(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    plan = options["plan"]
    version, old = plan["version"], plan["active"]["version"]
    results = []
    for number, service in enumerate(plan["services"]):
        noted = {} if number else {_bluegreen.PREVIOUS: plan["previous_version"] or None}
        said = f"Service {service['name']} is switched back to {old}"
        results.append(_pointed(options, task, run, service["name"], service["active"], said, noted))
    result = _together([*results, *_scalers_moved(options, task, run, "preview", "active")])
    run.let_go()
    kept = plan["preview"]["deployment"]
    rest = (
        f"Deployment {kept} keeps its replicas of {version} and has no traffic, remove them with kubectl -n "
        f"{options['namespace']} scale deployment/{kept} --replicas=0"
    )
    answers = _answers(options, task, run, old)
    if answers["verdict"] not in ("pass", "unverified") and _scaled_where_both_are_live(options, task, run):
        rest = f"Deployment {kept} was scaled to 0, as the Service led to it again"
        answers = _answers(options, task, run, old)
    complete = answers["verdict"] in ("pass", "unverified")
    ends = "answers every request again" if complete else "does not get every request either"
    if answers["verdict"] == "unverified":
        ends = "has its endpoints again"
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
    return bool(_to_none(options, task, run, Place("Deployment", namespace, pair[1]))["changed"])


def _answers(options: t.Mapping[str, t.Any], task: Task, run: _run.Run, version: str) -> dict[str, t.Any]:
    """What users get after something was taken back, which is to be `version` alone."""
    return _baseline.Proof(options, task, run).looked(
        samples=options["samples"],
        expected={version: 1},
        min_success=options["min_success"],
        settle=options["settle"],
        settles="verdict",
        fail_on="never",
    )
