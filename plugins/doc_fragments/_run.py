# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """How a task says which run it belongs to."""

    DOCUMENTATION = r"""
options:
  run:
    description:
      - What the task with M(convoy.rollout.run) registered that began the run which this task belongs to.
      - With it, the run's lock is read right before each write, a run that has lost it stops, and what is done and
        observed becomes a part of the run's outcome. Without it the task works by itself.
      - Of a strategy's own modules, C(namespace), C(samples), C(min_success), C(settle) and C(timeout) are by default
        what the run was begun with, of M(convoy.rollout.apply) C(namespace), of M(convoy.rollout.rollout) that and
        C(timeout).
    type: dict
"""
