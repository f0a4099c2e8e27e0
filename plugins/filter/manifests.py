# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: manifests
short_description: What the templates of role app_deploy are given
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Puts together, from the described applications and the plan of a run, the variables that the templates are rendered
    with. A plan has no Secrets in it, as it is shown; here they come back in.
options:
  _input:
    description: The applications by name, as role P(convoy.rollout.app_deploy#role) reads them.
    type: dict
    required: true
  plan:
    description: What M(convoy.rollout.run) returned as C(plan).
    type: dict
    required: true
  certificates:
    description: The certificates that M(convoy.rollout.self_signed) made, as it returns them.
    type: list
    elements: dict
    default: []
  application:
    description: The application that the plan's own C(manifests) are of, for the plan of another strategy.
    type: str
"""

EXAMPLES = r"""
---
- name: Apply every object of the application
  convoy.rollout.apply:
    definition: "{{ query('convoy.rollout.rendered', *paths, template_vars=given) }}"
  vars:
    given: "{{ applications | convoy.rollout.manifests(begun.plan) }}"
"""

RETURN = r"""
_value:
  description: The dictionaries C(secrets), C(config_maps), C(services), C(selectors) and C(deployments), by name.
  type: dict
"""

import typing as t

from ansible_collections.convoy.rollout.plugins.plugin_utils._bytecode import Finder  # noqa: F401  # for the next ones
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _app_deploy
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _description


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """By name."""
        return {"manifests": _manifests}


def _manifests(
    applications: t.Mapping[str, t.Any],
    plan: t.Mapping[str, t.Any],
    certificates: t.Sequence[t.Mapping[str, t.Any]] = (),
    application: str = "",
) -> dict[str, t.Any]:
    if "manifests" in plan:
        return _description.with_secrets(plan["manifests"], applications.get(application) or {})
    return _app_deploy.manifests(applications, plan, certificates)
