# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin canary do, and how a run of that strategy begins."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _shapes
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _called,
    _canary_end,
    _canary_route,
    _canary_seen,
    _canary_steps,
    _capacity,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._canary_work import Work
from ansible_collections.convoy.rollout.plugins.module_utils._operations._planning import Begin, Planning
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary, _canary_manifests, _canary_state
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers import _router
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _namespace, _subject

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "run": {"type": "dict", "required": True},
    "state": {
        "type": "str",
        "choices": ["stable", "prepared", "stepped", "promoted", "restored", "gone", "back"],
        "required": True,
    },
    "namespace": {"type": "str"},
    "entry": _version_distribution.ARGUMENTS["entry"],
    "template": {"type": "dict"},
    "definition": {"type": "dict", "default": {}},
    "failure": {"type": "raw", "default": ""},
}


def _purpose(begin: Begin) -> str:
    request = begin.request
    return (
        f"canary {'abort' if request['abort'] else 'promotion' if request['promote'] else 'of ' + request['version']}"
    )


def _planned(api: _api.Api, begin: Begin) -> Plan:
    request = begin.request
    if not request["abort"]:
        _check_live(api, begin)
    asked = _canary.asked(request, described=bool(begin.described))
    searched = asked.finds and _router.comes_by(begin.application, begin.entry)
    seen = _canary_seen.read(
        api, begin.namespace, begin.application, request["service"], asked.router, finds=asked.finds, searched=searched
    )
    # What was found holds for the whole run.
    request = {**request, "router": _router.option(seen.router)}
    asked = dataclasses.replace(asked, router=seen.router, finds=False)
    _router.check_entry(seen.router, begin.application, begin.entry)
    before = _canary_state.users_get(seen, asked)
    try:
        found = _canary.plan(seen, asked)
    except Failure as failure:
        raise Failure(failure.message, {**failure.facts, "before": before}) from failure
    endings, alone = _canary.endings(seen, found), _canary_state.alone(seen)
    return _canary.begin(found, before, begin.drained(api), request, endings, alone)


def _checked(begin: Begin) -> None:
    _canary.check(begin.application, begin.applications, begin.request)
    _router.check_entry(_router.named(begin.request["router"]), begin.application, begin.entry)


def _check_live(api: _api.Api, begin: Begin) -> None:
    """Raise Failure, naming it, where another Deployment than the one of the name has the application's traffic."""
    there = _namespace.workloads(api, begin.namespace)
    named = begin.request["service"]
    service = named if any(item["metadata"]["name"] == named for item in there.services) else ""
    try:
        subject = _subject.subject(there, begin.application, service=service, container=begin.request["container"])
    except Failure:
        return  # what is missing is said by what reads the canary
    if subject.live:
        _subject.check_named(subject, "a canary")


PLANNING = Planning(
    arguments=_canary.REQUEST,
    check=_checked,
    purpose=_purpose,
    plan=_planned,
)

STATES: dict[str, t.Callable[[Work], dict[str, t.Any]]] = {
    "stable": _canary_end.stable,
    "stepped": _canary_steps.stepped,
    "promoted": _canary_end.promoted,
    "restored": _canary_end.restored,
    "gone": _canary_end.gone,
}


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Bring a canary into a state that its run planned. Raises Failure."""
    if options["state"] == "back":
        return _canary_end.back(options, task)
    return _run.in_run(_brought, options, task)


def _brought(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    with contextlib.closing(_api.api(options, task.environ)) as api:
        work = Work(api, options, task, run, options["run"]["plan"])
        return (STATES | {"prepared": _prepared})[options["state"]](work)


def _prepared(work: Work) -> dict[str, t.Any]:
    """See that there is room for every replica, and return the manifest of a canary that is yet to be created."""
    _shapes.check_template(work.options["template"] or {})
    asked = dataclasses.replace(work.asked, template=work.options["template"])
    seen = work.seen()
    found = _canary.plan(seen, asked)
    if found["needed"]:
        room = _capacity.run(
            _called.options(
                _capacity.ARGUMENTS,
                work.options,
                namespace=work.options["namespace"],
                replicas=found["needed"],
                template=found["template"],
                objects={} if seen.canary else {"deployments.apps": 1, "replicasets.apps": 1},
            ),
            work.task,
        )
        if not room["fits"]:
            raise Failure(
                f"There is no room for {found['needed']} more pods, which a canary of {work.stable} needs: "
                f"{room['message']}. Make room, or give it a smaller weight, and run the playbook again."
            )
        if room["unjudged"]:
            work.task.tell(f"{work.stable}: {room['message']}")
    manifest: dict[str, t.Any] = {}
    if seen.canary is None and found["steps"]:
        new, whole = _canary_manifests.made(seen, asked), found["stable"]["whole"]
        manifest = _canary_manifests.definition(new, found["steps"][0], whole, work.run.handle.get("baseline"))
    if not work.task.check_mode:
        work.run.journal.note("advancing")  # from here on there is something to take back
    if seen.router is not None:
        # Before there is a pod of the canary: stable's Service must not lead to one.
        _canary_route.prepare(work, seen, _canary_manifests.made(seen, asked))
    return {**work.result(found["message"]), "definition": manifest}
