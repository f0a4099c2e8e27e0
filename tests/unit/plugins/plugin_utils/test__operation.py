"""A task is a process of its own, which ends with its run."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.convoy.rollout.plugins.plugin_utils import _operation

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


#: Until the run is gone, and somebody else has taken its task in.
LATE = "os.write(1, b'late'); [time.sleep(0.01) for _ in iter(lambda: os.getppid() == run, False)]"


@pytest.mark.parametrize(("first", "said"), [("pass", b"True"), (LATE, b"late")], ids=["at work", "not yet at work"])
def test_a_task_knows_its_run_and_ends_when_that_is_killed(first: str, said: bytes) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN % first], stdout=subprocess.PIPE) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.read(4) == said
        finally:
            run.kill()
        # The end of what they print: neither of the two is there any more, and no other process was taken for the run.
        assert run.communicate(timeout=300)[0] == b""


def test_what_is_there_when_an_action_is_loaded_stays_shared_with_the_tasks_processes() -> None:
    gc.unfreeze()
    assert gc.get_freeze_count() == 0
    try:
        type("Action", (_operation.OperationAction,), {"arguments": {}})
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()
