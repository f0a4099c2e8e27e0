# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin rolling_update do."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import asdict

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _baseline,
    _called,
    _endings,
    _rollout,
    _updating,
    _version_distribution,
)
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._run._lock import LockLostError
from ansible_collections.convoy.rollout.plugins.module_utils._run._table import table
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _pause, _update
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import MIN_SUCCESS
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._versions import UNNAMED
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _given,
    _history,
    _images,
    _place,
    _reachable,
    _workloads,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._given import ChangedError
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

VERIFICATIONS = 2  #: how often the run may be taken back for what users get: at its pause and at its end

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    **_run.OPTION,
    "state": {"type": "str", "choices": ["started", "paused", "complete", "verified", "back"], "default": "started"},
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    **{name: {"type": "str"} for name in _update.TEXTS},
    "version_of": _images.RULE_OPTION,
    "service": {"type": "str"},
    "entry": _version_distribution.ARGUMENTS["entry"],
    "settle": {"type": "int", "default": 30},
    "min_success": {"type": "float", "default": MIN_SUCCESS},
    "timeout": {"type": "int", "default": 600},
    "failure": {"type": "raw", "default": ""},
}

COLUMNS = ("name", "revision", "images", "ready", "node")

Facts = t.Dict[str, t.Any]


class Step:
    """One task's work on the Deployment that a run has planned with."""

    def __init__(self, options: t.Mapping[str, t.Any], task: Task, run: _run.Run, plan: t.Mapping[str, t.Any]) -> None:
        self.options, self.task, self.run, self.plan = options, task, run, plan
        self.place = Place("Deployment", options["namespace"], plan["deployment"])
        self.carrier = _update.carrier_of(plan)
        self.entry = _called.given(options["entry"])
        self.proof = _baseline.Proof(
            options, task, run, container=self.carrier.container, version_of=asdict(self.carrier.rule)
        )

    def api(self) -> contextlib.closing[_api.Api]:
        """A connection to the API server, for as long as it is used."""
        return contextlib.closing(_api.api(self.options, self.task.environ))

    def found(self) -> _update.Found:
        """What there is now. Raises Failure."""
        with self.api() as api:
            return _updating.found(api, self.place)

    def rollout(self, **given: t.Any) -> Facts:
        """What module rollout does. Raises Failure."""
        options = _called.options(
            _rollout.ARGUMENTS,
            self.options,
            namespace=self.place.namespace,
            name=self.place.name,
            timeout=self.options["timeout"],
            **given,
        )
        return _rollout.brought(options, self.task, self.run)

    # -- the states ----------------------------------------------------------------------------------------------------

    def started(self) -> Facts:
        """Give the Deployment the new version, or the earlier revision, in one patch."""
        plan, place = self.plan, self.place
        with self.api() as api:
            there = _updating.found(api, place)
            template = there.deployment["spec"]["template"]
            if plan["kind"] == "rollback":
                patch = _updating.undoing(there, plan["revision"])
                done = not patch(there.deployment)
                said = f"{place} is rolled back to revision {plan['revision']}"
            else:
                wish = _update.wish_in(plan)
                patch = _updating.updating(wish, template)
                done = not _update.template_patch(there.deployment, wish)
                said = f"{place} is updated to version {wish.version} ({plan['image']})"
            if not done and _update.fingerprint(template) != plan["template"]:
                raise _updating.changed_meanwhile(place.name)
            if plan["phase"] != "done" and not self.task.check_mode:
                self.run.journal.note("starting")
                self.run.journal.note("serving", version=None)  # until it is verified
            known, back = there.revisions, self.way_back

            def keeping(deployment: _api.Object) -> list[_api.Object]:
                return _update.kept(patch(deployment), deployment, known, back.get("replica_set", ""))

            after = _place.changed(
                api,
                place,
                there.deployment,
                keeping,
                dry_run=self.task.check_mode,
                before_write=self.run.check_given,
            )
        if not self.task.check_mode:
            paused = None if plan.get("pause_at") else bool(after["spec"].get("paused"))
            self.run.gave(place, {**_given.images(after), _given.PAUSED: paused})
        result = _place.difference(there.deployment, after)
        if result["changed"]:
            self.run.journal.note("changed", message=said)
        return {**result, "message": f"{said if result['changed'] else f'{place} is already as requested'}."}

    def paused(self) -> Facts:
        """Go on to the point to pause at, and verify that each version gets its share of the traffic."""
        plan, name = self.plan, self.place.name
        if plan["phase"] == "going" and not plan["stays"] and _update.is_past_pauses(self.found().deployment):
            return {"changed": False, "message": f"{self.place} is past {plan['pause_at']}: its rollout is complete."}
        result = self.rollout(state="paused", at=plan["pause_at"])
        if not self.task.check_mode:
            self.run.gave(self.place, {_given.PAUSED: True})
        by = self.proof.by()
        if by == "pods":
            seen = self.counted(self.found())
        elif by == "endpoints" or (by == "versions" and not plan["uneven"]):
            # Pods become ready and are lost meanwhile, so what is expected is read again for each look.
            seen = self.seen(lambda _last: self.carrier.shares(self.found()), on_inconclusive="pass")
        else:
            # Where requests cannot tell the shares, as with session affinity, none may be lost all the same.
            seen = self.seen(on_inconclusive="pass")
        self.run.verified("the share of each version", seen, final=plan["stays"])
        if plan["stays"]:
            self.run.journal.note("serving", version=" and ".join(self.carrier.shares(self.found())))
            goes_on = (
                "Run the playbook again with the same version to go on."
                if plan["resume"] == "next_run"
                else f"To go on: kubectl rollout resume deployment/{name}."
            )
            self.told(f"{result['message']} {goes_on}", result["pods"])
        message = f"{result['message']} observed: {seen['message']}"
        if not plan["stays"]:  # else it is what the run ends with
            self.task.tell(f"{name}: {message}")
        return {**_change_of(result), "message": message}

    def complete(self) -> Facts:
        """Resume the Deployment where this collection paused it, and wait until its rollout is complete."""
        with self.api() as api:
            paused = _pause.is_ours(_place.found(api, self.place))
        if not self.task.check_mode:
            self.run.gave(self.place, {_given.PAUSED: None})
        resumed = self.rollout(state="resumed") if paused else {"changed": False}
        if not self.task.check_mode:
            self.run.gave(self.place, {_given.PAUSED: False})
        return {**_change_of(resumed), "message": self.rollout(state="complete")["message"]}

    def verified(self) -> Facts:
        """Verify that each pod has the image, and that every request gets the version."""
        plan, place = self.plan, self.place
        self.run.journal.note("serving", version=None)  # until it is verified
        there = self.found()
        self.see_ours(there)
        self.see_images(there)
        pods = _workloads.pods_of(
            there.deployment, there.revisions, there.pods, self.carrier.container, self.carrier.rule
        )
        images = {"verdict": "pass", "by": "pods", "message": f"each of the {len(pods)} pods has {plan['image']}"}
        self.run.verified("pods", images, final=False)
        seen = self.traffic(there)
        self.run.verified("traffic", seen, final=True)
        self.run.stand()
        if plan["phase"] != "done" or _history.is_noted(there.deployment):
            self.settle(verified=seen["verdict"] == "pass")
        self.run.journal.note("serving", version=plan["target"])
        headline = f"{plan['named']} {plan['target']} runs in all {len(pods)} pods."
        if not pods:
            headline = f"{place} has 0 replicas, so nothing runs; its version is {plan['target']}."
        if plan["kind"] == "rollback":
            now = _workloads.revision(there.deployment, there.revisions)
            new = f", which is revision {now} now" if now != plan["revision"] else ""
            there_by_now = "already has" if plan["phase"] == "done" else "is back at"
            headline = f"{place} {there_by_now} revision {plan['revision']}{new}: {headline}"
        self.told(headline, pods)
        return {"changed": False, "message": f"{headline} observed: {seen['message']}"}

    def see_ours(self, there: _update.Found, besides: str = "") -> None:
        """Raise ChangedError where the Deployment no longer has what this run gave it; `besides` is what failed."""
        others = _update.changed_by_others(there.deployment, self.plan)
        if not others and not self.is_ours(there):
            others = f"its pod template is no longer that of revision {self.plan['revision']}"
        if others:
            raise ChangedError(
                f"Somebody else changed {self.place} while it was rolled out: {others}. Find out who did that, and run "
                f"the playbook again. {besides}".strip()
            )

    def see_images(self, there: _update.Found) -> None:
        """Raise Failure for pods of the Deployment that have another image than it asks for."""
        images = {pod["metadata"]["name"]: self.carrier.image(pod) for pod in there.own_pods}
        strange = [f"{name} has {image}" for name, image in sorted(images.items()) if image != self.plan["image"]]
        if strange:
            raise Failure(
                f"Not all pods of {self.place} have the image {self.plan['image']} in container "
                f"{self.carrier.container}: {', '.join(strange)}; find out who changed them, and run the playbook "
                "again."
            )

    def told(self, message: str, pods: t.Sequence[Facts]) -> None:
        """Note what a person is told in the end, with the pods."""
        self.run.journal.note("told", message=message, lines=table(pods, COLUMNS) if pods else [])

    # -- what users get ------------------------------------------------------------------------------------------------

    def counted(self, there: _update.Found) -> Facts:
        """The versions of the ready pods by their images, where the user has chosen that in the place of requests."""
        ready = self.carrier.ready(there)
        counts = {version: ready.count(version) for version in sorted(set(ready))}
        listed = ", ".join(f"{version} {count}" for version, count in counts.items())
        message = f"{listed} of {len(ready)} ready pods by their images; no requests were made"
        return {"verdict": "pass", "by": "pods", "counts": counts, "message": message}

    def traffic(self, there: _update.Found) -> Facts:
        """What every request gets, which has to be the version. Raises Failure."""
        if not there.deployment["spec"].get("replicas", 1):
            return {"verdict": "unverified", "by": "nothing", "message": _update.nothing_runs(there.name)}
        by = self.proof.by()
        if by == "pods":
            return self.counted(there)
        seen = self.seen(expected={self.plan["target"]: 1})
        if by == "requests":
            named = [version for version in seen["counts"] if version != UNNAMED]
            names = "name no version"
            if named:
                others = " or ".join(self.plan["answering"]) or "another container"
                names = f"name {', '.join(named)}, which may be the version of {others}"
            answered, lost = sum(seen["counts"].values()), sum(seen["errors"].values())
            seen["message"] = (
                f"{answered} of {seen['samples']} requests were answered, {lost} lost; the answers {names}, so the "
                "pods' images say which one runs"
            )
        return seen

    def seen(self, expecting: _version_distribution.Expecting | None = None, **given: t.Any) -> Facts:
        """What many requests get, while the cluster may settle. Raises Failure, which the run's journal has."""
        try:
            endings = self.endings()
            return self.proof.looked(
                expecting,
                endings,
                stands=True,
                settle=self.options["settle"],
                min_success=self.options["min_success"],
                family_size=VERIFICATIONS * self.run.handle.get("family", 1),
                **given,
            )
        except Failure as failure:
            if "verdict" in failure.facts:
                self.run.verified("traffic", failure.facts, final=True)
            raise

    def endings(self) -> _endings.Endings:
        """What looks out for the Deployment's pods that end."""

        def read() -> dict[str, _reachable.Standing]:
            return _reachable.standing(self.found().pods, self.carrier.container, self.carrier.rule)

        return _endings.Endings(self.run, read, self.plan["target"], changed=self.plan["phase"] != "done")

    # -- the way back --------------------------------------------------------------------------------------------------

    def back(self) -> Facts:
        """Roll back to what served last, and verify that; what becomes of it is the outcome's to say."""
        name, back = self.place.name, self.way_back
        self.run.let_go()
        others = any(event.get("by_others") for event in self.run.journal.events())
        failed = f"{self.plan['named']} {self.plan['target']} {'was not verified' if others else 'failed verification'}"
        try:
            there = self.found()
            if not self.is_ours(there):
                message = f"{failed}, and was not rolled back, as somebody else has changed Deployment {name} since"
                return self.over({"changed": False}, message)
            if not back:
                message = (
                    f"{failed}, and there is no earlier revision that it could be rolled back to, so users still get it"
                )
                return self.over({"changed": False}, message)
            gone = self.missing(there)
            if gone:
                message = (
                    f"{failed}, and was not rolled back to {back['version']}, whose revision {back['revision']} can "
                    f"no longer run, as {' and '.join(gone)} {'is' if len(gone) == 1 else 'are'} gone; create it "
                    f"again, and go back with rollback.yml -e revision={back['revision']}"
                )
                return self.over({"changed": False}, message)
            undone = self.rollout(state="undone", to_revision=back["revision"], failed=True)
        except Failure as failure:
            failure = self.run.failed(failure)
            message = f"{failed}, and could not be rolled back, so users may still get it: {failure.message}"
            return self.over({"changed": False}, message)
        said = f"{failed} and was rolled back to {back['version']}"
        try:
            self.settle(verified=False)
            self.rollout(state="complete")
        except Failure as failure:
            why = self.run.failed(failure).message.splitlines()[0]
            return self.over(undone, f"{said}, which does not complete its rollout either: {why}")
        return self.answers_again(undone, f"{said}, which runs in every pod again")

    @property
    def way_back(self) -> Facts:
        """The revision that served last, empty where there is none.

        It is not what runs now where all of its requests failed before the change, and what served before it is known.
        """
        asked = self.run.handle.get("baseline") or {}
        silent = bool(asked.get("errors")) and not asked.get("answered")
        earlier = self.plan["served_before"] if silent else {}
        return t.cast(Facts, earlier or self.plan["way_back"])

    def missing(self, there: _update.Found) -> list[str]:
        """What the revision to go back to needs and is gone. Raises ApiError."""
        back = next((item for item in there.revisions if item.uid == self.way_back["replica_set"]), None)
        if back is None or back.current:
            return []
        with self.api() as api:
            return _updating.missing(api, self.place.namespace, back.template)

    def settle(self, *, verified: bool) -> None:
        """Have as much history kept as the Deployment's owner wants, now that the outcome is known.

        The Deployment runs what it is to run: where that cannot be noted, the next run does it. Raises LockLostError.
        """
        try:
            there = self.found()
            known = there.revisions
            with self.api() as api:
                _place.changed(
                    api,
                    self.place,
                    there.deployment,
                    lambda deployment: _history.settled(deployment, known, verified=verified),
                    dry_run=self.task.check_mode,
                    before_write=self.run.check,
                )
        except LockLostError:
            raise
        except Failure as failure:
            self.task.tell(f"{self.place.name}: what served could not be noted: {failure.message}")

    def over(self, undone: Facts, message: str, *, complete: bool = False, serving: str | None = None) -> Facts:
        """Note what became of the way back."""
        self.run.journal.note("taken_back", message=message, complete=complete)
        self.run.journal.note("serving", version=serving)
        return {**_change_of(undone), "message": message}

    def is_ours(self, there: _update.Found) -> bool:
        """Whether the Deployment still has what this run gave it: what others gave it is not this run's to undo."""
        if self.plan["kind"] == "rollback":
            asked = [item for item in there.revisions if item.numbered(self.plan["revision"])]
            return _workloads.current(there.revisions) in asked
        return not _update.template_patch(there.deployment, _update.wish_in(self.plan))

    def answers_again(self, undone: Facts, runs: str) -> Facts:
        """Whether the version that it was rolled back to answers every request again."""
        version: str = self.way_back["version"]
        before = self.run.handle.get("baseline") or {"by": "nothing"}
        if before["by"] in ("nothing", "pods"):
            return self.over(undone, runs, complete=True, serving=version)
        try:
            if before["by"] == "later":
                return self.answers_at_all(undone, runs)
            # It is not to be faster than it was.
            entry = {**self.entry, "max_p99": None}
            expected = {self.proof.as_before(version): 1}
            seen = self.seen(settles="verdict", expected=expected, fail_on="never", entry=entry)
        except Failure as failure:
            return self.over(undone, f"{runs}, but what users get could not be verified: {failure.message}")
        if seen["verdict"] != "pass":
            return self.over(undone, f"{runs}, but {seen['message']}")
        return self.over(undone, f"{runs} ({seen['message']})", complete=True, serving=version)

    def answers_at_all(self, undone: Facts, runs: str) -> Facts:
        """Whether what nobody could ask before the change, and had failed, is answered now. Raises Failure."""
        settle = {"settle": self.options["settle"], "settles": "verdict"}
        looks = _baseline.asked(self.options, self.run.handle.get("service") or "", **settle)
        seen = _baseline.seen(looks, self.task.environ, serves=True)
        if seen["answered"] and not seen["errors"]:
            return self.over(undone, f"{runs} ({seen['message']})", complete=True, serving=self.way_back["version"])
        return self.over(undone, f"{runs}, but users get no good answer ({seen['message']})")


def _change_of(result: t.Mapping[str, t.Any]) -> Facts:
    """What a task returns of a change that another operation made."""
    return {key: result[key] for key in ("changed", "diff") if key in result}


def run(options: t.Mapping[str, t.Any], task: Task) -> Facts:
    """Change a Deployment's version and verify that, or take it back. Raises Failure."""
    plan = (options["run"] or {}).get("plan")
    if options["state"] == "back":
        return _back(options, task, plan)
    if plan is None and not (options["state"] == "started" and options["version"]):
        raise Failure(
            "Set run to what the task with convoy.rollout.run registered, or with state=started set the version to go "
            "to."
        )

    def work(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> Facts:
        if plan is None:
            return _started_alone(options, task, run)
        step = Step(options, task, run, plan)
        if options["state"] == "started":
            return step.started()
        try:
            return {"paused": step.paused, "complete": step.complete, "verified": step.verified}[options["state"]]()
        except (ChangedError, LockLostError):
            raise
        except Failure as failure:
            try:
                there = step.found()
            except Failure:
                raise failure from None
            step.see_ours(there, failure.message)  # what failed may not be what this run rolled out
            raise

    return _run.in_run(work, options, task)


def _started_alone(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> Facts:
    """Start the rollout of a version without a plan, and say where it comes from. Raises Failure."""
    place = Place("Deployment", options["namespace"], options["name"])
    texts = {name: options[name] or "" for name in _update.TEXTS}
    wish = _update.Wish(options["version"], **texts, rule=_images.rule(options["version_of"]))
    _update.check(wish)
    with contextlib.closing(_api.api(options, task.environ)) as api:
        there = _updating.found(api, place)
        deployment = there.deployment
        _update.check_deployment(deployment, wish)
        _updating.see_service(there.services, place.namespace, options["service"] or "")
        _update.services(deployment, wish, there.services)
        patch = _updating.updating(wish, deployment["spec"]["template"])
        after = _place.changed(api, place, deployment, patch, dry_run=task.check_mode, before_write=run.check)
    plan = _update.begin(there, wish, "never", _update.container(after, wish)["image"])
    done, back = plan.facts["phase"] == "done", plan.facts["way_back"]
    return {
        **_place.difference(deployment, after),
        **{key: plan.facts[key] for key in ("phase", "image", "paused_at", "services", "uneven")},
        "before": plan.target if done else back.get("version", ""),
        "after": plan.target,
        "way_back": back.get("revision", 0),
        "message": f"{place} {'has' if done else 'is updated to'} version {wish.version} ({plan.facts['image']}).",
    }


def _back(options: t.Mapping[str, t.Any], task: Task, plan: t.Mapping[str, t.Any] | None) -> Facts:
    """Take back what failed, as far as the run got."""
    try:
        handle = _run.handle_of(options["run"])
    except Failure:
        handle = None
    if handle is None or plan is None:
        return {"changed": False, "message": "The run had not begun, so there is nothing to roll back."}
    run = _run.Run(handle, lambda: _api.api(options, task.environ))
    with contextlib.closing(run):
        run.failed_elsewhere(_called.reason(options["failure"]))
        if run.taken_over:
            return {"changed": False, "message": "Another run holds the lock, so nothing is rolled back."}
        if task.check_mode or not any(event["kind"] == "starting" for event in run.journal.events()):
            return {"changed": False, "message": "Nothing was changed, so there is nothing to roll back."}
        return Step(options, task, run, plan).back()
