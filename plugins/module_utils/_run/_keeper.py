# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The process beside a run that renews its locks, and lets go of them when the run dies."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._run import _companion
from ansible_collections.convoy.rollout.plugins.module_utils._run._lock import GRACE, LONGEST, RENEW, Lock


class Keeper:
    """Keeps the locks of a run; without any it only lives as long as the run does, for the sake of its directory."""

    def __init__(self, access: _api.Access, locks: t.Sequence[Lock]) -> None:
        """`access` says which API server is meant: a companion has no open connection of its run's."""
        self._access = access
        self._held = [(lock.namespace, lock.application, lock.holder) for lock in locks]
        self._locks: list[Lock] = []

    def start(self, owner: int | None) -> _companion.Handle:
        """Begin, beside the run of process `owner`. Raises Failure."""
        return _companion.start(self._renew, name="convoy-lock", owner=owner, maximum=LONGEST, on_death=self._abandon)

    def _connect(self) -> None:
        api = _api.Api(self._access)
        self._locks = [Lock(api, *held) for held in self._held]

    def _renew(self, stop: _companion.Stop) -> None:
        while not stop.wait(RENEW):
            if not self._held:
                continue
            try:
                if not self._locks:
                    self._connect()
                # One that is lost stays lost: whoever has it is not to be disturbed.
                self._locks = [lock for lock in self._locks if lock.renew()]
                self._held = [(lock.namespace, lock.application, lock.holder) for lock in self._locks]
            except Failure:
                pass  # out of reach: they go on lasting for a while, and nobody is to find them expired before that

    def _abandon(self) -> None:
        """Let go of them, as well as that can be done, after the run's death and the end of the task it was at."""
        if not self._held:
            return
        time.sleep(GRACE)
        with contextlib.suppress(Failure):  # else they expire
            self._connect()
        for lock in self._locks:
            with contextlib.suppress(Failure):
                lock.release()
