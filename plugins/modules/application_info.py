#!/usr/bin/python

# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: application_info
short_description: Show what the cluster has of an application, and of each Deployment
version_added: 0.2.0
author: The convoy.rollout authors (@convoy-rollout)
description:
  - Reads the Deployments, ReplicaSets, pods and Services of a namespace once, and puts together what belongs
    together.
  - With O(application) it shows what every strategy of this collection relies on, which is the Deployment that has the
    traffic, the Services that lead there, the version, who else sets replicas or writes the objects, and what can be
    rolled back to.
options:
  namespace:
    description: The namespace. By default the one of the kubeconfig's context, as for kubectl, else V(default).
    type: str
  names:
    description: The Deployments to show, in this order. By default all of the namespace.
    type: list
    elements: str
  application:
    description: The application that is meant, by the name of its Service or its Deployment.
    type: str
  service:
    description: >-
      The Service that users come in by, where it is not the one of the application's name. It decides which Deployment
      has the traffic, where it leads to the application itself.
    type: str
extends_documentation_fragment:
  - convoy.rollout._auth
  - convoy.rollout._read_only
  - convoy.rollout._version
  - convoy.rollout._version.version_of
"""

EXAMPLES = r"""
---
- name: See what runs
  convoy.rollout.application_info:
    namespace: default
  register: seen

- name: Show it
  ansible.builtin.debug:
    msg: "{{ seen.applications | convoy.rollout.table(columns=['deployment', 'images', 'ready', 'addresses']) }}"

- name: See which Deployment of an application has the traffic
  convoy.rollout.application_info:
    namespace: shop
    application: web
    version_of:
      prefix: v
  register: seen

- name: Say it
  ansible.builtin.debug:
    msg: >-
      {{ seen.subject.live.name }} answers {{ seen.subject.version }},
      behind {{ seen.subject.services | map(attribute='name') | join(', ') }}
"""

RETURN = r"""
applications:
  description: The Deployments.
  returned: success
  type: list
  elements: dict
  contains:
    deployment:
      description: The Deployment's name.
      type: str
      sample: hello
    replica_set:
      description: The name of the ReplicaSet of its newest revision, empty while there is none.
      type: str
      sample: hello-6c9b7d8f5
    replicas:
      description: How many pods are requested.
      type: int
    ready:
      description: How many are ready, of how many.
      type: str
      sample: 3/3
    version:
      description: >-
        The tag of the image of the container that carries it, or what O(version_of) makes of it. Empty where it
        cannot be told.
      type: str
      sample: 1.0.0
    images:
      description: The images of its containers.
      type: list
      elements: str
    pods:
      description: The names of the pods that are there, also of earlier revisions, without those that are terminating.
      type: list
      elements: str
    services:
      description: The Services that lead to it.
      type: list
      elements: str
    addresses:
      description: Where they are reached, outside of the cluster where they have an address there, else inside.
      type: list
      elements: str
      sample: ["203.0.113.7:443"]
subject:
  description: The application as found in the cluster.
  returned: when O(application) is given
  type: dict
  contains:
    application:
      description: Its name.
      type: str
    namespace:
      description: Its namespace.
      type: str
    uid:
      description: The uid of the Deployment that has the traffic.
      type: str
    live:
      description: >-
        The Deployment that has the traffic, null where that is unclear. It has its C(name) and C(uid), its C(role), its
        C(color), C(version), C(image) and C(container), the C(label) C(version) of its pods, C(replicas), C(ready), the
        C(endpoints) that take traffic, its C(state), C(services), C(autoscaler), C(budgets) and C(owner).
      type: dict
    unclear:
      description: Why it is unclear, empty where it is not.
      type: str
    others:
      description: >-
        The other Deployments of the application, in the same words. Their C(role) is V(preview) for the colour without
        traffic, V(canary), or V(other).
      type: list
      elements: dict
    beside:
      description: The names of those of them that take traffic too.
      type: list
      elements: str
    services:
      description: >-
        The Services that lead there, the one that decides first, and the one that was given. Each has its C(name) and
        C(uid), its C(selector), what in that C(pinned) it, the Deployments that it C(leads_to), its ready
        C(endpoints) by Deployment, its C(owner), and whether it is the C(entry).
      type: list
      elements: dict
    container:
      description: The container that carries the version, empty where that cannot be told.
      type: str
    version:
      description: The version that its pods answer, empty where that cannot be told.
      type: str
    image:
      description: >-
        The image of that container, with C(repository), C(tag) and C(digest), and what it is C(pinned_by), which is
        V(tag), V(digest), V(both) or V(nothing).
      type: dict
    images:
      description: The images of all containers.
      type: list
      elements: str
    autoscaler:
      description: The HorizontalPodAutoscaler that sets its replicas, null where none does.
      type: dict
      sample: {name: web, min_replicas: 2, max_replicas: 8, scaled_object: ""}
    quotas:
      description: >-
        The ResourceQuotas that count its pods, with C(hard) and C(used), what its containers are C(lacking) to be
        admitted, and so the C(refusal).
      type: list
      elements: dict
    limit_ranges:
      description: The names of the LimitRanges of the namespace.
      type: list
      elements: str
    budgets:
      description: The PodDisruptionBudgets that select its pods.
      type: list
      elements: dict
      sample: [{name: web, min_available: "2", max_unavailable: "", allowed: 1}]
    drain:
      description: >-
        What the container that takes the requests does before it ends, by its preStop hook, and for how long, null
        where it has none. C(cut_off) says that it is killed before that time is over.
      type: dict
      sample: {container: web, kind: sleep, seconds: 5.0, grace: 30, cut_off: false}
    owner:
      description: >-
        Who else looks after the objects, such as Argo CD, Flux, Helm or Kustomize, under which name, and by which
        evidence. Null where nobody does.
      type: dict
      sample: {tool: Argo CD, name: web, evidence: argocd.argoproj.io/tracking-id}
    state:
      description: >-
        Whether its rollout is C(complete), what it is C(waiting) for, whether it is C(paused), its C(revision), the
        C(way_back) to what served last, null where there is none, and whether the cluster C(keeps_history).
      type: dict
    unreadable:
      description: What this user may not read, or the cluster does not have. Nothing is known about it.
      type: list
      elements: str
      sample: [poddisruptionbudgets]
"""

from ansible_collections.convoy.rollout.plugins.module_utils._module import run_operation
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _application_info


def main() -> None:
    """Run the operation on this host."""
    run_operation(_application_info.ARGUMENTS, _application_info.run)


if __name__ == "__main__":
    main()
