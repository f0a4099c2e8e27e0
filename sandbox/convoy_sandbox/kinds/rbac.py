# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles, ClusterRoles and their bindings."""

from __future__ import annotations

from ..errors import Cause
from ..store import Object
from .base import Kind, required, unsupported, wrong

_GROUP = "rbac.authorization.k8s.io"


class RoleKind(Kind):
    name_rule = "path"

    def __init__(self, *, namespaced: bool) -> None:
        self._namespaced = namespaced

    def default(self, obj: Object) -> None:
        obj.setdefault("rules", None)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes = []
        for index, rule in enumerate(obj.get("rules") or ()):
            where = f"rules[{index}]"
            if not rule.get("verbs"):
                causes.append(required(f"{where}.verbs", "verbs must contain at least one value"))
            if rule.get("nonResourceURLs"):
                if self._namespaced:
                    message = "namespaced rules cannot apply to non-resource URLs"
                    causes.append(wrong(f"{where}.nonResourceURLs", rule["nonResourceURLs"], message))
                if any(rule.get(key) for key in ("apiGroups", "resources", "resourceNames")):
                    message = "rules cannot apply to both regular resources and non-resource URLs"
                    causes.append(wrong(f"{where}.nonResourceURLs", rule["nonResourceURLs"], message))
                continue
            if not rule.get("apiGroups"):
                causes.append(required(f"{where}.apiGroups", "resource rules must supply at least one api group"))
            if not rule.get("resources"):
                causes.append(required(f"{where}.resources", "resource rules must supply at least one resource"))
        return causes


class BindingKind(Kind):
    name_rule = "path"

    def __init__(self, *, namespaced: bool) -> None:
        self._namespaced = namespaced
        self._roles = ["ClusterRole", "Role"] if namespaced else ["ClusterRole"]

    def default(self, obj: Object) -> None:
        obj.setdefault("roleRef", {}).setdefault("apiGroup", _GROUP)
        for subject in obj.get("subjects") or ():
            if subject.get("kind") in ("User", "Group"):
                subject.setdefault("apiGroup", _GROUP)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        role = obj["roleRef"]
        if old is not None and old["roleRef"] != role:
            shown = {"APIGroup": role.get("apiGroup"), "Kind": role.get("kind"), "Name": role.get("name")}
            return [wrong("roleRef", shown, "cannot change roleRef")]
        causes = []
        if role.get("kind") not in self._roles:
            causes.append(unsupported("roleRef.kind", role.get("kind", ""), self._roles))
        if not role.get("name"):
            causes.append(required("roleRef.name"))
        for index, subject in enumerate(obj.get("subjects") or ()):
            where = f"subjects[{index}]"
            if not subject.get("name"):
                causes.append(required(f"{where}.name"))
            if subject.get("kind") not in ("ServiceAccount", "User", "Group"):
                choices = ["Group", "ServiceAccount", "User"]
                causes.append(unsupported(f"{where}.kind", subject.get("kind", ""), choices))
            # In a RoleBinding an account without a namespace is one of the binding's own.
            elif subject["kind"] == "ServiceAccount" and not subject.get("namespace") and not self._namespaced:
                causes.append(required(f"{where}.namespace"))
        return causes
