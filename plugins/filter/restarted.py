# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: restarted
short_description: The pods of which a container ended and was started again meanwhile
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Compares the pods that M(convoy.rollout.rollout) returns at two moments. A container that ends and starts again at
    once may lose no request today, and many tomorrow.
  - A pod that was not there at the first moment is not counted.
options:
  _input:
    description: The pods at the second moment.
    type: list
    elements: dict
    required: true
  since:
    description: The pods at the first moment.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
---
- name: See that none of hello's pods ended since it was complete
  ansible.builtin.assert:
    that: now.pods | convoy.rollout.restarted(since=complete.pods) | length == 0
"""

RETURN = r"""
_value:
  description: Their names, in the order of the second moment.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._workload import _workloads


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """By name."""
        return {"restarted": _workloads.restarts}
