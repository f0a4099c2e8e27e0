"""A task is a process of its own, which ends with its run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COLLECTIONS = Path(__file__).resolve().parents[4] / ".collections"

#: A run and its task, both of which would wait for ever.
RUN = f"""
import os, signal, sys
sys.path.insert(0, {str(COLLECTIONS)!r})
from ansible_collections.convoy.rollout.plugins.plugin_utils import _operation
if os.fork() == 0:
    os.setsid()
    _operation._end_with(os.getppid())
    os.write(1, b"at work")
signal.pause()
"""


def test_a_task_ends_when_its_run_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.read(7) == b"at work"
        run.kill()
        # The end of what they print: neither of the two is there any more.
        assert run.communicate(timeout=30)[0] == b""
