# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Watching for pods that end while requests are made, so that what is lost by that counts against no version."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _ending
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _reachable


class Endings:
    """The pods that end while a run verifies a version."""

    def __init__(
        self,
        run: _run.Run,
        read: t.Callable[[], t.Mapping[str, _reachable.Standing]],
        version: str = "",
        *,
        changed: bool = False,
    ) -> None:
        """`read` lists the pods, by name. Raises Failure.

        `version` is the one that is judged; `changed` says that the run has just ended pods, which may be gone already.
        """
        self._run, self._read, self._version = run, read, version
        self._began = time.monotonic()
        self._first: dict[str, _reachable.Standing] = {}  # how each pod stood when it was first seen
        self.seen = _ending.Ending(self._began if changed else None)
        self.failing = ""  #: which pods of the version itself fail, in words; empty where none does

    def look(self) -> None:
        """See which pods are ending, and whether those of the version stand. What cannot be read excuses nothing."""
        try:
            pods = self._read()
        except Failure:
            return
        self._first = {**pods, **self._first}
        self.failing = _reachable.failing(pods, self._first, self._version)
        self.seen.saw(_reachable.ending(pods), time.monotonic())

    def excuse(self, result: t.Mapping[str, t.Any], begun: float, patience: float) -> bool:
        """Whether what a look lost, which `begun` then (time.monotonic), counts against no version.

        Whatever ends meanwhile, after `patience` seconds and the time that proxies need it is, and at once where pods
        of the version itself fail.
        """
        self.look()
        if self.failing:
            return False
        if begun - self._began > patience + _ending.FOLLOW_SLOWLY:
            return False
        return self.seen.excuses(result, begun, self._version)

    def note(self) -> None:
        """Note for the run's outcome which pods ended, when, and what was lost meanwhile."""
        note(self._run, self.seen)


def note(run: _run.Run, seen: _ending.Ending) -> None:
    """Note for a run's outcome which pods were seen to end, and what was lost meanwhile."""
    if not seen.pods and not seen.lost:
        return
    clock = time.time() - time.monotonic()
    first = seen.first if seen.first is not None else seen.changed
    newest = seen.newest if seen.newest is not None else seen.changed
    run.journal.note(
        "ended",
        pods=seen.pods,
        lost=dict(seen.lost),
        first=None if first is None else first + clock,
        newest=None if newest is None else newest + clock,
    )
    seen.lost.clear()  # what comes later is noted later
