#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: rolling_update
short_description: Give a Deployment another version or an earlier revision, and verify it
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - The steps of a rolling update or a rollback that M(convoy.rollout.run) has begun. Without O(run) it starts the
    rollout of O(version) and waits for nothing.
  - Gives a Deployment's container an image with another tag, and the change-cause to its history, in one patch
    of the template that the cluster has, which applies only to the Deployment that was read.
  - Containers, init containers among them, that have the very same image get the new one too. So do the pods'
    labels C(version) and C(app.kubernetes.io/version) where they say the image's tag; others are somebody else's.
  - An image that is pinned by a digest is left alone unless O(image) is given, which pins it by the tag.
  - Refuses what cannot work before anything changes, such as a Deployment that somebody else paused, a selector of it
    or of a Service that names the version, or a strategy without surge.
options:
  state:
    description:
      - V(started) makes the change that was planned, in one patch.
      - V(paused) goes on to the requested share of new pods, pauses there, and verifies that each version gets its
        share of the traffic. What is expected is read again for each look.
      - V(complete) resumes what this collection paused, and waits until the rollout is complete.
      - V(verified) verifies that each pod has the image and that every request gets the version. Where answers name no
        version, that no request is lost; where nothing can be asked, the verdict is V(unverified).
      - V(back) rolls back to what served last when the run began, where this run changed anything, and verifies that.
        What somebody else changed since is left alone.
    type: str
    choices: [started, paused, complete, verified, back]
    default: started
  namespace:
    description: The namespace. By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  name:
    description: The name of the Deployment. With O(run), the one that the run has planned with counts.
    type: str
    required: true
  version:
    description: The version, the image's tag, where there is no O(run).
    type: str
  image:
    description: The image's name without a tag, by default that of the container. It also tells the container.
    type: str
  max_surge:
    description: How many pods more than requested there may be, such as V(1) or V(25%), by default as it is.
    type: str
  max_unavailable:
    description: How many pods fewer than requested may be available, by default as it is.
    type: str
  change_cause:
    description: The annotation C(kubernetes.io/change-cause) of the revision, by default none.
    type: str
  pause_at:
    description: >-
      Leave the rollout paused, for O(convoy.rollout.rollout#module:at) to take it to this share of the pods, such as
      V(50%).
    type: str
  service:
    description: A Service that must be there.
    type: str
  min_success:
    description: >-
      The share of requests that must be answered; where fewer were answered before the run changed anything, as many as
      that.
    type: float
    default: 0.999
    version_added: 0.2.0
  settle:
    description: Seconds that the cluster may take to send all traffic to the version.
    type: int
    default: 30
  timeout:
    description: Seconds that a rollout may take to become complete.
    type: int
    default: 600
  failure:
    description: Why the role failed, for O(state=back), where none of the run's tasks noted it.
    type: raw
    default: ""
extends_documentation_fragment:
  - convoy.rollout._auth
  - convoy.rollout._changes
  - convoy.rollout._run
  - convoy.rollout._entry
  - convoy.rollout._version
  - convoy.rollout._version.version_of
"""

EXAMPLES = r"""
---
- name: Give hello version 2.0.0
  convoy.rollout.rolling_update:
    name: hello
    version: 2.0.0
    max_surge: 1
    max_unavailable: 0
    change_cause: Rolling update to 2.0.0

- name: Wait for it
  convoy.rollout.rollout:
    name: hello

# As role rolling_update does, in a run that is begun and ended by convoy.rollout.run.
- name: Verify that each pod has the image, and that every request gets the version
  convoy.rollout.rolling_update:
    state: verified
    name: hello
    run: "{{ mine }}"
"""

RETURN = r"""
phase:
  description: >-
    What was found. V(update) where the template is another one, V(going) where its rollout is under way, V(paused) if
    it was paused part way by this collection, V(done) where it is complete.
  returned: success, without O(run)
  type: str
before:
  description: The version to go back to, as it answers.
  returned: success, without O(run)
  type: str
after:
  description: The version that is rolled out, as it answers.
  returned: success, without O(run)
  type: str
way_back:
  description: >-
    The revision to go back to, V(0) where there is none. It is what served last, whatever was rolled out since.
  returned: success, without O(run)
  type: int
image:
  description: The image that the container has now.
  returned: success, without O(run)
  type: str
paused_at:
  description: The share of the pods that the rollout is paused at, empty where it is not.
  returned: success, without O(run)
  type: str
services:
  description: The Services that lead to the Deployment, the one of its name first.
  returned: success, without O(run)
  type: list
  elements: str
uneven:
  description:
    - Why requests from one place cannot tell the shares of its versions, such as session affinity of a Service
      that leads there. Empty where they can.
  returned: success, without O(run)
  type: str
message:
  description: What was done, in one sentence.
  returned: success
  type: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _rolling_update


def main() -> None:
    """Run the operation on this host."""
    run_operation(_rolling_update.ARGUMENTS, _rolling_update.run)


if __name__ == "__main__":
    main()
