# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a run of strategy rolling_update or rollback begins, and how the change is made."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _capacity
from ansible_collections.convoy.rollout.plugins.module_utils._operations._planning import Begin, Planning
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _drain, _pause, _update
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _namespace,
    _place,
    _references,
    _subject,
    _workloads,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

A_ROLLBACK = "a rollback"

Patch = t.Callable[[_api.Object], "list[_api.Object]"]


def found(api: _api.Api, place: Place) -> _update.Found:
    """A Deployment and what belongs to it. Raises Failure."""
    deployment = _place.found(api, place)
    replica_sets, pods = _place.around(api, place, deployment)
    return _update.Found(deployment, replica_sets, pods, api.items(_api.path_of("services", place.namespace)))


def see_service(services: t.Sequence[_api.Object], namespace: str, named: str) -> None:
    """Raise Failure where a Service that is named is not there."""
    if named and named not in [item["metadata"]["name"] for item in services]:
        raise Failure(f"There is no Service {named} in namespace {namespace}; run app_deploy.yml first.")


def _meant(api: _api.Api, begin: Begin, what: str) -> _update.Found:
    """The Deployment that is meant: the named one, where it has the application's traffic. Raises Failure."""
    there = _namespace.workloads(api, begin.namespace)
    service = begin.entry.get("service") or ""
    known = service if any(item["metadata"]["name"] == service for item in there.services) else ""
    try:
        subject = _subject.subject(there, begin.application, service=known, container=begin.request["container"])
    except Failure:
        _place.check_namespace(api, begin.namespace)
        raise
    if what == A_ROLLBACK:
        _subject.check_alone(subject, what)
    named = subject.member(begin.application)
    live = named if named and not subject.live else _subject.check_named(subject, what)
    see_service(there.services, there.name, service)
    return _update.Found(live.deployment, there.replica_sets, there.pods, there.services)


def _update_planned(api: _api.Api, begin: Begin) -> Plan:
    wish = _update.wish_of(begin.request, begin.application, begin.applications)
    there = _meant(api, begin, "a rolling update")
    see_service(there.services, begin.namespace, begin.application if "service" in begin.described else "")
    _update.check_deployment(there.deployment, wish)
    _update.services(there.deployment, wish, there.services)
    # The API server tries the change before anything else is done.
    place = Place("Deployment", begin.namespace, there.name)
    tried = _place.changed(api, place, there.deployment, lambda item: _update.patch(item, wish), dry_run=True)
    plan = _update.begin(there, wish, begin.request["resume"], _update.container(tried, wish)["image"])
    back = next((item for item in there.revisions if item.uid == plan.facts["way_back"].get("replica_set")), None)
    gone = missing(api, begin.namespace, back.template) if back and plan.changes else []
    if not gone or not back:
        return _with_room(api, begin, plan, there, tried["spec"]["template"])
    said = (
        f"revision {back.number} of {place} can no longer run, so {plan.target} cannot be rolled back if it fails "
        f"verification: {_gone(gone)}"
    )
    plan = replace(plan, warnings=[*plan.warnings, said])
    return _with_room(api, begin, plan, there, tried["spec"]["template"])


def _rollback_planned(api: _api.Api, begin: Begin) -> Plan:
    there = _meant(api, begin, A_ROLLBACK)
    place = Place("Deployment", begin.namespace, there.name)
    if there.deployment["spec"].get("paused") and not _pause.is_ours(there.deployment):
        raise Failure(
            f"{place} is paused, and not by this role; resume it with kubectl rollout resume deployment/{place.name} "
            "first."
        )
    plan = _update.begin_rollback(there, begin.request, begin.namespace)
    to = _workloads.earlier(there.revisions, plan.facts["revision"], str(place))
    gone = [] if to.current else missing(api, begin.namespace, to.template)
    if gone:
        raise Failure(
            f"Revision {to.number} of {place} can no longer run: {_gone(gone)}. Create what is missing again, or "
            f"name another revision with -e revision=...; kubectl -n {begin.namespace} rollout history "
            f"deployment/{place.name} lists them.",
            {"before": plan.before},
        )
    tried = _place.changed(api, place, there.deployment, undoing(there, plan.facts["revision"]), dry_run=True)
    return _with_room(api, begin, plan, there, tried["spec"]["template"])


def _with_room(api: _api.Api, begin: Begin, plan: Plan, there: _update.Found, template: _api.Object) -> Plan:
    """The plan, where the cluster admits and places pods of the new template. Raises Failure where it does not."""
    if plan.facts["phase"] != "update":
        return plan  # what is under way is judged by what becomes of it
    wish = plan.facts.get("wish") or {}
    outage = _drain.outage(there.deployment, wish.get("max_surge", ""), wish.get("max_unavailable", ""))
    plan = replace(plan, endings=[replace(each, outage=outage) for each in plan.endings])
    new = all(revision.template != _workloads.bare(template) for revision in there.revisions)
    room = _capacity.for_update(api, begin.namespace, there.deployment, template, new=new)
    hints = _update.room_hints(room.unjudged if room else None)
    if room and room.missing is not None:
        why = {"before": plan.before}
        raise Failure(_update.no_room(there.deployment, room.message), why)
    return replace(plan, hints=[*plan.hints, *hints])


def missing(api: _api.Api, namespace: str, template: _api.Object) -> list[str]:
    """The ConfigMaps and Secrets that a pod template needs and that are gone, in words. Raises ApiError.

    What this user may not read is taken to be there. What is in a Secret goes nowhere.
    """
    found: list[str] = []
    for reference in _references.references(template):
        there = None
        try:
            there = api.get(_api.path_of(f"{reference.kind.lower()}s", namespace, reference.name))
        except _api.ApiError as error:
            if error.status == 403:
                continue
            if error.status != 404:
                raise
        found += reference.missing(there)
    return found


def _gone(names: t.Sequence[str]) -> str:
    return f"{' and '.join(names)}, which it needs, {'is' if len(names) == 1 else 'are'} gone"


PLANNING = Planning(
    arguments=_update.REQUEST,
    check=lambda begin: _update.check_request(begin.application, begin.applications, begin.request),
    purpose=lambda begin: f"rolling update to {begin.request['version']}",
    plan=_update_planned,
)

ROLLBACK = Planning(
    arguments=_update.ROLLBACK_REQUEST,
    check=lambda begin: _update.check_rollback(begin.application, begin.applications, begin.request),
    purpose=lambda begin: (
        "rollback" + (f" to revision {begin.request['revision']}" if begin.request["revision"] else "")
    ),
    plan=_rollback_planned,
    role="rolling_update",
)


def undoing(there: _update.Found, revision: int) -> Patch:
    """How a Deployment is given an earlier revision."""
    to = _workloads.earlier(there.revisions, revision, f"Deployment {there.name}")

    def patch(deployment: _api.Object) -> list[_api.Object]:
        resumed = _pause.resumed(deployment) if _pause.is_ours(deployment) else []
        same = _workloads.bare(deployment["spec"]["template"]) == to.template
        return [*([] if same else _workloads.undone(deployment, to)), *resumed]

    return patch


def updating(wish: _update.Wish, template: _api.Object) -> Patch:
    """How a Deployment that had a template is given a version."""

    def patch(deployment: _api.Object) -> list[_api.Object]:
        # It may also be this task's own change, of which the answer was lost.
        if deployment["spec"]["template"] != template and _update.template_patch(deployment, wish):
            raise changed_meanwhile(deployment["metadata"]["name"])
        _update.check_deployment(deployment, wish)
        return _update.patch(deployment, wish)

    return patch


def changed_meanwhile(name: str) -> Failure:
    """What is said of a Deployment whose pod template is not the one that the run has planned with."""
    return Failure(
        f"The pod template of Deployment {name} was changed by somebody else during this run; see what changed with "
        f"kubectl rollout history deployment/{name}, and run the playbook again."
    )
