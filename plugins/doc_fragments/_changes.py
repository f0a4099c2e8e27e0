# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """The attributes of a module that changes one object."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Lets the API server try the change without keeping it.
    support: full
  diff_mode:
    description: Returns the requested state of the object, before and after.
    support: full
  action:
    description: Runs in the controller's own process where the connection is local.
    support: full
  idempotent:
    description: Changes nothing where the object already is as requested.
    support: partial
    details: What is relative to the current state changes the object again.
options: {}
"""
