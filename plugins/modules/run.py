#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: run
short_description: Begin and end the run of a strategy
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - A run is one strategy's change of one application. Begun, it checks the request before the cluster is touched, takes
    the application's lock, reads what there is, plans what is left to do and watches the traffic from then on.
  - The tasks between get what this one registered as their option C(run). They read the lock right before each write,
    in the same process, and note what they changed and verified.
  - Ended, in C(always), the watch ends, the lock is released, and what was noted becomes one outcome, the facts
    C(rollout_result) and C(STRATEGY_result), however the run ended.
options:
  state:
    description: Whether the run begins or ends.
    type: str
    choices: [begun, ended]
    default: begun
  strategy:
    description: >-
      What the run does. With O(state=ended) it tells whose result the outcome is where no run was begun. The result of
      V(rollback) is C(rolling_update_result), after the role that it belongs to.
    type: str
    choices: [app_deploy, bluegreen, canary, rolling_update, rollback, scale]
  namespace:
    description:
      - The application's namespace.
      - By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  application:
    description: The name of the application.
    type: raw
  applications:
    description: The described applications by name, as role P(convoy.rollout.app_deploy#role) reads them.
    type: raw
    default: {}
  request:
    description: What is requested of the strategy, by the names of its role's variables without their prefix.
    type: dict
    default: {}
  lock_wait:
    description: How many seconds to wait for another run that changes the application.
    type: int
    default: 0
  takeover:
    description: Take the lock from another run, which stops before its next change.
    type: bool
    default: false
  require_drain:
    description:
      - Refuse to begin where pods would end that have no drain, a preStop hook that keeps them listening until no more
        requests are sent to them, or less time to end than that takes.
      - Without it the run warns of them.
    type: bool
    default: false
  unverified:
    description:
      - Whether to go on where what users get cannot be verified, as where nothing answers, or what answers is a
        redirect. The run's verdict is V(unverified) then, and never V(pass); the run succeeds.
      - Without it such a run is refused before anything is changed. What can be verified is verified in any case.
    type: bool
    default: false
  run:
    description: What the task that began the run registered, for O(state=ended).
    type: dict
extends_documentation_fragment:
  - convoy.rollout._entry
  - convoy.rollout._auth
attributes:
  check_mode:
    description: Plans, and takes no lock.
    support: full
  diff_mode:
    description: Has nothing to show, as the tasks between do the changes.
    support: none
  action:
    description: Runs in the controller's own process. A connection that is not local is refused, as the lock could not
      end with the run.
    support: full
  idempotent:
    description: Changes nothing of the application.
    support: full
"""

EXAMPLES = r"""
---
- name: Switch the traffic of hello by hand
  block:
    - name: Begin the run
      convoy.rollout.run:
        strategy: bluegreen
        application: hello
        applications: "{{ applications }}"
        request:
          version: "2.0.0"
      register: mine

    - name: Switch
      convoy.rollout.bluegreen:
        state: switched
        name: hello
        run: "{{ mine }}"
        plan: "{{ mine.plan }}"
  always:
    - name: End the run
      convoy.rollout.run:
        state: ended
        run: "{{ mine }}"
"""

RETURN = r"""
run:
  description: What the tasks of the run, and the one that ends it, are given.
  returned: state is begun
  type: dict
plan:
  description: What is to be done, as the strategy's tasks pick from it.
  returned: state is begun
  type: dict
outcome:
  description: What the run did and proved; docs/outcome.md has all of it.
  returned: state is ended
  type: dict
  contains:
    format:
      description: The version of this shape.
      type: int
    failed:
      description: Whether the play has to fail.
      type: bool
    strategy:
      description: What was done.
      type: str
    application:
      description: Of which application, or applications.
      type: str
    namespace:
      description: Its namespace.
      type: str
    cluster:
      description: The host of the inventory.
      type: str
    requested:
      description: What was asked for.
      type: dict
    before:
      description: What users got before, a version or a number of replicas.
      type: raw
    target:
      description: What they were to get.
      type: raw
    after:
      description: What they get now; null where nobody can tell.
      type: raw
    verdict:
      description: V(pass), V(fail), V(inconclusive) or V(unverified).
      type: str
    verified_by:
      description: >-
        What the verdict rests on. V(versions) that answered; V(requests) of which none was lost, where answers name no
        version; V(endpoints) or V(pods) by their images, without requests; or V(nothing).
      type: str
    ending:
      description: >-
        V(success); V(unverified), which is done and not proved; V(check mode); V(refused), V(failed), V(rolled back),
        V(taken over) or V(interrupted), with which the play fails.
      type: str
    changed:
      description: Whether anything was changed.
      type: bool
    samples:
      description: How many requests were made meanwhile.
      type: int
    lost:
      description: How many of them got no good answer.
      type: int
    errors:
      description: How many were lost, by reason.
      type: dict
    watched:
      description: What steady requests saw during the whole run, as M(convoy.rollout.version_distribution) reports it.
      type: dict
    ended:
      description: Requests that were lost while pods ended, by which no version was judged; null where none were.
      type: dict
      contains:
        pods:
          description: How many pods of each version were seen to end.
          type: dict
        lost:
          description: How many requests were lost meanwhile.
          type: int
        errors:
          description: How many of them, by reason.
          type: dict
        cause:
          description: Why, and what to do.
          type: str
        message:
          description: All of that in one sentence.
          type: str
    warnings:
      description: What the run warned of when it began.
      type: list
      elements: str
    evidence:
      description: Each verification, with what was verified, the verdict and what was counted.
      type: list
      elements: dict
    applications:
      description: What runs now, as M(convoy.rollout.application_info) returns it, where the strategy reads that.
      type: list
      elements: dict
    reason:
      description: Why it did not succeed, in one sentence.
      type: str
    log:
      description: The last lines of the log of what failed.
      type: str
    way_back:
      description: What to pass to the playbook to go back to RV(outcome.before).
      type: str
    message:
      description: The run in one sentence.
      type: str
    lines:
      description: What a person is shown after a success.
      type: list
      elements: str
    started:
      description: When it began, RFC 3339.
      type: str
    seconds:
      description: How long it took.
      type: float
    ended_at:
      description: When it ended, in seconds since 1970.
      type: float
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _run


def main() -> None:
    """Run the operation on this host."""
    run_operation(_run.ARGUMENTS, _run.run)


if __name__ == "__main__":
    main()
