"""A lock that is held, and the lock of a run that died, seen from the machine of that run."""

from __future__ import annotations

import os
import re
import subprocess
import time
import typing as t
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import Object
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _lock as operation
from ansible_collections.convoy.rollout.plugins.module_utils._run import _companion, _keeper, _lease, _lock
from unit.forks import alone

Make = Callable[..., t.Any]


@pytest.fixture
def options(api_server: t.Any) -> dict[str, t.Any]:
    """How the cluster is reached."""
    return {"host": api_server.url, "api_key": "x"}


@pytest.fixture
def lock(options: dict[str, t.Any]) -> _lock.Lock:
    """The lock of hello, as another run sees it."""
    return _lock.Lock(_api.api(options, {}), "shop", "hello", "alice@laptop (1-x-1)")


def held_by(holder: str) -> Object:
    """The Lease as the API server has it when somebody holds it, whose clock is ahead: it lasts as long as a test."""
    now = datetime.now(UTC) + timedelta(hours=1)
    lease = _lease.taken(None, name="convoy-hello", holder=holder, purpose="canary to 2.0.0", now=now)
    lease["metadata"].update(uid="u", resourceVersion="5")
    return lease


def run_that_ended() -> str:
    """The identity of a run that lives no more."""
    with subprocess.Popen(["sleep", "600"]) as process:
        identity = _lock.identity(process.pid)
        process.kill()
    return identity


def test_of_a_run_that_died_here_it_is_taken_at_once_and_the_task_that_run_was_at_may_end(
    lock: _lock.Lock, api_server: t.Any, answer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(_lock.time, "sleep", waited.append)
    dead = run_that_ended()
    api_server.on(lock.path, answer(body=held_by(dead)), answer(body=held_by(lock.holder)))
    told: list[str] = []
    assert f"after the end of {dead}" in str(lock.take(0, False, told.append))
    assert [ask.method for ask in api_server.asked] == ["GET", "PUT", "GET"]
    assert waited == [_lock.GRACE]
    assert "this run goes on in 5 s" in told[0]


def test_the_lock_of_a_run_that_was_killed_is_released_when_the_task_it_was_at_may_have_ended(
    options: dict[str, t.Any],
    lock: _lock.Lock,
    api_server: t.Any,
    answer: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked_before: list[int] = []
    monkeypatch.setattr(_keeper.time, "sleep", lambda _seconds: asked_before.append(len(api_server.asked)))
    api_server.on(lock.path, answer(body=held_by(lock.holder)))
    _keeper.Keeper(_api.api(options, {}).access, [lock])._abandon()
    assert asked_before == [0]
    assert [ask.method for ask in api_server.asked] == ["GET", "DELETE"]


@pytest.mark.parametrize(
    "holder",
    [
        pytest.param(lambda: _lock.identity(os.getpid()), id="alive"),
        pytest.param(lambda: re.sub("-[0-9a-f]{8}-", "-00000000-", run_that_ended()), id="on another machine"),
        pytest.param(lambda: _lock.identity(None), id="whose process is elsewhere"),
    ],
)
def test_of_any_other_run_it_is_refused(
    lock: _lock.Lock, api_server: t.Any, answer: Make, holder: Callable[[], str]
) -> None:
    api_server.on(lock.path, answer(body=held_by(holder())))
    with pytest.raises(Failure, match="is being changed by"):
        lock.take(0, False, print)
    assert [ask.method for ask in api_server.asked] == ["GET"]


def test_of_another_host_of_the_same_run_it_is_refused(api_server: t.Any, answer: Make) -> None:
    options = {"name": "hello", "namespace": "shop", "host": api_server.url, "api_key": "x"}
    owner = os.getpid()
    api_server.on(
        "/apis/coordination.k8s.io/v1/namespaces/shop/leases/convoy-hello",
        answer(body=held_by(_lock.identity(owner, "iowa"))),
    )
    asked = {"state": "held", "purpose": "", "wait": 0, "takeover": False, "lock": {}, **options}
    assert "This run holds the lock" in operation.run(asked, Task(owner=owner, host="iowa"))["message"]
    with pytest.raises(Failure, match=r"is being changed by .* for iowa \("):
        operation.run(asked, Task(owner=owner, host="berlin"))


def held(options: Object, owner: int) -> Object:
    """The lock of a run, which is renewed all the time."""
    _keeper.RENEW = 0.02
    return t.cast("Object", operation.run(options, Task(owner=owner))["lock"])


def test_it_is_renewed_while_it_is_held(
    options: dict[str, t.Any], lock: _lock.Lock, api_server: t.Any, answer: Make, refusal: Make
) -> None:
    owner = os.getpid()
    lease = answer(body=held_by(_lock.identity(owner)))
    api_server.on(lock.path, refusal(404, "NotFound", "none yet"), lease)
    api_server.on(lock.collection, lease)
    asked = {**options, "name": "hello", "namespace": "shop", "purpose": "", "wait": 0, "takeover": False}
    known = alone(held, {**asked, "state": "held", "lock": {}}, owner)
    deadline = time.monotonic() + 300
    while sum(ask.method == "PUT" for ask in api_server.asked) < 3:
        assert time.monotonic() < deadline, "it is not renewed"
        time.sleep(0.01)
    operation.run({**asked, "state": "released", "lock": known}, Task(owner=owner))
    assert api_server.asked[-1].method == "DELETE"


def test_who_takes_it_over_lets_the_other_run_make_the_change_it_was_about_to_make(
    lock: _lock.Lock, api_server: t.Any, answer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(_lock.time, "sleep", waited.append)
    bobs, mine = (answer(body=held_by(who)) for who in ("bob@elsewhere (1-x-1)", lock.holder))
    api_server.on(lock.path, bobs, mine)
    told: list[str] = []
    assert "lock taken over from bob@elsewhere" in str(lock.take(0, True, told.append))
    assert waited == [_lock.GRACE]
    assert "this run goes on in 5 s" in told[0]


def test_who_lost_it_again_while_it_waited_for_that_changes_nothing(
    lock: _lock.Lock, api_server: t.Any, answer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lock.time, "sleep", lambda _seconds: None)
    bobs, carols = (answer(body=held_by(who)) for who in ("bob@elsewhere (1-x-1)", "carol@pc (1-x-1)"))
    api_server.on(lock.path, bobs, carols)
    with pytest.raises(Failure, match="was taken over by carol@pc"):
        lock.take(0, True, print)


def renewed_ago(holder: str, seconds: float, version: str) -> Object:
    """A Lease whose holder says that it renewed it so many seconds ago."""
    lease = _lease.taken(None, name="convoy-hello", holder=holder, purpose="", now=datetime.now(UTC))
    lease["spec"]["renewTime"] = _lease.stamp(datetime.fromtimestamp(time.time() - seconds, UTC))
    lease["metadata"].update(uid="u", resourceVersion=version)
    return lease


@pytest.mark.parametrize("skew", [60, 3600, -60])
def test_of_a_run_that_lives_it_is_refused_whatever_its_clock_says(
    lock: _lock.Lock, api_server: t.Any, answer: Make, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(_lock.time, "sleep", waited.append)
    bobs = [answer(body=renewed_ago("bob@elsewhere (1-x-1)", skew, str(number))) for number in range(5)]
    api_server.on(lock.path, *bobs)
    with pytest.raises(Failure, match="is being changed by bob@elsewhere"):
        lock.take(0, False, lambda _line: None)
    assert sum(waited) <= _lease.DURATION


def test_a_run_whose_companion_was_killed_stops(
    lock: _lock.Lock, api_server: t.Any, answer: Make, tmp_path: Path
) -> None:
    api_server.on(lock.path, answer(body=renewed_ago(lock.holder, 20, "7")))
    for directory in (tmp_path, tmp_path / "gone"):
        with pytest.raises(_lock.LockLostError, match="is no longer renewed, as the process that renews it was killed"):
            lock.check(str(directory))
    assert {ask.method for ask in api_server.asked} == {"GET"}


def test_a_run_whose_companion_lives_but_came_late_renews_its_lock_itself(
    lock: _lock.Lock, api_server: t.Any, answer: Make, tmp_path: Path
) -> None:
    api_server.on(lock.path, answer(body=renewed_ago(lock.holder, 20, "7")))
    with _companion._held(tmp_path):
        lock.check(str(tmp_path))
    (renewed,) = (ask for ask in api_server.asked if ask.method == "PUT")
    assert renewed.body["metadata"]["resourceVersion"] == "7"  # so that whoever was quicker has it
    assert t.cast(_lease.Held, _lease.held(renewed.body)).seems_alive(datetime.now(UTC))


def test_a_run_that_was_too_late_to_renew_its_lock_stops(
    lock: _lock.Lock, api_server: t.Any, answer: Make, refusal: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lock.time, "sleep", lambda _seconds: None)
    late, bobs = answer(body=renewed_ago(lock.holder, 20, "7")), answer(body=held_by("bob@elsewhere (1-x-1)"))
    api_server.on(lock.path, late, late, refusal(409, "Conflict", "the object has been modified"), bobs)
    with pytest.raises(_lock.LockLostError, match="was taken over by bob@elsewhere"):
        lock.check()


def test_several_locks_are_renewed_and_one_that_is_lost_is_left_alone(
    options: dict[str, t.Any], api_server: t.Any, answer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_keeper, "RENEW", 0.01)
    api = _api.api(options, {})
    mine, lost = (_lock.Lock(api, "shop", name, "alice@laptop (1-x-1)") for name in ("auth", "hello"))
    api_server.on(mine.path, answer(body=held_by(mine.holder)))
    api_server.on(lost.path, answer(body=held_by("bob@elsewhere (1-x-1)")))

    class Stop:
        """Ends after three renewals."""

        def wait(self, _seconds: float) -> bool:
            return sum(ask.method == "PUT" for ask in api_server.asked) >= 3

    _keeper.Keeper(_api.api(options, {}).access, [mine, lost])._renew(t.cast(t.Any, Stop()))
    assert {ask.path for ask in api_server.asked if ask.method == "PUT"} == {mine.path}
    assert sum(ask.path == lost.path for ask in api_server.asked) == 1
