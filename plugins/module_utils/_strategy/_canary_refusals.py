# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a cluster has that keeps a canary from getting its share, or stable from keeping its own. Pure functions."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary_manifests, _weights
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import (
    Object,
    Seen,
    named,
    replicas_of,
    scaler_of,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._split import ROUTER
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _selectors, _subject
from ansible_collections.convoy.rollout.plugins.module_utils._workload._rollout import progress
from ansible_collections.convoy.rollout.plugins.module_utils._workload._subject import TRACK
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import (
    annotations_of,
    pod_labels,
    selects,
)


def check_own(seen: Seen, canary: Object) -> None:
    """Raise Failure where a Deployment of the canary's name is something else."""
    selector = seen.service["spec"].get("selector") or {}
    ignored = ("version", "color", *(["track"] if seen.router else []))
    kept = {key: value for key, value in selector.items() if key not in ignored}
    if pod_labels(canary).get("track") != TRACK or not selects(kept, pod_labels(canary)):
        name, service = canary["metadata"]["name"], seen.service["metadata"]["name"]
        raise Failure(
            f"Deployment {name} is not a canary of {seen.stable['metadata']['name']}: its pods need the label "
            f"track=canary and must be behind Service {service}; rename or delete it."
        )


def check_router(seen: Seen) -> None:
    """Raise Failure where a canary got its share in another way than it is to get it now."""
    router = str(seen.router) if seen.router else ""
    had = annotations_of(seen.canary).get(ROUTER, "") if seen.canary is not None else router
    name = seen.stable["metadata"]["name"]
    if had != router:
        raise Failure(
            f"The canary of {name} has its share by {had or 'the number of its pods'}, and not by "
            f"{router or 'that'}; set the application_router that it was started with, also to abort it."
        )
    own = f"{seen.router.kind.KIND if seen.router else ''} {seen.services[1]}"
    for item, called in ((seen.behind, f"Service {seen.services[1]}"), (seen.own, own)):
        if item is not None and ROUTER not in annotations_of(item):
            raise Failure(
                f"{called} has the name that a canary of {name} uses, and was created by somebody else; rename or "
                "delete it."
            )


def check(seen: Seen, steps: t.Sequence[Object], whole: int, promote: bool) -> None:
    """Raise Failure where a canary would not get its share, or stable would lose its own."""
    stable, service = seen.stable, seen.service
    name, behind = stable["metadata"]["name"], service["metadata"]["name"]
    selector = service["spec"].get("selector") or {}
    if not selector:
        raise Failure(f"Service {behind} has no selector, so no Deployment can take its traffic.")
    if not selects(selector, pod_labels(stable)):
        raise Failure(f"Service {behind} does not lead to Deployment {name}; name the Service that does.")
    if "version" in selector:
        raise Failure(
            f"Service {behind} is pinned to version {selector['version']}, as by a blue/green rollout, so a canary "
            f"would get no traffic; first {_selectors.without_version(service)}."
        )
    if pod_labels(stable).get("track") == TRACK:
        raise Failure(
            f"The pods of Deployment {name} have the label track=canary themselves, so it is not the stable "
            f"Deployment; name the stable one."
        )
    for other in seen.deployments:
        if other["metadata"]["name"] in (name, named(name)) or not replicas_of(other):
            continue
        if selects(selector, pod_labels(other)):
            raise Failure(
                f"Deployment {other['metadata']['name']} is behind Service {behind} too, so a canary's share could "
                "not be measured; scale it to 0 first."
            )
    if stable["spec"].get("paused"):
        raise Failure(f"Deployment {name} is paused; resume it first: kubectl rollout resume deployment/{name}.")
    if seen.canary is None and progress(stable) is not None:
        raise Failure(f"The rollout of Deployment {name} is not complete ({progress(stable)}); wait for it first.")
    scaler = scaler_of(seen)
    if scaler and any(step["stable"] != whole for step in steps):
        raise Failure(f"{_scales(scaler, name)}, so a canary can take 50% at most; request less, or promote it.")
    last = steps[-1]["canary"] if steps else whole
    if seen.router is not None:
        asked = [_weights.weight_of(step["weight"]) for step in steps]
        seen.split().check(asked, begun=seen.canary is not None)
        last = whole if (seen.share() if not steps else _weights.weight_of(steps[-1]["weight"])) == 1 else 0
    if promote and (stable["spec"].get("strategy") or {}).get("type") == "Recreate" and last < whole:
        raise Failure(
            f"Deployment {name} has the strategy Recreate, which ends all of its replicas before new ones start: "
            f"bring the canary to {'100%' if seen.router else 'at least 50%'} before it is promoted."
        )


def check_pods(seen: Seen, new: Object) -> None:
    """Raise Failure where a canary's pods, by their labels, would get no traffic or be somebody else's."""
    service, name, labels = seen.service, seen.stable["metadata"]["name"], pod_labels(new)
    selector = service["spec"].get("selector") or {}
    if seen.router is not None:
        _canary_manifests.separation(seen, new)
    elif not selects(selector, labels):
        missing = ", ".join(f"{key}={value}" for key, value in selector.items() if labels.get(key) != value)
        raise Failure(
            f"Service {service['metadata']['name']} selects {missing}, which a canary's pods do not have, so it would "
            f"get no traffic; remove that from the Service's selector."
        )
    scaler = scaler_of(seen)
    # An autoscaler counts by the Deployment's selector alone, other than ReplicaSets, which have a hash besides.
    if scaler and _selectors.matches(seen.stable["spec"]["selector"], labels):
        raise Failure(
            f"{_scales(scaler, name)}, whose selector also selects a canary's pods, so it would count them as its own; "
            f"give the Deployment a selector with a label such as track=stable, or remove the autoscaler for the "
            f"canary."
        )


def _scales(scaler: _subject.Autoscaler, name: str) -> str:
    return f"HorizontalPodAutoscaler {scaler.name} owns the replicas of Deployment {name}"
