# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin bluegreen do, and how a run of that strategy begins."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _called,
    _capacity,
    _rollout,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._planning import Begin, Planning
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._run._lock import LockLostError
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _bluegreen
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _managers, _place, _workloads
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    **_run.OPTION,
    "state": {"type": "str", "choices": ["prepared", "switched", "retired", "back"], "required": True},
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "plan": {"type": "dict", "default": {}},
    "template": {"type": "dict"},
    "entry": _version_distribution.ARGUMENTS["entry"],
    "samples": {"type": "int", "default": 100},
    "settle": {"type": "int", "default": 30},
    "delay": {"type": "int", "default": 30},
    "timeout": {"type": "int", "default": 600},
    "failure": {"type": "raw", "default": ""},
}


def _planned(api: _api.Api, begin: Begin) -> Plan:
    service = _service(api, begin.namespace, begin.application)
    deployments = api.items(_api.path_of("deployments", begin.namespace, group="apps"))
    found = _bluegreen.plan(service, deployments, version=begin.request["version"], rollback=begin.request["rollback"])
    endings = [] if begin.request["keep_previous"] else _bluegreen.endings(found, deployments, service)
    return _bluegreen.begin(found, begin.application, begin.drained(api), begin.request, begin.entry, endings)


def _service(api: _api.Api, namespace: str, name: str) -> _api.Object:
    try:
        return api.get(_api.path_of("services", namespace, name))
    except _api.ApiError as error:
        if error.status == 404:
            raise Failure(f"There is no Service {name} in namespace {namespace}; run app_deploy.yml first.") from error
        raise


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
    work = {"prepared": _prepared, "switched": _switched, "retired": _retired}[options["state"]]
    return _run.in_run(work, options, task)


def _prepared(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """See that there is room for the other colour, and pin the Service to the active one."""
    plan = options["plan"]
    room = _capacity.run(
        _called.options(
            _capacity.ARGUMENTS,
            options,
            namespace=options["namespace"],
            deployment=plan["preview"]["deployment"],
            replicas=plan["replicas"],
            template=options["template"],
        ),
        task,
    )
    if not room["fits"]:
        raise Failure(room["message"])
    selector = plan["active"]["selector"]
    return _pointed(options, task, run, selector, f"Service {options['name']} is pinned to its active version")


def _switched(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Point the Service at the other colour, in one patch."""
    plan = options["plan"]
    if plan["phase"] == "done":
        return {"changed": False, "message": f"Service {options['name']} leads to {plan['version']} already."}
    run.journal.note("switching")
    noted = {_bluegreen.PREVIOUS: plan["way_back"]}
    selector = plan["preview"]["selector"]
    said = f"Service {options['name']} is switched from {plan['active']['version']} to {plan['version']}"
    known = None if task.check_mode else plan["active"]["selector"]  # which check mode did not pin it to
    result = _pointed(options, task, run, selector, said, noted, known)
    if not task.check_mode:
        run.journal.note("serving", version=None)  # until it is verified
    return result


def _pointed(
    options: t.Mapping[str, t.Any],
    task: Task,
    run: _run.Run,
    selector: t.Mapping[str, str | None],
    message: str,
    noted: t.Mapping[str, str | None] | None = None,
    known: t.Mapping[str, str | None] | None = None,
) -> dict[str, t.Any]:
    """Give the Service a selector and annotations, where its selector is the `known` one or that already."""
    place = Place("Service", options["namespace"], options["name"])
    wanted, expected = _given(selector), _given(known or {})

    def plan(service: _api.Object) -> list[_api.Object]:
        there = service["spec"].get("selector") or {}
        if known is not None and there not in (expected, wanted):
            why = _managers.changed_by(service, "spec.selector", _said(expected), _said(there))
            raise Failure(f"{why}. Have whoever did that leave the Service to the rollout, and run again.")
        patch = _workloads.annotated(service, noted or {})
        return [*patch, *([{"op": "add", "path": "/spec/selector", "value": wanted}] if there != wanted else [])]

    with contextlib.closing(_api.api(options, task.environ)) as api:
        before = _place.found(api, place)
        after = _place.changed(api, place, before, plan, dry_run=task.check_mode, before_write=run.check)
    result = _place.difference(before, after)
    if result["changed"]:
        run.journal.note("changed", message=message)
    return {**result, "message": f"{message}."}


def _given(selector: t.Mapping[str, str | None]) -> dict[str, str]:
    """A selector without the keys that are to be taken away."""
    return {key: value for key, value in selector.items() if value is not None}


def _said(selector: t.Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items())) or "none"


def _retired(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Watch the traffic for as long as the old colour is kept, and then scale that to 0."""
    plan = options["plan"]
    old = plan["old"]
    if old["replicas"] and not task.check_mode:
        if options["delay"]:
            _asked(options, task, run, plan["version"], samples=options["delay"] * 2, rate_limit=2.0)
        if plan["phase"] == "preview":
            _see_none_restarted(options, task, run, plan["preview"]["deployment"])
    place = Place("Deployment", options["namespace"], old["deployment"])
    if not old.get("exists", True):
        return {"changed": False, "message": f"There is no {place} to scale away."}

    def scaled(deployment: _api.Object) -> list[_api.Object]:
        if not deployment["spec"].get("replicas", 1):
            return []
        return [{"op": "add", "path": "/spec/replicas", "value": 0}]

    with contextlib.closing(_api.api(options, task.environ)) as api:
        before = _place.found(api, place)
        after = _place.changed(api, place, before, scaled, dry_run=task.check_mode, before_write=run.check)
    result = _place.difference(before, after)
    if result["changed"]:
        run.journal.note("changed", message=f"{place} is scaled to 0")
    return {**result, "message": f"{place} has 0 replicas."}


def _asked(options: t.Mapping[str, t.Any], task: Task, run: _run.Run, version: str, **asked: t.Any) -> dict[str, t.Any]:
    """What users get, which has to be `version`. Raises Failure."""
    return _version_distribution.run(
        _called.options(
            _version_distribution.ARGUMENTS,
            options,
            run=run.handle or None,
            namespace=options["namespace"],
            name=options["name"],
            entry=options["entry"],
            expected={version: 1},
            **asked,
        ),
        task,
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
        if not any(event["kind"] == "switching" for event in events) or task.check_mode:
            return {"changed": False, "message": "The traffic was not switched, so there is nothing to take back."}
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


def _switched_back(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    plan = options["plan"]
    version, old = plan["version"], plan["active"]["version"]
    noted = {_bluegreen.PREVIOUS: plan["previous_version"] or None}
    said = f"Service {options['name']} is switched back to {old}"
    result = _pointed(options, task, run, plan["active"]["selector"], said, noted)
    answers = _version_distribution.looked(
        _called.options(
            _version_distribution.ARGUMENTS,
            options,
            namespace=options["namespace"],
            name=options["name"],
            entry=options["entry"],
            samples=options["samples"],
            expected={old: 1},
            settle=options["settle"],
            settles="verdict",
            fail_on="never",
        ),
        task.environ,
    )
    complete = answers["verdict"] == "pass"
    ends = "answers every request again" if complete else "does not get every request either"
    run.journal.note(
        "taken_back",
        message=f"{options['name']} {version} failed verification and the traffic was switched back to {old}, which "
        f"{ends} ({answers['message']})",
        complete=complete,
    )
    run.journal.note("serving", version=old if complete else None)
    return result
