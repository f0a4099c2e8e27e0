#!/usr/bin/python
# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout
short_description: Wait until a Deployment is complete, or say why it cannot be
version_added: 0.1.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Watches a Deployment, its ReplicaSets and its pods until the rollout is complete as C(kubectl rollout
    status) means it.
    The controller has seen the newest specification, as many new copies are available as are wanted, and no
    old ones are left.
  - Fails as soon as that cannot be any more. An image cannot be pulled, a container crashes again and again
    or its configuration
    is invalid, a pod cannot be scheduled, a quota is used up, or the progress deadline has passed.
  - A paused Deployment that is not complete fails, because nothing will happen until it is resumed.
  - Watches that are dropped are taken up again.
  - With a local connection each step of the progress is shown as one line while the task runs.
notes:
  - In check mode it says how far the rollout is and waits for nothing. RV(status) is then V(complete),
    V(progressing), or V(missing) where the Deployment is yet to be made.
options:
  namespace:
    description: The namespace.
    type: str
    default: default
  name:
    description: The name of the Deployment.
    type: str
    required: true
  state:
    description: What to wait for.
    type: str
    choices: [complete]
    default: complete
  timeout:
    description: Seconds that it may take.
    type: int
    default: 600
  unschedulable_grace:
    description:
      - Seconds for which a pod may find no node, or a quota refuse one, before that counts as a failure. Both
        can pass, when other pods end.
      - Where a cluster autoscaler adds nodes, give it the time that a new node takes, such as V(180).
    type: int
    default: 5
extends_documentation_fragment:
  - convoy.rollout._auth
  - convoy.rollout._read_only
"""

EXAMPLES = r"""
---
- name: Wait until hello is complete
  convoy.rollout.rollout:
    namespace: default
    name: hello
    state: complete
    timeout: 120

- name: Leave the cluster's autoscaler the time to add a node
  convoy.rollout.rollout:
    name: hello-green
    unschedulable_grace: 180
"""

RETURN = r"""
status:
  description: V(complete) or V(failed); in check mode also V(progressing) or V(missing).
  returned: always
  type: str
revision:
  description: The Deployment's revision.
  returned: always
  type: int
replicas:
  description: How many copies are wanted and how many there are, in Kubernetes' own words.
  returned: always
  type: dict
  sample: {wanted: 3, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3}
duration:
  description: Seconds that it took.
  returned: always
  type: float
message:
  description: What happened, in one sentence.
  returned: always
  type: str
failure:
  description: Why it cannot become complete.
  returned: failure
  type: dict
  contains:
    pod:
      description: The pod in which it shows.
      type: str
    container:
      description: The container in which it shows.
      type: str
    reason:
      description: The reason in Kubernetes' own word.
      type: str
      sample: CrashLoopBackOff
    message:
      description: What Kubernetes says about it.
      type: str
    log:
      description: The last lines of the container's log.
      type: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _rollout


def main() -> None:
    """Run the operation on this host."""
    run_operation(_rollout.ARGUMENTS, _rollout.run)


if __name__ == "__main__":
    main()
