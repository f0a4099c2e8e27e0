# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: conclusive
short_description: Whether to look at the traffic again would tell nothing else
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - For a task that looks again while a cluster settles. Shares that are not as expected may follow.
  - True where the verdict did not fail, where a request failed, which stays so, and where the answers were too slow
    three times, as those of a version that is only cold are not.
options:
  _input:
    description: What a task of M(convoy.rollout.version_distribution) with C(until) registered.
    type: dict
    required: true
"""

EXAMPLES = r"""
---
- name: See that every request gets 2.0.0 in the end
  convoy.rollout.version_distribution:
    name: hello
    expected: {"2.0.0": 1}
  register: seen
  until: seen is convoy.rollout.conclusive
  retries: 30
  delay: 1
"""

RETURN = r"""
_value:
  description: Whether it is to be looked at no more.
  type: bool
"""

import typing as t

from ansible.errors import AnsibleTypeError
from ansible_collections.convoy.rollout.plugins.module_utils._proof import _settling


def conclusive(result: t.Mapping[str, t.Any]) -> bool:
    """Whether what a task registered will not come out otherwise. Raises AnsibleTypeError for no such thing."""
    if not isinstance(result, t.Mapping):
        raise AnsibleTypeError("conclusive takes what a task registered.", obj=result)
    return _settling.shares(result, bool(result.get("failed")), result.get("attempts", 1))


class TestModule:
    """The collection's test."""

    def tests(self) -> dict[str, t.Callable[..., t.Any]]:
        """By name."""
        return {"conclusive": conclusive}
