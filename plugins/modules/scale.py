#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: scale
short_description: Scale a Deployment to a number or by a step
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Gives a Deployment a number of replicas, or some more or fewer than it has, in one patch that applies only to the
    object that was read.
  - Leaves the number alone, and says so, where a HorizontalPodAutoscaler sets it.
  - Waits for nothing; M(convoy.rollout.rollout) does. M(convoy.rollout.capacity) tells whether there is room.
notes:
  - A step or a share is relative to the current number, so a second run takes it again.
options:
  state:
    description:
      - V(scaled) gives the Deployment its number.
      - V(verified) checks that as many pods are ready as were requested, and, as a part of a run that asked users'
        entry when it began, that no more requests are lost than then.
      - V(back) rolls nothing back. It reports what the Deployment has after a run has failed, and never fails.
    type: str
    choices: [scaled, verified, back]
    default: scaled
  namespace:
    description: The namespace. By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  name:
    description: The name of the Deployment.
    type: str
    required: true
  replicas:
    description:
      - A number such as V(5), a step such as V(+2) or V(-1), a share of what there is such as V(50%) or V(200%), or
        a step by a share such as V(+50%) or V(-25%).
      - What a share comes to is rounded up.
      - Required, unless O(state=back).
    type: str
  current_replicas:
    description:
      - How many replicas the Deployment is expected to have. It fails where somebody scaled it meanwhile.
      - Steps and shares are relative to this number.
    type: int
  samples:
    description: How many requests are made, up to 5000 where losses leave the verdict open. For O(state=verified).
    type: int
    default: 500
  min_success:
    description: >-
      The share of requests that must be answered; where fewer were answered before the run changed anything, as many as
      that. For O(state=verified).
    type: float
    default: 0.999
  settle:
    description: For how many seconds they are repeated while more are lost than may be, for O(state=verified).
    type: int
    default: 30
  timeout:
    description: How many seconds pods may take to become ready again, for O(state=verified).
    type: int
    default: 600
  failure:
    description: What failed, as C(ansible_failed_result) has it, for O(state=back).
    type: raw
    default: ""
extends_documentation_fragment:
  - convoy.rollout._entry
  - convoy.rollout._auth
  - convoy.rollout._changes
  - convoy.rollout._run
"""

EXAMPLES = r"""
---
- name: Have five replicas of hello
  convoy.rollout.scale:
    name: hello
    replicas: 5

- name: Have two more
  convoy.rollout.scale:
    name: hello
    replicas: "+2"
"""

RETURN = r"""
before:
  description: How many replicas were requested before.
  returned: success, unless state is back
  type: int
after:
  description: How many are requested now.
  returned: success, unless state is back
  type: int
autoscaler:
  description: The HorizontalPodAutoscaler that sets the replicas, null where there is none.
  returned: success, unless state is back
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    min_replicas:
      description: The fewest replicas that it leaves.
      type: int
    max_replicas:
      description: The most replicas that it makes.
      type: int
manager:
  description: The field manager that wrote another number, where somebody else did that meanwhile.
  returned: failure
  type: str
message:
  description: What was done or verified, in one sentence.
  returned: success
  type: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _scale


def main() -> None:
    """Run the operation on this host."""
    run_operation(_scale.ARGUMENTS, _scale.run)


if __name__ == "__main__":
    main()
