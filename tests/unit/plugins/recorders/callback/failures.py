"""Writes what each failed task says to a file: for tests that ask why a play failed on which host."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import action_loader, filter_loader, test_loader

DOCUMENTATION = r"""
name: failures
type: notification
short_description: tells what each failed task says
description: Writes the host and the message of each task that fails to a file, as one JSON object a line.
"""

#: What the roles' checks are made of.
ACTIONS = ("debug", "fail", "validate_argument_spec", "convoy.rollout.run", "convoy.rollout.fleet")
FILTERS = ("bool", "combine", "default", "int", "selectattr", "to_json")
TESTS = ("defined",)


class CallbackModule(CallbackBase):
    """RECORDED_FAILURES is the file."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "failures"

    def __init__(self) -> None:
        super().__init__()
        self.reported: set[tuple[str, str]] = set()

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Load once what the process of each task would load again: a quarter of the time of a play."""
        for name in ACTIONS:
            action_loader.get(name, class_only=True)
        for loader, names in ((filter_loader, FILTERS), (test_loader, TESTS)):
            for name in names:
                loader.get(name)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed. Of a loop, the first item that failed has said why."""
        if (result.host.get_name(), result.task._uuid) not in self.reported:
            self._report(result)

    v2_runner_on_unreachable = v2_runner_on_failed

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """An item of a loop failed."""
        self.v2_runner_on_failed(result)
        self.reported.add((result.host.get_name(), result.task._uuid))

    def _report(self, result: Any) -> None:
        line = {"host": result.host.get_name(), "message": str(result.result.get("msg", ""))}
        with Path(os.environ["RECORDED_FAILURES"]).open("a") as file:
            file.write(json.dumps(line) + "\n")
