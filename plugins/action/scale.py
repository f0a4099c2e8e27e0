# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from ansible_collections.convoy.rollout.plugins.plugin_utils._operation import OperationAction
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _scale
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run


class ActionModule(OperationAction):
    """See the module of the same name."""

    arguments = _scale.ARGUMENTS
    of_run = ("namespace", *_run.SHARED)
    operation = staticmethod(_scale.run)
