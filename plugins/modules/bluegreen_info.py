#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: bluegreen_info
short_description: Tell which colour of an application takes traffic
version_added: 0.1.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Reads a Service and the Deployments of its namespace once, and works out which of the two colours takes
    the Service's traffic, and what is left to do to move it to a version.
  - Where a rollout by a router was cut off, it also says where that leads users by now.
  - Blue is the Deployment of the Service's name, where there is one, else the one that ends in C(-blue).
    Green ends in C(-green).
options:
  namespace:
    description: The namespace. By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  name:
    description: The name of the Service.
    type: str
    required: true
  version:
    description: The version that is to take the traffic, as the image's tag says it.
    type: str
  rollback:
    description: >-
      Request the version before the last switch, which the Service's annotation C(convoy.rollout/previous-version)
      names; where no colour has that version, as when a rollout was cut off before its switch, for the active one.
    type: bool
    default: false
extends_documentation_fragment:
  - convoy.rollout._router
  - convoy.rollout._auth
  - convoy.rollout._read_only
  - convoy.rollout._version
  - convoy.rollout._version.version_of
"""

EXAMPLES = r"""
---
- name: See which version of hello takes the traffic
  convoy.rollout.bluegreen_info:
    namespace: default
    name: hello
  register: hello

- name: Say it
  ansible.builtin.debug:
    msg: "{{ hello.active.version }} in {{ hello.active.color }}"
"""

RETURN = r"""
active:
  description: The colour that takes the traffic.
  returned: success
  type: dict
  contains:
    color:
      description: V(blue) or V(green).
      type: str
    deployment:
      description: The name of its Deployment.
      type: str
    exists:
      description: Whether that Deployment exists.
      type: bool
    version:
      description: >-
        What its pods answer: the tag of the image of O(container), as O(version_of) makes it, or where no container is
        known the label C(version) that says the tag of one.
      type: str
    tag:
      description: What to set as O(version) for it to receive the traffic.
      type: str
    image:
      description: The image of the container that carries the version; empty where none is known.
      type: str
    replicas:
      description: How many replicas it is to have.
      type: int
    complete:
      description: Whether its rollout is complete.
      type: bool
    match_labels:
      description: The labels that its selector names.
      type: dict
    label_selector:
      description: Its whole selector, as its Deployment has it.
      type: dict
    selector:
      description: >-
        The Service's selector that leads to it, as a merge patch; a key that has to go is null.
        For the colour of the version that is asked for, it names that version.
      type: dict
  sample: {color: blue, deployment: hello, exists: true, version: 1.0.0, replicas: 3, complete: true}
preview:
  description: The other colour, in the same words.
  returned: success
  type: dict
  sample: {color: green, deployment: hello-green, exists: false, version: "", replicas: 0, complete: false}
uid:
  description: The Service's uid, which no other Service has, of this cluster or another one.
  returned: success
  type: str
pinned:
  description: Whether the Service's selector names a version.
  returned: success
  type: bool
version:
  description: The version that was asked for, also by O(rollback), as it answers.
  returned: success
  type: str
  sample: 2.0.0
tag:
  description: The same as the image's tag says it.
  returned: success
  type: str
  sample: v2.0.0
previous_version:
  description: The version before the last switch, empty where there was none.
  returned: success
  type: str
router:
  description: >-
    The router that a rollout which was cut off has lead to both colours, such as an HTTPRoute; empty at rest, where the
    Service's selector alone decides.
  returned: success
  type: str
stand:
  description: >-
    Where that router leads to. V(home), to the Service alone; V(beside), also to the other colour, with the weight 0;
    V(switched), to the other colour alone; V(same), to the Service and the preview Service, which have one colour.
  returned: success
  type: str
  sample: home
phase:
  description: >-
    V(done) when the version takes the traffic, V(switch) when the idle colour runs the previous version and
    only the
    selector has to change, V(preview) when the idle colour has to be brought up first.
  returned: success
  type: str
  sample: preview
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _bluegreen_info


def main() -> None:
    """Run the operation on this host."""
    run_operation(_bluegreen_info.ARGUMENTS, _bluegreen_info.run)


if __name__ == "__main__":
    main()
