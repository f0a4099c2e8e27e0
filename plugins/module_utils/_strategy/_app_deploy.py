# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a described application is to be applied, and what runs of it. Pure functions of plain objects."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _drain, _plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _description,
    _images,
    _selectors,
    _workloads,
)

Object = t.Dict[str, t.Any]
Described = t.Mapping[str, t.Mapping[str, t.Any]]

#: What is requested of a deployment, as an argument spec.
REQUEST: dict[str, t.Any] = {
    "create_namespace": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 600},
}
LEAST = {"timeout": 1}

NOT_MADE = "not made in check mode"


def check(applications: t.Any, request: t.Mapping[str, t.Any]) -> None:
    """Raise Failure for a description or a request that cannot work, whatever the cluster has."""
    problems = _description.problems(applications)
    if problems:
        raise Failure(" ".join(problems))
    if not applications:
        raise Failure("app_deploy_applications describes no application, so there is nothing to deploy; describe one.")
    _plan.check_least("app_deploy", request, LEAST)


def no_namespace(namespace: str) -> str:
    """That there is no place for the application, and what to do."""
    return f"There is no namespace {namespace}; create it, or have it created with -e app_deploy_create_namespace=true."


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
    entry: t.Mapping[str, t.Any],
    *,
    sleeps: bool = True,
) -> _plan.Plan:
    """The plan of a run. There is no Secret in it, as it is shown.

    `services` and `deployments` are those of the namespace, `certificates` the names of the Secrets that are there,
    `sleeps` says whether the cluster knows the preStop hook `sleep`.
    """
    selectors = pinned(applications, services)
    check_colours(applications, selectors, services, deployments)
    names = sorted(applications)
    listed = ", ".join(names)
    return _plan.Plan(
        before=versions(applications, deployments),
        target={name: item["version"] for name, item in applications.items() if name not in selectors},
        changes=True,
        headline=f"{listed} in namespace {namespace} {'runs' if len(names) == 1 else 'run'} as described",
        would=f"{listed} would be deployed in namespace {namespace}",
        endings=endings(applications, services, deployments, selectors),
        facts={
            "selectors": selectors,
            "deployments": [name for name in names if name not in selectors],
            "services": [name for name in names if "service" in applications[name]],
            "certificates": [
                certificate(name, described)
                for name, described in sorted(self_signed(applications).items())
                if name not in certificates
            ],
            "entry": {**entry, "max_p99": None} if entry else {},  # other roles judge how fast answers are
            "asks": bool(entry),
            "sleeps": sleeps,
        },
    )


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
            found.append(ending)
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
                    f"kubectl scale deployment/{other} --replicas=0, or have the Service name the version that is to "
                    f"take traffic."
                )


def certificate(name: str, described: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What a self-signed certificate is made from."""
    names = [described["common_name"], *described.get("names", [])]
    return {
        "name": name,
        "common_name": described["common_name"],
        "subject_alt_name": [f"DNS:{each}" for each in names],
        "not_after": f"+{described.get('days', 365)}d",
    }


def versions(applications: Described, deployments: t.Iterable[Object]) -> dict[str, str]:
    """The version of each described Deployment that is there."""
    return {
        item["metadata"]["name"]: _images.version_of(item["spec"]["template"], item["metadata"]["name"])
        for item in deployments
        if item["metadata"]["name"] in applications
    }


def manifests(
    applications: Described, plan: t.Mapping[str, t.Any], made: t.Iterable[t.Mapping[str, t.Any]] = ()
) -> dict[str, t.Any]:
    """What the templates are given. `made` are the certificates that were made, as the tasks' results have them.

    Certificates are made once: those that the cluster has are left out.
    """
    planned = {each["name"] for each in plan.get("certificates") or []}
    pairs = {
        name: {"type": "kubernetes.io/tls", "data": {"tls.crt": NOT_MADE, "tls.key": NOT_MADE}} for name in planned
    }
    for result in made:
        request = result.get("item") or {}
        key = request.get("item") or {}
        name = (key.get("item") or {}).get("name")
        if name in planned and result.get("certificate"):
            pairs[name]["data"] = {"tls.crt": result["certificate"], "tls.key": key["privatekey"]}
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
            name: _description.drained(item, sleeps=bool(plan.get("sleeps", True)))
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
            said.append(f"{change}, taken back by kubectl -n {namespace} {how}")
        else:
            said.append(change)
    return f"{'; '.join(said)}."


def ready(rows: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    """How far what runs is, in words."""
    return ", ".join(f"{row['deployment']} {row['version']} {row['ready']}".replace("  ", " ") for row in rows)
