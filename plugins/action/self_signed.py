# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

from ansible_collections.convoy.rollout.plugins.plugin_utils._operation import OperationAction
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _self_signed


class ActionModule(OperationAction):
    """See the module of the same name."""

    arguments = _self_signed.ARGUMENTS
    movable = False  # ansible-core itself needs the package cryptography, which a host may not have
    operation = staticmethod(_self_signed.run)
