# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin rolling_update do, and how a run of strategy rolling_update or rollback begins."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _baseline,
    _called,
    _rollout,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._planning import Begin, Planning
from ansible_collections.convoy.rollout.plugins.module_utils._proof._baseline import may_come_back, names_a_place
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._run._table import table
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _pause, _update
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import UNNAMED
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _place, _workloads
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    **_run.OPTION,
    "state": {"type": "str", "choices": ["started", "paused", "complete", "verified", "back"], "default": "started"},
    "namespace": {"type": "str", "default": "default"},
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    **{name: {"type": "str"} for name in _update.TEXTS},
    "service": {"type": "str"},
    "plan": {"type": "dict", "default": {}},
    "entry": _version_distribution.ARGUMENTS["entry"],
    "settle": {"type": "int", "default": 30},
    "timeout": {"type": "int", "default": 600},
    "failure": {"type": "raw", "default": ""},
}

COME_BACK = 5  #: seconds that an application which was down may take to be found by its Service
COLUMNS = ("name", "revision", "images", "ready", "node")

Options = t.Mapping[str, t.Any]


# -- how a run begins --------------------------------------------------------------------------------------------------


def _found(api: _api.Api, place: Place) -> _update.Found:
    """The Deployment and what belongs to it. Raises Failure."""
    deployment = _place.found(api, place)
    replica_sets, pods = _place.around(api, place, deployment)
    return _update.Found(deployment, replica_sets, pods, api.items(_api.path_of("services", place.namespace)))


def _see_service(found: _update.Found, namespace: str, named: str) -> None:
    """Raise Failure where a Service that is named is not there."""
    if named and named not in [item["metadata"]["name"] for item in found.services]:
        raise Failure(f"There is no Service {named} in namespace {namespace}; run app_deploy.yml first.")


def _update_planned(api: _api.Api, begin: Begin) -> Plan:
    place = Place("Deployment", begin.namespace, begin.application)
    wish = _update.wish_of(begin.request, begin.application, begin.applications)
    found = _found(api, place)
    _update.check_deployment(found.deployment, wish)
    _see_service(
        found,
        place.namespace,
        begin.entry.get("service") or (begin.application if "service" in begin.described else ""),
    )
    _update.services(found.deployment, wish, found.services)
    # The API server tries the change before anything else is done.
    tried = _place.changed(api, place, found.deployment, lambda item: _update.patch(item, wish), dry_run=True)
    image = _update.container(tried, wish.container, wish.image)["image"]
    return _update.begin(found, wish, begin.request, image)


def _rollback_planned(api: _api.Api, begin: Begin) -> Plan:
    place = Place("Deployment", begin.namespace, begin.application)
    found = _found(api, place)
    _see_service(found, place.namespace, begin.entry.get("service") or "")
    _see_not_paused(found.deployment, place)
    plan = _update.begin_rollback(found, begin.request, place.namespace)
    _place.changed(api, place, found.deployment, _undoing(found, plan.facts), dry_run=True)
    return plan


def _see_not_paused(deployment: _api.Object, place: Place) -> None:
    if deployment["spec"].get("paused") and not _pause.is_ours(deployment):
        raise Failure(
            f"{place} is paused, and not by this role; resume it with kubectl rollout resume deployment/{place.name} "
            "first."
        )


def _undoing(found: _update.Found, plan: t.Mapping[str, t.Any]) -> t.Callable[[_api.Object], list[_api.Object]]:
    """How a Deployment is given the revision of a plan."""
    name = f"Deployment {found.name}"
    to = _workloads.earlier(found.revisions, plan["revision"], name)

    def patch(deployment: _api.Object) -> list[_api.Object]:
        resumed = _pause.resumed(deployment) if _pause.is_ours(deployment) else []
        there = _workloads.bare(deployment["spec"]["template"])
        return [*(_workloads.undone(deployment, to) if there != to.template else []), *resumed]

    return patch


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


# -- the states --------------------------------------------------------------------------------------------------------


def run(options: Options, task: Task) -> dict[str, t.Any]:
    """Change a Deployment's version and verify that, or take it back. Raises Failure."""
    options = {**options, "plan": options["plan"] or (options["run"] or {}).get("plan") or {}}
    if options["state"] == "back":
        return _back(options, task)
    if not options["plan"]:
        if options["state"] != "started" or not options["version"]:
            raise Failure(
                "Give run, what the task with convoy.rollout.run registered, or with state=started the version to go to."
            )
        return _run.in_run(_started_alone, options, task)
    work = {"started": _started, "paused": _paused, "complete": _complete, "verified": _verified}[options["state"]]
    return _run.in_run(work, options, task)


def _started_alone(options: Options, task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Start the rollout of a version without a run, and say where it comes from."""
    place = Place("Deployment", options["namespace"], options["name"])
    wish = _update.Wish(options["version"], **{name: options[name] or "" for name in _update.TEXTS})
    _update.check(wish)
    with contextlib.closing(_api.api(options)) as api:
        found = _found(api, place)
        _update.check_deployment(found.deployment, wish)
        _see_service(found, place.namespace, options["service"] or "")
        _update.services(found.deployment, wish, found.services)
        after = _change(api, place, found, _update_patch(wish, found.deployment["spec"]["template"]), task, run)
    image = _update.container(after, wish.container, wish.image)["image"]
    plan = _update.begin(found, wish, {"resume": "never"}, image)
    facts = plan.facts
    return {
        **_place.difference(found.deployment, after),
        **{key: facts[key] for key in ("phase", "image", "services", "uneven")},
        "before": facts["way_back"].get("version", "") if facts["phase"] != "done" else wish.version,
        "after": wish.version,
        "way_back": facts["way_back"].get("revision", 0),
        "paused_at": _workloads.annotations_of(found.deployment).get(_pause.PAUSED_AT, ""),
        "message": f"{place} {'has' if facts['phase'] == 'done' else 'goes to'} version {wish.version} ({image}).",
    }


def _update_patch(wish: _update.Wish, template: _api.Object) -> t.Callable[[_api.Object], list[_api.Object]]:
    """How a Deployment that had a template is given a version."""

    def patch(deployment: _api.Object) -> list[_api.Object]:
        there = deployment["spec"]["template"]
        # It may also be this task's own change, of which the answer was lost.
        if _workloads.bare(there) != _workloads.bare(template) and _update.template_patch(deployment, wish):
            name = deployment["metadata"]["name"]
            raise Failure(
                f"Deployment {name} was changed by somebody else meanwhile; see what changed with kubectl rollout "
                f"history deployment/{name}, and run again."
            )
        _update.check_deployment(deployment, wish)
        return _update.patch(deployment, wish)

    return patch


def _change(
    api: _api.Api,
    place: Place,
    found: _update.Found,
    patch: t.Callable[[_api.Object], list[_api.Object]],
    task: Task,
    run: _run.Run,
) -> _api.Object:
    return _place.changed(api, place, found.deployment, patch, dry_run=task.check_mode, before_write=run.check)


def _started(options: Options, task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Give the Deployment the new version, or the earlier revision, in one patch."""
    plan, place = options["plan"], Place("Deployment", options["namespace"], options["name"])
    with contextlib.closing(_api.api(options)) as api:
        found = _found(api, place)
        there = found.deployment["spec"]["template"]
        if plan["kind"] == "rollback":
            patch = _undoing(found, plan)
            done = not patch(found.deployment)
            said = f"goes back to revision {plan['revision']}"
        else:
            wish = _update.Wish(**plan["wish"])
            patch = _update_patch(wish, there)
            done = not _update.template_patch(found.deployment, wish)
            said = f"goes to version {wish.version} ({plan['image']})"
        if not done and _update.fingerprint(there) != plan["template"]:
            raise Failure(
                f"{place} was changed by somebody else since this run began: its pod template is another one; see what "
                f"changed with kubectl rollout history deployment/{place.name}, and run again."
            )
        if plan["phase"] != "done" and not task.check_mode:
            run.journal.note("starting")
            run.journal.note("serving", version=None)
        after = _change(api, place, found, patch, task, run)
    result = _place.difference(found.deployment, after)
    if result["changed"]:
        run.journal.note("changed", message=f"{place} {said}")
    return {**result, "message": f"{place} {said if result['changed'] else 'is as it is asked for'}."}


def _paused(options: Options, task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Go on to the point to pause at, and verify that each version gets its share of the traffic."""
    plan = options["plan"]
    result = _rollout.run(_of_rollout(options, run, state="paused", at=plan["pause_at"]), task)
    by = _how(options, run)["by"]
    if by == "nothing":
        seen = {"verdict": "unverified", "message": UNREADABLE}
    elif by == "versions" and not plan["uneven"]:
        with contextlib.closing(_api.api(options)) as api:
            seen = _seen(options, run, by, expecting=lambda: _shares(api, options), on_inconclusive="pass")
    else:
        # Where requests cannot tell the shares, as with session affinity, none may be lost all the same.
        seen = _seen(options, run, by, on_inconclusive="pass")
    run.verified("the share of each version", seen, final=plan["stays"])
    if plan["stays"]:
        with contextlib.closing(_api.api(options)) as api:
            run.journal.note("serving", version=" and ".join(_shares(api, options)))
        goes_on = (
            "A second run with the same version goes on."
            if plan["resume"] == "next_run"
            else f"kubectl rollout resume deployment/{options['name']} goes on."
        )
        _told(run, f"{result['message']} {goes_on}", result["pods"])
    said = f"{result['message']} observed: {seen['message']}"
    return {"changed": result["changed"], **({"diff": result["diff"]} if "diff" in result else {}), "message": said}


def _shares(api: _api.Api, options: Options) -> dict[str, float]:
    """The share of the ready pods that each version has at this moment."""
    found = _found(api, Place("Deployment", options["namespace"], options["name"]))
    ready = _update.versions(found, options["plan"]["container"])
    return {version: ready.count(version) / len(ready) for version in sorted(set(ready))}


def _complete(options: Options, task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Resume the Deployment where this collection paused it, and wait until its rollout is complete."""
    with contextlib.closing(_api.api(options)) as api:
        there = _place.found(api, Place("Deployment", options["namespace"], options["name"]))
    resumed: dict[str, t.Any] = {"changed": False}
    if _pause.is_ours(there):
        resumed = _rollout.run(_of_rollout(options, run, state="resumed"), task)
    done = _rollout.run(_of_rollout(options, run, state="complete"), task)
    return {**{key: resumed[key] for key in ("changed", "diff") if key in resumed}, "message": done["message"]}


def _of_rollout(options: Options, run: _run.Run, **given: t.Any) -> dict[str, t.Any]:
    """The options of module rollout for the same Deployment."""
    return _called.options(
        _rollout.ARGUMENTS,
        options,
        run=run.handle or None,
        namespace=options["namespace"],
        name=options["name"],
        timeout=options["timeout"],
        **given,
    )


def _verified(options: Options, _task: Task, run: _run.Run) -> dict[str, t.Any]:
    """Verify that each pod has the image, and that every request gets the version."""
    plan, place = options["plan"], Place("Deployment", options["namespace"], options["name"])
    run.journal.note("serving", version=None)  # until it is verified
    with contextlib.closing(_api.api(options)) as api:
        found = _found(api, place)
    pods = _workloads.pods_of(found.deployment, found.revisions, found.pods)
    others = _update.changed_by_others(found.deployment, plan)
    if others:
        raise Failure(f"Somebody else changed {place} while it was rolled out: {others}. See who did that, run again.")
    _see_images(found, plan, place)
    run.verified("pods", {"verdict": "pass", "message": f"{len(pods)} pods have {plan['image']}"}, final=False)
    seen = _traffic(options, run, found)
    run.verified("traffic", seen, final=True)
    run.check()
    run.journal.note("serving", version=plan["target"])
    headline = f"{place.name} {plan['target']} runs in all {len(pods)} pods."
    if plan["kind"] == "rollback":
        number = _workloads.revision(found.deployment, found.revisions)
        headline = f"Deployment {place.name} is back at revision {plan['revision']}" + (
            f", which is now revision {number}" if number != plan["revision"] else ""
        )
        headline += f": {place.name} {plan['target']} runs in all {len(pods)} pods."
    if not pods:
        headline = f"{place} has 0 replicas, so nothing runs; its version is {plan['target']}."
    _told(run, headline, pods)
    return {"changed": False, "message": f"{headline} {seen['message']}"}


def _told(run: _run.Run, message: str, pods: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """Note what a person is told in the end, with the pods."""
    run.journal.note("told", message=message, lines=table(pods, COLUMNS))


def _see_images(found: _update.Found, plan: t.Mapping[str, t.Any], place: Place) -> None:
    """Raise Failure for pods of the Deployment that have another image than it asks for."""
    own = {revision.uid for revision in found.revisions}
    strange = {
        pod["metadata"]["name"]: _update.image_in(pod, plan["container"])
        for pod in found.pods
        if _workloads.owner(pod) in own
        and "deletionTimestamp" not in pod["metadata"]
        and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and _update.image_in(pod, plan["container"]) != plan["image"]
    }
    if strange:
        raise Failure(
            f"Not all pods of {place} have {plan['image']} in container {plan['container']}: "
            f"{', '.join(f'{name} has {image}' for name, image in sorted(strange.items()))}; see who changed them."
        )


UNREADABLE = "no Service answers with a version, so only the pods' images were looked at"


def _traffic(options: Options, run: _run.Run, found: _update.Found) -> dict[str, t.Any]:
    """What every request gets, which has to be the version. Raises Failure."""
    plan = options["plan"]
    if not found.deployment["spec"].get("replicas", 1):
        return {"verdict": "unverified", "message": f"Deployment {found.name} has 0 replicas, so nothing answers"}
    how = _how(options, run)
    if how["by"] == "nothing":
        return {"verdict": "unverified", "message": UNREADABLE}
    seen = _seen(options, run, how["by"], expected={plan["target"]: 1} if how["by"] == "versions" else {})
    if how["by"] == "requests":
        named = [version for version in seen["counts"] if version != UNNAMED]
        names = f"name {', '.join(named)}, which is no version of the pods" if named else "name no version"
        seen["message"] = (
            f"{sum(seen['counts'].values())} of {seen['samples']} requests were answered, "
            f"{sum(seen['errors'].values())} lost; the answers {names}, so the pods' images say which one runs"
        )
    return seen


def _how(options: Options, run: _run.Run) -> dict[str, t.Any]:
    """How what users get can be judged: as it was seen before the change, else as it is seen now. Raises Failure."""
    plan, entry = options["plan"], _entry(options)
    before = run.handle.get("baseline")
    if before and before["by"] != "nothing":
        return t.cast("dict[str, t.Any]", before)
    service = next(iter(plan["services"]), "")
    if not (service or entry.get("service") or entry.get("url")):
        return {"by": "nothing"}
    given = names_a_place(entry)
    if before and not given and not may_come_back(before["errors"]):
        return {"by": "nothing"}
    running = [plan["target"], *([plan["way_back"]["version"]] if plan["way_back"] else [])]
    # What was down before the change may come back with it.
    patience = {"settle": min(options["settle"], COME_BACK), "settles": "verdict"} if before else {}
    try:
        seen = _baseline.looked(options, service, running, **patience)
    except Failure:
        if given:
            raise
        return {"by": "nothing"}
    if seen["by"] == "nothing" and given:
        run.verified("traffic", {**seen["seen"], "verdict": "fail"}, final=True)
        raise Failure(f"The entry {seen['url']} does not answer: {seen['message']}.")
    return seen


def _entry(options: Options) -> dict[str, t.Any]:
    return {key: value for key, value in (options["entry"] or {}).items() if value is not None}


def _seen(
    options: Options,
    run: _run.Run,
    by: str,
    expecting: t.Callable[[], dict[str, float]] | None = None,
    **given: t.Any,
) -> dict[str, t.Any]:
    """What many requests get, while the cluster may settle. Raises Failure, which the run's journal has."""
    service = next(iter(options["plan"]["services"]), "")
    asked = _baseline.asked(
        options, service, settle=options["settle"], unversioned=by == "requests", **{"expected": {}, **given}
    )
    try:
        return _version_distribution.looked(asked, expecting)
    except Failure as failure:
        if "verdict" in failure.facts:
            run.verified("traffic", failure.facts, final=True)
        raise


# -- the way back ------------------------------------------------------------------------------------------------------


def _back(options: Options, task: Task) -> dict[str, t.Any]:
    """Take back what failed, as far as the run got; what becomes of it is the outcome's to say."""
    try:
        handle = _run.handle_of(options["run"])
    except Failure:
        return {"changed": False, "message": "The run had not begun, so there is nothing to take back."}
    run = _run.Run(handle, lambda: _api.api(options))
    if not any(event["kind"] == "failed" for event in run.journal.events()):
        run.failed(Failure(_called.reason(options["failure"])))
    with contextlib.closing(run):
        events = run.journal.events()
        if any(event.get("taken_over") for event in events):
            return {"changed": False, "message": "Another run has the lock, so nothing is taken back."}
        if task.check_mode or not any(event["kind"] == "starting" for event in events):
            return {"changed": False, "message": "Nothing was changed, so there is nothing to take back."}
        return _taken_back(options, task, run)


def _taken_back(options: Options, task: Task, run: _run.Run) -> dict[str, t.Any]:
    plan, name = options["plan"], options["name"]
    failed, back = f"{name} {plan['target']} failed verification", plan["way_back"]

    def over(message: str, *, complete: bool, serving: str | None, changed: bool = True) -> dict[str, t.Any]:
        run.journal.note("taken_back", message=message, complete=complete)
        run.journal.note("serving", version=serving)
        return {"changed": changed, "message": message}

    try:
        if not _is_ours(options):
            message = f"{failed}, and was not rolled back, as somebody else has changed Deployment {name} since"
            return over(message, complete=False, serving=None, changed=False)
        if not back:
            message = f"{failed}, and there is no earlier revision that it could be rolled back to"
            return over(message, complete=False, serving=None, changed=False)
        undo = {"state": "undone", "to_revision": back["revision"], "failed": True}
        undone = _rollout.run(_of_rollout(options, run, **undo), task)
    except Failure as failure:
        message = f"{failed}, and could not be rolled back to {back['version']}: {failure.message}"
        return over(message, complete=False, serving=None, changed=False)
    said = f"{failed} and was rolled back to {back['version']}"
    try:
        _rollout.run(_of_rollout(options, run, state="complete"), task)
    except Failure as failure:
        message = f"{said}, which does not become complete either: {failure.message.splitlines()[0]}"
        return {**over(message, complete=False, serving=None), "changed": undone["changed"]}
    return {**over(**_answers_again(options, run, said)), "changed": undone["changed"]}


def _is_ours(options: Options) -> bool:
    """Whether the Deployment still has what this run gave it: somebody else's change is not this run's to undo."""
    plan = options["plan"]
    with contextlib.closing(_api.api(options)) as api:
        found = _found(api, Place("Deployment", options["namespace"], options["name"]))
    if plan["kind"] == "rollback":
        current = _workloads.current(found.revisions)
        asked = [item for item in found.revisions if item.numbered(plan["revision"])]
        return current in asked
    return not _update.template_patch(found.deployment, _update.Wish(**plan["wish"]))


def _answers_again(options: Options, run: _run.Run, said: str) -> dict[str, t.Any]:
    """Whether the version that it was rolled back to answers every request again: the words, and who serves."""
    version = options["plan"]["way_back"]["version"]
    runs = f"{said}, which runs in every pod again"
    before = run.handle.get("baseline") or {"by": "nothing"}
    if before["by"] == "nothing":
        return {"message": runs, "complete": True, "serving": version}
    expected = {version: 1} if before["by"] == "versions" else {}
    try:
        seen = _version_distribution.looked(
            _baseline.asked(
                {**options, "entry": {**_entry(options), "max_p99": None}},
                next(iter(options["plan"]["services"]), ""),
                settle=options["settle"],
                settles="verdict",
                unversioned=before["by"] == "requests",
                expected=expected,
                fail_on="never",
            )
        )
    except Failure as failure:
        message = f"{runs}, but what users get could not be asked: {failure.message}"
        return {"message": message, "complete": False, "serving": version}
    complete = seen["verdict"] == "pass"
    return {
        "message": f"{runs} ({seen['message']})" if complete else f"{runs}, but {seen['message']}",
        "complete": complete,
        "serving": version,
    }
