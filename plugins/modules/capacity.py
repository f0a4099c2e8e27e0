#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: capacity
short_description: Tell whether a cluster has room for more pods
version_added: 0.1.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Counts how many pods of a template the nodes can take beside what runs on them, and what the
    namespace's quotas
    leave, before anything is created.
  - What admits pods are the quotas whose scopes include them, also those on what the template does not name, and
    the defaults, minimums, maximums and ratios of LimitRanges.
  - What places them are requests (a limit is the request where none is given) of all resources, also of init
    containers, native sidecars and the pod's overhead, the number of pods a node takes, cordons, taints, node
    selectors, required affinity to nodes and to pods in both directions, host ports, and topology spreads that are
    required.
  - What also decides and cannot be judged from here is named in RV(unjudged), such as volumes that only some nodes can
    use. Neither pods of a lower priority, which would have to be evicted, nor nodes that an autoscaler would add count
    as room.
options:
  namespace:
    description: The namespace. By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  template:
    description: The pod template, as in a Deployment's C(spec.template). By default that of O(deployment).
    type: dict
  replicas:
    description: How many replicas are wanted.
    type: int
    required: true
  deployment:
    description:
      - A Deployment whose pods that have their node are counted as being there already.
      - It has to exist only where O(template) is not given.
    type: str
  objects:
    description: >-
      How many other objects are to be created, by resource such as V(deployments.apps) or V(services), which quotas may
      count.
    type: dict
    default: {}
extends_documentation_fragment:
  - convoy.rollout._auth
  - convoy.rollout._read_only
"""

EXAMPLES = r"""
---
- name: See whether three replicas fit
  convoy.rollout.capacity:
    namespace: default
    replicas: 3
    template:
      spec:
        containers:
          - name: hello
            resources:
              requests: {cpu: 200m}
  register: room
  failed_when: not room.fits

- name: See whether hello can have ten replicas
  convoy.rollout.capacity:
    deployment: hello
    replicas: 10
"""

RETURN = r"""
fits:
  description: Whether there is room for them.
  returned: success
  type: bool
replicas:
  description: For how many replicas there has to be room, without those that O(deployment) has.
  returned: success
  type: int
room:
  description: >-
    How many more such pods there is room for. Where host ports, affinity to pods or topology spreads count, no more
    than O(replicas) are looked for.
  returned: success
  type: int
  sample: 2
limited_by:
  description: >-
    The resource, of the nodes or of a quota, or the field of the template (such as V(hostPort)) that sets this limit;
    none where no node accepts them.
  returned: success
  type: str
  sample: cpu
unjudged:
  description: What also decides whether the pods run and could not be judged, in words.
  returned: success
  type: list
  elements: str
  sample: [on which nodes the volumes data can be used]
message:
  description: What is missing.
  returned: success
  type: str
  sample: "needs 3 x 200m cpu, but schedulable nodes have only 400m free"
msg:
  description: The same, where Ansible looks for it when a task fails.
  returned: success
  type: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _capacity


def main() -> None:
    """Run the operation on this host."""
    run_operation(_capacity.ARGUMENTS, _capacity.run)


if __name__ == "__main__":
    main()
