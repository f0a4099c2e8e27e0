"""A task is a process of its own, which ends with its run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COLLECTIONS = Path(__file__).resolve().parents[4] / ".collections"

#: A run and its task, both of which would wait for ever; the task does something first.
RUN = f"""
import multiprocessing, os, signal, sys, time
sys.path.insert(0, {str(COLLECTIONS)!r})
from ansible_collections.convoy.rollout.plugins.plugin_utils import _operation
run = os.getpid()
def task():
    os.setsid()
    %s
    os.write(1, str(_operation._ended_with_run() == run).encode())
    signal.pause()
multiprocessing.get_context("fork").Process(target=task).start()
signal.pause()
"""


@contextmanager
def started(first: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run whose task does something `first`; killed in the end, whatever becomes of it."""
    with subprocess.Popen([sys.executable, "-c", RUN % first], stdout=subprocess.PIPE) as run:
        try:
            yield run
        finally:
            run.kill()


def test_a_task_knows_its_run_and_ends_when_that_is_killed() -> None:
    with started("pass") as run:
        assert run.stdout is not None
        assert run.stdout.read(4) == b"True"
        run.kill()
        # The end of what they print: neither of the two is there any more.
        assert run.communicate(timeout=30)[0] == b""


def test_a_task_of_a_run_that_was_killed_before_it_began_takes_no_other_process_for_it() -> None:
    with started("os.write(1, b'begun'); [time.sleep(0.01) for _ in iter(lambda: os.getppid() == run, False)]") as run:
        assert run.stdout is not None
        assert run.stdout.read(5) == b"begun"
        run.kill()
        assert run.communicate(timeout=30)[0] == b""
