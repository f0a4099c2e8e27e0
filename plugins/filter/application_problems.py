# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: application_problems
short_description: What stands against the description of applications
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Looks at what the roles put into manifests, so that a description that cannot work is refused before a cluster is
    touched, in words that name the application and the field. What Kubernetes' own fields may say is the API server's
    to judge.
options:
  _input:
    description: The applications by name, as role P(convoy.rollout.app_deploy#role) reads them.
    type: dict
    required: true
"""

EXAMPLES = r"""
---
- name: See what stands against them
  ansible.builtin.debug:
    msg: "{{ applications | convoy.rollout.application_problems }}"
"""

RETURN = r"""
_value:
  description: One sentence for each problem, none where there is none.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._workload import _description


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """By name."""
        return {"application_problems": _description.problems}
