# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An operation as an action: in the controller's own process where the connection is local."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import typing as t

from ansible_collections.convoy.rollout.plugins.plugin_utils._bytecode import Finder  # noqa: F401  # for the next ones
from ansible.plugins.action import ActionBase
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _access
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task, attempt
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run


class OperationAction(ActionBase):
    """Runs `operation` with the task's arguments, or hands over to the module of the same name."""

    _requires_connection = False
    arguments: t.ClassVar[dict[str, t.Any]]
    movable: t.ClassVar[bool] = True  #: to a host whose connection is not local
    #: The options that a task has from the run that it is given, where it is not given them themselves. Each expression
    #: less in a role is two thousandths of a second less of CPU in each of its tasks, on each cluster.
    of_run: t.ClassVar[t.Sequence[str]] = ()

    def __init_subclass__(cls) -> None:
        """Have the processes of tasks share the memory of Ansible's own, which loads an action before it starts them.

        Without it, the first garbage collection of each looks at all that there is, which takes two thirds of its time
        and copies what was shared: some 25 MiB for each host that is worked on at once.
        """
        super().__init_subclass__()
        gc.freeze()

    @classmethod
    def with_those_of_run(cls, given: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """The options of a task, with those that it has from its run where it is not given them itself."""
        known = _run.begun_with(given.get("run"))
        return {**{name: known[name] for name in cls.of_run if name in known and name in cls.arguments}, **given}

    def operation(self, options: t.Mapping[str, t.Any], task: Task, /) -> dict[str, t.Any]:
        """What is done. Raises Failure."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """What the module would return."""
        super().run(tmp, task_vars)
        self._task_vars = task_vars
        self._task.args = self.with_those_of_run(self._task.args)
        if self.movable and self._connection.transport != "local":
            return t.cast("dict[str, t.Any]", self._execute_module(task_vars=task_vars))
        run = _ended_with_run()
        _checked, options = self.validate_argument_spec(argument_spec=self.arguments)
        environ = self._environ()
        quiet = self._task.no_log
        task = Task(
            check_mode=self._task.check_mode,
            tell=lambda line: None if quiet else self._display.display(line),
            owner=run,
            host=str((task_vars or {}).get("inventory_hostname", "")),
            environ=environ,
        )
        try:
            return attempt(self.operation, _access.placed(options, environ), task)
        except Failure as failure:
            return dict(failure.facts, failed=True, msg=failure.message)

    def _environ(self) -> dict[str, str]:
        """The environment that a module would have: the process's, and over it what play, block and task say."""
        said: dict[str, t.Any] = {}
        self._compute_environment_string(said)
        return {**os.environ, **{str(name): str(value) for name, value in said.items()}}


def _ended_with_run() -> int:
    """Have this process end when the run's process does, in whatever way that ends, and return that one's id.

    A task is a process of a session of its own. It would outlive a run that is killed, and go on to change the
    cluster when the run's lock is another run's already.
    """
    # Not getppid(): where the run has just ended, that is who takes in orphans, and lives for ever.
    run = multiprocessing.parent_process()
    pid = os.getppid() if run is None or run.pid is None else run.pid
    if sys.platform == "linux":
        parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)
        if os.getppid() != pid:  # it ended just before
            os._exit(1)
    return pid
