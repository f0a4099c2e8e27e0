# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ending a canary: promoted, removed, or undone with all that its run changed."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _called,
    _canary_route,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._canary_work import Patch, Work
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline as _proof
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._run._lock import LockLostError
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import (
    _canary_manifests,
    _canary_standing,
    _canary_steps,
    _drain,
    _pause,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_manifests import Change
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import (
    Asked,
    Object,
    Seen,
    version_of,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _history, _place, _workloads
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import bare


def stable(work: Work) -> dict[str, t.Any]:
    """See that every request gets the stable version, while there is no canary. Raises Failure."""
    version = work.versions[0]
    settle, settles = 0, "shares"
    if work.plan["leftovers"] and not work.plan["advances"]:
        _canary_route.leave(work)  # a run that was cut off had deleted the canary
        _canary_route.remove(work)
        settle, settles = work.request["settle"], "verdict"  # until the gateways follow, its share may be lost
    if not work.task.check_mode:
        final = not work.plan["advances"]
        work.proof.verified("stable", final=final, settle=settle, settles=settles, expected={version: 1})
        seen = work.seen()
        if _history.is_unverified(seen.stable, _workloads.revisions(seen.stable, seen.replica_sets)):
            _settle(work, verified=True)  # which a run that was cut off in the end of a promotion had yet to do
    return work.result(f"{work.stable} {version} answers every request.")


def promoted(work: Work) -> dict[str, t.Any]:
    """Give stable the template that was verified, and see that every request gets its version. Raises Failure."""
    seen = work.seen()
    version = work.versions[1]
    new = seen.canary or (work.options["definition"] if work.task.check_mode else None)
    if not new:
        raise Failure(f"Deployment {work.canary} was deleted by somebody else during this run; run the playbook again.")
    running = version_of(new, work.asked)
    if running != version:
        raise Failure(
            f"Deployment {work.canary} was changed by somebody else during this run, from {version} to {running}, so "
            "it is not promoted; find out who did that, and run the playbook again."
        )
    now = version_of(seen.stable, work.asked)
    whole = _canary_steps.without_canary(seen, work.asked, "promoting" if now == version else "canary")
    change = _canary_manifests.promotion(seen, new, whole, version, now)
    said = f"Deployment {work.stable} is given {version}, which was verified with its canary"
    if not work.task.check_mode:
        work.run.journal.note("serving", version=None)  # until it is verified
    patch = _keeping(_only(change, seen.stable), seen)
    undrained = bool(_drain.ending(seen.stable, [seen.service]).lacks)
    work.changed(seen.stable, _spaced(patch) if undrained else patch, said)
    if work.task.check_mode:
        return work.result(f"Check mode: {work.stable} would be given {version}.")
    work.complete(work.stable)
    settle = work.request["settle"]
    endings = work.endings(version)
    work.proof.verified("promotion", final=False, endings=endings, settle=settle, expected={version: 1})
    _release(work)
    return work.result(f"{work.stable} {version} is promoted.")


def _only(change: Change, known: Object) -> Patch:
    """The patch of a change, for a Deployment whose template is the known one or has it already."""
    template = bare(known["spec"]["template"])

    def patch(deployment: Object) -> list[Object]:
        if bare(deployment["spec"]["template"]) not in (template, change.template or template):
            name = deployment["metadata"]["name"]
            raise Failure(
                f"Deployment {name} was changed by somebody else during this run; find out who did that, and run the "
                "playbook again."
            )
        return change.patch(deployment)

    return patch


def _keeping(patch: Patch, seen: Seen) -> Patch:
    """A patch that gives stable another template, with what keeps the one that served until the outcome is known."""
    known = _workloads.revisions(seen.stable, seen.replica_sets)
    last = _workloads.current(known)

    def keeping(deployment: Object) -> list[Object]:
        steps = patch(deployment)
        if not any(step["path"].startswith("/spec/template") for step in steps):
            return steps
        return _workloads.joined(steps, _history.keeping(deployment, known, last))

    return keeping


def _spaced(patch: Patch) -> Patch:
    """A patch that gives stable another template, with what has each of its pods end in a quiet moment."""

    def spaced(deployment: Object) -> list[Object]:
        steps = patch(deployment)
        if not any(step["path"].startswith("/spec/template") for step in steps):
            return steps
        return _workloads.joined(steps, _pause.spaced(deployment))

    return spaced


def _release(work: Work) -> None:
    """Give stable the settings back that a promotion has changed, where one has. Raises Failure."""
    stable = work.seen().stable
    if _pause.released(stable):
        work.changed(stable, _pause.released, f"Deployment {work.stable} has its own strategy again")


def _settle(work: Work, *, verified: bool) -> None:
    """Have as much of stable's history kept as its owner wants, now that the outcome is known. Raises Failure."""
    seen = work.seen()
    if not _history.is_noted(seen.stable):
        return
    known = _workloads.revisions(seen.stable, seen.replica_sets)
    _place.changed(
        work.api,
        work.place(work.stable),
        seen.stable,
        lambda deployment: _history.settled(deployment, known, verified=verified),
        dry_run=work.task.check_mode,
        before_write=work.run.check,
    )


def _without_canary(work: Work) -> None:
    """Wait for the traffic to follow the router, whose canary has the weight 0, before its pods end."""
    version = version_of(work.seen().stable, work.asked)
    settle = work.request["settle"]
    work.proof.looked(settle=settle, settles="verdict", fail_on="never", expected={version: 1})
    work.proof.follow(settle)


def restored(work: Work) -> dict[str, t.Any]:
    """Restore stable's replicas, and where it was promoted its version. Raises Failure."""
    if work.plan["router"]:
        _leave(work)
    _restore(work, work.seen())
    return work.result(f"{work.stable} has its replicas and its version again.")


def _restore(work: Work, seen: Seen) -> None:
    now = version_of(seen.stable, work.asked)
    promoted = now in (work.versions[1], version_of(seen.canary, work.asked) if seen.canary else "")
    whole = _canary_steps.without_canary(seen, Asked(abort=True), "canary")
    change = _canary_manifests.restoration(seen, whole, promoted, work.asked)
    if not work.task.check_mode:
        work.run.journal.note("serving", version=None)  # until it is verified
    said = f"Deployment {work.stable} has its {'version' if promoted else 'replicas'} again"
    stable = work.changed(seen.stable, _only(change, seen.stable), said)
    # Whoever scales it up meanwhile is not waited for.
    if not work.task.check_mode and (promoted or not _canary_steps.is_whole(stable, seen.canary)):
        work.complete(work.stable)
    _release(work)


def gone(work: Work) -> dict[str, t.Any]:
    """Delete the canary, and see that stable answers every request. Raises Failure."""
    if work.plan["router"] and not work.plan["abort"]:  # by which it was left before stable was restored
        _leave(work)
    canary = work.there(work.place(work.canary))
    if canary is not None:
        work.delete(canary, f"Deployment {work.canary} is deleted")
    if work.plan["router"]:
        _canary_route.remove(work)
    if work.task.check_mode:
        return work.result(f"Check mode: Deployment {work.canary} would be deleted.")
    version = version_of(work.seen().stable, work.asked)
    settle, endings = work.request["settle"], work.endings(version)
    work.proof.verified("stable alone", final=True, expecting=_alone(work), endings=endings, settle=settle)
    _settle(work, verified=True)
    work.run.journal.note("serving", version=version)
    return work.result(f"{work.stable} {version} runs without a canary.")


def _leave(work: Work) -> None:
    """Have no user get the canary any more, while its pods are still there. Raises Failure."""
    # Where a run was cut off that had just taken it its weight, nobody has seen yet that users get none of it.
    if not _canary_route.leave(work) or work.task.check_mode:
        return
    seen = work.seen()
    version = version_of(seen.stable, work.asked)
    settle = work.request["settle"]
    # What is lost until the gateways follow may be lost by the canary that is aborted.
    settles = "verdict" if work.plan["abort"] else "shares"
    work.proof.verified("stable by its weight", final=False, settle=settle, settles=settles, expected={version: 1})
    if seen.canary is not None:
        work.proof.follow(settle, alike=version_of(seen.canary, work.asked) == version)


def _alone(work: Work) -> _version_distribution.Expecting:
    """What is expected once only stable's endpoints are left."""

    def expecting(last: bool) -> dict[str, float] | None:
        seen = work.seen()
        if not _canary_standing.endpoints(seen)["alone"]:
            if last:
                raise Failure(f"{_canary_standing.unsettled(seen)}; find out what keeps its pods from getting there.")
            return None
        return {version_of(seen.stable, work.asked): 1.0}

    return expecting


def back(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Undo what the run changed, as far as it got; the outcome says what came of it."""
    try:
        handle = _run.handle_of(options["run"])
    except Failure:
        return {"changed": False, "message": "The run had not begun, so there is nothing to roll back."}
    with contextlib.closing(_run.Run(handle, lambda: _api.api(options, task.environ))) as run:
        run.failed_elsewhere(_called.reason(options["failure"]))
        if run.taken_over:
            return {"changed": False, "message": "Another run holds the lock, so nothing is rolled back."}
        if task.check_mode or not any(event["kind"] == "advancing" for event in run.journal.events()):
            return {"changed": False, "message": "Nothing was begun, so there is nothing to roll back."}
        run.let_go()
        plan = options["run"]["plan"]
        old, version, name = plan["stable"]["version"], plan["canary"]["version"], plan["stable"]["deployment"]
        try:
            with contextlib.closing(_api.api(options, task.environ)) as api:
                return _taken_back(Work(api, options, task, run, plan))
        except Failure as failure:
            run.journal.note(
                "taken_back",
                message=f"{name} {version} could not be rolled back to {old}, so some users may still get {version}: "
                f"{failure.message.rstrip('.')}; remove what is left of its canary with -e abort=true",
                complete=False,
                taken_over=isinstance(failure, LockLostError),
            )
            run.journal.note("serving", version=None)
            return {"changed": False, "message": failure.message}


def _taken_back(work: Work) -> dict[str, t.Any]:
    seen, version = work.seen(), work.versions[1]
    changed = any(event["kind"] == "changed" for event in work.run.journal.events())
    if seen.canary is None and not changed:
        return work.result("Nothing was changed, so there is nothing to roll back.")
    if seen.router is not None:
        _canary_route.leave(work)
        _without_canary(work)
    _restore(work, seen)
    if seen.canary is not None:
        work.delete(work.there(work.place(work.canary)) or seen.canary, f"Deployment {work.canary} is deleted")
    if seen.router is not None:
        _canary_route.remove(work)
    _settle(work, verified=False)
    old = version_of(work.seen().stable, work.asked)
    settle, endings = work.request["settle"], work.endings(old)
    found = work.proof.looked(_alone(work), endings, settle=settle, settles="verdict", fail_on="never")
    complete = found["verdict"] in ("pass", "unverified")
    failed = any(event["kind"] == "verified" and event["verdict"] == "fail" for event in work.run.journal.events())
    why = "failed verification and was" if failed else "was"
    ends = _proof.serves_again(found["verdict"])
    work.run.journal.note(
        "taken_back",
        message=f"{work.stable} {version} {why} rolled back to {old}, which {ends}; its canary was removed "
        f"({found['message']})",
        complete=complete,
    )
    work.run.journal.note("serving", version=old if complete else None)
    return work.result(f"{work.stable} {old} runs without a canary.")
