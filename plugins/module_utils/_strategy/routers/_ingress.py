# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ingresses whose controller serves the canary annotations of ingress-nginx: a second Ingress has the canary's weight.

It has those hosts and paths of the users' Ingress that lead to stable's Service, and leads to the canary's. The users'
own Ingress stays as it is. Nobody says whether a controller has taken a weight over: only traffic shows it. Pure
functions of plain objects.
"""

from __future__ import annotations

import math
import typing as t
from fractions import Fraction

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy.routers._answer import Answer

Object = t.Dict[str, t.Any]

KIND = "Ingress"
OWN = True

PREFIX = "nginx.ingress.kubernetes.io/"
CANARY = f"{PREFIX}canary"
WEIGHT = f"{PREFIX}canary-weight"
TOTAL = f"{PREFIX}canary-weight-total"
AFFINITY = f"{PREFIX}affinity"
BEHAVIOUR = f"{PREFIX}affinity-canary-behavior"
CLASS = "kubernetes.io/ingress.class"  #: how Ingresses said their class before there was a field for it
CONTROLLER = "k8s.io/ingress-nginx"  #: of the classes whose controllers serve these annotations
#: What a controller takes from a canary's own Ingress: all else it takes from the users'.
KEPT = (CLASS, *(f"{PREFIX}{key}" for key in ("backend-protocol", "load-balance", "upstream-hash-by")))

WHOLE = 100  #: the weights' total, as it is where nothing is said, or a multiple of it
MOST = 1_000_000  #: of a weight


def _annotations(item: Object) -> dict[str, str]:
    return dict((item.get("metadata") or {}).get("annotations") or {})


def _leading(item: Object, service: str) -> list[Object]:
    """The rules that lead to a Service, each with those of its paths that do."""
    found = []
    for rule in item["spec"].get("rules") or []:
        paths = [each for each in (rule.get("http") or {}).get("paths") or [] if _service(each) == service]
        if paths:
            found.append({**rule, "http": {**rule["http"], "paths": paths}})
    return found


def _service(path: Object) -> str:
    return str(((path.get("backend") or {}).get("service") or {}).get("name") or "")


def leads(item: Object, stable: str) -> bool:
    """Whether users come to stable's Service by it."""
    return CANARY not in _annotations(item) and bool(_leading(item, stable))


def class_of(item: Object) -> str:
    """The name of its IngressClass, empty where it has the cluster's default."""
    return str(item["spec"].get("ingressClassName") or _annotations(item).get(CLASS) or "")


def serves(item: Object, classes: t.Sequence[Object] | None) -> bool:
    """Whether its controller is one that serves these annotations; by its name alone where nobody may see classes."""
    name = class_of(item)
    if classes is None:
        return name == "nginx"
    default = "ingressclass.kubernetes.io/is-default-class"
    return any(
        (each["spec"].get("controller") == CONTROLLER)
        for each in classes
        if (each["metadata"]["name"] == name if name else _annotations(each).get(default) == "true")
    )


def own(item: Object, stable: str, canary: str, weight: Fraction) -> Object:
    """The manifest of the canary's Ingress, which gives it this share. Raises Failure where whole weights cannot."""
    rules = [
        {**rule, "http": {**rule["http"], "paths": [_leading_to(each, canary) for each in rule["http"]["paths"]]}}
        for rule in _leading(item, stable)
    ]
    kept = {key: value for key, value in _annotations(item).items() if key in KEPT}
    spec = {key: item["spec"][key] for key in ("ingressClassName", "tls") if key in item["spec"]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": KIND,
        "metadata": {
            "name": canary,
            "annotations": {**kept, **_weighing(weight)},
        },
        "spec": {**spec, "rules": rules},
    }


def _leading_to(path: Object, service: str) -> Object:
    backend = path["backend"]
    return {**path, "backend": {**backend, "service": {**backend["service"], "name": service}}}


def check(item: Object, stable: str, _canary: str, _rules: t.Sequence[str]) -> None:
    """Raise Failure where the Ingress cannot share the traffic of these Services."""
    name, noted = item["metadata"]["name"], _annotations(item)
    if CANARY in noted:
        raise Failure(f"Ingress {name} is a canary's itself, by its annotation {CANARY}; name the users' Ingress.")
    if not _leading(item, stable):
        raise Failure(
            f"No path of Ingress {name} leads to Service {stable}, so it cannot share its traffic; name the Ingress "
            f"whose rules have that Service."
        )
    if noted.get(AFFINITY) and noted.get(BEHAVIOUR) != "legacy":
        raise Failure(
            f"Ingress {name} has {AFFINITY}, so users would stay with a version whatever the weight is; remove it for "
            f"the duration of the rollout, or give it {BEHAVIOUR}: legacy."
        )


def has(item: Object, _stable: str, _canary: str, _rules: t.Sequence[str]) -> bool:
    """Whether the canary's Ingress is there."""
    return bool(item)


def share(item: Object, _stable: str, canary: str, _rules: t.Sequence[str]) -> Fraction | None:
    """The canary's share (0..1); None where its Ingress says no share, or another Service."""
    if not item:
        return Fraction(0)
    noted, paths = _annotations(item), [path for rule in item["spec"]["rules"] for path in rule["http"]["paths"]]
    try:
        found = Fraction(int(noted.get(WEIGHT, 0)), int(noted.get(TOTAL, WHOLE)))
    except (ValueError, ZeroDivisionError):
        return None
    ours = noted.get(CANARY) == "true" and all(_service(path) == canary for path in paths)
    return found if ours and 0 <= found <= 1 else None


def weights(_item: Object, _stable: str, _rules: t.Sequence[str]) -> list[int]:
    """Stable's weights: it has none of its own."""
    return []


def weighted(item: Object, _stable: str, _canary: str, _rules: t.Sequence[str], weight: Fraction) -> list[Object]:
    """The JSON patch of the canary's Ingress that gives it this share. Raises Failure where whole weights cannot."""
    noted, new = _annotations(item), _weighing(weight)
    if not item:
        return []
    if not noted:
        return [{"op": "add", "path": "/metadata/annotations", "value": new}]
    return [
        {"op": "add", "path": f"/metadata/annotations/{key.replace('/', '~1')}", "value": value}
        for key, value in new.items()
        if noted.get(key) != value
    ]


def _weighing(weight: Fraction) -> dict[str, str]:
    """The annotations that give a share."""
    total = math.lcm(WHOLE, weight.denominator)
    if total > MOST:
        raise Failure(
            f"The weight {float(weight * 100):g}% is too fine for an Ingress, whose weights go up to {MOST}; ask for a "
            f"rounder one."
        )
    return {CANARY: "true", WEIGHT: str(int(weight * total)), TOTAL: str(total)}


def without(
    _item: Object, _stable: str, _canary: str, _rules: t.Sequence[str], _before: t.Sequence[int]
) -> list[Object]:
    """Nothing of the users' Ingress leads to the canary: its own is deleted."""
    return []


def given(item: Object, _stable: str, _canary: str, _rules: t.Sequence[str]) -> dict[str, str]:
    """The annotations that give the canary its weight, by the paths of their fields."""
    noted = _annotations(item)
    return {f"metadata.annotations[{key}]": noted[key] for key in (CANARY, WEIGHT, TOTAL) if key in noted}


def answer(_item: Object) -> Answer:
    """Ingress controllers do not say what they have taken over."""
    return Answer("not told")
