#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet
short_description: Take the clusters of a play through the waves of a rollout
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - What role P(convoy.rollout.fleet#role) decides and keeps between its waves. It is made for that role, which gives
    each state what it needs.
  - V(checked), V(planned), V(surveyed), V(judged) and V(told) are about the whole fleet, with C(run_once). V(read),
    V(changed), V(verified) and V(restored) are about one cluster.
options:
  state:
    description:
      - V(checked) refuses what cannot work, before a cluster is touched. V(read) keeps what a cluster has.
      - V(planned) refuses a fleet of which a cluster cannot be read or is there twice, and plans its waves.
      - V(changed) keeps what became of a cluster's change, V(verified) what its traffic then showed.
        V(surveyed) names those that failed already, so that none is watched then.
      - V(judged) judges a wave. V(restored) keeps whether a cluster was brought back. V(told) puts the table together.
    type: str
    choices: [checked, read, planned, changed, surveyed, verified, judged, restored, told]
    required: true
  strategy:
    description: How each cluster is changed.
    type: str
    default: bluegreen
  namespace:
    description:
      - The application's namespace.
      - By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  application:
    description: The name of the application.
    type: str
  waves:
    description: Numbers, shares and groups of clusters, one after the other.
    type: raw
    default: ['1', '25%', '100%']
  on_failure:
    description: Which clusters are brought back when a wave fails.
    type: str
    choices: [stop, rollback_wave, rollback_all]
    default: stop
  soak:
    description: Seconds for which the traffic is watched after each wave.
    type: int
    default: 0
  samples:
    description: The minimum number of requests that each cluster must answer meanwhile.
    type: int
    default: 100
  min_success:
    description: The share of them, from 0 to 1, that must be answered.
    type: float
    default: 0.999
  timeout:
    description: Seconds that one task on a cluster may take.
    type: int
    default: 900
  skip_unreachable:
    description: Go on without the clusters that cannot be read.
    type: bool
    default: false
  service:
    description: The Service that leads to the application, where several do and O(entry) names none of them.
    type: str
  fleet:
    description: What the states so far decided, the fact C(__fleet).
    type: dict
    default: {}
  wave:
    description: The number of the wave, from 1 on.
    type: int
    default: 0
  failure:
    description: Why the strategy's role failed, where its run has no outcome.
    type: raw
    default: ""
extends_documentation_fragment:
  - convoy.rollout._entry
  - convoy.rollout._version
  - convoy.rollout._version.version_of
  - convoy.rollout._auth
attributes:
  check_mode:
    description: Decides as it does without, from what the strategy's check mode says.
    support: full
  diff_mode:
    description: Has nothing to show, as the strategy's role does the changes.
    support: none
  action:
    description: Runs in the controller's own process, where the variables of all clusters are.
    support: full
  idempotent:
    description: Changes nothing.
    support: full
"""

EXAMPLES = r"""
---
- name: Put together what became of each cluster
  convoy.rollout.fleet:
    state: told
    fleet: "{{ __fleet }}"
  register: told
  run_once: true
"""

RETURN = r"""
rows:
  description: One row for each cluster, in the order of the waves.
  returned: state is told
  type: list
  elements: dict
columns:
  description: The columns of RV(rows) that a person is shown.
  returned: state is told
  type: list
  elements: str
lines:
  description: What each wave's clusters came to together.
  returned: state is told
  type: list
  elements: str
message:
  description: Why the fleet stopped; empty where it did not.
  returned: state is told
  type: str
"""
