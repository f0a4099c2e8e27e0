"""The process beside a run: what it returns, and that it does not outlive the run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._run._companion import Stop, finish, start

NAME = "convoy-test"


def until(true: Callable[[], bool]) -> None:
    """Return when it is so; ten seconds are an error."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def counting(stop: Stop) -> int:
    """Work that ends when it is told to."""
    turns = 0
    while not stop.wait(0.001):
        turns += 1
    return turns


def test_it_works_until_it_is_asked_and_leaves_nothing() -> None:
    handle = start(counting, name=NAME, owner=os.getpid(), maximum=60)
    folder = Path(handle["directory"])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
    assert finish(handle) >= 0
    assert not folder.exists()
    with pytest.raises(Failure, match="is gone"):
        finish(handle)


def test_what_it_returned_is_kept_after_its_maximum(tmp_path: Path) -> None:
    def work(stop: Stop) -> str:
        stop.wait(60)
        (tmp_path / "ended").touch()
        return "kept"

    handle = start(work, name=NAME, owner=os.getpid(), maximum=0.05)
    until((tmp_path / "ended").exists)
    assert finish(handle) == "kept"


def test_without_a_run_to_look_at_it_ends_at_twice_its_maximum() -> None:
    handle = start(counting, name=NAME, owner=None, maximum=0.05)
    until(lambda: not Path(handle["directory"]).exists())
    with pytest.raises(Failure, match="is gone"):
        finish(handle)


def test_work_that_breaks_down_is_told() -> None:
    def work(_stop: Stop) -> None:
        raise RuntimeError("no more")

    with pytest.raises(Failure, match="broke down: RuntimeError: no more"):
        finish(start(work, name=NAME, owner=os.getpid(), maximum=60))


@pytest.mark.parametrize("pidfd", [True, False])
def test_it_ends_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pidfd: bool) -> None:
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open")
    run = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    def work(_stop: Stop) -> None:
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(600)  # nobody asks it to end

    handle = start(work, name=NAME, owner=run.pid, maximum=60, on_death=(tmp_path / "died").touch)
    until((tmp_path / "pid").exists)
    assert not (tmp_path / "died").exists()
    run.kill()
    run.wait()
    until((tmp_path / "died").exists)
    until(lambda: not Path(handle["directory"]).exists())


def test_what_is_no_handle_is_refused() -> None:
    with pytest.raises(Failure, match="names no directory"):
        finish({})
