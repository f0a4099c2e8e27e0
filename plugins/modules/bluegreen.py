#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: bluegreen
short_description: Prepare, switch and retire the colours of an application
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - The changes of a blue/green rollout that are not manifests, each a patch that changes only what was read.
options:
  state:
    description:
      - V(prepared) checks that there is room for the other colour, lets the API server try its manifests, checks that
        nothing would stay behind with the colour that loses the traffic, and pins each Service that leads to the active
        one, so that only that one receives traffic.
      - V(previewed) verifies the other colour with requests by the Service C(NAME-preview), before it takes traffic.
        Where the run was begun by a router, that Service becomes a backend of weight 0 first. An HTTPRoute leads
        requests with the preview's headers there, and these verify it.
      - V(switched) points each of those Services at the other colour, in one patch, and makes the
        HorizontalPodAutoscalers of the old one scale the new one. By a router, it gives that Service all of the weight
        in one patch, verifies that with requests, points the Services there, and makes the router lead to the users'
        Service alone again. Where a rollout that was cut off before its end is given up, it undoes what that did.
      - V(verified) verifies that every request gets the version, in the way that the run decided before the change.
      - V(retired) ends what was verified. A rollback is noted as done. Unless O(keep), the traffic is watched for
        O(delay) seconds, and where no container of the new colour crashed, the old one is scaled to 0.
      - V(back) undoes what the failed run changed, as far as it got. Before the switch, it removes what was created,
        and restores what the other colour ran and the selectors of the Services; after it, it points them back and
        verifies that the old version answers. A router leads to the users' Service alone before anything is removed.
    type: str
    choices: [prepared, previewed, switched, verified, retired, back]
    required: true
  namespace:
    description:
      - The namespace.
      - By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  name:
    description: The name of the application. By default the one of the run.
    type: str
  plan:
    description: What M(convoy.rollout.run) returned as C(plan). By default that of the run.
    type: dict
    default: {}
  definition:
    description: The manifests of the other colour, as M(convoy.rollout.apply) takes them, for V(prepared).
    type: raw
  path:
    description: >-
      The path of the requests to the Service C(NAME-preview), for V(previewed). By default that of the entry, else
      C(/version).
    type: str
  samples:
    description: >-
      How many requests have to be answered by the version, for V(previewed), V(verified) and V(back), and by a router
      for V(switched).
    type: int
    default: 500
  min_success:
    description: >-
      The share of requests that must be answered, for V(switched), V(verified), V(retired) and V(back); where fewer
      were answered before the run, as many as that.
    type: float
    default: 0.999
    version_added: 0.2.0
  settle:
    description: >-
      Seconds that the cluster, or a router, may take to send all traffic there, for V(previewed), V(switched),
      V(verified) and V(back).
    type: int
    default: 30
  keep:
    description: Whether the old colour keeps its replicas, for V(retired).
    type: bool
    default: false
  delay:
    description: Seconds that the traffic is watched before the old colour is scaled to 0, for V(retired).
    type: int
    default: 30
  timeout:
    description: >-
      Seconds that the new colour may take to be complete again, for V(retired), and that a router's gateways and
      Services may take to follow, for the others.
    type: int
    default: 600
  failure:
    description: Why the role failed, for V(back), where none of the run's tasks noted it.
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
- name: Switch the traffic of hello
  convoy.rollout.bluegreen:
    state: switched
    run: "{{ mine }}"
"""

RETURN = r"""
message:
  description: What was done, in one sentence.
  returned: success
  type: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _bluegreen


def main() -> None:
    """Run the operation on this host."""
    run_operation(_bluegreen.ARGUMENTS, _bluegreen.run)


if __name__ == "__main__":
    main()
