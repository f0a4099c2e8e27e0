"""A lock that is held, and the lock of a run that died, seen from the machine of that run."""

from __future__ import annotations

import os
import re
import subprocess
import time
import typing as t
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import Object
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _lock
from ansible_collections.convoy.rollout.plugins.module_utils._run import _lease

Make = Callable[..., t.Any]


@pytest.fixture
def lock(api_server: t.Any) -> _lock.Lock:
    """The lock of hello, as another run sees it."""
    options = {"name": "hello", "namespace": "shop", "purpose": "", "host": api_server.url, "api_key": "x"}
    return _lock.Lock(options, {}, "alice@laptop (1-x-1)")


def held_by(holder: str) -> Object:
    """The Lease as the API server has it when somebody holds it, who renewed it just now."""
    now = datetime.now(UTC)
    lease = _lease.taken(None, name="convoy-hello", holder=holder, purpose="canary to 2.0.0", now=now)
    lease["metadata"].update(uid="u", resourceVersion="5")
    return lease


def run_that_ended() -> str:
    """The identity of a run that lives no more."""
    with subprocess.Popen(["sleep", "60"]) as process:
        identity = _lock._identity(process.pid)
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
    lock: _lock.Lock, api_server: t.Any, answer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_before: list[int] = []
    monkeypatch.setattr(_lock.time, "sleep", lambda _seconds: asked_before.append(len(api_server.asked)))
    api_server.on(lock.path, answer(body=held_by(lock.holder)))
    lock.abandon()
    assert asked_before == [0]
    assert [ask.method for ask in api_server.asked] == ["GET", "DELETE"]


@pytest.mark.parametrize(
    "holder",
    [
        pytest.param(lambda: _lock._identity(os.getpid()), id="alive"),
        pytest.param(lambda: re.sub("-[0-9a-f]{8}-", "-00000000-", run_that_ended()), id="on another machine"),
        pytest.param(lambda: _lock._identity(None), id="whose process is elsewhere"),
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
        answer(body=held_by(_lock._identity(owner, "iowa"))),
    )
    asked = {"state": "held", "purpose": "", "wait": 0, "takeover": False, "lock": {}, **options}
    assert "This run holds the lock" in _lock.run(asked, Task(owner=owner, host="iowa"))["message"]
    with pytest.raises(Failure, match=r"is being changed by .* for iowa \("):
        _lock.run(asked, Task(owner=owner, host="berlin"))


def test_it_is_renewed_while_it_is_held(
    lock: _lock.Lock, api_server: t.Any, answer: Make, refusal: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lock, "RENEW", 0.02)
    owner = os.getpid()
    lease = answer(body=held_by(_lock._identity(owner)))
    api_server.on(lock.path, refusal(404, "NotFound", "none yet"), lease)
    api_server.on(lock.collection, lease)
    options = {**lock.options, "state": "held", "wait": 0, "takeover": False, "lock": {}}
    task = Task(owner=owner)
    held = _lock.run(options, task)["lock"]
    deadline = time.monotonic() + 30
    while sum(ask.method == "PUT" for ask in api_server.asked) < 3:
        assert time.monotonic() < deadline, "it is not renewed"
        time.sleep(0.01)
    _lock.run({**options, "state": "released", "lock": held}, task)
    assert api_server.asked[-1].method == "DELETE"


def test_who_takes_it_over_lets_the_other_run_make_the_change_it_was_about_to_make(
    lock: _lock.Lock, api_server: t.Any, answer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(_lock.time, "sleep", waited.append)
    bobs, mine = (answer(body=held_by(who)) for who in ("bob@elsewhere (1-x-1)", lock.holder))
    api_server.on(lock.path, bobs, mine)
    told: list[str] = []
    assert "taken from bob@elsewhere" in str(lock.take(0, True, told.append))
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
