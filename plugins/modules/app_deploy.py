#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: app_deploy
short_description: Wait until the Deployments of an application are complete, and read what runs
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Waits by watch for several Deployments of a namespace at once. It ends as soon as one of them cannot become
    complete, and says why.
  - With a local connection each step of the progress is shown as one line while the task runs.
options:
  state:
    description:
      - V(complete) waits.
      - V(verified) makes requests where users come in, by O(entry) or else by each of O(services). It fails where fewer
        than O(min_success) are answered, and where nothing listens. A Service that cannot be reached that way is
        reported as unverified.
      - V(back) rolls nothing back. It reports what runs after a run has failed, and never fails.
    type: str
    choices: [complete, verified, back]
    default: complete
  namespace:
    description:
      - The namespace.
      - By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  deployments:
    description: The names of the Deployments.
    type: list
    elements: str
    default: []
  services:
    description: >-
      The names of Services; Deployments that they lead to are read as well. With V(verified) those that requests are
      sent to where there is no entry.
    type: list
    elements: str
    default: []
  samples:
    description: How many requests are made, up to 5000 where losses leave the verdict open. For V(verified).
    type: int
    default: 500
  min_success:
    description: >-
      The share of requests that must be answered; where fewer were answered before the run changed anything, as many as
      that. For V(verified).
    type: float
    default: 0.999
  settle:
    description: Seconds that the cluster may take until requests are answered, for V(verified).
    type: int
    default: 30
  timeout:
    description: Seconds that the Deployments may take to become complete.
    type: int
    default: 600
  failure:
    description: What failed, as C(ansible_failed_result) has it, for O(state=back).
    type: raw
    default: ""
extends_documentation_fragment:
  - convoy.rollout._entry
  - convoy.rollout._auth
  - convoy.rollout._read_only
  - convoy.rollout._run
  - convoy.rollout._version.version_of
"""

EXAMPLES = r"""
---
- name: Wait for two Deployments
  convoy.rollout.app_deploy:
    deployments: [hello, auth]
"""

RETURN = r"""
applications:
  description: >-
    The Deployments, and those that the Services lead to, as M(convoy.rollout.application_info) returns them; none in
    check mode.
  returned: success
  type: list
  elements: dict
message:
  description: What is complete, in one sentence.
  returned: success
  type: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _app_deploy


def main() -> None:
    """Run the operation on this host."""
    run_operation(_app_deploy.ARGUMENTS, _app_deploy.run)


if __name__ == "__main__":
    main()
