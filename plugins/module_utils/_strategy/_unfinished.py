# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a blue/green rollout that has not come to its switch changed, as its Services remember it.

Pure functions of plain objects.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict, dataclass, replace

Object = t.Dict[str, t.Any]

#: The annotation of a Service that a rollout has prepared and not switched yet: what to undo where it fails.
UNFINISHED = "convoy.rollout/unfinished"


@dataclass(frozen=True)
class Unfinished:
    """What a rollout that has not reached its switch changed, so that it can be undone."""

    to: str  #: the version that it goes to
    selector: t.Mapping[str, str]  #: of the Service, as it was
    creates: tuple[str, ...] = ()  #: the Deployments and Services that were not there, such as Deployment hello-green
    deployment: str = ""  #: the one that was there, and is given another version
    replica_set: str = ""  #: what it ran
    replicas: int = 0  #: and in how many replicas
    router: str = ""  #: what is to switch the traffic by its weights; empty where the Services do by their selectors

    def text(self) -> str:
        """The value of the annotation."""
        return json.dumps(asdict(self), sort_keys=True)


def unfinished_of(service: Object) -> Unfinished | None:
    """What a rollout noted at a Service before it changed that, None where there is none under way."""
    try:
        noted = json.loads((service["metadata"].get("annotations") or {})[UNFINISHED])
        return Unfinished(
            str(noted["to"]),
            dict(noted["selector"]),
            tuple(map(str, noted["creates"])),
            str(noted["deployment"]),
            str(noted["replica_set"]),
            int(noted["replicas"]),
            str(noted.get("router", "")),
        )
    except (KeyError, TypeError, ValueError):
        return None


def begun(service: Object, changes: t.Mapping[str, t.Any]) -> dict[str, str | None]:
    """The annotation of a Service that a rollout is about to pin, beside the `changes` that it makes elsewhere.

    What an earlier run noted that was cut off stays, but for where it goes: it knows how things were.
    """
    earlier = unfinished_of(service)
    if earlier:
        return {UNFINISHED: replace(earlier, to=changes["to"]).text()}
    return {UNFINISHED: Unfinished(selector=service["spec"].get("selector") or {}, **changes).text()}


def removal(namespace: str, began: t.Iterable[Unfinished]) -> str:
    """The commands that remove what a rollout created, and restore what a Deployment ran."""
    commands = []
    for item in began:
        commands += [f"kubectl -n {namespace} delete {each.replace(' ', '/').lower()}" for each in item.creates]
        if item.deployment:
            commands.append(f"kubectl -n {namespace} rollout undo deployment/{item.deployment}")
            commands.append(f"kubectl -n {namespace} scale deployment/{item.deployment} --replicas={item.replicas}")
    return "; ".join(commands) or "nothing"
