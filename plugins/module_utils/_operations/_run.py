# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin run do: begin a run and end it."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _app_deploy,
    _baseline,
    _bluegreen,
    _called,
    _canary,
    _scale,
    _updating,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._planning import Begin, Planning
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline as _proof
from ansible_collections.convoy.rollout.plugins.module_utils._run import _companion, _outcome, _run
from ansible_collections.convoy.rollout.plugins.module_utils._run._journal import Journal
from ansible_collections.convoy.rollout.plugins.module_utils._run._keeper import Keeper
from ansible_collections.convoy.rollout.plugins.module_utils._run._lock import Lock, identity
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _drain
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _description, _given
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

#: How each strategy checks a request and plans it.
STRATEGIES: dict[str, Planning] = {
    "app_deploy": _app_deploy.PLANNING,
    "bluegreen": _bluegreen.PLANNING,
    "canary": _canary.PLANNING,
    "rolling_update": _updating.PLANNING,
    "rollback": _updating.ROLLBACK,
    "scale": _scale.PLANNING,
}

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "state": {"type": "str", "choices": ["begun", "ended"], "default": "begun"},
    "strategy": {"type": "str", "choices": list(STRATEGIES)},
    "namespace": {"type": "str"},
    "application": {"type": "raw"},
    "applications": {"type": "raw", "default": {}, "no_log": True},  # there are Secrets in them
    "request": {"type": "dict", "default": {}},
    "entry": _version_distribution.ARGUMENTS["entry"],
    "lock_wait": {"type": "int", "default": 0},
    "takeover": {"type": "bool", "default": False},
    "require_drain": {"type": "bool", "default": False},
    "unverified": {"type": "bool", "default": False},
    "run": {"type": "dict"},
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Begin a run, or end it and say what came of it. Raises Failure."""
    if options["state"] == "ended":
        return _ended(options, task)
    if not options["strategy"]:
        raise Failure(f"Set strategy to one of {', '.join(STRATEGIES)}.")
    return _begun(options, task)


def _begun(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    started = time.time()
    begun = {
        "strategy": options["strategy"],
        "application": _named(options),
        "namespace": options["namespace"],
        "cluster": task.host,
        "requested": {key: value for key, value in options["request"].items() if value not in (None, "", 0, False)},
        "check_mode": task.check_mode,
    }
    handle: dict[str, t.Any] = {}
    noted: list[dict[str, t.Any]] = [{"kind": "begun", "at": started, **begun}]
    try:
        planning = STRATEGIES[options["strategy"]]
        begin = _checked(planning, options, task)
        with contextlib.closing(_api.api(options, task.environ)) as api:
            made = planning.prepare(api, begin)
        noted += [{"kind": "changed", "at": time.time(), "message": message} for message in made]
        handle = {
            **_locked(planning, begin, options, task),
            "family": begin.request.get("family_size", 1),
            "options": _run.shared(begin.namespace, begin.application, begin.request),
        }
        journal = Journal(handle["directory"])
        journal.note("begun", **begun)
        for message in made:
            journal.note("changed", message=message)
        if made and task.check_mode:
            handle["missing_namespace"] = begin.namespace  # in which nothing can be tried
        with contextlib.closing(_api.api(options, task.environ)) as api:
            plan = planning.plan(api, begin)
            if plan.service and not task.check_mode:
                _relied_on(api, begin.namespace, plan.service, handle)
        warnings = [*plan.warnings, *filter(None, [_drain.warning(plan.endings)])]
        noted.append(
            {
                "kind": "planned",
                "at": time.time(),
                **{key: getattr(plan, key) for key in ("before", "target", "headline", "would", "way_back")},
                "hints": list(plan.hints),
                "warnings": warnings,
                "endings": [_drain.noted(each) for each in plan.endings],
            }
        )
        journal.note(**{key: value for key, value in noted[-1].items() if key != "at"})
        if options["require_drain"]:
            _drain.refuse(plan.endings, planning.role or options["strategy"])
        handle.update(unverified=options["unverified"], service=plan.service)
        if plan.changes:
            found = _baseline.noted(options, task, journal, plan)
            handle["baseline"] = _proof.excusing(found, plan.alone)
            if found["answered"] and not task.check_mode:
                handle["watch"] = _watch(options, plan, task, unversioned=found["by"] != "versions")
    except Failure as failure:
        if "before" in failure.facts:  # what a strategy that cannot plan has read all the same
            noted.append({"kind": "planned", "at": time.time(), "before": failure.facts["before"]})
        noted.append({"kind": "failed", "at": time.time(), "message": failure.message})
        _let_go(handle, options, task)
        refused = _outcome.outcome(noted, time.time()).facts()
        raise Failure(failure.message, {**failure.facts, "run": {"refused": refused}}) from failure
    except BaseException:
        _let_go(handle, options, task)
        raise
    return {
        "changed": bool(made),
        "warnings": warnings,
        "run": handle,
        "plan": {**_shown(plan.facts), "before": plan.before, "target": plan.target, "made": list(made)},
    }


def _relied_on(api: _api.Api, namespace: str, service: str, handle: t.Mapping[str, t.Any]) -> None:
    """Note the selector of the Service that users come in by: where that changes, they get something else."""
    place = Place("Service", namespace, service)
    try:
        selector = api.get(place.path).get("spec", {}).get("selector")
    except _api.ApiError as error:
        if error.status in (403, 404):
            return
        raise
    _run.Run(dict(handle), lambda: api).gave(place, {_given.SELECTOR: selector} if selector else {})


def _shown(facts: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What a strategy's tasks pick from, without Secrets: it is shown with -v."""
    if "manifests" not in facts:
        return dict(facts)
    return {**facts, "manifests": _description.without_secrets(facts["manifests"])}


def _named(options: t.Mapping[str, t.Any]) -> str:
    """The application's name, or those of all that are described."""
    if options["application"] is not None:
        return str(options["application"])
    described = options["applications"]
    return ", ".join(sorted(map(str, described))) if isinstance(described, dict) else ""


def _checked(planning: Planning, options: t.Mapping[str, t.Any], task: Task) -> Begin:
    """The request, of the types that its strategy wants, and found to make sense. Raises Failure."""
    if task.owner is None:
        raise Failure(
            "A run belongs to the process of ansible-playbook, which is not on the machine that this task runs on: "
            "set ansible_connection: local for the host, and a kubeconfig that leads to the cluster, with a "
            "proxy-url if need be."
        )
    validated = ArgumentSpecValidator(planning.arguments).validate(dict(options["request"]))
    if validated.error_messages:
        raise Failure(f"The request cannot be read: {'; '.join(validated.error_messages)}.")
    begin = Begin(
        namespace=options["namespace"],
        application=options["application"],
        applications=options["applications"],
        request=validated.validated_parameters,
        entry=_called.given(options["entry"]),
        check_mode=task.check_mode,
    )
    if options["lock_wait"] < 0:
        raise Failure(
            f"{planning.role or options['strategy']}_lock_wait is {options['lock_wait']}; it must be at least 0."
        )
    planning.check(begin)
    return begin


def _locked(planning: Planning, begin: Begin, options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """The handle of a run that holds its locks, in check mode of one that needs none. Raises Failure."""
    holder = identity(task.owner, task.host)
    taken: list[Lock] = []
    with contextlib.closing(_api.api(options, task.environ)) as api:
        try:
            held = []
            # In one order, so that no two runs wait for each other.
            for name in [] if task.check_mode else sorted(planning.locks(begin)):
                lock = Lock(api, begin.namespace, name, holder, planning.purpose(begin))
                # Where a caller of this role holds it, that one will release it.
                if lock.take(options["lock_wait"], options["takeover"], task.tell) is not None:
                    taken.append(lock)
                held.append({"namespace": begin.namespace, "application": name, "holder": holder})
            companion = Keeper(api.access, taken).start(task.owner)
        except BaseException:
            for lock in taken:
                with contextlib.suppress(Failure):
                    lock.release()
            raise
    return {
        "directory": companion["directory"],
        "companion": companion,
        "locks": held,
        "released": [lock.application for lock in taken],
    }


def _watch(options: t.Mapping[str, t.Any], plan: Plan, task: Task, *, unversioned: bool) -> dict[str, t.Any]:
    """The watch beside the run."""
    asked = _baseline.asked(options, plan.service, state="watch", unversioned=unversioned)
    return t.cast("dict[str, t.Any]", _version_distribution.run(asked, task)["watch"])


def _ended(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """End a run, whatever became of it, and return its outcome."""
    registered = options["run"] or {}
    handle = registered.get("run", registered)
    if "refused" in handle:
        return _returned(handle["refused"], options)
    if "directory" not in handle:
        # The task that should have begun it failed before it was one, as with a variable that is not defined.
        failed = {"kind": "failed", "at": time.time(), "message": str(registered.get("msg") or "No run was begun.")}
        begun = {"kind": "begun", "at": time.time(), "cluster": task.host, "strategy": options["strategy"] or ""}
        return _returned(_outcome.outcome([begun, failed], time.time()).facts(), options)
    journal = Journal(handle["directory"])
    if handle.get("watch"):
        try:
            journal.note("watched", **_companion.finish(handle["watch"]))
        except Failure as failure:
            journal.note("watched", message=failure.message)
    events = journal.events()
    trouble = _let_go(handle, options, task)
    result = _outcome.outcome(events, time.time()).facts()
    return _returned({**result, "lines": [*result["lines"], *trouble]}, options)


def _let_go(handle: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any], task: Task) -> list[str]:
    """End the run's companions and release its locks; what became of a lock that cannot be released, in words."""
    if not handle:
        return []
    with contextlib.suppress(Failure):  # whatever became of it, the Lease is let go of
        _companion.finish(handle["companion"])
    trouble = []
    with contextlib.closing(_api.api(options, task.environ)) as api:
        for held in handle["locks"]:
            if held["application"] not in handle["released"]:
                continue
            try:
                Lock(api, **held).release()
            except Failure as failure:
                trouble.append(f"the lock of {held['application']} was not released and expires by itself: {failure}")
    return trouble


def _returned(outcome: dict[str, t.Any], options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    facts = {"rollout_result": outcome}
    strategy = outcome["strategy"] or options["strategy"]
    if strategy:
        facts[f"{STRATEGIES[strategy].role or strategy}_result"] = outcome
    return {"changed": False, "outcome": outcome, "ansible_facts": facts}
