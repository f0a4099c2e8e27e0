# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The guarded writes of one task: under its run's lock, only where nobody changed what the run gave or relies on."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _retries
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _place
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

Object = t.Dict[str, t.Any]
Patch = t.Callable[[Object], "list[Object]"]
Given = t.Callable[[Object], "dict[str, t.Any]"]


@dataclass
class Writes:
    """What one task writes, and what it returns of that."""

    api: _api.Api
    options: t.Mapping[str, t.Any]
    task: Task
    run: _run.Run
    diffs: list[dict[str, t.Any]] = field(default_factory=list, init=False)

    def result(self, message: str) -> dict[str, t.Any]:
        """What the task returns."""
        return {"changed": bool(self.diffs), "message": message, **({"diff": self.diffs} if self.diffs else {})}

    def create(self, manifest: Object, message: str) -> Object | None:
        """Create an object and return it, None where it was found to be there. Raises Failure."""
        place = Place(manifest["kind"], self.options["namespace"], manifest["metadata"]["name"])
        created = None
        for attempt in range(1, _retries.ATTEMPTS + 1):
            if not self.task.check_mode:
                self.run.check_given()
            try:
                created = self.api.create(place.collection, manifest, dry_run=self.task.check_mode)
                break
            except _api.ApiError as error:
                # Of a request whose answer was lost only the object itself can tell whether it was done.
                if error.status not in _retries.UNKNOWN:
                    raise
                if not self.task.check_mode and self.there(place):
                    break
                if error.refusal.lasting or attempt == _retries.ATTEMPTS:
                    raise
            time.sleep(_retries.growing(attempt))
        self.noted(place, {"before": {}, "after": manifest}, message)
        return created

    def delete(self, item: Object, message: str, kind: str = "Deployment") -> None:
        """Delete an object as it was read. Raises Failure."""
        place = Place(kind, self.options["namespace"], item["metadata"]["name"])
        self.run.let_go(place)
        _place.deleted(self.api, place, item, dry_run=self.task.check_mode, before_write=self.run.check_given)
        self.noted(place, {"before": {"spec": item["spec"]}, "after": {}}, message)

    def patched(self, place: Place, before: Object, patch: Patch, given: Given, message: str) -> Object:
        """A Service or route after a change that applies only to what was read, and is to stay. Raises Failure.

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
            self.noted(place, difference["diff"], message)
        return after

    def there(self, place: Place) -> Object | None:
        """An object, None where there is none. Raises ApiError."""
        return _place.there(self.api, place)

    def noted(self, place: Place, diff: t.Mapping[str, t.Any], message: str) -> None:
        """Note a change for the run and for what the task returns."""
        self.diffs.append({**diff, "before_header": str(place), "after_header": str(place)})
        self.run.journal.note("changed", message=message)
