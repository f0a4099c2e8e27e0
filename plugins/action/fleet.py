# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import functools
import typing as t

from ansible_collections.convoy.rollout.plugins.plugin_utils._operation import OperationAction
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _fleet


class ActionModule(OperationAction):
    """See the module of the same name."""

    arguments = _fleet.ARGUMENTS
    movable = False  # what it works with are the variables of all hosts

    def operation(self, options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
        """What the fleet's clusters know of each other is in their variables."""
        known = self._task_vars or {}
        variables = functools.cache(known["hostvars"].__getitem__)  # which Ansible puts together for each look
        play = _fleet.Play(
            host=known["inventory_hostname"],
            hosts=list(known["ansible_play_hosts_all"]),
            groups=known["groups"],
            of=lambda host, name: variables(host).get(name),
        )
        return _fleet.run(options, task, play)
