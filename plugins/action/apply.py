# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import contextlib
import os
import re
import time
import typing as t

from ansible_collections.convoy.rollout.plugins.plugin_utils._operation import OperationAction
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _access, _api, _kubeconfig
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _apply, _looking, _rooms
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.plugin_utils import _in_process

#: By which a module would reach another cluster, or the same one as somebody else.
OF_ENVIRONMENT = re.compile(r"K8S_AUTH_\w+|KUBECONFIG|(https?|no|all)_proxy", re.IGNORECASE)


class ActionModule(OperationAction):
    """See the module of the same name."""

    arguments = _apply.ARGUMENTS
    of_run = ("namespace",)

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Refuse a connection that leads elsewhere: Secrets would go there, and the kubeconfig is here."""
        if self._connection.transport != "local":
            return {
                "failed": True,
                "msg": "convoy.rollout.apply works on the machine of ansible-playbook: set ansible_connection: local "
                "for the host, and a kubeconfig that leads to the cluster, with a proxy-url if need be.",
            }
        return super().run(tmp, task_vars)

    def operation(self, options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
        """Have kubernetes.core.k8s apply the manifests, as the run's user and under its lock. Raises Failure."""
        return _run.in_run(self._applied, options, task)

    def _applied(self, options: t.Mapping[str, t.Any], task: Task, run: _run.Run) -> dict[str, t.Any]:
        text, namespace = _apply.text_of(options["definition"]), options["namespace"]
        items = _apply.documents(text)
        if not items:
            return {"changed": False, "objects": [], "changes": [], "message": "nothing to apply: there are no objects"}
        if task.check_mode and run.handle.get("missing_namespace") == namespace:
            return _apply.untried(items, namespace)
        with contextlib.closing(_api.api(options, task.environ)) as api:

            def look() -> list[_looking.Adoption]:
                return _looking.looked(api, items, namespace, options["others"])

            adoptions = look()
            for line in _rooms.check(api, items, namespace) if options["room"] else []:
                task.tell(line)
            if not task.check_mode:
                _looking.adopt_at_last(api, adoptions, run.check, look)
        with _kubeconfig.arguments(_access.resolve(options, task.environ)) as access:
            self._leave_access_out_of_environment()
            for attempt in range(1, _apply.ATTEMPTS + 1):
                if not task.check_mode:
                    run.check_given()
                result = self._called(_apply.module_args(options, text, access))
                again = _apply.failed_for_a_moment(result)
                if not again or attempt == _apply.ATTEMPTS:
                    break
                time.sleep(_apply.pause(attempt))
        if task.check_mode and _apply.in_missing_namespace(result, items, namespace):
            return _apply.untried(items, namespace)
        return _apply.judged(result, options, items, run, check_mode=task.check_mode, diff=self._task.diff, again=again)

    def _called(self, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """What kubernetes.core.k8s returns, in this process where that can be; always with what differs."""
        if _in_process.POSSIBLE:
            return _in_process.called(arguments, check_mode=self._task.check_mode, diff=True)
        asked, self._task.diff = self._task.diff, True
        try:
            result = self._execute_module(
                module_name="kubernetes.core.k8s",
                module_args=arguments,
                # A module writes its arguments to the system's log.
                task_vars={**(self._task_vars or {}), "ansible_no_target_syslog": True},
            )
        finally:
            self._task.diff = asked
        return t.cast("dict[str, t.Any]", result)

    def _leave_access_out_of_environment(self) -> None:
        """Have the module find no access but the one that it is given: what the environment says is in that already.

        This process is the task's own, so nobody else misses what is taken away.
        """
        said: dict[str, t.Any] = {}
        self._compute_environment_string(said)
        for name in [name for name in os.environ if OF_ENVIRONMENT.fullmatch(name)]:
            del os.environ[name]
        kept = {name: value for name, value in said.items() if not OF_ENVIRONMENT.fullmatch(name)}
        self._task.environment = [kept]
        os.environ.update({str(name): str(value) for name, value in kept.items()})
