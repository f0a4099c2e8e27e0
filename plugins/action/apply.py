# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import time
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _access, _kubeconfig
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _apply
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.plugin_utils._operation import OperationAction


class ActionModule(OperationAction):
    """See the module of the same name."""

    arguments = _apply.ARGUMENTS

    def operation(self, options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
        """Have kubernetes.core.k8s apply the manifests, as the run's user and under its lock. Raises Failure."""
        return _run.in_run(self._applied, options, task)

    def _applied(self, options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
        access = _access.resolve(options, task.environ)
        with _kubeconfig.written(access) as kubeconfig:
            self._leave_access_out_of_environment()
            for attempt in range(1, _apply.ATTEMPTS + 1):
                if not task.check_mode:
                    run.check()
                result = self._execute_module(
                    module_name="kubernetes.core.k8s",
                    module_args=_apply.module_args(options, kubeconfig),
                    task_vars=self._task_vars,
                )
                again = _apply.failed_for_a_moment(result)
                if not again or attempt == _apply.ATTEMPTS:
                    break
                time.sleep(_apply.pause(attempt))
        return _apply.judged(result, options, run, again)

    def _leave_access_out_of_environment(self) -> None:
        """Have the module find no access but the one that it is given: what the environment says is in that already.

        This process is the task's own, so nobody else misses what is taken away.
        """
        for name in [name for name in os.environ if name.startswith("K8S_AUTH_")]:
            del os.environ[name]
        self._task.environment = [
            {name: value for name, value in each.items() if not name.startswith("K8S_AUTH_")}
            for each in self._task.environment or []
            if isinstance(each, dict)
        ]
