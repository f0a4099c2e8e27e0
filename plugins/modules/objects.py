#!/usr/bin/python
# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module objects: what it takes and gives, and nothing else."""

from __future__ import annotations

DOCUMENTATION = r"""
module: objects
short_description: Apply, change or delete objects, in spite of an API server that fails now and then
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Brings objects into a state, as C(kubernetes.core.k8s) does with the options of the same names.
  - A request that the API server turned away, or whose answer was lost, is made again where that cannot do a thing
    twice. Server-side apply comes to the same each time, a change holds only for the version of the object that it
    was made for, and of an object to be made it is looked up first whether it was.
  - Attempts are bounded, come after growing pauses with jitter, and none sooner than the server's Retry-After asks.
notes:
  - What a Secret holds is never returned; set C(no_log) on the task all the same, as its arguments hold it.
options:
  state:
    description:
      - V(applied) is server-side apply, which takes over the fields that others have set.
      - V(present) makes an object that is missing, and changes one that is there by a merge patch.
      - V(patched) changes by a merge patch, and fails where the object is missing.
      - V(absent) deletes it, and in the background what it owns.
    type: str
    choices: [applied, present, patched, absent]
    default: applied
  definition:
    description: An object, a list of objects, or the text of YAML documents.
    type: raw
  namespace:
    description: The namespace of objects that have one and do not say which.
    type: str
    default: default
  api_version:
    description: The apiVersion of an object that does not say it.
    type: str
    default: v1
  kind:
    description: The kind of an object that does not say it.
    type: str
  name:
    description: The name of an object that does not say it.
    type: str
extends_documentation_fragment:
  - convoy.rollout._auth
  - convoy.rollout._changes
"""

EXAMPLES = r"""
---
- name: Apply every object of a template
  convoy.rollout.objects:
    namespace: shop
    definition: "{{ lookup('ansible.builtin.template', 'shop.yaml.j2') }}"

- name: Lead Service hello to version 2.0.0
  convoy.rollout.objects:
    state: patched
    kind: Service
    name: hello
    definition:
      spec:
        selector: {version: 2.0.0}

- name: Take a Deployment away
  convoy.rollout.objects:
    state: absent
    api_version: apps/v1
    kind: Deployment
    name: hello-canary
"""

RETURN = r"""
results:
  description: The objects in their order, up to the one that failed.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: Its kind.
      type: str
    name:
      description: Its name.
      type: str
    namespace:
      description: Its namespace, empty where its kind has none.
      type: str
    changed:
      description: Whether what is asked of it has changed.
      type: bool
    diff:
      description: The fields that changed, C(before) and C(after); not of a Secret.
      returned: where it has changed
      type: dict
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _objects


def main() -> None:
    """Run the operation on this host."""
    run_operation(_objects.ARGUMENTS, _objects.run)


if __name__ == "__main__":
    main()
