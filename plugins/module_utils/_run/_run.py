# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a task has of the run that it belongs to: its lock and what it gave others, read again, and its journal."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._run import _journal
from ansible_collections.convoy.rollout.plugins.module_utils._run._journal import Journal
from ansible_collections.convoy.rollout.plugins.module_utils._run._lock import Lock, LockLostError
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _given
from ansible_collections.convoy.rollout.plugins.module_utils._workload._given import ChangedError, Given
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

#: The option by which a task belongs to a run: what the task that began it returned.
OPTION: dict[str, t.Any] = {"run": {"type": "dict"}}

#: What a request says for the whole run: its tasks need not be given it.
SHARED = ("samples", "min_success", "settle", "timeout")

STAND = 5.0  #: seconds that a tool which puts objects back is given after the last change
LOOK = 1.0  #: seconds between two looks meanwhile

Handle = t.Dict[str, t.Any]
Options = t.Mapping[str, t.Any]
Work = t.Callable[[Options, Task, "Run"], "dict[str, t.Any]"]


class Run:
    """One task's view of its run. A task of no run guards nothing and notes nothing."""

    def __init__(self, handle: Handle | None, api: t.Callable[[], _api.Api]) -> None:
        """`api` connects to the cluster when the lock is first read."""
        self.handle = handle or {}
        self.journal = Journal(self.handle.get("directory"))
        self._connect = api
        self._connected: _api.Api | None = None

    def check(self) -> None:
        """Raise LockLostError where a lock of the run is another run's by now."""
        for held in self.handle.get("locks") or []:
            Lock(self._server(), **held).check(self.handle["directory"])

    def check_given(self) -> None:
        """Raise LockLostError as `check` does, and ChangedError where an object has not what the run gave it."""
        self.check()
        for place, given in self.given():
            _given.check(self._there(place), given)

    def stand(self) -> None:
        """Raise as `check_given` does, also where a tool that puts objects back comes a little later.

        Where none looks after the objects, nothing is waited for.
        """
        self.check_given()
        if not any(_given.is_put_back(self._there(place)) for place, _given_fields in self.given()):
            return
        last = max(event["at"] for event in self.journal.events() if event["kind"] == "given")
        while time.time() < last + STAND:
            time.sleep(LOOK)
            self.check_given()

    def gave(self, place: Place, fields: t.Mapping[str, t.Any]) -> None:
        """Note what an object was given, or has and is relied on, by the paths of its fields: it is to stay so."""
        if fields:
            self.journal.note(
                "given", object=place.kind, namespace=place.namespace, name=place.name, fields=dict(fields)
            )

    def let_go(self, place: Place | None = None) -> None:
        """Note that an object need not stay as it was given, or that none need: it is deleted, or the run goes back."""
        self.journal.note("let go", object=place.kind if place else "", name=place.name if place else "")

    def given(self) -> list[tuple[Place, Given]]:
        """What objects are to have for as long as the run goes forward."""
        events: list[_journal.Event] = []
        for event in self.journal.events():
            if event["kind"] == "given":
                events.append(event)
            elif event["kind"] == "let go":
                gone = (event["object"], event["name"])
                events = [each for each in events if gone[1] and (each["object"], each["name"]) != gone]
        namespaces = {(event["object"], event["name"]): event["namespace"] for event in events}
        return [(Place(each.kind, namespaces[each.kind, each.name], each.name), each) for each in _given.merged(events)]

    def _there(self, place: Place) -> _api.Object | None:
        try:
            return self._server().get(place.path)
        except _api.ApiError as error:
            if error.status == 404:
                return None
            raise

    def _server(self) -> _api.Api:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    def close(self) -> None:
        """Close the connection by which locks and objects were read."""
        if self._connected is not None:
            self._connected.close()

    def verified(self, what: str, result: t.Mapping[str, t.Any], *, final: bool) -> None:
        """Note a verification; the run stands or falls by what is `final`."""
        counted = ("samples", "counts", "errors", "shares", "intervals", "latency")
        kept = ("by", "verdict", *counted, "via", "url", "message")
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
        """The failure that the task ends with: that the lock was lost is the reason of whatever failed after it, and
        so is what somebody else changed, beside what was seen of it."""
        if not isinstance(failure, LockLostError):
            try:
                # Whoever has the lock by now is the one that changes things.
                if isinstance(failure, ChangedError):
                    self.check()
                else:
                    self.check_given()
            except LockLostError as lost:
                failure = lost
            except ChangedError as changed:
                seen = f" {failure.message}" if failure.facts else ""
                failure = ChangedError(f"{changed.message}{seen}", failure.facts)
            except Failure:
                pass  # the API server is out of reach, which the first failure says better
        self.journal.note(
            "failed",
            message=failure.message,
            taken_over=isinstance(failure, LockLostError),
            by_others=isinstance(failure, ChangedError),
        )
        return failure


def shared(namespace: str, application: t.Any, request: Options) -> dict[str, t.Any]:
    """What the handle of a run keeps for its tasks, of what it is begun with. No credentials are among it."""
    return {"namespace": namespace, "name": application, **{key: request[key] for key in SHARED if key in request}}


def begun_with(option: t.Any) -> dict[str, t.Any]:
    """The options that a task has from its run, where it is not given them: its plan, and what the handle keeps."""
    registered = option if isinstance(option, dict) else {}
    handle = registered.get("run", registered)
    kept = handle.get("options") if isinstance(handle, dict) else None
    known = {**(kept or {}), "plan": registered.get("plan")}
    return {name: value for name, value in known.items() if value is not None}


def handle_of(option: t.Mapping[str, t.Any] | None) -> Handle | None:
    """The run's handle: what convoy.rollout.run returned, whole or only its `run`."""
    if not option:
        return None
    handle = option.get("run", option)
    if not isinstance(handle, dict) or "directory" not in handle:
        raise Failure("run is not a run that was begun; set it to what the task with convoy.rollout.run registered.")
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
