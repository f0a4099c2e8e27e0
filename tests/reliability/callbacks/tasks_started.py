"""Tells which tasks of a run have started, and stops the run at one of them: for whoever kills it there."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: tasks_started
type: notification
short_description: tells which tasks have started
description: Writes the time and the name of each task that starts to a file, one a line.
"""


class CallbackModule(CallbackBase):
    """RELIABILITY_TASKS is the file, RELIABILITY_STOP_AT the number of the task that the run stops at (0 for none)."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "tasks_started"

    def __init__(self) -> None:
        super().__init__()
        self.started = 0

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """A task starts, or would if its conditions held."""
        self.started += 1
        with Path(os.environ["RELIABILITY_TASKS"]).open("a") as file:
            file.write(f"{time.monotonic()} {task.get_name().rpartition(' : ')[2]}\n")
        while self.started == int(os.environ["RELIABILITY_STOP_AT"]):
            signal.pause()
