#!/usr/bin/python
# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: application_info
short_description: Show Deployments with their ReplicaSets, pods and addresses
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Reads the Deployments, ReplicaSets, pods and Services of a namespace once, and puts together what belongs
    together.
options:
  namespace:
    description: The namespace. By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  names:
    description: The Deployments to show, in this order. By default all of the namespace.
    type: list
    elements: str
extends_documentation_fragment:
  - convoy.rollout._auth
  - convoy.rollout._read_only
"""

EXAMPLES = r"""
---
- name: See what runs
  convoy.rollout.application_info:
    namespace: default
  register: seen

- name: Show it
  ansible.builtin.debug:
    msg: "{{ seen.applications | convoy.rollout.table(columns=['deployment', 'images', 'ready', 'addresses']) }}"
"""

RETURN = r"""
applications:
  description: The Deployments.
  returned: success
  type: list
  elements: dict
  contains:
    deployment:
      description: The Deployment's name.
      type: str
      sample: hello
    replica_set:
      description: The name of the ReplicaSet of its newest revision, empty while there is none.
      type: str
      sample: hello-6c9b7d8f5
    replicas:
      description: How many pods are wanted.
      type: int
    ready:
      description: How many are ready, of how many.
      type: str
      sample: 3/3
    version:
      description: The label C(version) of its pods, else the tag of their image.
      type: str
      sample: 1.0.0
    images:
      description: The images of its containers.
      type: list
      elements: str
    pods:
      description: The names of the pods that are there, also of earlier revisions, without those that end.
      type: list
      elements: str
    services:
      description: The Services that lead to it.
      type: list
      elements: str
    addresses:
      description: Where they are reached, outside of the cluster where they have an address there, else inside.
      type: list
      elements: str
      sample: ["203.0.113.7:443"]
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _application_info


def main() -> None:
    """Run the operation on this host."""
    run_operation(_application_info.ARGUMENTS, _application_info.run)


if __name__ == "__main__":
    main()
