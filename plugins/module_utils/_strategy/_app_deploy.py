# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a described application is to be applied, and what runs of it. Pure functions of plain objects."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _drain, _plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _description,
    _images,
    _managers,
    _selectors,
    _subject,
    _workloads,
)

Object = t.Dict[str, t.Any]
Described = t.Mapping[str, t.Mapping[str, t.Any]]

#: What is requested of a deployment, as an argument spec.
REQUEST: dict[str, t.Any] = {
    "create_namespace": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 600},
    "samples": {"type": "int", "default": 500},
    "min_success": {"type": "float", "default": _plan.MIN_SUCCESS},
    "version_of": _images.RULE_OPTION,
    "others": {"type": "str", "choices": ["keep", "refuse", "take"], "default": "refuse"},
}
LEAST = {"timeout": 1, "samples": 1}

NOT_MADE = "not made in check mode"


def check(applications: t.Any, request: t.Mapping[str, t.Any]) -> None:
    """Raise Failure for a description or a request that cannot work, whatever the cluster has."""
    problems = _description.problems(applications)
    if problems:
        raise Failure(" ".join(problems))
    if not applications:
        raise Failure("app_deploy_applications describes no application, so there is nothing to deploy; describe one.")
    _plan.check_least("app_deploy", request, LEAST)
    _plan.check_share("app_deploy", "min_success", request)
    _images.rule(request["version_of"])


def no_namespace(namespace: str) -> str:
    """That there is no place for the application, and what to do."""
    return (
        f"There is no namespace {namespace}; create it, or let the role create it with -e "
        "app_deploy_create_namespace=true."
    )


def self_signed(applications: Described) -> dict[str, Object]:
    """The Secrets that are certificates to be made here, by name, each as it is described."""
    return {name: secret["self_signed"] for name, secret in _secrets(applications).items() if "self_signed" in secret}


def _secrets(applications: Described) -> dict[str, t.Any]:
    return {name: secret for item in applications.values() for name, secret in (item.get("secrets") or {}).items()}


def begin(
    applications: Described,
    namespace: str,
    services: t.Sequence[Object],
    deployments: t.Sequence[Object],
    certificates: t.Container[str],
    *,
    sleeps: bool = True,
    rule: _images.Rule = _images.PLAIN,
    others: str = "refuse",
    autoscalers: t.Sequence[Object] = (),
) -> _plan.Plan:
    """The plan of a run. There is no Secret in it, as it is shown.

    `services` and `deployments` are those of the namespace, `certificates` the names of the Secrets that are there,
    `sleeps` says whether the cluster knows the preStop hook `sleep`, `rule` how the versions that answer come from the
    tags, `others` what becomes of what others made, `autoscalers` are those of the namespace. Raises Failure for what
    would stand beside what is described.
    """
    selectors = pinned(applications, services)
    check_colours(applications, selectors, services, deployments)
    there = {item["metadata"]["name"]: item for item in deployments}
    kept = {
        name: _joined(selecting(name, item, there[name]), autoscaled(name, item, there[name], autoscalers))
        for name, item in applications.items()
        if name in there and name not in selectors
    }
    beside = standing_beside(applications, there, selectors)
    renamed, unused = beside_services(applications, services)
    first = next(iter([*beside, *renamed]), "")
    if first and others == "refuse":
        raise Failure(first)
    names = sorted(applications)
    asked = [name for name in names if "service" in applications[name] and applications[name].get("replicas", 1)]
    listed = ", ".join(names)
    before = versions(applications, deployments, rule)
    target = {name: rule.answer(item["version"]) for name, item in applications.items() if name not in selectors}
    return _plan.Plan(
        before=before,
        target=target,
        # A version that failed stays, and is no reason for it to pass when it is deployed once more.
        alone={} if all(before.get(name) == version for name, version in target.items()) else None,
        changes=True,
        services=asked,
        repairs=True,
        headline=f"{listed} in namespace {namespace} {'runs' if len(names) == 1 else 'run'} as described",
        would=f"{listed} would be deployed in namespace {namespace}",
        endings=endings(applications, services, deployments, selectors),
        hints=[
            *beside,
            *renamed,
            *unused,
            *(hint for item in kept.values() for hint in item.pop("hints")),
            *filter(None, (repinned(name, applications[name], there[name]) for name in kept)),
        ],
        facts={
            "selectors": selectors,
            "kept": {name: item for name, item in kept.items() if item},
            "deployments": [name for name in names if name not in selectors],
            "services": [name for name in names if "service" in applications[name]],
            "asked": asked,
            "certificates": [
                certificate(name, described)
                for name, described in sorted(self_signed(applications).items())
                if name not in certificates
            ],
            "sleeps": sleeps,
        },
    )


def beside_services(applications: Described, services: t.Sequence[Object]) -> tuple[list[str], list[str]]:
    """Services that are not described and find the same pods as one that is created, in sentences.

    The first are those that an earlier description had made, so that it was renamed; the others are somebody else's.
    """
    there = {item["metadata"]["name"]: item for item in services}
    ours: list[str] = []
    others: list[str] = []
    for name, described in sorted(applications.items()):
        if "service" not in described or name in there:
            continue
        selector = described["service"].get("selector") or {"app": name}
        for other, item in sorted(there.items()):
            if other in applications or other.endswith("-preview") or item["spec"].get("selector") != selector:
                continue
            said = (
                f"Service {other} is not described and selects the same pods as the new Service {name}, so requests to "
                f"{other} would still reach them. Delete it once nobody uses it, describe it, or keep it "
                f"with -e app_deploy_others=keep."
            )
            applied = _managers.applied_by_us(item)
            (ours if applied else others).append(said)
    return ours, others


def endings(
    applications: Described, services: t.Sequence[Object], deployments: t.Iterable[Object], left: t.Container[str]
) -> list[_drain.Ending]:
    """The pods that end for certain: those of another image than is described, or of no drain where one is described.

    `left` are the names of the applications whose Deployments stay as they are.
    """
    found = []
    for item in deployments:
        name = item["metadata"]["name"]
        if name not in applications or name in left:
            continue
        ending = _drain.ending(item, services)
        described = applications[name]
        images = _workloads.images(item["spec"]["template"])
        drains = _description.drained(described, sleeps=True) != described
        if f"{described['image']}:{described['version']}" not in images or (ending.drain is None and drains):
            found.append(replace(ending, outage=_drain.outage(item)))
    return found


def selecting(name: str, described: t.Mapping[str, t.Any], there: Object) -> dict[str, t.Any]:
    """What of a Deployment's description gives way to its selector, which nobody may change, and hints of that.

    The selector stays, and so do the labels that it needs. Where the description says another selector, or another
    value of such a label, nothing gives way, and the API server refuses it.
    """
    live = there["spec"].get("selector") or {}
    labels = {"app": name, **described.get("labels", {})}
    if not live or "selector" in described or live == {"matchLabels": labels}:
        return {"hints": []}
    matched = live.get("matchLabels") or {}
    missing = {key: value for key, value in matched.items() if key not in (*labels, "version")}
    if _selectors.unmet(live, {**labels, **missing, "version": described["version"]}):
        return {"hints": []}
    hint = f"Deployment {name} keeps its selector {_selectors.query(live)}, which is immutable"
    if missing:
        hint += f", and so the labels {','.join(f'{key}={value}' for key, value in missing.items())}"
    kept = {"label_selector": live, "labels": {**described.get("labels", {}), **missing}}
    return {**kept, **({"selector": matched} if matched else {}), "hints": [hint]}


def autoscaled(
    name: str, described: t.Mapping[str, t.Any], there: Object, autoscalers: t.Sequence[Object]
) -> dict[str, t.Any]:
    """The number of replicas that is kept where an autoscaler decides on it, and hints of that.

    One that has 0 is not scaled by any.
    """
    owner, replicas = _subject.autoscaler(name, autoscalers), there["spec"].get("replicas", 1)
    if owner is None or not replicas or described.get("replicas", replicas) == replicas:
        return {"hints": []}
    hint = (
        f"Deployment {name} keeps its {replicas} replicas, as HorizontalPodAutoscaler {owner.name} sets them; "
        f"remove replicas ({described['replicas']}) from the description"
    )
    return {"replicas": replicas, "hints": [hint]}


def _joined(*kept: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {
        **{key: value for each in kept for key, value in each.items()},
        "hints": [hint for each in kept for hint in each["hints"]],
    }


def repinned(name: str, described: t.Mapping[str, t.Any], there: Object) -> str:
    """That a Deployment's image was pinned by a digest and is not as described, in words; empty where it stays."""
    found = _images.container(there["spec"]["template"], name, repository=described["image"])
    new = _images.parse(_images.with_tag(described["image"], described["version"]))
    return _images.repinned(_images.parse(found.get("image", "")), new) if found else ""


def standing_beside(
    applications: Described,
    there: t.Mapping[str, Object],
    selectors: t.Container[str],
) -> list[str]:
    """Deployments that are not described and would take traffic beside one that is created, in sentences.

    That is what a Deployment leaves which was renamed in the description. Colours and canaries are known.
    """
    known = {f"{name}{suffix}" for name in applications for suffix in ("", *_images.SUFFIXES)}
    found = []
    for name, described in sorted(applications.items()):
        if "service" not in described or name in selectors or name in there:
            continue
        selector = described["service"].get("selector") or {"app": name}
        for other, item in sorted(there.items()):
            if other in known or not item["spec"].get("replicas", 1):
                continue
            if _selectors.selects(selector, _workloads.pod_labels(item)):
                said = _selectors.query({"matchLabels": selector})
                found.append(
                    f"Deployment {other} is not described, and Service {name} would select its pods too ({said}): "
                    "users would get both. Delete it, scale it to 0, describe it, or keep it with -e "
                    "app_deploy_others=keep."
                )
    return found


def pinned(applications: Described, services: t.Iterable[Object]) -> dict[str, dict[str, str]]:
    """The selectors that stay as they are: a Service that names a version or another colour than described belongs to
    a blue/green rollout."""
    found = {
        item["metadata"]["name"]: dict((item.get("spec") or {}).get("selector") or {})
        for item in services
        if "service" in applications.get(item["metadata"]["name"], {})
    }
    return {
        name: selector
        for name, selector in found.items()
        if "version" in selector
        or ("color" in selector and selector["color"] != _selector(name, applications[name]).get("color"))
    }


def _selector(name: str, described: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The selector that a Service is given."""
    return dict(described["service"].get("selector") or {"app": name})


def check_colours(
    applications: Described,
    kept: t.Container[str],
    services: t.Sequence[Object],
    deployments: t.Sequence[Object],
) -> None:
    """Raise Failure where a Service as described would give traffic to another colour than the one described.

    Those in `kept` keep their selectors. `services` and `deployments` are those of the namespace.
    """
    there = {item["metadata"]["name"]: (item.get("spec") or {}).get("selector") for item in services}
    found = {item["metadata"]["name"]: item for item in deployments}
    for name, described in applications.items():
        if "service" not in described or name in kept:
            continue
        for other in {f"{name}-blue", f"{name}-green"} & set(found):
            labels = _workloads.pod_labels(found[other])
            replicas = found[other]["spec"].get("replicas", 1)
            would = _selectors.selects(_selector(name, described), labels)
            if replicas and would and not _selectors.selects(there.get(name), labels):
                raise Failure(
                    f"Service {name} as described would also lead to the {replicas} replicas of Deployment {other}, "
                    f"which a blue/green rollout left: users would get both versions. Scale it to 0 first, with "
                    f"kubectl scale deployment/{other} --replicas=0, or set the version that is to receive traffic in "
                    "the selector of the Service."
                )


def certificate(name: str, described: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What a self-signed certificate is made from."""
    return {
        "name": name,
        "common_name": described["common_name"],
        "names": described.get("names", []),
        "days": described.get("days", 365),
    }


def versions(
    applications: Described, deployments: t.Iterable[Object], rule: _images.Rule = _images.PLAIN
) -> dict[str, str]:
    """The version of each described Deployment that is there."""
    return {
        item["metadata"]["name"]: _images.version_of(item["spec"]["template"], item["metadata"]["name"], rule=rule)
        for item in deployments
        if item["metadata"]["name"] in applications
    }


def replaced(plan: t.Mapping[str, t.Any], service: str = "") -> dict[str, str]:
    """The versions that no request may get once all is deployed, and of each the one that must answer in its place.

    That is so of a version that every Deployment which had it changes for one other. It is nothing to be judged by
    where only it answers, as what answers may be something else that has the same version; unless that is the
    `service` of the Deployment itself, which is told by an empty version in its place.
    """
    before, target = plan.get("before") or {}, plan.get("target") or {}
    stays = {*target.values(), *(version for name, version in before.items() if name not in target)}
    news: dict[str, set[str]] = {}
    for name, was in before.items():
        if name in target and was not in stays:
            news.setdefault(was, set()).add(target[name])
    only = {was: new.pop() for was, new in news.items() if len(new) == 1}
    own = before.get(service)
    return {was: "" if was == own else new for was, new in only.items()}


def manifests(
    applications: Described, plan: t.Mapping[str, t.Any], made: t.Iterable[t.Mapping[str, t.Any]] = ()
) -> dict[str, t.Any]:
    """What the templates are given. `made` are the certificates that were made, as module self_signed returns them.

    Certificates are made once: those that the cluster has are left out.
    """
    planned = {each["name"] for each in plan.get("certificates") or []}
    pairs = {
        name: {"type": "kubernetes.io/tls", "data": {"tls.crt": NOT_MADE, "tls.key": NOT_MADE}} for name in planned
    }
    for each in made:
        if each["name"] in planned:
            pairs[each["name"]]["data"] = {"tls.crt": each["certificate"], "tls.key": each["private_key"]}
    selectors = plan.get("selectors") or {}
    given = {name: secret for name, secret in _secrets(applications).items() if "self_signed" not in secret}
    return {
        "secrets": {**given, **pairs},
        "config_maps": {
            name: data for item in applications.values() for name, data in (item.get("config_maps") or {}).items()
        },
        "services": {name: item for name, item in applications.items() if "service" in item},
        "selectors": dict(selectors),
        # The Deployments behind a Service that is pinned to a version are that rollout's.
        "deployments": {
            name: {
                **_description.drained(item, sleeps=bool(plan.get("sleeps", True))),
                **(plan.get("kept") or {}).get(name, {}),
            }
            for name, item in applications.items()
            if name not in selectors
        },
    }


def shown(rows: t.Iterable[t.Mapping[str, t.Any]], names: t.Container[str], services: t.Iterable[str]) -> list[Object]:
    """Of what runs, the Deployments that are described or that a described Service leads to."""
    wanted = set(services)
    return [dict(row) for row in rows if row["deployment"] in names or wanted & set(row["services"])]


def left(namespace: str, changes: t.Iterable[str], before: t.Container[str]) -> str:
    """What a run that failed leaves in a namespace, and how to remove it or to have a Deployment back.

    `changes` are those that it noted, `before` the Deployments that were there.
    """
    said = []
    for change in changes:
        kind, _space, name = change.partition(" was applied")[0].partition(" ")
        if kind == "Deployment":
            how = f"rollout undo deployment/{name}" if name in before else f"delete deployment/{name}"
            said.append(f"{change}, which kubectl -n {namespace} {how} undoes")
        else:
            said.append(change)
    return f"{'; '.join(said)}."


def ready(rows: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    """How far what runs is, in words."""
    return ", ".join(f"{row['deployment']} {row['version']} {row['ready']}".replace("  ", " ") for row in rows)
