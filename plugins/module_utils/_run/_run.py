# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a task has of the run that it belongs to: its lock, read right before each write, and its journal."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._run._journal import Journal
from ansible_collections.convoy.rollout.plugins.module_utils._run._lock import Lock, LockLostError

#: The option by which a task belongs to a run: what the task that began it returned.
OPTION: dict[str, t.Any] = {"run": {"type": "dict"}}

Handle = t.Dict[str, t.Any]
Options = t.Mapping[str, t.Any]
Work = t.Callable[[Options, Task, "Run"], "dict[str, t.Any]"]


class Run:
    """One task's view of its run. A task of no run guards nothing and notes nothing."""

    def __init__(self, handle: Handle | None, api: t.Callable[[], _api.Api]) -> None:
        """`api` connects to the cluster when the lock is first read."""
        self.handle = handle or {}
        self.journal = Journal(self.handle.get("directory"))
        self._api = api
        self._locks: list[Lock] | None = None

    def check(self) -> None:
        """Raise LockLostError where a lock of the run is another run's by now."""
        if self._locks is None:
            held = self.handle.get("locks") or []
            api = self._api() if held else None
            self._locks = [Lock(t.cast(_api.Api, api), **lock) for lock in held]
        for lock in self._locks:
            lock.check()

    def close(self) -> None:
        """Close the connection by which the locks were read."""
        for lock in self._locks or []:
            lock.api.close()

    def verified(self, what: str, result: t.Mapping[str, t.Any], *, final: bool) -> None:
        """Note a verification; the run stands or falls by what is `final`."""
        kept = ("verdict", "samples", "counts", "errors", "shares", "intervals", "latency", "via", "url", "message")
        self.journal.note("verified", what=what, final=final, **{key: result[key] for key in kept if key in result})

    @property
    def taken_over(self) -> bool:
        """Whether a task found the lock to be another run's."""
        return any(event.get("taken_over") for event in self.journal.events())

    def failed_elsewhere(self, message: str) -> None:
        """Note why a task of the role failed, where that was no operation of ours, which notes it itself."""
        if not any(event["kind"] == "failed" for event in self.journal.events()):
            self.failed(Failure(message))

    def failed(self, failure: Failure) -> Failure:
        """The failure that the task ends with: that the lock was lost is the reason of whatever failed after it."""
        if not isinstance(failure, LockLostError):
            try:
                self.check()
            except LockLostError as lost:
                failure = lost
            except Failure:
                pass  # the API server is out of reach, which the first failure says better
        self.journal.note("failed", message=failure.message, taken_over=isinstance(failure, LockLostError))
        return failure


def handle_of(option: t.Mapping[str, t.Any] | None) -> Handle | None:
    """The run's handle: what convoy.rollout.run returned, whole or only its `run`."""
    if not option:
        return None
    handle = option.get("run", option)
    if not isinstance(handle, dict) or "directory" not in handle:
        raise Failure("run is no run that was begun; give what the task with convoy.rollout.run registered.")
    return handle


def in_run(work: Work, options: Options, task: Task) -> dict[str, t.Any]:
    """What `work` returns, as a part of the run that the option names. Raises Failure, which the run has noted."""
    run = Run(handle_of(options.get("run")), lambda: _api.api(options, task.environ))
    try:
        with contextlib.closing(run):
            return work(options, task, run)
    except Failure as failure:
        raise run.failed(failure) from failure
    except Exception as error:
        run.journal.note("failed", message=f"Internal error: {type(error).__name__}: {error}.")
        raise
