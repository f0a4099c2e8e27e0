#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: lock
short_description: Let only one run at a time change an application
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Takes a Lease C(convoy-NAME) of C(coordination.k8s.io/v1) in the application's namespace. It says who holds it,
    since when and what for, and is renewed for as long as the run lives. A second run is refused at once.
  - When the run ends without releasing it, or is killed, the Lease is deleted 5 seconds later, when the task that the
    run was at has ended. When what deletes it dies too, as with the machine, it expires after 15 seconds. Another run
    then looks at it for that long before it takes it, so that clocks that differ cannot make two holders. On the
    machine of the run that died it is taken at once.
  - A run that takes it over from another one, alive or dead, waits 5 seconds before it goes on, so that a change that
    the other one had already begun has been made by then.
  - Whoever takes a lock over does so between two tasks of the other run. Make that run check with O(lock) before each
    change that matters; between such a check and its change remains a moment that no lock in the cluster can close.
options:
  state:
    description:
      - V(held) takes the lock, or with O(lock) checks that it was not taken away.
      - V(released) lets go of it.
    type: str
    choices: [held, released]
    default: held
  namespace:
    description:
      - The application's namespace.
      - By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  name:
    description: The name of the application.
    type: str
    required: true
  purpose:
    description: What the lock is held for; other runs are shown it.
    type: str
    default: ""
  wait:
    description: How many seconds to wait for the run that holds it.
    type: int
    default: 0
  takeover:
    description: Take it from whoever holds it; that run stops at its next check.
    type: bool
    default: false
  lock:
    description: What RV(lock) was when it was taken; needed to check it and to release it.
    type: dict
    default: {}
extends_documentation_fragment:
  - convoy.rollout._auth
attributes:
  check_mode:
    description: Leaves the lock alone.
    support: full
  diff_mode:
    description: Has nothing to show, as nothing is kept.
    support: none
  action:
    description: Runs in the controller's own process where the connection is local. On another machine the Lease is not
      released when the run is killed; it is renewed for a day then, and takes O(takeover).
    support: full
  idempotent:
    description: A run that holds the lock may take it again.
    support: full
"""

EXAMPLES = r"""
---
- name: Change hello while nobody else does
  block:
    - name: Take the lock
      convoy.rollout.lock:
        name: hello
        purpose: restart
      register: mine

    - name: Restart it
      convoy.rollout.rollout:
        name: hello
        state: restarted
  always:
    - name: Release the lock
      convoy.rollout.lock:
        name: hello
        state: released
        lock: "{{ mine.lock | default({}) }}"
"""

RETURN = r"""
lock:
  description: What the lock is checked and released with; empty where it is not held.
  returned: success
  type: dict
holder:
  description: Who holds it.
  returned: failure, when somebody else holds it
  type: str
  sample: alice@laptop (4711)
since:
  description: Since when.
  returned: failure, when somebody else holds it
  type: str
  sample: "2026-11-25T09:27:09.000000Z"
purpose:
  description: What for.
  returned: failure, when somebody else holds it
  type: str
  sample: blue/green to 2.0.0
message:
  description: What was done, in a sentence.
  returned: success
  type: str
  sample: The lock of hello is held by alice@laptop (4711).
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _lock


def main() -> None:
    """Run the operation on this host."""
    run_operation(_lock.ARGUMENTS, _lock.run)


if __name__ == "__main__":
    main()
