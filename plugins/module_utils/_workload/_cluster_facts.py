# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a cluster is: its version, its nodes and what may be done there."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.convoy.rollout.plugins.module_utils._cluster._rights import Right
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _amounts, _capacity, _workloads

Object = t.Dict[str, t.Any]

#: The first minor version with all that the roles use: server-side apply became stable in it.
MINIMUM = (1, 22)
#: The first one whose containers can have the preStop hook `sleep`.
SLEEPS = (1, 30)


@dataclass(frozen=True)
class Capacity:
    """What the nodes of a cluster have for pods."""

    nodes: int
    ready: int  #: those that are ready and not cordoned
    allocatable: dict[str, str]  #: cpu and memory of these, as Kubernetes writes quantities


def supported(version: str) -> bool:
    """Whether the roles work with a version such as v1.36.2-gke.100."""
    return is_at_least(version, MINIMUM)


def is_at_least(version: str, least: tuple[int, int]) -> bool:
    """Whether a version such as v1.36.2-gke.100 is a major and minor one or a later one."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= least


def capacity(nodes: t.Sequence[Object] | None) -> Capacity | None:
    """What nodes have together; None where they may not be listed. Raises ValueError for a bad quantity."""
    if nodes is None:
        return None
    usable = [node for node in nodes if _workloads.is_ready(node) and not node.get("spec", {}).get("unschedulable")]
    free = [_capacity.free(node, []) for node in usable]
    total = {
        name: _amounts.shown(name, sum((each[name] for each in free if name in each), start=_amounts.quantity(0)))
        for name in ("cpu", "memory")
    }
    return Capacity(len(nodes), len(usable), total)


def asked(rights: t.Iterable[Right], namespace: str) -> t.Iterator[Object]:
    """The resourceAttributes of the SelfSubjectAccessReviews that rights come down to, a verb each."""
    for right in rights:
        resource, _slash, subresource = right.resource.partition("/")
        for verb in right.verbs:
            attributes = {"group": right.group, "resource": resource, "verb": verb}
            if subresource:
                attributes["subresource"] = subresource
            if not right.cluster:
                attributes["namespace"] = namespace
            yield attributes


def resource(attributes: Object) -> str:
    """How kubectl names the resource of a review: deployments.apps, pods/log."""
    group, subresource = attributes["group"], attributes.get("subresource")
    return attributes["resource"] + (f".{group}" if group else "") + (f"/{subresource}" if subresource else "")


def message(version: str, known: bool, found: Capacity | None, missing: t.Sequence[Object]) -> str:
    """What was found, in a sentence, and what stands against working there."""
    said = f"Kubernetes {version or 'of an unknown version'}"
    if found:
        has = found.allocatable
        said += f", {found.ready} of {found.nodes} nodes ready with {has['cpu']} cpu and {has['memory']} memory"
    said += "."
    if not known:
        said += f" The roles need {MINIMUM[0]}.{MINIMUM[1]} or newer; upgrade the cluster."
    if missing:
        by_resource: dict[tuple[str, str], list[str]] = {}
        for item in missing:
            by_resource.setdefault((item["resource"], item["namespace"]), []).append(item["verb"])
        lines = [
            f"{'/'.join(verbs)} {name} in {'all namespaces' if where == '*' else f'namespace {where}'}"
            for (name, where), verbs in by_resource.items()
        ]
        said += f" This user may not {'; '.join(lines)}: have these rights granted."
    return said
