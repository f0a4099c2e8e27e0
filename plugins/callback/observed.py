# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run as a reader wants it: the headings, what was changed and what was observed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: observed
type: stdout
short_description: Shows what was changed and observed, and hides the tasks in between
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Each play has its heading, each change is one line with its task's name, and what M(ansible.builtin.debug) says is
    printed as it is, one line for each string of a list, so that tables keep their rows.
  - Tasks that changed nothing, were skipped or only include others are not shown. Warnings, the differences of
    C(--diff) and the recap are, just as the callback P(ansible.builtin.default#callback) shows them.
  - A failure of this collection, of M(ansible.builtin.fail) or of M(ansible.builtin.assert) is its sentence, and the
    log lines where there are any. A task that belongs to a run of this collection is only named, as what follows says
    what came of the whole run. Other failures are shown as that callback does.
  - With C(-v) everything is shown, as that callback does.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as C(stdout_callback) in the configuration
"""

EXAMPLES = r"""
ansible.cfg: |
  [defaults]
  stdout_callback = convoy.rollout.observed
"""

import typing as t

from ansible import constants as C
from ansible.plugins.callback.default import CallbackModule as DefaultCallback
from ansible.utils.fqcn import add_internal_fqcns

DEBUG = frozenset(add_internal_fqcns(("debug",)))
REFUSALS = frozenset(add_internal_fqcns(("fail", "assert")))
OWN = "convoy.rollout."


def lines_of(message: t.Any) -> list[str] | None:
    """The lines of a message that is text or a list of texts; None for anything else, which is not plain to read."""
    texts = message if isinstance(message, list) else [message]
    if not all(isinstance(text, str) for text in texts):
        return None
    return [line for text in texts for line in text.splitlines() or [""]]


class CallbackModule(DefaultCallback):
    """The default callback, less the tasks that changed nothing and said nothing."""

    CALLBACK_NAME = "convoy.rollout.observed"

    def set_options(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().set_options(*args, **kwargs)
        if not self._display.verbosity:
            # Then a task has its heading only where there is something to show below it.
            self.set_option("display_skipped_hosts", False)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        if self._display.verbosity:
            super().v2_runner_on_ok(result)
        elif not (result.task.loop and "results" in result.result):  # whose items have been shown
            self._show(result)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        if self._display.verbosity:
            super().v2_runner_item_on_ok(result)
        else:
            self._show(result, item=f" (item={self._get_item_label(result.result)})")

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        lines = self._failure(result)
        if lines is None or (result.task.loop and "results" in result.result):
            super().v2_runner_on_failed(result, ignore_errors)
        else:
            self._show_failure(result, lines, "")

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        lines = self._failure(result)
        if lines is None:
            super().v2_runner_item_on_failed(result)
        else:
            self._show_failure(result, lines, f" (item={self._get_item_label(result.result)})")

    def _failure(self, result: t.Any) -> list[str] | None:
        """The lines of a failure that says by itself what is to be known; None for one that is shown as ever."""
        action = result.task.resolved_action or result.task.action
        if self._display.verbosity or not (action.startswith(OWN) or action in REFUSALS):
            return None
        # What a run's tasks find becomes a part of its outcome, which the role ends with.
        told_later = action == f"{OWN}run" or result.task.args.get("run")
        return [] if told_later and action.startswith(OWN) else lines_of(result.result.get("msg"))

    def _show_failure(self, result: t.Any, lines: list[str], item: str) -> None:
        self._clean_results(result.result, result.task.action)
        result.result.pop("exception", None)  # with -v
        self._handle_warnings_and_exception(result)
        shown = [f"failed: [{self.host_label(result)}] {result.task.get_name().strip()}{item}"]
        shown += [f"  {line}".rstrip() for line in lines]
        self._display.display("\n".join(shown), color=C.COLOR_ERROR, stderr=self.get_option("display_failed_stderr"))

    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        if self._display.verbosity:
            super().v2_playbook_on_include(included_file)

    def _show(self, result: t.Any, item: str = "") -> None:
        """What a task that went well has to show on one host: what it says, or that it changed something."""
        self._handle_warnings_and_exception(result)
        host = self.host_label(result)
        if result.task.action in DEBUG:
            color = C.COLOR_CHANGED if result.result.get("changed") else C.COLOR_OK
            lines = lines_of(result.result.get("msg"))
            if lines is None:
                self._clean_results(result.result, result.task.action)
                lines = self._dump_results(result.result).splitlines()
            if len(lines) == 1:
                shown = f"{host}: {lines[0]}"
            else:
                shown = "\n".join([f"{host}:", *(f"  {line}".rstrip() for line in lines)])
            self._display.display(shown, color=color)
        elif result.result.get("changed"):
            # Below its heading, which --diff brings, the name need not be said again.
            name = "" if self._last_task_banner == result.task._uuid else f" {result.task.get_name().strip()}"
            self._display.display(f"changed: [{host}]{name}{item}", color=C.COLOR_CHANGED)
