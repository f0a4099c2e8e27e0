#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: apply
short_description: Apply manifests with kubernetes.core.k8s, as a part of a run
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Applies manifests with C(kubernetes.core.k8s), server-side, as field manager C(convoy.rollout), all in one call.
  - Before anything is applied, the API server tries each object. Where it refuses one, none is applied, and where that
    is because a field is immutable, the message says what to do.
  - It reads the run's lock right before, gives the module the access that all other tasks of the run have, and calls it
    again where the API server fails for a moment.
  - The contents of Secrets and credentials are shown nowhere, at any verbosity and with C(--diff). Of a Secret that
    changes, only the names of the changed values are shown. A refusal quotes the API server, unless it is about a
    Secret.
options:
  namespace:
    description:
      - The namespace of objects that name none.
      - By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  definition:
    description: >-
      The manifests as text with one or several documents, as a dictionary, or as a list of these. Objects are applied
      in this order.
    type: raw
    required: true
  others:
    description:
      - What to do about fields that others have set in the same objects and that the manifests do not have, such as a
        second container, a variable or a port, which a server-side apply leaves in place.
      - V(keep) leaves them. V(refuse) fails and names them, with who set them, before anything is applied. V(take) lets
        the apply remove them.
      - Replicas, pauses, labels and annotations are always left to whoever sets them. What an earlier run of this
        collection set by a patch goes with V(refuse) too.
    type: str
    choices: [keep, refuse, take]
    default: keep
  room:
    description:
      - Whether to apply nothing where the cluster would not admit and place the pods of each Deployment among the
        manifests, as M(convoy.rollout.capacity) judges it; of one that is changed, with its surge and unavailability.
      - What also decides and cannot be judged is reported. A user who may not list nodes, pods and quotas is told so,
        and the run goes on.
    type: bool
    default: false
extends_documentation_fragment:
  - convoy.rollout._auth
  - convoy.rollout._run
attributes:
  check_mode:
    description: The API server tries the changes. Objects of a namespace that the run, or one of the manifests, would
      create cannot be tried, and are said to be applied.
    support: full
  diff_mode:
    description: Shows each object that changes; of a Secret, which values do.
    support: full
  action:
    description: Runs in the controller's own process, and with it C(kubernetes.core.k8s), where the Python of Ansible
      has the package C(kubernetes). Else that module runs under the host's C(ansible_python_interpreter), which takes
      more than a second of CPU on each host. A connection that is not local is refused.
    support: full
  idempotent:
    description: Changes nothing where each object is as described.
    support: full
"""

EXAMPLES = r"""
---
- name: Apply a manifest
  convoy.rollout.apply:
    definition: "{{ lookup('convoy.rollout.rendered', 'shop.yaml.j2') }}"

- name: Apply an object
  convoy.rollout.apply:
    definition:
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: greeting}
      data: {text: good morning}
"""

RETURN = r"""
objects:
  description: Each object, as C(Kind name).
  returned: success
  type: list
  elements: str
changes:
  description: Those of them that changed.
  returned: success
  type: list
  elements: str
message:
  description: What was applied, in one sentence.
  returned: success
  type: str
"""
