# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Taking, keeping and releasing the Lease of an application, so that one run at a time changes it."""

from __future__ import annotations

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
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._run import _companion, _lease
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _place

GROUP = "coordination.k8s.io"
LOOK = 1.0  #: seconds between two looks at a Lease that somebody else holds
#: Seconds for the change before which a run looked at its lock: that run may go on, and of one that was killed the
#: task that it was at, which is a process of its own, may go on as well.
GRACE = 5.0
RENEW = _lease.DURATION / 3  #: seconds between two renewals
LONGEST = 24 * 3600.0  #: seconds after which a Lease is not renewed any more, whatever the run does


class LockLostError(Failure):
    """The lock is no longer this run's: nothing may be changed, and nothing undone."""


class Lock:
    """The Lease of one application."""

    def __init__(self, api: _api.Api, namespace: str, application: str, holder: str, purpose: str = "") -> None:
        self.api, self.holder, self.purpose = api, holder, purpose
        self.application, self.namespace = application, namespace
        self.name = f"convoy-{application}"
        self.collection = _api.path_of("leases", namespace, group=GROUP)
        self.path = _api.path_of("leases", namespace, self.name, group=GROUP)

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

        Whoever it is taken from, a change that they were about to make has been made by then. Raises Failure when
        somebody else holds it.
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
                how = f"lock taken over {'after the end of' if expired else 'from'} {other}" if other else ""
                if self.write(lease, last=writes >= _retries.ATTEMPTS):
                    return self.goes_on(how, tell)
                time.sleep(_retries.growing(writes))
                continue  # somebody else was quicker, or nothing came of it: see who has it
            # One that seems dead is looked at until that is certain; one that was seen to change is alive, whatever
            # its holder's clock says.
            if time.monotonic() >= end and (expired or other.seems_alive(_now()) or observer.has_changed):
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
        """Say how it was taken, once whoever had it makes no more changes. Raises Failure when it is lost again."""
        if how:
            tell(f"{self.application}: {how}; this run goes on in {GRACE:g} s")
            time.sleep(GRACE)
            self.check()  # a third run may have taken it from this one
        return how

    def write(self, lease: _api.Object | None, last: bool) -> bool:
        """Put this run in as the holder; False where somebody else changed the Lease, or, unless it is the `last`
        attempt, where the API server failed and nothing came of it."""
        new = _lease.taken(lease, name=self.name, holder=self.holder, purpose=self.purpose, now=_now())
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

    def check(self, keeper: str | None = None) -> None:
        """Raise LockLostError when this run no longer holds it, or its keeper was killed. Raises Failure.

        `keeper` is the directory of the companion that renews it. Where that lives but has not come to it, for a
        machine that was asleep or has too much to do, it is renewed here: nobody else has taken it until then.
        """
        where = f"The lock of {self.application} in namespace {self.namespace}"
        attempt = 1
        while True:
            other = _lease.held(self.read())
            if other is None or other.holder != self.holder:
                who = f"was taken over by {other}" if other else "was removed"
                raise LockLostError(
                    f"{where} {who}, so this run stops; nothing is undone, as another run may be at work. Run the "
                    "playbook again when that one has ended."
                )
            if other.seems_alive(_now()):  # by this machine's clock, which wrote it
                return
            if keeper is not None and not _companion.lives(keeper):
                raise LockLostError(
                    f"{where} is no longer renewed, as the process that renews it was killed, so this run stops; "
                    "nothing is undone. Run the playbook again."
                )
            try:
                if self.renew():
                    return
            except _api.ApiError as error:
                # Somebody was quicker, the keeper it may be, or nothing came of it: see who has it.
                if error.status not in (404, 409, *_retries.UNKNOWN) or attempt == _retries.ATTEMPTS:
                    raise
                time.sleep(_retries.growing(attempt))
                attempt += 1

    def renew(self) -> bool:
        """Renew the Lease; False where this run no longer holds it. Raises Failure."""
        lease = self.read()
        now = _lease.held(lease)
        if lease is None or now is None or now.holder != self.holder:
            return False
        self.api.replace(self.path, _lease.renewed(lease, _now()))
        return True

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
        raise Failure(f"The Lease {self.name} in namespace {self.namespace} keeps changing; delete it by hand.")


def identity(owner: int | None, host: str = "") -> str:
    """Who a run is: user, machine and process, and what tells those from others of the same name and number.

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
    """Whether the run that an `identity` names is known to have ended: it was on this machine, and is no more."""
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
