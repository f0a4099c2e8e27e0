#!/usr/bin/python
# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: apply
short_description: Apply manifests with kubernetes.core.k8s, as a part of a run
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Has M(kubernetes.core.k8s) apply manifests, server-side, as field manager C(convoy.rollout).
  - It looks at the run's lock right before, gives the module the access that all other tasks of the run have, calls it
    again where the API server fails for a moment, and shows neither credentials nor the data of Secrets.
options:
  namespace:
    description:
      - The namespace of objects that name none.
      - By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  definition:
    description: The manifests as text, or a list of texts.
    type: raw
    required: true
extends_documentation_fragment:
  - convoy.rollout._auth
  - convoy.rollout._changes
  - convoy.rollout._run
notes:
  - It is an action of the controller, and runs M(kubernetes.core.k8s) where the task's connection leads.
"""

EXAMPLES = r"""
---
- name: Apply a manifest
  convoy.rollout.apply:
    definition: "{{ lookup('ansible.builtin.template', 'shop.yaml.j2') }}"
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
