#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: gke_kubeconfig
short_description: Write a kubeconfig for a GKE cluster that needs no gcloud program
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Writes a kubeconfig, for its owner only, that leads to a GKE cluster. What it authenticates with is either an access
    token, which lasts an hour, or C(gke-gcloud-auth-plugin).
  - A token that has more than 30 minutes left stays, so that running it again changes nothing.
options:
  path:
    description: The path of the kubeconfig. Its folder is created where there is none; an existing file is replaced.
    type: path
    required: true
  name:
    description: The name of its context, cluster and user.
    type: str
    required: true
  endpoint:
    description: The address of the API server, as the GKE API gives it in C(endpoint).
    type: str
    required: true
  ca:
    description: The certificate of its CA in Base64, as the GKE API gives it in C(masterAuth.clusterCaCertificate).
    type: str
    required: true
  auth:
    description:
      - What it authenticates with.
      - With V(auto) it is the plugin where this is on the PATH and O(auth_kind) is not V(accesstoken), else the token.
    type: str
    choices: [auto, token, plugin]
    default: auto
  auth_kind:
    description: Whose credentials, as in C(google.cloud.gcp_container_cluster).
    type: str
    choices: [application, serviceaccount, accesstoken]
    default: application
  service_account_file:
    description: The path of the key file of a service account, with O(auth_kind=serviceaccount).
    type: path
  access_token:
    description: An OAuth access token, with O(auth_kind=accesstoken).
    type: str
requirements:
  - google-auth and requests, to get a token
attributes:
  check_mode:
    description: Says whether the file would change, and writes nothing.
    support: full
  diff_mode:
    description: Shows no difference, as the file is secret.
    support: none
  action:
    description: Runs in the controller's own process where the connection is local.
    support: full
  idempotent:
    description: Changes nothing while the token has more than 30 minutes left.
    support: partial
    details: A token is renewed 30 minutes before it expires, and that is a change.
"""

EXAMPLES = r"""
---
- name: Find the clusters of a zone
  google.cloud.gcp_container_cluster_info:
    project: shop
    location: us-central1-a
    auth_kind: serviceaccount
    service_account_file: /etc/shop/deployer.json
  register: found
  no_log: true

- name: Write a kubeconfig for the first one
  convoy.rollout.gke_kubeconfig:
    path: ~/.kube/shop
    name: shop
    endpoint: "{{ found.resources[0].endpoint }}"
    ca: "{{ found.resources[0].masterAuth.clusterCaCertificate }}"
    auth_kind: serviceaccount
    service_account_file: /etc/shop/deployer.json
"""

RETURN = r"""
path:
  description: The path of the kubeconfig.
  returned: success
  type: str
  sample: /home/me/.kube/shop
context:
  description: The name of its context.
  returned: success
  type: str
  sample: shop
auth:
  description: What it authenticates with, V(token) or V(plugin).
  returned: success
  type: str
  sample: token
expires:
  description: When the token expires, in UTC; empty where that is not known or there is none.
  returned: success
  type: str
  sample: "2026-11-25T10:00:00Z"
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _gke_kubeconfig


def main() -> None:
    """Run the operation on this host."""
    run_operation(_gke_kubeconfig.ARGUMENTS, _gke_kubeconfig.run)


if __name__ == "__main__":
    main()
