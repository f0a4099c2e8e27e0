# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: rendered
short_description: What templates say, at a fraction of what P(ansible.builtin.template#lookup) costs
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Renders templates as P(ansible.builtin.template#lookup) does. That one copies all variables of the host, one by one,
    for each template; here they are shared.
options:
  _terms:
    description: The paths of the templates, found as P(ansible.builtin.template#lookup) finds them.
    type: list
    elements: str
    required: true
  template_vars:
    description: The variables that the templates have beside those of the host, and in their place.
    type: dict
    default: {}
"""

EXAMPLES = r"""
---
- name: Apply every object of the application
  convoy.rollout.apply:
    definition: "{{ query('convoy.rollout.rendered', 'deployment.yaml.j2', 'service.yaml.j2', template_vars=given) }}"
  vars:
    given: "{{ applications | convoy.rollout.manifests(begun.plan) }}"
"""

RETURN = r"""
_raw:
  description: The text of each.
  type: list
  elements: str
"""

import typing as t

from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase


class _Shared(dict[str, t.Any]):
    """Variables that nobody copies one by one: a template that changes one does so in the process of its own task."""

    def __deepcopy__(self, _memo: t.Any) -> dict[str, t.Any]:
        return dict(self)


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms: t.Sequence[str], variables: t.Mapping[str, t.Any] | None = None, **kwargs: t.Any) -> list[str]:
        """The text of each template. Raises AnsibleError."""
        self.set_options(var_options=variables, direct=kwargs)
        template = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        given = self.get_option("template_vars")
        return t.cast("list[str]", template.run(terms, _Shared(variables or {}), template_vars=given))
