# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tasks of a canary run share: reading, waiting, guarded changes of its two Deployments, and looks."""

from __future__ import annotations

import time
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _retries
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _baseline,
    _called,
    _canary_seen,
    _endings,
    _rollout,
)
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline as _proof
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import Asked, Object, Seen
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _given, _place, _reachable
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

Patch = t.Callable[[Object], "list[Object]"]
Given = t.Callable[[Object], "dict[str, t.Any]"]


@dataclass
class Work:
    """One task's work on the canary of one application."""

    api: _api.Api
    options: t.Mapping[str, t.Any]
    task: Task
    run: _run.Run
    plan: t.Mapping[str, t.Any]  #: what the run was begun with

    def __post_init__(self) -> None:
        self.diffs: list[dict[str, t.Any]] = []
        self.request: t.Mapping[str, t.Any] = self.plan["request"]
        self.stable: str = self.plan["stable"]["deployment"]
        self.canary: str = self.plan["canary"]["deployment"]
        self.proof = _baseline.Proof(
            self.options,
            self.task,
            self.run,
            container=self.request["container"],
            version_of=asdict(self.asked.rule),
            min_success=self.min_success,
            family_size=self.tests,
        )

    @property
    def versions(self) -> tuple[str, str]:
        """Stable's version as the run found it, and the canary's."""
        return self.plan["stable"]["version"], self.plan["canary"]["version"]

    @property
    def asked(self) -> Asked:
        """What the run is asked for."""
        return _canary.asked(self.request, described=bool(self.plan["manifests"]))

    @property
    def tests(self) -> int:
        """How many times the run may be taken back for what users get; they share one error probability out."""
        steps = self.plan["steps"]
        # All of the traffic, beside the canary and then without it; a router takes the canary its share in between.
        ends = (3 if self.plan["router"] else 2) * bool(self.plan["promote"])
        more = sum((step["pause"] > 0) + bool(step.get("headers")) for step in steps)
        return max(1, len(steps) + more + ends)

    @property
    def min_success(self) -> float:
        """The share of requests that must be answered: as asked for, or as many as were before."""
        return _proof.least(self.request["min_success"], self.run.handle.get("baseline"))

    def seen(self) -> Seen:
        """What the cluster has by now. Raises Failure."""
        return _canary_seen.read(
            self.api, self.options["namespace"], self.stable, self.plan["service"], self.asked.router
        )

    def place(self, name: str) -> Place:
        """Where one of the two Deployments is."""
        return Place("Deployment", self.options["namespace"], name)

    def result(self, message: str) -> dict[str, t.Any]:
        """What the task returns."""
        return {"changed": bool(self.diffs), "message": message, **({"diff": self.diffs} if self.diffs else {})}

    def changed(self, before: Object, patch: Patch, message: str) -> Object:
        """A Deployment after a change that holds only for what was read, under the run's lock. Raises Failure."""
        place = self.place(before["metadata"]["name"])
        dry_run = self.task.check_mode
        after = _place.changed(self.api, place, before, patch, dry_run=dry_run, before_write=self.run.check_given)
        self.relies_on(after)
        difference = _place.difference(before, after)
        if difference["changed"]:
            self._noted(place, difference["diff"], message)
        return after

    def relies_on(self, deployment: Object) -> None:
        """Note that a Deployment is to keep its images: they are what is verified, or what it would go back to.

        Its replicas may change within the tolerance, which each look sees to.
        """
        if not self.task.check_mode:
            place = self.place(deployment["metadata"]["name"])
            self.run.gave(place, {**_given.images(deployment), _given.REPLICAS: None})

    def create(self, manifest: Object, message: str) -> None:
        """Create a Deployment, a Service or a router's object, under the run's lock. Raises Failure."""
        place = Place(manifest["kind"], self.options["namespace"], manifest["metadata"]["name"])
        for attempt in range(1, _retries.ATTEMPTS + 1):
            if not self.task.check_mode:
                self.run.check_given()
            try:
                created = self.api.create(place.collection, manifest, dry_run=self.task.check_mode)
                if place.kind == "Deployment":
                    self.relies_on(created)
                break
            except _api.ApiError as error:
                # Of a request whose answer was lost only the Deployment itself can tell whether it was done.
                if error.status not in _retries.UNKNOWN:
                    raise
                if not self.task.check_mode and self.there(place):
                    break
                if error.refusal.lasting or attempt == _retries.ATTEMPTS:
                    raise
            time.sleep(_retries.growing(attempt))
        self._noted(place, {"before": {}, "after": manifest}, message)

    def delete(self, item: Object, message: str, kind: str = "Deployment") -> None:
        """Delete a Deployment, a Service or a router's object as it was read, under the run's lock. Raises Failure."""
        place = Place(kind, self.options["namespace"], item["metadata"]["name"])
        self.run.let_go(place)
        _place.deleted(self.api, place, item, dry_run=self.task.check_mode, before_write=self.run.check_given)
        self._noted(place, {"before": {"spec": item["spec"]}, "after": {}}, message)

    def patched(self, place: Place, before: Object, patch: Patch, given: Given, message: str) -> Object:
        """A Service or route after a change that holds only for what was read, and is to stay. Raises Failure.

        `given` says of the object as it is then which fields it was given, by their paths.
        """
        dry_run = self.task.check_mode
        if not dry_run:
            self.run.check_given()
            self.run.let_go(place)  # the change itself is not somebody else's
        after = _place.changed(self.api, place, before, patch, dry_run=dry_run, before_write=self.run.check_given)
        if not dry_run:
            self.run.gave(place, given(after))
        difference = _place.difference(before, after)
        if difference["changed"]:
            self._noted(place, difference["diff"], message)
        return after

    def there(self, place: Place) -> Object | None:
        """A Deployment, None where there is none. Raises ApiError."""
        return _place.there(self.api, place)

    def _noted(self, place: Place, diff: t.Mapping[str, t.Any], message: str) -> None:
        self.diffs.append({**diff, "before_header": str(place), "after_header": str(place)})
        self.run.journal.note("changed", message=message)

    def complete(self, name: str) -> list[Object]:
        """The pods of a Deployment once its rollout is complete. Raises Failure."""
        asked = self._asked_of(_rollout.ARGUMENTS, name=name, timeout=self.request["timeout"])
        return t.cast("list[Object]", _rollout.run(asked, self.task)["pods"])

    def pods(self, name: str) -> list[Object]:
        """The pods of a Deployment by now. Raises Failure."""
        asked = self._asked_of(_rollout.ARGUMENTS, name=name)
        rollout = _rollout.Rollout(self.api, asked, self.task, self.run)
        return t.cast("list[Object]", rollout.result(rollout.read())["pods"])

    def endings(self, version: str, *, changed: bool = True) -> _endings.Endings:
        """What looks out for pods of the application that end while a version is judged."""

        def read() -> dict[str, _reachable.Standing]:
            return _reachable.standing(self.seen().pods, self.asked.container, self.asked.rule)

        return _endings.Endings(self.run, read, version, changed=changed)

    def _asked_of(self, arguments: t.Mapping[str, t.Any], **asked: t.Any) -> dict[str, t.Any]:
        run = self.run.handle or None
        return _called.options(arguments, self.options, run=run, namespace=self.options["namespace"], **asked)
