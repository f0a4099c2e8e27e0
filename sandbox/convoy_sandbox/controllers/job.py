# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs: pods that run to their end, and CronJobs, which make Jobs by the clock."""

from __future__ import annotations

import asyncio
import datetime
import zoneinfo

from .. import documents, resources, times
from ..errors import ApiError
from ..kinds.batch import schedule
from ..kinds.pods import random_suffix
from ..registry import Registry
from ..settings import Settings
from ..store import Change, Object, Store
from ..times import timestamp
from . import conditions
from .events import Recorder
from .owners import Index, controller_of, owned_by, owner_reference
from .replicaset import is_ready
from .runtime import Controller

_TRACKED = "batch.kubernetes.io/job-tracking"
#: Seconds: the longest wait before a pod that failed is replaced.
_LONGEST_BACKOFF = 600.0
_BACKOFF = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
_DEADLINE = ("DeadlineExceeded", "Job was active longer than specified deadline")
_COMPLETE = ("CompletionsReached", "Reached expected number of succeeded pods")


def _seconds(text: str) -> float:
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC).timestamp()


def is_finished(job: Object) -> bool:
    """Whether a Job has come to its end, good or bad."""
    return any(conditions.is_true(job.get("status") or {}, type_) for type_ in ("Complete", "Failed"))


def is_over(pod: Object) -> bool:
    """Whether a pod's containers have ended for good."""
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def failure(job: Object, pods: list[Object], failed: int) -> tuple[str, str] | None:
    """Why a Job has failed: reason and message; None while it has not."""
    spec, status = job["spec"], job.get("status") or {}
    limit = spec["backoffLimit"]
    restarts = sum(each.get("restartCount", 0) for pod in pods for each in pod["status"].get("containerStatuses") or ())
    on_failure = spec["template"]["spec"].get("restartPolicy") == "OnFailure"
    if failed > limit or (on_failure and restarts > 0 and restarts >= limit):
        return _BACKOFF
    deadline, started = spec.get("activeDeadlineSeconds"), status.get("startTime")
    if deadline is not None and started and times.now().timestamp() >= _seconds(started) + deadline:
        return _DEADLINE
    return None


def missing(job: Object, active: int, succeeded: int) -> int:
    """How many pods a Job lacks (below 0: has too many) of those that are to run at once."""
    spec = job["spec"]
    completions, parallelism = spec.get("completions"), spec["parallelism"]
    if completions is None:  # the pods know themselves when the work is done: one that succeeds ends it
        return 0 if succeeded else int(parallelism - active)
    return int(min(parallelism, completions - succeeded) - active)


def is_complete(job: Object, active: int, succeeded: int) -> bool:
    """Whether enough pods have succeeded."""
    completions = job["spec"].get("completions")
    return succeeded > 0 and active == 0 if completions is None else succeeded >= completions


class JobController(Controller[tuple[str, str]]):
    """Creates the pods of Jobs, counts how they end, and ends the Jobs."""

    def __init__(self, store: Store, registry: Registry, index: Index, settings: Settings) -> None:
        super().__init__(store, registry, "job")
        self._index = index
        self._first_backoff = settings.timing.crash_backoff
        self._events = Recorder(registry, "job-controller")
        self._failed_at: dict[str, float] = {}  # when the last pod of a Job (by uid) failed, on the loop's clock

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        if change.resource == resources.JOBS:
            self._queue.add((meta["namespace"], meta["name"]))
        elif change.resource == resources.PODS:
            owner = controller_of(change.object)
            if owner is not None and owner["kind"] == "Job":
                self._queue.add((meta["namespace"], owner["name"]))

    def _reconcile(self, key: tuple[str, str]) -> None:
        namespace, name = key
        job = self._store.get(resources.JOBS, namespace, name)
        self._release_orphans(namespace, name, job)
        if job is None or job["metadata"].get("deletionTimestamp"):
            return
        uid = job["metadata"]["uid"]
        if is_finished(job):
            self._failed_at.pop(uid, None)
            self._expire(job)
            return
        pods = [pod for _, pod in self._index.of(uid, resources.PODS) if owned_by(pod, uid)]
        status = documents.copied(job.get("status") or {})
        self._count(job, pods, status)
        active = [pod for pod in pods if not is_over(pod) and not pod["metadata"].get("deletionTimestamp")]
        if job["spec"].get("suspend"):
            self._suspend(job, status, active)
            return
        if not status.get("startTime"):
            status["startTime"] = timestamp()
        job = {**job, "status": status}
        why = failure(job, pods, status.get("failed", 0))
        if why is not None:
            self._end(job, status, active, "FailureTarget", "Failed", why)
        elif is_complete(job, len(active), status.get("succeeded", 0)):
            self._end(job, status, active, "SuccessCriteriaMet", "Complete", _COMPLETE)
        else:
            created = self._scale(job, active, status)
            self._put(job, status, [*active, *created])
            self._look_again(job, status)

    def _release_orphans(self, namespace: str, name: str, job: Object | None) -> None:
        """Let pods go whose Job is gone or finished: nobody counts them any more."""
        for pod in self._store.list(resources.PODS, namespace):
            owner = controller_of(pod)
            if owner is None or owner["kind"] != "Job" or owner["name"] != name:
                continue
            if job is None or job["metadata"]["uid"] != owner["uid"] or is_finished(job):
                self._untrack(pod)

    def _untrack(self, pod: Object) -> None:
        meta = pod["metadata"]
        if _TRACKED not in (meta.get("finalizers") or ()):
            return

        def change(obj: Object) -> None:
            left = [each for each in obj["metadata"].pop("finalizers") if each != _TRACKED]
            if left:
                obj["metadata"]["finalizers"] = left

        self._registry.modify(
            resources.PODS, meta["namespace"], meta["name"], change, manager="kube-controller-manager"
        )

    def _count(self, job: Object, pods: list[Object], status: Object) -> None:
        """Add the pods that have ended since to the counts; a pod is counted once, and then let go."""
        for pod in pods:
            over = is_over(pod)
            gone = bool(pod["metadata"].get("deletionTimestamp")) and not pod["metadata"].get(
                "deletionGracePeriodSeconds"
            )
            if _TRACKED not in (pod["metadata"].get("finalizers") or ()) or not (over or gone):
                continue
            key = "succeeded" if pod["status"].get("phase") == "Succeeded" else "failed"
            status[key] = status.get(key, 0) + 1
            if key == "failed":
                self._failed_at[job["metadata"]["uid"]] = asyncio.get_running_loop().time()
            self._untrack(pod)

    def _scale(self, job: Object, active: list[Object], status: Object) -> list[Object]:
        lacking = missing(job, len(active), status.get("succeeded", 0))
        for pod in active[lacking:] if lacking < 0 else ():
            self._registry.delete(resources.PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        wait = self._backoff(job, status)
        if lacking > 0 and wait > 0:
            self._queue.add_after((job["metadata"]["namespace"], job["metadata"]["name"]), wait)
            return []
        return [self._create(job) for _ in range(max(0, lacking))]

    def _backoff(self, job: Object, status: Object) -> float:
        """Seconds until a pod that failed may be replaced."""
        last = self._failed_at.get(job["metadata"]["uid"])
        if last is None:
            return 0.0
        delay = min(self._first_backoff * 2 ** max(0, status.get("failed", 1) - 1), _LONGEST_BACKOFF)
        return last + delay - asyncio.get_running_loop().time()

    def _create(self, job: Object) -> Object:
        meta, template = job["metadata"], documents.copied(job["spec"]["template"])
        prefix = f"{meta['name']}-"
        pod: Object = {
            "metadata": {
                **template.get("metadata", {}), "generateName": prefix, "name": prefix[:58] + random_suffix(),
                "namespace": meta["namespace"], "ownerReferences": [owner_reference(job)], "finalizers": [_TRACKED],
            },
            "spec": template["spec"],
        }  # fmt: skip
        try:
            made = self._registry.create(resources.PODS, meta["namespace"], pod, manager="kube-controller-manager")
        except ApiError as error:
            self._events.event(job, "FailedCreate", f"Error creating: {error.message}", warning=True)
            raise
        self._events.event(job, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")
        return made

    def _put(self, job: Object, status: Object, active: list[Object]) -> None:
        status["active"] = len(active)
        if not active:
            del status["active"]
        status["ready"] = sum(1 for pod in active if is_ready(pod))
        status.setdefault("terminating", 0)
        status.setdefault("uncountedTerminatedPods", {})
        self._write_status(resources.JOBS, job, documents.copied(status))  # which changes nothing where it is the same

    def _look_again(self, job: Object, status: Object) -> None:
        deadline = job["spec"].get("activeDeadlineSeconds")
        if deadline is not None:
            left = _seconds(status["startTime"]) + deadline - times.now().timestamp()
            self._queue.add_after((job["metadata"]["namespace"], job["metadata"]["name"]), max(0.05, left))

    def _suspend(self, job: Object, status: Object, active: list[Object]) -> None:
        for pod in active:
            self._registry.delete(resources.PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        status.pop("startTime", None)
        if not conditions.is_true(status, "Suspended"):
            self._condition(status, "Suspended", "JobSuspended", "Job suspended")
            self._events.event(job, "Suspended", "Job suspended")
        self._put(job, status, [])

    def _end(
        self, job: Object, status: Object, active: list[Object], before: str, last: str, why: tuple[str, str]
    ) -> None:
        """Say first what is coming, then end the pods that are left, then say that it is over."""
        self._condition(status, before, *why)
        self._put(job, status, active)
        for pod in active:
            self._registry.delete(resources.PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        self._condition(status, last, *why)
        if last == "Complete":
            status["completionTime"] = timestamp()
        self._put(job, status, [])
        if last == "Complete":
            self._events.event(job, "Completed", "Job completed")
        else:
            self._events.event(job, why[0], why[1], warning=True)

    def _condition(self, status: Object, type_: str, reason: str, message: str) -> None:
        now = timestamp()
        if conditions.find(status, type_) is None:
            status.setdefault("conditions", []).append(
                {
                    "type": type_, "status": "True", "lastProbeTime": now, "lastTransitionTime": now,
                    "reason": reason, "message": message,
                }
            )  # fmt: skip

    def _expire(self, job: Object) -> None:
        """Delete a Job that has been over for as long as it is to be kept."""
        seconds = job["spec"].get("ttlSecondsAfterFinished")
        if seconds is None:
            return
        ended = max(
            _seconds(each["lastTransitionTime"])
            for each in job["status"]["conditions"]
            if each["type"] in ("Complete", "Failed")
        )
        key = (job["metadata"]["namespace"], job["metadata"]["name"])
        left = ended + seconds - times.now().timestamp()
        if left > 0:
            self._queue.add_after(key, left)
        else:
            self._registry.delete(resources.JOBS, *key, propagation="Foreground")


# -- CronJobs ------------------------------------------------------------------------------------


def due(text: str, after: datetime.datetime, until: datetime.datetime) -> datetime.datetime | None:
    """The last time that a schedule names after one moment and up to another, in their time zone; None for none."""
    minutes, hours, days, months, weekdays = schedule(text)
    fields = text.split()
    moment = until.replace(second=0, microsecond=0)
    while moment > after:
        # Where both days are restricted, one of them is enough.
        by_day, by_weekday = moment.day in days, (moment.weekday() + 1) % 7 in weekdays
        either = len(fields) == 5 and not fields[2].startswith("*") and not fields[4].startswith("*")
        day = (by_day or by_weekday) if either else (by_day and by_weekday)
        if moment.minute in minutes and moment.hour in hours and moment.month in months and day:
            return moment
        moment -= datetime.timedelta(minutes=1)
    return None


class CronJobController(Controller[tuple[str, str]]):
    """Makes a Job whenever a CronJob's time has come."""

    def __init__(self, store: Store, registry: Registry) -> None:
        super().__init__(store, registry, "cronjob")
        self._events = Recorder(registry, "cronjob-controller")
        self._looked: dict[str, datetime.datetime] = {}  # by uid: up to when nothing is due any more

    def _changed(self, change: Change) -> None:
        meta = change.object["metadata"]
        if change.resource == resources.CRONJOBS:
            self._queue.add((meta["namespace"], meta["name"]))
        elif change.resource == resources.JOBS:
            owner = controller_of(change.object)
            if owner is not None and owner["kind"] == "CronJob":
                self._queue.add((meta["namespace"], owner["name"]))

    def _reconcile(self, key: tuple[str, str]) -> None:
        cron = self._store.get(resources.CRONJOBS, *key)
        if cron is None or cron["metadata"].get("deletionTimestamp"):
            return
        spec, uid = cron["spec"], cron["metadata"]["uid"]
        now = times.now().astimezone(zoneinfo.ZoneInfo(spec.get("timeZone") or "UTC"))
        since = self._looked.get(uid, now - datetime.timedelta(seconds=1))
        self._looked[uid] = now
        jobs = [job for job in self._store.list(resources.JOBS, key[0]) if owned_by(job, uid)]
        moment = None if spec.get("suspend") else due(spec["schedule"], since, now)
        if moment is not None:
            jobs = self._run(cron, jobs, moment)
        self._forget(cron, jobs)
        self._write(cron, jobs, moment)
        self._queue.add_after(key, 60.0 - now.second - now.microsecond / 1e6 + 0.01)

    def _run(self, cron: Object, jobs: list[Object], moment: datetime.datetime) -> list[Object]:
        spec, meta = cron["spec"], cron["metadata"]
        active = [job for job in jobs if not is_finished(job)]
        if active and spec["concurrencyPolicy"] == "Forbid":
            self._events.event(cron, "JobAlreadyActive", "Not starting job because prior execution is running")
            return jobs
        for job in active if spec["concurrencyPolicy"] == "Replace" else ():
            self._registry.delete(resources.JOBS, meta["namespace"], job["metadata"]["name"], propagation="Background")
            jobs = [each for each in jobs if each is not job]
        template = documents.copied(spec["jobTemplate"])
        name = f"{meta['name'][:52]}-{int(moment.timestamp()) // 60}"
        body = {
            "metadata": {**template.get("metadata", {}), "name": name, "ownerReferences": [owner_reference(cron)]},
            "spec": template["spec"],
        }
        made = self._registry.create(resources.JOBS, meta["namespace"], body, manager="kube-controller-manager")
        self._events.event(cron, "SuccessfulCreate", f"Created job {name}")
        return [*jobs, made]

    def _forget(self, cron: Object, jobs: list[Object]) -> None:
        """Delete the oldest Jobs of those that are over, but for as many as are to be kept."""
        for type_, key in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            over = [job for job in jobs if conditions.is_true(job.get("status") or {}, type_)]
            over.sort(key=lambda job: job["metadata"]["creationTimestamp"])
            for job in over[: max(0, len(over) - cron["spec"][key])]:
                meta = job["metadata"]
                self._registry.delete(resources.JOBS, meta["namespace"], meta["name"], propagation="Background")

    def _write(self, cron: Object, jobs: list[Object], moment: datetime.datetime | None) -> None:
        status = documents.copied(cron.get("status") or {})
        if moment is not None:
            status["lastScheduleTime"] = moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = [job["status"]["completionTime"] for job in jobs if (job.get("status") or {}).get("completionTime")]
        if ended:
            status["lastSuccessfulTime"] = max(ended)
        active = [
            {
                "kind": "Job", "apiVersion": "batch/v1", "namespace": job["metadata"]["namespace"],
                "name": job["metadata"]["name"], "uid": job["metadata"]["uid"],
                "resourceVersion": job["metadata"]["resourceVersion"],
            }
            for job in jobs
            if not is_finished(job)
        ]  # fmt: skip
        status.pop("active", None)
        if active:
            status["active"] = active
        if status != cron.get("status"):
            self._write_status(resources.CRONJOBS, cron, status)
