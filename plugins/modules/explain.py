#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: explain
short_description: Explain the fields of a resource, as the cluster itself describes them
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Reads the cluster's own OpenAPI v3 document, so that it says what that cluster's version supports, also of
    custom resources.
  - RV(lines) is what C(kubectl explain) prints; kubectl is not needed.
options:
  field:
    description:
      - A resource, and below it the path of a field, such as V(deployment.spec.replicas).
      - The resource is named by its plural, its singular, its short name or its kind. Its group may stand behind
        it, as in V(deployments.apps.spec).
    type: str
    required: true
  api_version:
    description: The group and version to look in, such as V(apps/v1). By default the first group that has the
      resource, in the version that the cluster prefers.
    type: str
  recursive:
    description: List the fields of fields too, without their descriptions.
    type: bool
    default: false
extends_documentation_fragment:
  - convoy.rollout._auth
  - convoy.rollout._read_only
"""

EXAMPLES = r"""
---
- name: Look up how many replicas are meant without a number
  convoy.rollout.explain:
    field: deployment.spec.replicas
  register: replicas

- name: Show it
  ansible.builtin.debug:
    msg: "{{ replicas.lines | join('\n') }}"
"""

RETURN = r"""
group:
  description: The API group, empty for the core group.
  returned: success
  type: str
  sample: apps
version:
  description: Its version.
  returned: success
  type: str
  sample: v1
kind:
  description: The kind.
  returned: success
  type: str
  sample: Deployment
field:
  description: The path of the field, empty for the kind itself.
  returned: success
  type: str
  sample: spec.replicas
type:
  description: The field's type, of an object its name.
  returned: success
  type: str
  sample: integer
description:
  description: What it means.
  returned: success
  type: str
enum:
  description: The values that it can have, where they are listed.
  returned: success
  type: list
  elements: str
fields:
  description: The fields that it has.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The field's name.
      type: str
    type:
      description: Its type.
      type: str
    required:
      description: Whether it must be given.
      type: bool
    description:
      description: What it means.
      type: str
lines:
  description: All of it as C(kubectl explain) prints it.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _explain


def main() -> None:
    """Run the operation on this host."""
    run_operation(_explain.ARGUMENTS, _explain.run)


if __name__ == "__main__":
    main()
