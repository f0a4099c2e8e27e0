# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """The attributes of a module that only looks."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and says the same as otherwise.
    support: full
  diff_mode:
    description: Returns what would change; nothing ever does.
    support: none
  action:
    description: Runs in the controller's own process where the connection is local.
    support: full
  idempotent:
    description: Changes nothing.
    support: full
options: {}
"""
