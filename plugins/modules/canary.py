#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: canary
short_description: Take a canary from weight to weight, promote it or remove it
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - The phases of a run that was begun with M(convoy.rollout.run) and O(ignore:strategy=canary). What is to be done is
    in the run's plan; each phase reads the cluster again, reads the run's lock right before each write, and changes
    only what is still as it was read.
options:
  state:
    description:
      - V(stable) verifies that every request gets the stable version, while there is no canary.
      - V(prepared) checks that the cluster has room for every replica, and returns the manifest of a canary that is yet
        to be created.
      - V(stepped) takes the canary through the steps that are left. At each it gets its replicas, is waited for, takes
        the place of replicas of stable where the weight is above V(50), and is verified with requests. What is judged
        is the requested weight. The endpoints are read again at every look; where they are further from the weight than
        the tolerance allows, as after somebody scaled one of the Deployments, the step fails. During a pause the lock,
        the replicas and the canary's containers are checked every 10 seconds, and the traffic is judged by one test
        from its beginning to its end, so that a long pause removes a good canary no more often than a short one. Shares
        that cannot be determined do not remove it.
      - V(promoted) gives stable the pod template that was verified, by a rolling update, waits for it, and verifies
        that every request gets the version.
      - V(restored) restores stable's replicas, and in the middle of a promotion its version, and waits for it.
      - V(gone) deletes the canary and verifies that stable answers every request.
      - V(back) undoes what a failed run has changed. It never fails; the run's outcome says what came of it.
    type: str
    choices: [stable, prepared, stepped, promoted, restored, gone, back]
    required: true
  run:
    description: What the task with M(convoy.rollout.run) registered that began the run which this task belongs to.
    type: dict
    required: true
  namespace:
    description:
      - The namespace.
      - By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  template:
    description: The pod template of a canary that is yet to be created, for V(prepared). By default stable's, with the
      version in the place of its image's tag.
    type: dict
  definition:
    description: The manifest that V(prepared) returned, for V(stepped), which creates the canary where nobody else did,
      and for V(promoted) in check mode.
    type: dict
    default: {}
  failure:
    description: Why the role failed, for V(back), where none of the run's tasks noted it.
    type: raw
    default: ""
extends_documentation_fragment:
  - convoy.rollout._entry
  - convoy.rollout._auth
  - convoy.rollout._changes
"""

EXAMPLES = r"""
---
- name: Take the canary of hello through its steps
  convoy.rollout.canary:
    state: stepped
    run: "{{ mine }}"
"""

RETURN = r"""
definition:
  description: The manifest of the canary, empty where there is one already.
  returned: state is prepared
  type: dict
message:
  description: What was done, in one sentence.
  returned: success
  type: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _canary


def main() -> None:
    """Run the operation on this host."""
    run_operation(_canary.ARGUMENTS, _canary.run)


if __name__ == "__main__":
    main()
