"""The process beside a run: what it returns, and that it does not outlive the run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import typing as t
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._run._companion import Handle, Stop, finish, start
from unit.forks import alone

NAME = "convoy-test"
RUN = os.getpid()


def until(true: Callable[[], bool]) -> None:
    """Return when it is so; five minutes are an error."""
    deadline = time.monotonic() + 300
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def counting(stop: Stop) -> int:
    """Work that ends when it is told to."""
    turns = 0
    while not stop.wait(0.001):
        turns += 1
    return turns


def begun(work: Callable[..., t.Any], *, owner: int | None = RUN, maximum: float = 600) -> Handle:
    """A companion that was started as by a task: where no other thread runs."""
    return t.cast("Handle", alone(start, work, name=NAME, owner=owner, maximum=maximum))


def test_it_works_until_it_is_asked_and_leaves_nothing() -> None:
    handle = begun(counting)
    folder = Path(handle["directory"])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
    assert finish(handle) >= 0
    assert not folder.exists()
    with pytest.raises(Failure, match="has ended"):
        finish(handle)


def test_the_next_one_removes_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path) if len(str(tmp_path)) <= 60 else None)
    killed, foreign = Path(tempfile.mkdtemp(prefix="convoy-")), Path(tempfile.mkdtemp(prefix="convoy-"))
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{killed}/socket")
    living, young = begun(counting), Path(tempfile.mkdtemp(prefix="convoy-"))
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{young}/socket")
    for old in (killed, foreign, Path(living["directory"])):
        os.utime(old, (0, 0))
    finish(begun(counting))
    assert not killed.exists()
    # No companion's, one that works, and one whose run may still read it.
    assert foreign.exists()
    assert young.exists()
    assert finish(living) >= 0
    foreign.rmdir()
    shutil.rmtree(young)


def seen(_stop: Stop) -> dict[str, t.Any]:
    """What there is to see of the process of a companion."""
    arguments, environment = (Path(f"/proc/self/{name}").read_bytes().decode() for name in ("cmdline", "environ"))
    return {
        "name": Path("/proc/self/comm").read_text().strip(),
        "leads its session": os.getsid(0) == os.getpgid(0) != os.getsid(RUN),
        "shown": arguments + environment,
    }


def knowing(secret: str, stop: Stop) -> dict[str, t.Any]:
    """As `seen`, of one that knows something."""
    assert secret
    return seen(stop)


def test_it_has_a_name_and_a_session_and_shows_nothing_of_what_it_knows() -> None:
    found = finish(begun(partial(knowing, "s3cret-token")))
    assert found["name"] == NAME
    assert found["leads its session"]
    assert "s3cret-token" not in found["shown"]


def kept(ended: Path, stop: Stop) -> str:
    """Work that says that it has ended."""
    stop.wait(300)
    ended.touch()
    return "kept"


def test_what_it_returned_is_kept_after_its_maximum(tmp_path: Path) -> None:
    handle = begun(partial(kept, tmp_path / "ended"), maximum=0.05)
    until((tmp_path / "ended").exists)
    assert finish(handle) == "kept"


def test_without_a_run_to_look_at_it_ends_at_twice_its_maximum() -> None:
    handle = begun(counting, owner=None, maximum=0.05)
    until(lambda: not Path(handle["directory"]).exists())
    with pytest.raises(Failure, match="has ended"):
        finish(handle)


def breaking_down(_stop: Stop) -> None:
    """Work that fails."""
    raise RuntimeError("no more")


def test_work_that_breaks_down_is_told() -> None:
    with pytest.raises(Failure, match="failed: RuntimeError: no more"):
        finish(begun(breaking_down))


def deaf(pid: Path, _stop: Stop) -> None:
    """Work that nobody can end."""
    pid.write_text(str(os.getpid()))
    time.sleep(600)


def started_without_pidfd(*args: t.Any, **kwargs: t.Any) -> Handle:
    """As `start`, where the system cannot tell of the end of a process."""
    del os.pidfd_open
    return start(*args, **kwargs)


@pytest.mark.parametrize("started", [start, started_without_pidfd])
def test_it_ends_with_its_run(tmp_path: Path, started: Callable[..., Handle]) -> None:
    work, on_death = partial(deaf, tmp_path / "pid"), (tmp_path / "died").touch
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as run:
        handle = alone(started, work, name=NAME, owner=run.pid, maximum=600, on_death=on_death)
        until((tmp_path / "pid").exists)
        assert not (tmp_path / "died").exists()
        run.kill()
    until((tmp_path / "died").exists)
    until(lambda: not Path(handle["directory"]).exists())


def test_what_is_no_handle_is_refused() -> None:
    with pytest.raises(Failure, match="names no directory"):
        finish({})
