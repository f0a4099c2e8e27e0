# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may do what: the rules of Roles and ClusterRoles, and the bindings that give them to users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import resources
from .errors import ApiError
from .store import Object, Store
from .users import User

if TYPE_CHECKING:
    from .registry import Registry

AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
MASTERS = "system:masters"
_RBAC = "rbac.authorization.k8s.io"


def service_account(namespace: str, name: str, uid: str = "") -> User:
    """The user that a ServiceAccount is."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid)


@dataclass(frozen=True)
class Action:
    """What is asked for: a verb on a resource, or on a `path` that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        """`pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def refused(user: User, action: Action, why: str = "") -> ApiError:
    """403 in the API server's words."""
    if action.path:
        text = f'forbidden: User "{user.name}" cannot {action.verb} path "{action.path}"'
        return ApiError(403, "Forbidden", f"{text}: {why}" if why else text, {})
    qualified = f"{action.resource}.{action.group}" if action.group else action.resource
    where = f'in the namespace "{action.namespace}"' if action.namespace else "at the cluster scope"
    what = f'{qualified} "{action.name}"' if action.name else qualified
    text = (
        f'{what} is forbidden: User "{user.name}" cannot {action.verb} resource "{action.full_resource}" '
        f'in API group "{action.group}" {where}'
    )
    details = {"name": action.name, "group": action.group, "kind": action.resource}
    details = {key: value for key, value in details.items() if value}
    return ApiError(403, "Forbidden", f"{text}: {why}" if why else text, details)


def _allows(rule: Object, action: Action) -> bool:
    """Whether one rule lets an action through."""
    if not {"*", action.verb} & set(rule.get("verbs") or ()):
        return False
    if action.path:
        return any(
            url == "*" or url == action.path or (url.endswith("*") and action.path.startswith(url[:-1]))
            for url in rule.get("nonResourceURLs") or ()
        )
    named = {"*", action.full_resource}
    if action.subresource:
        named.add(f"*/{action.subresource}")
    names = rule.get("resourceNames") or ()
    return (
        bool({"*", action.group} & set(rule.get("apiGroups") or ()))
        and bool(named & set(rule.get("resources") or ()))
        and (not names or action.name in names)
    )


def _is_subject(subject: Object, user: User, namespace: str) -> bool:
    if subject["kind"] == "User":
        return bool(subject["name"] == user.name)
    if subject["kind"] == "Group":
        return subject["name"] in user.groups
    return user.service_account == (subject.get("namespace") or namespace, subject["name"])


def _described(subject: Object, namespace: str) -> str:
    if subject["kind"] == "ServiceAccount":
        return f'ServiceAccount "{subject["name"]}/{subject.get("namespace") or namespace}"'
    return f'{subject["kind"]} "{subject["name"]}"'


class Authorizer:
    """Answers whether a user may do something, from the RBAC objects of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def decide(self, user: User, action: Action) -> tuple[bool, str]:
        """Whether it is allowed, and by which binding, or what of the bindings is wrong."""
        if MASTERS in user.groups:
            return True, ""
        problems: list[str] = []
        for rule, why in self._rules(user, action.namespace, problems):
            if _allows(rule, action):
                return True, f"RBAC: allowed by {why}"
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        return False, f"RBAC: {text}" if problems else ""

    def require(self, user: User, action: Action) -> None:
        """Raises ApiError 403 where a user may not do something."""
        allowed, why = self.decide(user, action)
        if not allowed:
            raise refused(user, action, why)

    def rules(self, user: User, namespace: str) -> list[Object]:
        """Every rule that holds for a user in a namespace."""
        return [rule for rule, _ in self._rules(user, namespace, [])]

    def _rules(self, user: User, namespace: str, problems: list[str]) -> Iterator[tuple[Object, str]]:
        kinds = [("ClusterRoleBinding", resources.CLUSTERROLEBINDINGS, "")]
        if namespace:
            kinds.append(("RoleBinding", resources.ROLEBINDINGS, namespace))
        for kind, resource, where in kinds:
            for binding in self._store.list(resource, where):
                subjects = [s for s in binding.get("subjects") or () if _is_subject(s, user, where)]
                if not subjects:
                    continue
                reference = binding["roleRef"]
                role = self._role(reference, where)
                if role is None:
                    problems.append(f'{reference["kind"].lower()}.{_RBAC} "{reference["name"]}" not found')
                    continue
                title = f"{binding['metadata']['name']}/{where}" if where else binding["metadata"]["name"]
                why = f'{kind} "{title}" of {reference["kind"]} "{reference["name"]}" to '
                for rule in role.get("rules") or ():
                    yield rule, why + _described(subjects[0], where)

    def _role(self, reference: Object, namespace: str) -> Object | None:
        if reference["kind"] == "ClusterRole":
            return self._store.get(resources.CLUSTERROLES, "", reference["name"])
        return self._store.get(resources.ROLES, namespace, reference["name"])

    # -- nobody gives what he does not have --------------------------------------------------------

    def check_escalation(self, user: User, resource: resources.Resource, obj: Object, namespace: str) -> None:
        """Raises ApiError 403 where a Role or a binding would give rights that its author does not have."""
        if MASTERS in user.groups:
            return
        if resource in (resources.ROLES, resources.CLUSTERROLES):
            verb, group, plural, name = "escalate", _RBAC, resource.plural, obj["metadata"].get("name", "")
            rules = obj.get("rules") or []
        else:
            reference = obj["roleRef"]
            verb, group, name = "bind", _RBAC, reference["name"]
            plural = "clusterroles" if reference["kind"] == "ClusterRole" else "roles"
            role = self._role(reference, namespace)
            rules = (role or {}).get("rules") or []
        if self.decide(user, Action(verb, group, plural, namespace=namespace, name=name))[0]:
            return
        held = self.rules(user, namespace)
        missing = [rule for whole in rules for rule in _parts(whole) if not _covered(rule, held)]
        if missing:
            groups = " ".join(f'"{item}"' for item in user.groups)
            listed = "\n".join(sorted(_compacted(missing)))
            error = refused(user, Action(verb, resource.group, resource.plural, name=obj["metadata"].get("name", "")))
            error.message = (
                f'{resource.qualified} "{obj["metadata"].get("name", "")}" is forbidden: user "{user.name}" '
                f"(groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{listed}"
            )
            raise error


def _covered(rule: Object, held: list[Object]) -> bool:
    """Whether each single right of a rule is in one of those held."""
    for verb in rule.get("verbs") or ():
        for path in rule.get("nonResourceURLs") or ():
            if not any(_allows(one, Action(verb, path=path)) for one in held):
                return False
        for group in rule.get("apiGroups") or ():
            for full in rule.get("resources") or ():
                plural, _, sub = full.partition("/")
                for name in rule.get("resourceNames") or ("",):
                    if not any(_allows(one, Action(verb, group, plural, sub, name=name)) for one in held):
                        return False
    return True


def _parts(rule: Object) -> Iterator[Object]:
    """A rule as rules of one right each."""
    for verb in rule.get("verbs") or ():
        for path in rule.get("nonResourceURLs") or ():
            yield {"verbs": [verb], "nonResourceURLs": [path]}
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                for name in rule.get("resourceNames") or (None,):
                    names = {} if name is None else {"resourceNames": [name]}
                    yield {"verbs": [verb], "apiGroups": [group], "resources": [resource], **names}


def _compacted(rules: list[Object]) -> list[str]:
    """Rights in the API server's words, those to the same thing together."""
    titles = {
        "apiGroups": "APIGroups", "resources": "Resources", "resourceNames": "ResourceNames",
        "nonResourceURLs": "NonResourceURLs",
    }  # fmt: skip
    verbs: dict[str, list[str]] = {}
    for rule in rules:
        what = ", ".join(f'{title}:["{rule[key][0]}"]' for key, title in titles.items() if key in rule)
        verbs.setdefault(what, []).append(rule["verbs"][0])
    shown = {what: " ".join(f'"{verb}"' for verb in dict.fromkeys(found)) for what, found in verbs.items()}
    return [f"{{{what}, Verbs:[{listed}]}}" for what, listed in shown.items()]


# -- what every cluster has --------------------------------------------------------------------------

_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
#: What admin and edit may change and view may read in a namespace, by API group.
_WORK: dict[str, list[str]] = {
    "": [
        "configmaps", "events", "persistentvolumeclaims", "pods", "replicationcontrollers",
        "replicationcontrollers/scale", "serviceaccounts", "services",
    ],
    "apps": [
        "daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets",
        "statefulsets/scale",
    ],
    "autoscaling": ["horizontalpodautoscalers"],
    "batch": ["cronjobs", "jobs"],
    "events.k8s.io": ["events"],
    "extensions": [
        "daemonsets", "deployments", "deployments/scale", "ingresses", "networkpolicies", "replicasets",
        "replicasets/scale", "replicationcontrollers/scale",
    ],
    "networking.k8s.io": ["ingresses", "networkpolicies"],
    "policy": ["poddisruptionbudgets"],
    "resource.k8s.io": ["resourceclaims", "resourceclaimtemplates"],
}  # fmt: skip
_READ_ONLY: dict[str, list[str]] = {
    "": [
        "bindings", "endpoints", "limitranges", "namespaces", "namespaces/status", "persistentvolumeclaims/status",
        "pods/log", "pods/status", "replicationcontrollers/status", "resourcequotas", "resourcequotas/status",
        "services/status",
    ],
    "apps": ["controllerrevisions", "daemonsets/status", "deployments/status", "replicasets/status",
             "statefulsets/status"],
    "autoscaling": ["horizontalpodautoscalers/status"],
    "batch": ["cronjobs/status", "jobs/status"],
    "discovery.k8s.io": ["endpointslices"],
    "extensions": ["daemonsets/status", "deployments/status", "ingresses/status", "replicasets/status"],
    "networking.k8s.io": ["ingresses/status"],
    "policy": ["poddisruptionbudgets/status"],
    "resource.k8s.io": ["resourceclaims/status"],
}  # fmt: skip


def _rule(group: str, plurals: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": plurals, "verbs": verbs}


def _view() -> list[Object]:
    return [_rule(group, plurals, _READ) for table in (_WORK, _READ_ONLY) for group, plurals in table.items()]


def _edit() -> list[Object]:
    return [
        _rule("", ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"], _READ),
        _rule("", ["serviceaccounts"], ["impersonate"]),
        *(_rule(group, plurals, _WRITE) for group, plurals in _WORK.items()),
        _rule("", ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"], _WRITE),
        _rule("", ["pods/eviction", "serviceaccounts/token"], ["create"]),
        *(_rule(group, ["deployments/rollback"], _WRITE) for group in ("apps", "extensions")),
        _rule("coordination.k8s.io", ["leases"], sorted([*_WRITE, *_READ])),
        *_view(),
    ]


def _default_roles() -> dict[str, list[Object]]:
    public = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
    documents = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *public]
    reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
    return {
        "cluster-admin": [_rule("*", ["*"], ["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}],
        "admin": [
            *_edit(),
            _rule("authorization.k8s.io", ["localsubjectaccessreviews"], ["create"]),
            _rule(_RBAC, ["rolebindings", "roles"], [*_WRITE, *_READ]),
        ],
        "edit": _edit(),
        "view": _view(),
        "system:basic-user": [
            _rule("authorization.k8s.io", reviews, ["create"]),
            _rule("authentication.k8s.io", ["selfsubjectreviews"], ["create"]),
        ],
        "system:discovery": [{"nonResourceURLs": documents, "verbs": ["get"]}],
        "system:public-info-viewer": [{"nonResourceURLs": public, "verbs": ["get"]}],
    }


_DEFAULT_BINDINGS = {
    "cluster-admin": [MASTERS],
    "system:basic-user": [AUTHENTICATED],
    "system:discovery": [AUTHENTICATED],
    "system:public-info-viewer": [AUTHENTICATED, UNAUTHENTICATED],
}


def create_defaults(registry: Registry) -> None:
    """Make the ClusterRoles and ClusterRoleBindings that every cluster has from the beginning."""
    labels: dict[str, Any] = {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}
    for name, rules in _default_roles().items():
        role = {"metadata": {"name": name, **labels}, "rules": rules}
        registry.create(resources.CLUSTERROLES, "", role, manager="kube-apiserver")
    for name, groups in _DEFAULT_BINDINGS.items():
        binding = {
            "metadata": {"name": name, **labels},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": group} for group in groups],
        }
        registry.create(resources.CLUSTERROLEBINDINGS, "", binding, manager="kube-apiserver")


def guarded(resource: resources.Resource) -> bool:
    """Whether a resource is one of RBAC's own."""
    return resource.group == _RBAC
