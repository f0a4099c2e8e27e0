#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_info
short_description: Tell how far a canary is and which share of the traffic it can take
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Reads a Deployment, the canary beside it (the Deployment that ends in C(-canary)) and the Service of both
    once, and works out which versions run, which share of the Service's ready endpoints is the canary's, and
    what is left to do.
  - A share is a number of replicas among all, since a Service spreads its connections evenly. A weight becomes
    the nearest share that whole replicas give.
  - There are never fewer replicas than without a canary. Up to half of the traffic the canary grows beside a
    whole stable Deployment, beyond that stable shrinks beside a canary of as many replicas as stable had. At a
    weight of V(100) stable has none left.
  - Stops where a canary would not get its share, as when the Service's selector names a version.
options:
  namespace:
    description: The namespace. By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  name:
    description: The name of the stable Deployment.
    type: str
    required: true
  service:
    description: The Service whose traffic is shared. By default the one that leads to the Deployment, the one
      of its name where there are several.
    type: str
  version:
    description: The version that the canary is to run. By default that of the canary that runs.
    type: str
  steps:
    description: The weights that the canary is to take, one after the other, each above the one before it.
    type: list
    elements: dict
    default: []
    suboptions:
      weight:
        description: The share of the traffic in percent, above V(0) and at most V(100). With a O(steps[].match) it may
          be V(0).
        type: float
        required: true
      match:
        description: Requests that get the canary whatever its weight is, with an HTTPRoute as O(router) only.
        type: dict
        suboptions:
          headers:
            description: The headers that a request must have, all of them, with exactly these values.
            type: dict
            required: true
      replicas:
        description: The replicas of the canary at this weight, with a O(router) only. By default as many as the weight
          takes of stable's number, at least one.
        type: int
      pause:
        description: How long the canary stays at this weight, in seconds or as V(30s), V(5m) or V(1h30m).
        type: str
        default: "0"
  weight_tolerance:
    description: How many percentage points the nearest share may be away from a weight.
    type: float
    default: 5.0
  promote:
    description: Request that the canary's version becomes stable's after the steps.
    type: bool
    default: false
  abort:
    description: Request that the canary is removed.
    type: bool
    default: false
  template:
    description: The pod template of a canary that is yet to be created. By default stable's, with the version in the
      place of its image's tag.
    type: dict
notes:
  - The version of a Deployment is its image's tag, or what O(version_of) makes of it.
extends_documentation_fragment:
  - convoy.rollout._router
  - convoy.rollout._auth
  - convoy.rollout._read_only
  - convoy.rollout._version
  - convoy.rollout._version.version_of
"""

EXAMPLES = r"""
---
- name: See how far the canary of hello is
  convoy.rollout.canary_info:
    namespace: default
    name: hello
  register: hello

- name: Say it
  ansible.builtin.debug:
    msg: "{{ hello.message }}"

- name: See which shares a canary of 2.0.0 could take
  convoy.rollout.canary_info:
    name: hello
    version: 2.0.0
    steps:
      - weight: 25
        pause: 5m
      - weight: 50
"""

RETURN = r"""
phase:
  description: >-
    V(stable) where there is no canary, V(canary) while one stands beside stable, V(promoting) once stable has
    the canary's version and the canary is still there.
  returned: success
  type: str
  sample: canary
service:
  description: The Service whose traffic is shared.
  returned: success
  type: str
affinity:
  description: Whether the Service has session affinity, so that shares are those of clients.
  returned: success
  type: bool
router:
  description: What splits the traffic by weights, such as an HTTPRoute; empty where pods do.
  returned: success
  type: str
may_not:
  description: What this user would have to be allowed to do for a router to be found.
  returned: success
  type: list
  elements: str
scaler:
  description: The HorizontalPodAutoscaler that sets the replicas of stable, empty where there is none.
  returned: success
  type: str
stable:
  description: The stable Deployment.
  returned: success
  type: dict
  contains:
    deployment:
      description: Its name.
      type: str
    version:
      description: Its version, as it answers.
      type: str
    tag:
      description: Its image's tag, which is what is given as a version.
      type: str
    image:
      description: The image of the container that carries the version; empty where none is known to.
      type: str
    replicas:
      description: How many replicas it is to have.
      type: int
    whole:
      description: How many replicas it has when no canary takes their place.
      type: int
    complete:
      description: Whether its rollout is complete.
      type: bool
  sample: {deployment: hello, version: 1.0.0, replicas: 3, whole: 3, complete: true}
canary:
  description: The canary, in the same words, and the weight in percent that it was last given.
  returned: success
  type: dict
  sample: {deployment: hello-canary, exists: true, version: 2.0.0, replicas: 1, complete: true, weight: 25}
ready:
  description: How many ready endpoints of the Service belong to each track.
  returned: success
  type: dict
  sample: {stable: 3, canary: 1}
settled:
  description: Whether all requested replicas are ready endpoints, and nothing else is.
  returned: success
  type: bool
shares:
  description: The share (0 to 1) of the traffic that each version gets from these endpoints.
  returned: success
  type: dict
  sample: {"1.0.0": 0.75, "2.0.0": 0.25}
steps:
  description: >-
    The steps that are left, from the weight that the canary has. Each has its C(weight) in percent, its
    C(pause) in seconds, the replicas of C(canary) and C(stable), the C(share) (0 to 1) that they give, and says so
    in C(message).
  returned: success
  type: list
  elements: dict
  sample:
    - weight: 25
      pause: 300
      canary: 1
      stable: 3
      share: 0.25
      message: "weight 25%: 1 of 4 pods gives 25%"
promote:
  description: Whether stable is to get the canary's version after the steps.
  returned: success
  type: bool
abort:
  description: Whether there is a canary that is to go.
  returned: success
  type: bool
needed:
  description: How many more pods there will be at one time.
  returned: success
  type: int
template:
  description: The canary's pod template.
  returned: success
  type: dict
message:
  description: What was found, in one sentence.
  returned: success
  type: str
  sample: "canary 2.0.0 beside hello 1.0.0, weight 25%: 1 of 4 ready pods are the canary's."
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _canary_info


def main() -> None:
    """Run the operation on this host."""
    run_operation(_canary_info.ARGUMENTS, _canary_info.run)


if __name__ == "__main__":
    main()
