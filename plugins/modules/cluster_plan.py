#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_plan
short_description: Decide what is to be done to create or to remove a cluster
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - What role P(convoy.rollout.cluster#role) decides. It contacts nothing, and changes nothing.
  - It fails with a sentence for each thing that is wrong with a request, and where an existing cluster does not work or
    has another size.
options:
  request:
    description: The role's variables, without their prefix.
    type: dict
    required: true
    suboptions:
      state:
        description: Whether the cluster is to be there.
        type: str
        choices: [present, absent]
        default: present
      provider:
        description: What makes the cluster.
        type: str
        choices: [existing, sandbox, kind, gke]
        required: true
      name:
        description: The name of the cluster.
        type: str
        required: true
      kubeconfig:
        description: The path of its kubeconfig.
        type: str
        default: ""
      nodes:
        description: How many nodes it is to have.
        type: int
        default: 5
      sandbox_program:
        description: The program of the sandbox.
        type: str
        default: convoy-sandbox
      sandbox_node_cpu:
        description: The CPU of each node of a sandbox.
        type: str
        default: "1"
      sandbox_node_memory:
        description: The memory of each node of a sandbox.
        type: str
        default: 3.75Gi
      kind_image:
        description: The image of kind's nodes. By default the installed kind's own.
        type: str
        default: ""
      gke_project:
        description: The project of a GKE cluster.
        type: str
        default: ""
      gke_location:
        description: Its zone or region.
        type: str
        default: ""
      gke_node_pool:
        description: The name of its node pool.
        type: str
        default: convoy
      gke_machine_type:
        description: The machine type of its nodes.
        type: str
        default: n1-standard-1
      gke_auth_kind:
        description: Whose credentials are used for Google.
        type: str
        default: application
      gke_service_account_file:
        description: The file of a service account.
        type: str
        default: ""
      gke_access_token:
        description: An access token.
        type: str
        default: ""
  seen:
    description:
      - What the provider reported, as tasks register it. Of a sandbox C(status); of kind C(docker), C(podman),
        C(clusters) and C(nodes); of GKE C(clusters), the list of resources.
      - Without it, only the request is checked.
    type: dict
    default: {}
  info:
    description: What M(convoy.rollout.cluster_info) returned. With it, only the role's result is put together.
    type: dict
extends_documentation_fragment:
  - convoy.rollout._read_only
"""

EXAMPLES = r"""
---
- name: Check what is asked for
  convoy.rollout.cluster_plan:
    request: {provider: kind, name: shop, kubeconfig: /home/me/shop.kubeconfig, nodes: 3}
  register: plan
"""

RETURN = r"""
there:
  description: Whether the cluster is there.
  returned: without O(info)
  type: bool
create:
  description: Whether it is to be created now.
  returned: without O(info)
  type: bool
remove:
  description: Whether it is to be removed now.
  returned: without O(info)
  type: bool
ends_there:
  description: Whether it is there once that is done.
  returned: without O(info)
  type: bool
changes:
  description: In check mode what would be done, a sentence each.
  returned: without O(info)
  type: list
  elements: str
facts:
  description: What the provider's tasks need to know beside, such as the C(config) of kind.
  returned: without O(info)
  type: dict
works:
  description: Whether the roles of this collection can work there.
  returned: with O(info)
  type: bool
lines:
  description: What the cluster is, in words.
  returned: with O(info)
  type: list
  elements: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _cluster_plan


def main() -> None:
    """Run the operation on this host."""
    run_operation(_cluster_plan.ARGUMENTS, _cluster_plan.run)


if __name__ == "__main__":
    main()
