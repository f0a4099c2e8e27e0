# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin rollout do."""

from __future__ import annotations

import contextlib
import time
import typing as t
from datetime import datetime, timezone

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._mirror import Mirror
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _endings
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _ending
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _pause, _scale
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _given,
    _history,
    _images,
    _place,
    _reachable,
    _rollout,
    _workloads,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._given import ChangedError
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    **_run.OPTION,
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(_workloads.PLURALS), "default": "Deployment"},
    "state": {
        "type": "str",
        "choices": ["complete", "paused", "resumed", "restarted", "undone"],
        "default": "complete",
    },
    "at": {"type": "str"},
    "to_revision": {"type": "int", "default": 0},
    "failed": {"type": "bool", "default": False},
    "replicas": {"type": "int"},
    "timeout": {"type": "int", "default": 600},
    "unschedulable_grace": {"type": "int", "default": 5},
    "container": {"type": "str"},
    "version_of": _images.RULE_OPTION,
}

LOG_LINES = 10
LOOK = 1.0  #: seconds between two looks at the run's lock, and at what it gave other objects, during a wait

#: What is returned of a workload that is not there, as in check mode before it is made.
NOTHING: dict[str, t.Any] = {
    "changed": False,
    "status": "missing",
    "uid": "",
    "revision": 0,
    "replicas": {},
    "history": [],
    "pods": [],
    "duration": 0.0,
}


class Seen(t.NamedTuple):
    """A workload, what remembers its revisions, and the pods that its selector picks."""

    workload: _api.Object
    remembered: t.Sequence[_api.Object]
    pods: t.Sequence[_api.Object]

    @property
    def revisions(self) -> list[_workloads.Revision]:
        """Its revisions, the oldest first."""
        return _workloads.revisions(*self)


WaitsFor = t.Callable[[Seen], "str | None"]  #: what is waited for, in words; None where nothing is


class Rollout:
    """One task's work on one workload."""

    def __init__(self, api: _api.Api, options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> None:
        self.api, self.task, self.run = api, task, run
        self.place = Place(options["kind"], options["namespace"], options["name"])
        self.replicas: int | None = options["replicas"]
        self.timeout: int = options["timeout"]
        self.grace: int = options["unschedulable_grace"]
        self.container: str = options["container"] or ""
        self.rule = _images.rule(options["version_of"])
        self.start = time.monotonic()
        self.ended = _ending.Ending()  #: the pods that were seen to end while it was waited for
        #: What the run gave this workload: it is compared with what is there at every change.
        self.given = [given for place, given in run.given() if place == self.place]

    def complete(self) -> dict[str, t.Any]:
        """Watch until the rollout is complete. In check mode, say how far it is."""
        try:
            seen = self.read()
        except Failure as failure:
            if not self.task.check_mode or isinstance(failure, _api.ApiError):
                raise
            return {**NOTHING, "message": f"Check mode: there is no {self.place} yet."}
        waits_for = self.awaited(seen)
        if waits_for is None:
            return self.result(seen)
        if self.task.check_mode:
            message = f"Check mode: not waiting for {self.place}, of which {waits_for}."
            return self.result(seen, message=message)
        # A pause keeps new versions back; pods of the one that runs come and go all the same.
        paused = self.replicas is not None and not _rollout.is_mixed(seen.workload)
        done = self.followed(seen, self.awaited, paused).workload
        # The lists are watched one by one: the pods' may be a moment behind.
        return self.result(Seen(done, *_place.around(self.api, self.place, done)))

    def paused(self, at: str | None) -> dict[str, t.Any]:
        """Pause a Deployment; with `at`, when that share of its wanted pods is new, and wait until all are ready."""
        self.check_pausable("paused")
        point = _pause.point(at) if at else None
        seen = before = self.read()
        place = self.place
        if point is None:
            seen = self.write(seen, _pause.paused)
            return self.result(seen, before, f"{place} is paused.")
        if _strategy(seen.workload) != "RollingUpdate":
            raise Failure(f"{place} cannot be paused at {at}: its strategy replaces all pods at once.")
        if self.progress(seen) is None:
            raise Failure(f"{place} cannot be paused at {at}: its rollout is complete, none is under way.")
        wanted, due = seen.workload["spec"].get("replicas", 1), point.due(seen.workload)
        if self.task.check_mode and _short(seen, point):
            message = f"Check mode: {place} would go on to {due} of {wanted} new pods and be paused there."
            return dict(self.result(seen, message=message), changed=True)
        try:
            if _short(seen, point):
                # New pods that count as available would let the controller run past the point.
                seen = self.write(seen, lambda workload: _pause.braked(workload, point))
                seen = self.followed(seen, _unbraked, paused=True)
            while _short(seen, point):
                seen = self.step(seen, point)
        except Failure:
            self.write(self.read(), lambda workload: _pause.paused(workload, point.said))
            raise
        seen = self.write(seen, lambda workload: _pause.paused(workload, point.said))
        if not self.task.check_mode:
            seen = self.followed(seen, _unsettled, paused=True)
        new = _rollout.new_copies(seen.workload, seen.remembered)
        return self.result(
            seen, before, f"{place} is paused with {new} of {wanted} new pods; a pause at {at} was requested."
        )

    def step(self, seen: Seen, point: _pause.Point) -> Seen:
        """Let a braked Deployment go on until it is at a point, or more of its new pods are ready."""
        ready = len(_ready(seen))

        def waits_for(now: Seen) -> str | None:
            return _short(now, point) if len(_ready(now)) <= ready else None

        return self.followed(self.write(seen, lambda workload: _pause.towards(workload, point, ready)), waits_for)

    def resumed(self) -> dict[str, t.Any]:
        """Resume a Deployment."""
        self.check_pausable("resumed")
        before = self.read()
        return self.result(self.write(before, _pause.resumed), before, f"{self.place} is resumed.")

    def restarted(self) -> dict[str, t.Any]:
        """Restart all pods."""
        before = self.read()
        self.check_not_paused(before.workload, "restarted")
        now = datetime.now(timezone.utc)
        seen = self.write(before, lambda workload: _workloads.restarted(workload, now))
        return self.result(seen, before, f"{self.place} restarts all its pods.")

    def undone(self, to_revision: int, failed: bool = False) -> dict[str, t.Any]:
        """Give the workload the pod template of an earlier revision, as the current one `failed` or by choice."""
        before, place = self.read(), self.place
        if not _pause.is_ours(before.workload):
            self.check_not_paused(before.workload, "undone")
        known = before.revisions
        served = _history.before(before.workload, known) if place.kind == "Deployment" else None
        to = _workloads.earlier(known, to_revision, f"{place} in namespace {place.namespace}", served)

        def plan(workload: _api.Object) -> list[_api.Object]:
            # It may also be this task's own change, of which the answer was lost.
            known = (_workloads.bare(before.workload["spec"]["template"]), to.template)
            if _workloads.bare(workload["spec"]["template"]) not in known:
                raise Failure(
                    f"{place} was changed by somebody else during this run; check it and run the playbook again."
                )
            # Where it went back already, the current revision is not the one that failed.
            noted = _workloads.failed_with_current(before.revisions) if failed and not to.current else ""
            resumed = _pause.resumed(workload) if _pause.is_ours(workload) else []
            return _workloads.undone(workload, to, noted) + resumed

        images = ", ".join(_workloads.images(to.template))
        said = "already has" if to.current else "is rolled back to"
        return self.result(self.write(before, plan), before, f"{place} {said} revision {to.number} ({images}).")

    def read(self) -> Seen:
        """The workload with its revisions and pods. Raises Failure."""
        workload = _place.found(self.api, self.place)
        return Seen(workload, *_place.around(self.api, self.place, workload))

    def write(self, seen: Seen, plan: t.Callable[[_api.Object], list[_api.Object]]) -> Seen:
        """What is seen after a change, in check mode after one that was only tried. Raises Failure."""
        after = _place.changed(
            self.api, self.place, seen.workload, plan, dry_run=self.task.check_mode, before_write=self.run.check
        )
        return seen._replace(workload=after)

    def progress(self, seen: Seen) -> str | None:
        """What is waited for, in words; None when the rollout is complete."""
        return _rollout.progress(seen.workload, self.place.kind)

    def awaited(self, seen: Seen) -> str | None:
        """The same, where nobody else has changed how many replicas are requested. Raises Failure."""
        if self.replicas is not None:
            _scale.check_unchanged(seen.workload, str(self.place), self.replicas)
        return self.progress(seen)

    def check_pausable(self, state: str) -> None:
        """Raise Failure for a kind that has no pause."""
        if self.place.kind == "StatefulSet":
            instead = "keep some of its pods as they are with spec.updateStrategy.rollingUpdate.partition"
        elif self.place.kind == "DaemonSet":
            instead = "spec.updateStrategy.type OnDelete leaves its pods as they are"
        else:
            return
        raise Failure(f"{self.place} cannot be {state}: only Deployments have a pause; {instead}.")

    def check_not_paused(self, workload: _api.Object, state: str) -> None:
        """Raise Failure for a Deployment that is paused."""
        if workload["spec"].get("paused"):
            raise Failure(
                f"{self.place} is paused and cannot be {state}; resume it first, with state=resumed or "
                f"kubectl rollout resume deployment/{self.place.name}."
            )

    def followed(self, seen: Seen, waits_for: WaitsFor, paused: bool = False) -> Seen:
        """Watch until nothing is waited for. Raises Failure as soon as that has become impossible, or in the end.

        With `paused` the Deployment may be paused.
        """
        place = self.place
        chosen = {"labelSelector": _place.selector(seen.workload["spec"]["selector"])}
        own, memory, pods = place.lists
        lists = {
            "workloads": (own, {"fieldSelector": f"metadata.name={place.name}"}),
            "remembered": (memory, chosen),
            "pods": (pods, chosen),
        }
        awaited = Awaited(self, seen, waits_for, paused)
        watched(self.api, lists, [awaited], self.start + self.timeout)
        return awaited.seen

    def result(self, seen: Seen, before: Seen | None = None, message: str = "") -> dict[str, t.Any]:
        """What the task returns."""
        kind, known = self.place.kind, seen.revisions
        replicas = _rollout.counts(seen.workload, kind)
        done = self.progress(seen) is None
        return {
            **(_place.difference(before.workload, seen.workload) if before else {"changed": False}),
            "status": "paused" if seen.workload["spec"].get("paused") else "complete" if done else "progressing",
            "uid": seen.workload["metadata"].get("uid", ""),
            "revision": _workloads.revision(seen.workload, known),
            "replicas": replicas,
            "history": _workloads.history(known),
            "pods": _workloads.pods_of(seen.workload, known, seen.pods, self.container, self.rule),
            "duration": round(time.monotonic() - self.start, 3),
            "message": message or f"{self.place} is complete, {replicas['availableReplicas']} pods are available.",
        }

    def failed(self, seen: Seen, fault: _rollout.Fault) -> Failure:
        """Why the rollout cannot become complete, with everything that is known about it."""
        namespace = self.place.namespace
        log = _last_words(self.api, namespace, fault)
        said = f"{self.place} did not complete its rollout: {str(fault).rstrip('.')}"
        pod = next((item for item in seen.pods if item["metadata"]["name"] == fault.pod), None)
        if pod and fault.container is None:
            now = _rollout.standing(pod)
            said += f"; {now}" if now and now not in said else ""
        said += f"; {fault.remedy}." if fault.remedy else "."
        if pod and fault.container is None:
            warning = _last_warning(self.api, namespace, pod)
            if warning and not any(part in said for part in (warning, warning.partition(": ")[2]) if part):
                said += f"\nThe last warning about the pod: {warning}"
        if log:
            said += f"\nThe last lines of its log:\n{log}"
        facts = self.result(seen)
        facts.update(
            status="failed",
            message=said,
            failure={
                "pod": fault.pod,
                "container": fault.container,
                "reason": fault.reason,
                "message": fault.message,
                "log": log,
            },
        )
        return Failure(said, facts)


class Awaited:
    """A workload that something is waited for."""

    def __init__(self, rollout: Rollout, seen: Seen, waits_for: WaitsFor, paused: bool = False) -> None:
        self.rollout, self.seen, self._waits_for, self._paused = rollout, seen, waits_for, paused
        self._told = ""
        self._since: float | None = None  #: when a fault that may pass was first seen
        self.waited = waits_for(seen)

    @property
    def until(self) -> float | None:
        """When to look again though nothing has changed: nothing may change while a fault that may pass lasts."""
        return self._since + self.rollout.grace if self._since is not None else None

    def looked(self, objects: t.Mapping[str, t.Mapping[str, _api.Object]]) -> bool:
        """Whether nothing is waited for any longer. Raises Failure where that has become impossible."""
        rollout = self.rollout
        place = rollout.place
        workload = next(
            (item for item in objects["workloads"].values() if item["metadata"]["name"] == place.name), None
        )
        if workload is None:
            raise ChangedError(
                f"{place} was deleted by somebody else while this run waited for it. Find out who did that, and "
                "run the playbook again."
            )
        for given in rollout.given:
            _given.check(workload, given)
        self.seen = seen = _own(workload, objects["remembered"].values(), objects["pods"].values())
        rollout.ended.saw(
            _reachable.ending(_reachable.standing(seen.pods, rollout.container, rollout.rule)), time.monotonic()
        )
        self.waited = self._waits_for(seen)
        if self.waited is None:
            return True
        if self.waited != self._told:
            rollout.task.tell(f"{place.name}: {self.waited}")
            self._told = self.waited
        fault = _rollout.fault(*seen, kind=place.kind, paused=self._paused)
        now = time.monotonic()
        self._since = (self._since or now) if fault and fault.passing else None
        if fault and (self._since is None or now >= self._since + rollout.grace):
            raise rollout.failed(seen, fault)
        return False

    def late(self) -> Failure:
        """That it took too long."""
        pod = _rollout.waiting_pod(*self.seen)
        name = pod["metadata"]["name"] if pod else None
        message = f"{self.waited} after {self.rollout.timeout} s"
        return self.rollout.failed(self.seen, _rollout.Fault("Timeout", message, pod=name))


def _own(workload: _api.Object, remembered: t.Iterable[_api.Object], pods: t.Iterable[_api.Object]) -> Seen:
    """A workload with what is its own: other workloads of the same lists may be watched as well."""
    uid = workload["metadata"].get("uid")
    mine = [item for item in remembered if _workloads.owner(item) == uid]
    owners = {uid, *(item["metadata"].get("uid") for item in mine)}
    return Seen(workload, mine, [pod for pod in pods if _workloads.owner(pod) in owners])


def watched(
    api: _api.Api,
    lists: t.Mapping[str, tuple[str, t.Mapping[str, str]]],
    all_awaited: t.Sequence[Awaited],
    end: float,
) -> None:
    """Watch until nothing is waited for, to a time `end` at most. Raises Failure as soon as that has become
    impossible."""
    missing = [each for each in all_awaited if each.waited is not None]
    if not missing:
        return
    mirror = Mirror(api.access, lists, max(0.0, end - time.monotonic()))
    run, checked = missing[0].rollout.run, time.monotonic()
    try:
        while missing and time.monotonic() < end:
            due = [each.until for each in missing if each.until is not None]
            changed = mirror.wait(min([checked + LOOK, *due]))
            if changed or any(until <= time.monotonic() for until in due):
                missing = [each for each in missing if not each.looked(mirror.objects)]
            # Locks and Services may be read, but are not watched: few have the right to watch them.
            if missing and time.monotonic() >= checked + LOOK:
                with contextlib.suppress(_api.ApiError):  # that it is out of reach is the end's to judge
                    run.check_given()
                checked = time.monotonic()
    finally:
        mirror.close()
    if missing:
        raise missing[0].late()


def complete_together(
    api: _api.Api, options: t.Mapping[str, t.Any], task: Task, run: _run.Run, names: t.Sequence[str]
) -> None:
    """Wait until several Deployments of a namespace are complete. Raises Failure as soon as one no longer can be."""
    rollouts = [Rollout(api, {**options, "name": name}, task, run) for name in names]
    if not rollouts:
        return
    own, memory, pods = rollouts[0].place.lists
    lists: dict[str, tuple[str, dict[str, str]]] = {
        "workloads": (own, {}),
        "remembered": (memory, {}),
        "pods": (pods, {}),
    }
    start = rollouts[0].start
    try:
        all_awaited = [Awaited(each, each.read(), each.progress) for each in rollouts]
        watched(api, lists, all_awaited, start + rollouts[0].timeout)
    finally:
        for each in rollouts:
            _endings.note(run, each.ended)


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Bring a workload's rollout into a state. Raises Failure, as soon as that is known to be impossible."""
    return _run.in_run(brought, options, task)


def brought(options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
    """The same as a part of what another operation does in a run, which notes why it failed."""
    if options["timeout"] < 1:
        raise Failure(f"timeout is {options['timeout']}; it must be at least 1 second.")
    if options["unschedulable_grace"] < 0:
        raise Failure(f"unschedulable_grace is {options['unschedulable_grace']}; it must not be negative.")
    if options["to_revision"] < 0:
        raise Failure(f"to_revision is {options['to_revision']}; it is a revision's number, or 0 for the previous one.")
    state = options["state"]
    belonging = {"at": "paused", "to_revision": "undone", "failed": "undone", "replicas": "complete"}
    for name, belongs in belonging.items():
        if options[name] and state != belongs:
            raise Failure(f"{name} can be used only with state={belongs}, not with state={state}.")
    api = _api.api(options, task.environ)
    rollout = Rollout(api, options, task, run)
    try:
        if state == "paused":
            result = rollout.paused(options["at"])
        elif state == "undone":
            result = rollout.undone(options["to_revision"], options["failed"])
        else:
            result = {"complete": rollout.complete, "resumed": rollout.resumed, "restarted": rollout.restarted}[state]()
    finally:
        api.close()
        _endings.note(run, rollout.ended)
    if not task.check_mode:
        run.check_given()  # whatever was waited for, another run may have begun meanwhile
    if state == "complete":
        run.journal.note("complete", name=options["name"], pods=result["pods"])
    elif result["changed"]:
        run.journal.note("changed", message=result["message"])
    return result


def _strategy(workload: _api.Object) -> str:
    return str(workload["spec"].get("strategy", {}).get("type", "RollingUpdate"))


def _short(seen: Seen, point: _pause.Point) -> str | None:
    """What is missing until a Deployment can be paused at a point, None where it is there."""
    new, due = _rollout.new_copies(seen.workload, seen.remembered), point.due(seen.workload)
    return f"{new} of the {due} new pods that it is paused at exist" if new < due else None


def _unbraked(seen: Seen) -> str | None:
    """What is missing until the brake of a Deployment works; None when no new pod counts as available."""
    replica_set = _rollout.new_replica_set(seen.workload, seen.remembered)
    available = replica_set.get("status", {}).get("availableReplicas", 0) if replica_set else 0
    seen_by_controller = seen.workload.get("status", {}).get("observedGeneration", 0)
    if available or seen_by_controller < seen.workload["metadata"].get("generation", 0):
        return "it is paused, to go on slowly"
    return None


def _ready(seen: Seen) -> list[_api.Object]:
    """The new pods that take traffic."""
    new = _rollout.new_pods(*seen)
    return [pod for pod in new if _workloads.is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]


def _unsettled(seen: Seen) -> str | None:
    """What is missing until all pods of a paused Deployment are ready; None when they are."""
    status = seen.workload.get("status", {})
    if status.get("observedGeneration", 0) < seen.workload["metadata"].get("generation", 0):
        return "the controller has not seen the pause yet"
    uid = seen.workload["metadata"]["uid"]
    mine = [item for item in seen.remembered if _workloads.owner(item) == uid]
    wanted = sum(item["spec"].get("replicas", 0) for item in mine)
    there, available = (
        sum(item.get("status", {}).get(key, 0) for item in mine) for key in ("replicas", "availableReplicas")
    )
    return None if there == available == wanted else f"{available} of {wanted} pods are available"


def _last_words(api: _api.Api, namespace: str, fault: _rollout.Fault) -> str:
    """The last lines of the log of the container that a fault shows in, empty where there are none."""
    if not fault.pod:
        return ""
    path = _api.path_of("pods", namespace, fault.pod) + "/log"
    query: dict[str, t.Any] = {"tailLines": LOG_LINES}
    if fault.container:
        query["container"] = fault.container
    for previous in ("true", "false") if fault.restarted else ("false",):
        try:
            log = api.request(path, dict(query, previous=previous)).decode(errors="replace").strip()
        except _api.ApiError:
            continue  # a container that never ran has said nothing
        if log:
            return log
    return ""


def _last_warning(api: _api.Api, namespace: str, pod: _api.Object) -> str:
    """What a pod's newest Warning says: some reasons, as a volume that is missing, stand nowhere else.

    One from before the pod came further, as that no node had room for it then, is over, and said no more.
    """
    of_pod = f"involvedObject.kind=Pod,involvedObject.name={pod['metadata']['name']},type=Warning"
    try:
        events = api.items(_api.path_of("events", namespace), fieldSelector=of_pod)
    except _api.ApiError:
        return ""
    since = _rollout.went_on(pod)
    newest = max((event for event in events if _when(event)[:19] >= since[:19]), key=_when, default=None)
    return f"{newest.get('reason', '')}: {newest.get('message', '')}" if newest else ""


def _when(event: _api.Object) -> str:
    series = event.get("series") or {}  # of an event that came again, as newer components write it
    when = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return str(when or event["metadata"].get("creationTimestamp") or "")
