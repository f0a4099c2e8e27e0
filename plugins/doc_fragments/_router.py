# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations


class ModuleDocFragment:
    """What splits the traffic of an application by weights."""

    DOCUMENTATION = r"""
options:
  router:
    description: What splits the traffic by weights, where that is not the Service. By default what gives a canary its
      share, or what a blue/green rollout that was cut off used; where there is no canary, the one object that leads to
      its Service and can.
    type: dict
    suboptions:
      pods:
        description: The Service splits it, by its pods or its selector, whatever leads to the Service.
        type: bool
      gateway_api:
        description: An HTTPRoute of Gateway API, in the namespace of the application.
        type: dict
        suboptions:
          route:
            description: Its name.
            type: str
            required: true
          rules:
            description: The names of those of its rules that are meant. By default all that lead to the Service.
            type: list
            elements: str
            default: []
      istio:
        description: A VirtualService of Istio, in the namespace of the application.
        type: dict
        suboptions:
          virtual_service:
            description: Its name.
            type: str
            required: true
          routes:
            description: The names of those of its HTTP routes that are meant. By default all that lead to the Service.
            type: list
            elements: str
            default: []
      traefik:
        description: A TraefikService with weighted services, in the namespace of the application.
        type: dict
        suboptions:
          service:
            description: Its name.
            type: str
            required: true
      openshift:
        description: A Route of OpenShift, in the namespace of the application.
        type: dict
        suboptions:
          route:
            description: Its name.
            type: str
            required: true
      ingress:
        description: An Ingress in the namespace of the application, whose controller serves the canary annotations of
          ingress-nginx.
        type: dict
        suboptions:
          name:
            description: Its name.
            type: str
            required: true
"""
