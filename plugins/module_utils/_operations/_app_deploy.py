# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin app_deploy do, and how a run of that strategy begins."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _retries
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _baseline,
    _called,
    _planning,
    _rollout,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._planning import Begin, Planning
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline as _proof
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _app_deploy
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import MIN_SUCCESS, Plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _applications, _images, _namespace

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    **_run.OPTION,
    "state": {"type": "str", "choices": ["complete", "verified", "back"], "default": "complete"},
    "namespace": {"type": "str"},
    "deployments": {"type": "list", "elements": "str", "default": []},
    "services": {"type": "list", "elements": "str", "default": []},
    "entry": _version_distribution.ARGUMENTS["entry"],
    "samples": {"type": "int", "default": 500},
    "min_success": {"type": "float", "default": MIN_SUCCESS},
    "settle": {"type": "int", "default": 30},
    "timeout": {"type": "int", "default": 600},
    "version_of": _images.RULE_OPTION,
    "failure": {"type": "raw", "default": ""},
}


def _prepared(api: _api.Api, begin: Begin) -> list[str]:
    """Create the namespace, where it is missing and that was asked for, and say so. Raises Failure."""
    name, create = begin.namespace, begin.request["create_namespace"]
    path = _api.path_of("namespaces", name=name)
    try:
        api.get(path)
        return []
    except _api.ApiError as error:
        if error.status == 403 and not create:
            return []  # who may not read namespaces may still work in one
        if error.status not in (403, 404):
            raise
    if not create:
        raise Failure(_app_deploy.no_namespace(name))
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    try:
        api.create(_api.path_of("namespaces"), body, dry_run=begin.check_mode)
    except _api.ApiError as error:
        if error.status == 409:
            return []  # somebody else was quicker
        if error.status not in _retries.UNKNOWN:
            raise
        api.get(path)  # the answer may have got lost on its way
    return [f"Namespace {name} was created"]


def _planned(api: _api.Api, begin: Begin) -> Plan:
    namespace, applications = begin.namespace, begin.applications
    kept = {name for name in _app_deploy.self_signed(applications) if _has_secret(api, namespace, name)}
    return _app_deploy.begin(
        applications,
        namespace,
        api.items(_api.path_of("services", namespace)),
        api.items(_api.path_of("deployments", namespace, group="apps")),
        kept,
        sleeps=_planning.sleeps(api),
        rule=_images.rule(begin.request["version_of"]),
        others=begin.request["others"],
        autoscalers=_autoscalers(api, namespace),
    )


def _autoscalers(api: _api.Api, namespace: str) -> list[_api.Object]:
    """The HorizontalPodAutoscalers; none for who may not list them. Raises ApiError."""
    try:
        return _namespace.autoscalers(api, namespace)
    except _api.ApiError as error:
        if error.status != 403:
            raise
        return []


def _has_secret(api: _api.Api, namespace: str, name: str) -> bool:
    """Whether there is a Secret. What is in it is not looked at, and goes nowhere. Raises ApiError."""
    try:
        api.get(_api.path_of("secrets", namespace, name))
    except _api.ApiError as error:
        if error.status == 404:
            return False
        raise
    return True


PLANNING = Planning(
    arguments=_app_deploy.REQUEST,
    check=lambda begin: _app_deploy.check(begin.applications, begin.request),
    purpose=lambda _begin: "deployment as described",
    plan=_planned,
    locks=lambda begin: list(begin.applications),
    prepare=_prepared,
)


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Wait until every Deployment is complete, and read what runs. Raises Failure."""
    if options["state"] == "back":
        return _left(options, task)
    return _run.in_run({"complete": _complete, "verified": _verified}[options["state"]], options, task)


def _complete(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    if options["timeout"] < 1:
        raise Failure(f"timeout is {options['timeout']}; it must be at least 1 second.")
    names = options["deployments"]
    if task.check_mode:
        message = f"Check mode: not waiting for {', '.join(names) or 'anything'}."
        return {"changed": False, "applications": [], "message": message}
    asked = _called.options(
        _rollout.ARGUMENTS, options, namespace=options["namespace"], timeout=options["timeout"], state="complete"
    )
    with contextlib.closing(_api.api(options, task.environ)) as api:
        _rollout.complete_together(api, asked, task, run, names)
        rows = _rows(api, options)
    run.check()  # whatever was waited for, another run may have begun meanwhile
    complete = f"{', '.join(names)} {'are' if len(names) > 1 else 'is'} complete"
    # Behind a Service that is pinned to a version the Deployments are that rollout's.
    message = f"{complete if names else 'there was no Deployment to apply'}: {_app_deploy.ready(rows)}"
    run.verified("pods", {"verdict": "pass", "by": "pods", "message": message}, final=True)
    run.journal.note("runs", applications=rows)
    run.journal.note("serving", version={row["deployment"]: row["version"] for row in rows})
    return {"changed": False, "applications": rows, "message": f"{message}."}


def _verified(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Ask as users do: by the entry, else by each Service. Raises Failure where too few requests are answered."""
    # How fast answers are is for other roles to judge.
    entry = {**_called.given(options["entry"]), "max_p99": None}
    plan = (options["run"] or {}).get("plan") or {}
    judged = {
        "samples": options["samples"],
        "max_samples": max(_baseline.MOST, options["samples"]),
        "min_success": options["min_success"],
        "settle": options["settle"],
        "settles": "verdict",
        "unversioned": True,
        "replaced": _app_deploy.replaced(plan),
    }
    if _proof.names_a_place(entry) or entry.get("source"):
        proof = _baseline.Proof({**options, "entry": entry}, task, run)
        seen = proof.verified("traffic", final=True, expected={}, **judged)
        return {"changed": False, "message": f"{seen['message']}."}
    if not options["services"]:
        message = "no Service is described and no entry is set, so no requests were made"
        run.verified("traffic", {"by": "nothing", "verdict": "unverified", "message": message}, final=True)
    judged["family_size"] = max(1, len(options["services"])) * run.handle.get("family", 1)
    told = [
        f"{service}: {_asked(service, {**judged, **own}, options, task, run)}"
        for service in options["services"]
        for own in [{"entry": entry, "replaced": _app_deploy.replaced(plan, service)}]
    ]
    return {"changed": False, "message": f"{'; '.join(told) or 'There is no Service to send requests to'}."}


def _asked(
    service: str, judged: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any], task: Task, run: _run.Run
) -> str:
    """Ask one Service, while the cluster may settle, and note what it is worth. Raises Failure.

    `judged` are the options of the look that decides.
    """
    looks = _baseline.asked(options, service, entry=judged["entry"])
    evidence = f"Service {service}"
    before = (run.handle.get("baseline") or {}).get("services", {}).get(service)
    if before and before["by"] == "nothing":
        run.verified(evidence, {**before, "verdict": "unverified"}, final=True)
        return str(before["message"])
    nothing = f"Nothing was rolled back: fix {service}, and deploy again."
    for attempt in range(options["settle"] + 1):
        try:
            seen = _baseline.seen(looks, task.environ, serves=True)
        except Failure as failure:
            seen = {"by": "nothing", "answered": False, "errors": {}, "message": failure.message}
            break
        if seen["answered"] or not _proof.may_pass(seen["errors"]):
            break
        if attempt < options["settle"]:
            time.sleep(1)
    if seen["answered"]:
        most = {"min_success": _proof.least(judged["min_success"], before)}
        try:
            result = _version_distribution.looked({**looks, **judged, **most}, task.environ, run=run)
        except Failure as failure:
            run.verified(evidence, {**failure.facts, "by": seen["by"]}, final=True)
            raise Failure(f"Service {service}: {failure.message.rstrip('.')}. {nothing}", failure.facts) from None
        run.verified(evidence, {**result, "by": seen["by"]}, final=True)
        return str(result["message"])
    if seen["errors"] and (_proof.is_broken(seen["errors"]) or _proof.is_unserved(seen["errors"])):
        run.verified(evidence, {**seen, "verdict": "fail"}, final=True)
        raise Failure(f"Service {service}: {_proof.silent(seen)} {nothing}")
    why = _proof.summary(seen["errors"]) if seen["errors"] else seen["message"]
    message = f"Service {service} could not be verified: {why}"
    run.verified(evidence, {**seen, "by": "nothing", "verdict": "unverified", "message": message}, final=True)
    return message


def _rows(api: _api.Api, options: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """What runs of the application."""
    there = _namespace.workloads(api, options["namespace"])
    rule = _images.rule(options["version_of"])
    every = [_applications.application(item, there, rule=rule) for item in there.deployments]
    rows = _app_deploy.shown(every, options["deployments"], options["services"])
    return sorted(rows, key=lambda row: str(row["deployment"]))


def _left(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Take nothing back, as what is described stays to be deployed: say what users get now."""
    try:
        handle = _run.handle_of(options["run"])
    except Failure:
        return {"changed": False, "message": "The run had not begun, so there is nothing to report."}
    run = _run.Run(handle, lambda: _api.api(options, task.environ))
    with contextlib.closing(run):
        run.failed_elsewhere(_called.reason(options["failure"]))
        if run.taken_over or task.check_mode:
            return {"changed": False, "message": "Nothing was rolled back."}
        try:
            with contextlib.closing(_api.api(options, task.environ)) as api:
                rows = _rows(api, options)
        except Failure as failure:
            run.journal.note("serving", version=None)
            return {"changed": False, "message": failure.message}
        changes = [event["message"] for event in run.journal.events() if event["kind"] == "changed"]
        done = "Nothing was rolled back; ready" if changes else "Nothing was changed; ready"
        left = f"{done} now: {_app_deploy.ready(rows) or 'none of its Deployments'}."
        if changes:
            before = (options["run"].get("plan") or {}).get("before") or {}
            left += f" {_app_deploy.left(options['namespace'], changes, before)}"
        run.journal.note("left", message=left)
        run.journal.note("runs", applications=rows)
        run.journal.note("serving", version={row["deployment"]: row["version"] for row in rows})
        return {"changed": False, "applications": rows, "message": left}
