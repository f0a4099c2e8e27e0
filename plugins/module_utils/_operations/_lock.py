# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What module and action plugin lock do."""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import re
import time
import typing as t
import zlib
from datetime import datetime, timezone
from pathlib import Path

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _retries
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._run import _companion, _lease
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _place

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    "state": {"type": "str", "choices": ["held", "released"], "default": "held"},
    "namespace": {"type": "str"},
    "name": {"type": "str", "required": True},
    "purpose": {"type": "str", "default": ""},
    "wait": {"type": "int", "default": 0},
    "takeover": {"type": "bool", "default": False},
    "lock": {"type": "dict", "default": {}},
}

GROUP = "coordination.k8s.io"
LOOK = 1.0  #: seconds between two looks at a Lease that somebody else holds
#: Seconds for the change before which a run looked at its lock: that run may go on, and of one that was killed the
#: task that it was at, which is a process of its own, may go on as well.
GRACE = 5.0
RENEW = _lease.DURATION / 3  #: seconds between two renewals
LONGEST = 24 * 3600.0  #: seconds after which a Lease is not renewed any more, whatever the run does


class Lock:
    """The Lease of one application."""

    def __init__(self, options: t.Mapping[str, t.Any], environ: t.Mapping[str, str], holder: str) -> None:
        self.options, self.holder = options, holder
        self.api = _api.api(options, environ)
        self.application, self.namespace = options["name"], self.api.namespace(options)
        self.name = f"convoy-{self.application}"
        self.collection = _api.path_of("leases", self.namespace, group=GROUP)
        self.path = _api.path_of("leases", self.namespace, self.name, group=GROUP)

    def read(self) -> _api.Object | None:
        """The Lease, None where there is none. Raises Failure."""
        try:
            return self.api.get(self.path)
        except _api.ApiError as error:
            if error.status == 404:
                return None
            raise

    def take(self, wait: float, takeover: bool, tell: t.Callable[[str], None]) -> str | None:
        """Hold it, and say from whom it was taken; None where this run holds it already.

        From whomever it is taken, a change that they were about to make is made then. Raises Failure when somebody
        else holds it.
        """
        end = time.monotonic() + wait
        observer = _lease.Observer()
        told = how = ""
        writes = 0
        while True:
            lease = self.read()
            other = _lease.held(lease)
            if other and other.holder == self.holder:
                return self.goes_on(how, tell) if writes else None
            expired = other and (_is_dead(other.holder) or observer.has_expired(other, time.monotonic()))
            if other is None or takeover or expired:
                writes += 1
                how = f"taken {'after the end of' if expired else 'from'} {other}" if other else ""
                if self.write(lease, last=writes >= _retries.ATTEMPTS):
                    return self.goes_on(how, tell)
                time.sleep(_retries.growing(writes))
                continue  # somebody else was quicker, or nothing came of it: see who has it
            # One that seems dead is looked at until that is certain.
            if time.monotonic() >= end and (expired or other.seems_alive(_now())):
                raise Failure(
                    f"{self.application} in namespace {self.namespace} is being changed by {other}; wait for it "
                    f"with -e lock_wait=SECONDS, or take it over with -e takeover=true.",
                    {"holder": other.holder, "since": other.since, "purpose": other.purpose},
                )
            if told != other.holder:
                told = other.holder
                tell(f"{self.application}: waiting for {other}")
            time.sleep(LOOK)

    def goes_on(self, how: str, tell: t.Callable[[str], None]) -> str:
        """Say how it was taken, once whoever had it makes no change any more. Raises Failure when it is lost again."""
        if how:
            tell(f"{self.application}: {how}; this run goes on in {GRACE:g} s")
            time.sleep(GRACE)
            self.check()  # a third run may have taken it from this one
        return how

    def write(self, lease: _api.Object | None, last: bool) -> bool:
        """Put this run in as the holder; False where somebody else changed the Lease, or, unless it is the `last`
        attempt, where the API server failed and nothing came of it."""
        new = _lease.taken(lease, name=self.name, holder=self.holder, purpose=self.options["purpose"], now=_now())
        try:
            if lease is None:
                self.api.create(self.collection, new)
            else:
                self.api.replace(self.path, new)
        except _api.ApiError as error:
            if lease is None and error.status == 404:
                _place.check_namespace(self.api, self.namespace)
                raise
            # Of a request whose answer got lost only the Lease itself can tell whether it was done.
            if error.status not in (0, 404, 409, 500, 502, 503, 504):
                raise
            mine = _lease.held(self.read())
            if mine is None and error.status not in (404, 409) and (last or error.refusal.lasting):
                raise
            return bool(mine and mine.holder == self.holder)
        return True

    def check(self) -> None:
        """Raise Failure when this run does not hold it any more."""
        other = _lease.held(self.read())
        if other is None or other.holder != self.holder:
            who = f"was taken over by {other}" if other else "was taken away"
            raise Failure(
                f"The lock of {self.application} in namespace {self.namespace} {who}, so this run stops; nothing "
                f"is undone, as another run may be at work. Run again when that is over."
            )

    def renew_until(self, stop: t.Any) -> str:
        """Renew the Lease until told to stop or it is lost; who has it then."""
        while not stop.wait(RENEW):
            try:
                lease = self.read()
                now = _lease.held(lease)
                if lease is None or now is None or now.holder != self.holder:
                    return str(now or "nobody")
                self.api.replace(self.path, _lease.renewed(lease, _now()))
            except Failure:
                pass  # out of reach: it goes on lasting for a while, and nobody is to find it expired before that
        return ""

    def release(self) -> bool:
        """Let go of it, if this run has it. Raises Failure."""
        for _try in range(5):
            lease = self.read()
            now = _lease.held(lease)
            if lease is None or now is None or now.holder != self.holder:
                return False
            metadata = lease["metadata"]
            same = {key: metadata[key] for key in ("uid", "resourceVersion")}
            try:
                self.api.delete(self.path, {"preconditions": same})
            except _api.ApiError as error:
                if error.status not in (404, 409):
                    raise
                continue  # a renewal that was on its way
            return True
        raise Failure(f"The Lease {self.name} in namespace {self.namespace} changes all the time; delete it by hand.")

    def abandon(self) -> None:
        """Let go of it, as well as that can be done, after the run's death and the end of the task it was at."""
        time.sleep(GRACE)
        with contextlib.suppress(Failure):  # else it expires
            self.api = _api.Api(self.api.access)  # what the renewals left may be in the middle of an answer
            self.release()


def run(options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """Hold or release the lock of an application. Raises Failure when somebody else holds it."""
    if options["wait"] < 0:
        raise Failure(f"wait is {options['wait']}; it must not be negative.")
    name = options["name"]
    if task.check_mode:
        return {"changed": False, "lock": {}, "message": f"Check mode: the lock of {name} is left alone."}
    known = options["lock"]
    if options["state"] == "released" and "companion" not in known:
        return {"changed": False, "lock": {}, "message": f"The lock of {name} is not this task's to release."}
    owner = task.owner
    lock = Lock(options, task.environ, str(known.get("holder") or _identity(owner, task.host)))
    try:
        if options["state"] == "released":
            return {"changed": False, "lock": {}, "message": _released(lock, known)}
        if known:
            lock.check()
            return {"changed": False, "lock": known, "message": f"The lock of {name} is still held."}
        how = lock.take(options["wait"], options["takeover"], task.tell)
        if how is None:  # a caller of this role holds it, and will release it
            return {"changed": False, "lock": {"holder": lock.holder}, "message": f"This run holds the lock of {name}."}
        # A companion has no open connection of its run's: it needs one of its own.
        kept = Lock(options, task.environ, lock.holder)
        companion = _companion.start(
            kept.renew_until, name="convoy-lock", owner=owner, maximum=LONGEST, on_death=kept.abandon
        )
    finally:
        lock.api.close()
    return {
        "changed": False,
        "lock": {"holder": lock.holder, "companion": companion},
        "message": f"The lock of {name} is held by {lock.holder}{', ' + how if how else ''}.",
    }


def _released(lock: Lock, known: t.Mapping[str, t.Any]) -> str:
    with contextlib.suppress(Failure):  # whatever became of it, the Lease is let go of
        _companion.finish(known["companion"])
    if lock.release():
        return f"The lock of {lock.application} is released."
    return f"The lock of {lock.application} was not held any more."


def _identity(owner: int | None, host: str = "") -> str:
    """Who this run is: user, machine and process, and what tells those from others of the same name and number.

    Two hosts of one run that lead to the same application are two that would change it.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    # Where the run is on another machine, its process is not there to be looked at.
    born = f"-{_companion.born(owner)}" if owner else ""
    of_host = f" for {host}" if host else ""
    return f"{user}@{platform.node()}{of_host} ({owner or os.getpid()}-{_machine()}{born})"


def _is_dead(holder: str) -> bool:
    """Whether the run that an `_identity` names is known to have ended: it was on this machine, and is no more."""
    found = re.search(r"\((\d+)-([0-9a-f]{8})-(\d+)\)$", holder)
    if not found or found[2] != _machine():
        return False
    pid, born = int(found[1]), found[3]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is somebody else's
        pass
    return (_companion.born(pid) or born) != born


def _machine() -> str:
    """What tells this machine, since it was started, and its numbers of processes from others."""
    try:
        where = Path("/proc/sys/kernel/random/boot_id").read_text() + os.readlink("/proc/self/ns/pid")
    except OSError:
        where = ""
    return f"{zlib.crc32(where.encode()):08x}" if where else "?"


def _now() -> datetime:
    return datetime.now(timezone.utc)
