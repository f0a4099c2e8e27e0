# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tasks of a canary run share: reading, waiting, guarded changes of its two Deployments, and looks."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._operations import (
    _baseline,
    _called,
    _canary_seen,
    _endings,
    _rollout,
)
from ansible_collections.convoy.rollout.plugins.module_utils._operations._writes import Patch, Writes
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _baseline as _proof
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import Asked, Object, Seen
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _given, _place, _reachable
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place


@dataclass
class Work(Writes):
    """One task's work on the canary of one application."""

    plan: t.Mapping[str, t.Any]  #: what the run was begun with

    def __post_init__(self) -> None:
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
        """How many verifications may roll the run back; one error probability is split across them."""
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

    def changed(self, before: Object, patch: Patch, message: str) -> Object:
        """A Deployment after a change that applies only to what was read, under the run's lock. Raises Failure."""
        place = self.place(before["metadata"]["name"])
        dry_run = self.task.check_mode
        after = _place.changed(self.api, place, before, patch, dry_run=dry_run, before_write=self.run.check_given)
        self.relies_on(after)
        difference = _place.difference(before, after)
        if difference["changed"]:
            self.noted(place, difference["diff"], message)
        return after

    def relies_on(self, deployment: Object) -> None:
        """Note that a Deployment is to keep its images: they are what is verified, or what it would go back to.

        Its replicas may change within the tolerance, which each look sees to.
        """
        if not self.task.check_mode:
            place = self.place(deployment["metadata"]["name"])
            self.run.gave(place, {**_given.images(deployment), _given.REPLICAS: None})

    def create(self, manifest: Object, message: str) -> Object | None:
        """Create a Deployment, a Service or a router's object. Raises Failure."""
        created = super().create(manifest, message)
        if created is not None and manifest["kind"] == "Deployment":
            self.relies_on(created)
        return created

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
