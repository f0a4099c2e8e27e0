#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Tell what a cluster is, and whether this user may do there what the roles need
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Reads the version of the API server, how many nodes there are and what they have to give to pods.
  - Checks with SelfSubjectAccessReviews each right that the strategies need, and lists those that are missing.
options:
  namespace:
    description:
      - The namespace that the rights are needed in.
      - By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  strategies:
    description: What is going to be done there; without it no rights are checked.
    type: list
    elements: str
    choices:
      - app_deploy
      - scale
      - rolling_update
      - canary
      - canary_route
      - canary_ingress
      - canary_istio
      - canary_traefik
      - canary_openshift
      - bluegreen
      - bluegreen_route
      - bluegreen_ingress
      - bluegreen_istio
      - bluegreen_traefik
      - bluegreen_openshift
      - verify
      - lock
    default: []
extends_documentation_fragment:
  - convoy.rollout._auth
  - convoy.rollout._read_only
"""

EXAMPLES = r"""
---
- name: See that blue/green can be done in namespace shop
  convoy.rollout.cluster_info:
    namespace: shop
    strategies: [app_deploy, bluegreen]
  register: cluster
  failed_when: cluster.missing | length > 0 or not cluster.supported
"""

RETURN = r"""
context:
  description: The context of the kubeconfig that was used; empty where no kubeconfig was.
  returned: success
  type: str
  sample: convoy
server:
  description: The URL of the API server.
  returned: success
  type: str
  sample: https://127.0.0.1:6443
server_version:
  description: The version of Kubernetes.
  returned: success
  type: str
  sample: v1.36.2
supported:
  description: Whether this version is one that the roles work with.
  returned: success
  type: bool
nodes:
  description: The number of nodes; none where this user may not list them.
  returned: success
  type: int
  sample: 5
ready:
  description: How many of them are ready and take pods; none where this user may not list them.
  returned: success
  type: int
  sample: 5
allocatable:
  description: What these offer to pods together; empty where this user may not list them.
  returned: success
  type: dict
  sample: {cpu: "5", memory: 18Gi}
missing:
  description: The rights that the strategies need and this user does not have.
  returned: success
  type: list
  elements: dict
  contains:
    verb:
      description: The verb.
      type: str
      sample: patch
    resource:
      description: The resource, with its API group where that is not the core group.
      type: str
      sample: deployments.apps
    namespace:
      description: The namespace; C(*) stands for all of them.
      type: str
      sample: default
message:
  description: What was found, in a sentence.
  returned: success
  type: str
  sample: "Kubernetes v1.36.2, 5 of 5 nodes ready with 5 cpu and 18Gi memory."
msg:
  description: The same, where Ansible looks for it when a task fails.
  returned: success
  type: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _cluster_info


def main() -> None:
    """Run the operation on this host."""
    run_operation(_cluster_info.ARGUMENTS, _cluster_info.run)


if __name__ == "__main__":
    main()
