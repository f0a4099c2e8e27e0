# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An operation as a module: parse, run, report."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _access
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Operation, Task, attempt


def run_operation(arguments: dict[str, t.Any], operation: Operation) -> None:
    """Run an operation with the module's options, and end the module with what it returns."""
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    module.no_log_values.update(_access.secrets(module.params))
    try:
        result = attempt(
            operation,
            _access.placed(module.params, os.environ),
            Task(check_mode=module.check_mode, environ=os.environ),
        )
    except Failure as failure:
        module.fail_json(msg=failure.message, **failure.facts)
    module.exit_json(**result)
