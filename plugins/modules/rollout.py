#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout
short_description: Wait for a rollout, pause, resume, restart or undo it, and show its history
version_added: 0.1.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - With O(state=complete) it watches a Deployment, its ReplicaSets and its pods until the rollout is complete
    as C(kubectl rollout status) means it. The controller has seen the newest specification, as many new pods
    are available as are wanted, and no old ones are left.
  - It fails as soon as that has become impossible, as where an image cannot be pulled, a container crashes again and
    again or its configuration is invalid, a pod cannot be scheduled, a quota is used up, or the progress deadline has
    passed.
  - A paused Deployment that is not complete fails, because nothing will happen until it is resumed.
  - With the other states it changes the rollout and waits for nothing, except with O(at).
  - A change is kept only where nobody else changed the same thing meanwhile.
  - Dropped watches are resumed.
  - With a local connection each step of the progress is shown as one line while the task runs.
notes:
  - With O(state=complete) check mode says how far the rollout is and waits for nothing. RV(status) is V(missing)
    where the workload is yet to be created.
  - O(state=restarted) changes the workload each time. So does O(state=undone) without O(to_revision), as the
    revision before is then another one.
options:
  namespace:
    description: The namespace. By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  name:
    description: The name of the workload.
    type: str
    required: true
  kind:
    description: Its kind. StatefulSets and DaemonSets have no pause.
    type: str
    choices: [Deployment, StatefulSet, DaemonSet]
    default: Deployment
    version_added: 0.2.0
  state:
    description:
      - V(complete) waits until the rollout is complete.
      - V(paused) pauses it, at once or at a share of its pods (O(at)), and V(resumed) lets it go on.
      - V(restarted) restarts all pods, as C(kubectl rollout restart) does.
      - V(undone) gives the workload the pod template of an earlier revision (O(to_revision)) and that one's
        change-cause, as C(kubectl rollout undo) does, but keeps the workload's other annotations.
      - A paused Deployment is neither restarted nor undone; one that was paused by O(at) is undone and resumed.
    type: str
    choices: [complete, paused, resumed, restarted, undone]
    default: complete
  at:
    description:
      - With O(state=paused), the share of the requested pods that are to be new, such as V(50%), rounded up. The
        rollout is paused with exactly that many, and the module then waits until the existing pods are ready.
      - A Deployment that is paused earlier goes on to this point.
      - On the way there the rollout is slowed down, as it would otherwise run past that point. C(minReadySeconds),
        C(progressDeadlineSeconds), C(maxSurge) and C(maxUnavailable) are changed for that time. As many pods receive
        traffic as the Deployment's own settings demand. These are restored with the pause, a C(maxSurge) that is larger
        than the new pods only when it is resumed.
      - A run that was cut off on the way is continued by the next one. O(state=resumed) restores the settings too.
      - The Deployment's annotation C(convoy.rollout/paused-at) keeps this value until it is resumed.
    type: str
    version_added: 0.2.0
  to_revision:
    description:
      - With O(state=undone), the revision to go back to, by default (V(0)) the newest one before the current one
        that did not fail.
      - A revision that was rolled back to gets a new number. Its earlier numbers lead to it too.
    type: int
    default: 0
    version_added: 0.2.0
  failed:
    description:
      - With O(state=undone), that the current revision failed verification, unless it is O(to_revision).
      - The annotation C(convoy.rollout/failed) keeps its number, and O(state=undone) goes back to it only where
        O(to_revision) says so.
    type: bool
    default: false
    version_added: 0.2.0
  replicas:
    description:
      - With O(state=complete), how many replicas were requested. It fails where somebody else changes the number while
        the rollout is waited for, and names the field manager that wrote it.
    type: int
    version_added: 0.2.0
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
  - convoy.rollout._run
  - convoy.rollout._auth
  - convoy.rollout._changes
  - convoy.rollout._version
  - convoy.rollout._version.version_of
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

- name: Hold the rollout when half of the pods are new
  convoy.rollout.rollout:
    name: hello
    state: paused
    at: 50%

- name: Go back to revision 2
  convoy.rollout.rollout:
    name: hello
    state: undone
    to_revision: 2

- name: Start the pods of a StatefulSet anew
  convoy.rollout.rollout:
    kind: StatefulSet
    name: database
    state: restarted
"""

RETURN = r"""
status:
  description: V(complete), V(progressing), V(paused) or V(failed), or in check mode V(missing).
  returned: always
  type: str
uid:
  description: The workload's uid, which no other workload has, of this cluster or another one.
  returned: always
  type: str
revision:
  description: The workload's revision.
  returned: always
  type: int
replicas:
  description: How many replicas are requested and how many there are, in a Deployment's own words.
  returned: always
  type: dict
  sample: {wanted: 3, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3}
history:
  description: The revisions that can be rolled back to, and the current one, the oldest first.
  returned: always
  type: list
  elements: dict
  contains:
    revision:
      description: Its number.
      type: int
    images:
      description: The images of its containers.
      type: list
      elements: str
    change_cause:
      description: The annotation C(kubernetes.io/change-cause), empty where there is none.
      type: str
    created:
      description: When it was first created.
      type: str
      sample: "2026-11-25T08:00:00Z"
    age:
      description: Seconds since then.
      type: int
    replicas:
      description: How many pods it has.
      type: int
    current:
      description: Whether it is the workload's pod template.
      type: bool
    failed:
      description: Whether it was rolled back because it failed verification.
      type: bool
pods:
  description: The workload's pods, by name, without those that are terminating.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The pod's name.
      type: str
    revision:
      description: The number of its revision.
      type: int
    version:
      description: >-
        The tag of its image, or what O(version_of) makes of it, else the digest. Of several containers it is that of
        O(container). Empty where it cannot be told.
      type: str
    image:
      description: The image of that container, empty where it cannot be told which one it is.
      type: str
    images:
      description: The images of its containers.
      type: list
      elements: str
    ready:
      description: Whether it takes traffic.
      type: bool
    node:
      description: The node that it runs on.
      type: str
    restarts:
      description: How often its containers were restarted.
      type: int
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
      description: The pod that shows it.
      type: str
    container:
      description: The container that shows it.
      type: str
    reason:
      description: The reason, in Kubernetes' own word.
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
