# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: transient
short_description: Whether a task of kubernetes.core failed of something that passes
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - True where the API server was too busy (429), failed (500, 502, 503, 504), saw somebody else change the object at
    that moment (409), or where the connection to it broke. The same task can then be done again, if doing it twice is
    doing it once, as with server-side apply, a merge patch or a deletion.
  - False for a task that succeeded, and for one that would fail again, such as of an object that is not valid.
options:
  _input:
    description: What a task of C(kubernetes.core.k8s) or C(kubernetes.core.k8s_info) registered.
    type: dict
    required: true
"""

EXAMPLES = r"""
---
- name: Apply a manifest at an API server that fails now and then
  kubernetes.core.k8s:
    definition: "{{ lookup('ansible.builtin.template', 'shop.yaml.j2') }}"
    apply: true
  register: applied
  until: applied is not convoy.rollout.transient
  retries: 5
  delay: "{{ range(1, 4) | random }}" # seconds; at random, so that clusters do not come back together
"""

RETURN = r"""
_value:
  description: Whether it may succeed when it is done again.
  type: bool
"""

import multiprocessing
import typing as t

from ansible.errors import AnsibleTypeError
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _client_errors


def transient(result: t.Mapping[str, t.Any]) -> bool:
    """Whether what a task registered is a failure that passes. Raises AnsibleTypeError for no such thing."""
    if not isinstance(result, t.Mapping):
        raise AnsibleTypeError("transient takes what a task registered.", obj=result)
    run = multiprocessing.parent_process()
    if run is not None and not run.is_alive():
        return False  # nobody is left to do it again for: the run that this worker belongs to was killed
    return _client_errors.is_transient(result)


class TestModule:
    """The collection's tests."""

    def tests(self) -> dict[str, t.Callable[..., t.Any]]:
        """The tests, by name."""
        return {"transient": transient}
