# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""ValidatingAdmissionPolicies: what a request must look like, said in CEL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .. import expressions, resources, selectors
from ..errors import ApiError
from ..resources import RESOURCES, Resource
from ..selectors import labels_of
from ..store import Object, Store
from . import context

POLICIES = RESOURCES["admissionregistration.k8s.io", "v1", "validatingadmissionpolicies"]
BINDINGS = RESOURCES["admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings"]
_CODES = {"Invalid": 422, "Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}


@dataclass(frozen=True)
class Attempt:
    """A request as policies and webhooks see it; `new` is None for a deletion, `old` for a creation."""

    resource: Resource
    subresource: str
    operation: str
    new: Object | None
    old: Object | None
    dry_run: bool = False
    options: Object = field(default_factory=dict)  #: what the request says besides, as fieldManager

    @property
    def object(self) -> Object:
        """The object that it is about."""
        found = self.new or self.old
        if found is None:
            raise ValueError("a request is about an object")
        return found

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.object["metadata"].get("name", ""))

    @property
    def namespace(self) -> str:
        """The object's namespace; "" for one that has none."""
        return str(self.object["metadata"].get("namespace", ""))


def enforce(store: Store, attempt: Attempt) -> None:
    """Refuse what a bound policy denies, and warn of what another warns of. Raises ApiError."""
    if attempt.resource.group == POLICIES.group:
        return  # or nobody could take a wrong policy away
    bindings = store.list(BINDINGS)
    if not bindings:
        return
    policies = {policy["metadata"]["name"]: policy for policy in store.list(POLICIES)}
    for binding in bindings:
        policy = policies.get(binding["spec"].get("policyName", ""))
        if policy is None or not matches(store, policy["spec"].get("matchConstraints") or {}, attempt):
            continue
        scope = binding["spec"].get("matchResources")
        if scope and not matches(store, {**_EVERYTHING, **scope}, attempt):
            continue
        _apply(store, policy, binding, attempt)


_EVERYTHING: Object = {
    "resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["*"]}]
}


def matches(store: Store, constraints: Object, attempt: Attempt) -> bool:
    """Whether a policy or a webhook is about a request."""
    rules = constraints.get("resourceRules") or ()
    if not any(_rule_matches(rule, attempt) for rule in rules):
        return False
    if any(_rule_matches(rule, attempt) for rule in constraints.get("excludeResourceRules") or ()):
        return False
    if not selectors.matches(constraints.get("objectSelector") or {}, labels_of(attempt.object)):
        return False
    wanted = constraints.get("namespaceSelector") or {}
    if attempt.resource == resources.NAMESPACES:
        return selectors.matches(wanted, labels_of(attempt.object))
    namespace = store.get(resources.NAMESPACES, "", attempt.namespace)
    return not attempt.namespace or namespace is None or selectors.matches(wanted, labels_of(namespace))


def _rule_matches(rule: Object, attempt: Attempt) -> bool:
    resource = attempt.resource
    names = [f"{resource.plural}/{attempt.subresource}", f"*/{attempt.subresource}", f"{resource.plural}/*", "*/*"]
    if not attempt.subresource:
        names = [resource.plural, "*", "*/*"]
    scope = rule.get("scope", "*")
    return (
        any(group in ("*", resource.group) for group in rule.get("apiGroups") or ())
        and any(version in ("*", resource.version) for version in rule.get("apiVersions") or ())
        and any(name in names for name in rule.get("resources") or ())
        and any(operation in ("*", attempt.operation) for operation in rule.get("operations") or ())
        and scope in ("*", "Namespaced" if resource.namespaced else "Cluster")
        and (not rule.get("resourceNames") or attempt.name in rule["resourceNames"])
    )


def _apply(store: Store, policy: Object, binding: Object, attempt: Attempt) -> None:
    spec = policy["spec"]
    actions = binding["spec"].get("validationActions") or ["Deny"]
    for reason, message in _failures(store, spec, binding, attempt):
        names = f"'{policy['metadata']['name']}' with binding '{binding['metadata']['name']}'"
        if "Deny" in actions:
            raise denied(attempt, reason, f"ValidatingAdmissionPolicy {names} denied request: {message}")
        if "Warn" in actions:
            context.warn(f"Validation failed for ValidatingAdmissionPolicy {names}: {message}")


def denied(attempt: Attempt, reason: str, text: str) -> ApiError:
    """The refusal of a request."""
    resource = attempt.resource
    details: Object = {"name": attempt.name}
    if resource.group:
        details["group"] = resource.group
    details |= {"kind": resource.plural, "causes": [{"message": text}]}
    return ApiError(
        _CODES.get(reason, 422), reason, f'{resource.qualified} "{attempt.name}" is forbidden: {text}', details
    )


def _failures(store: Store, spec: Object, binding: Object, attempt: Attempt) -> Iterator[tuple[str, str]]:
    """The reason and the message of each validation that does not hold."""
    ignores = spec.get("failurePolicy") == "Ignore"
    try:
        parameters = _parameters(store, spec, binding, attempt)
    except expressions.ExpressionError as error:
        if not ignores:
            yield "Invalid", f"failed to configure binding: {error}"
        return
    for params in parameters:
        known = variables(store, attempt, params)
        try:
            for condition in spec.get("matchConditions") or ():
                if not expressions.evaluate(condition["expression"], known):
                    return
            named: dict[str, Any] = {}
            for variable in spec.get("variables") or ():
                named[variable["name"]] = expressions.evaluate(variable["expression"], {**known, "variables": named})
            known["variables"] = named
        except expressions.ExpressionError as error:
            if not ignores:
                yield "Invalid", str(error)
            return
        for validation in spec.get("validations") or ():
            failure = _failure(validation, known, ignores=ignores)
            if failure is not None:
                yield validation.get("reason") or "Invalid", failure


def _failure(validation: Object, variables: dict[str, Any], *, ignores: bool) -> str | None:
    expression = validation["expression"]
    try:
        if expressions.evaluate(expression, variables):
            return None
    except expressions.ExpressionError as error:
        return None if ignores else f"expression '{expression}' resulted in error: {error}"
    if validation.get("messageExpression"):
        try:
            text = expressions.evaluate(validation["messageExpression"], variables)
            if isinstance(text, str) and text.strip() and "\n" not in text:
                return text
        except expressions.ExpressionError:
            pass  # then the message that does not depend on the object
    return validation.get("message") or f"failed expression: {expression}"


def variables(store: Store, attempt: Attempt, params: Object | None) -> dict[str, Any]:
    """What expressions about a request may name."""
    return {
        "object": attempt.new,
        "oldObject": attempt.old,
        "params": params,
        "namespaceObject": store.get(resources.NAMESPACES, "", attempt.namespace),
        "request": {**request(attempt), "dryRun": attempt.dry_run},
        "variables": {},
    }


def request(attempt: Attempt) -> Object:
    """A request as expressions and webhooks see it: who asks for what."""
    asking = context.current()
    user: Object = {"username": "system:serviceaccount:kube-system:sandbox", "groups": []}
    if asking is not None:
        user = {"username": asking.user.name, "groups": list(asking.user.groups)}
        if asking.user.uid:
            user["uid"] = asking.user.uid
        if asking.user.extra:
            user["extra"] = asking.user.extra
    resource = attempt.resource
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    if attempt.subresource == "scale":
        kind = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    asked = {"group": resource.group, "version": resource.version, "resource": resource.plural}
    return {
        "kind": kind, "resource": asked, "subResource": attempt.subresource, "requestKind": kind,
        "requestResource": asked, "requestSubResource": attempt.subresource, "name": attempt.name,
        "namespace": attempt.namespace, "operation": attempt.operation, "userInfo": user,
    }  # fmt: skip


def _parameters(store: Store, spec: Object, binding: Object, attempt: Attempt) -> list[Object | None]:
    """What a policy is evaluated with, once for each. Raises ExpressionError where there has to be something."""
    kind, reference = spec.get("paramKind"), binding["spec"].get("paramRef")
    if not kind:
        return [None]
    if not reference:
        return [None]
    found = next(
        (
            each
            for each in RESOURCES.values()
            if each.api_version == kind.get("apiVersion") and each.kind == kind.get("kind")
        ),
        None,
    )
    if found is None:
        raise expressions.ExpressionError(f"paramKind kind `{kind.get('kind')}` not known")
    namespace = (reference.get("namespace") or attempt.namespace) if found.namespaced else ""
    if reference.get("name"):
        one = store.get(found, namespace, reference["name"])
        params = [one] if one is not None else []
    else:
        selector = reference.get("selector") or {}
        params = [each for each in store.list(found, namespace) if selectors.matches(selector, labels_of(each))]
    if params or reference.get("parameterNotFoundAction") == "Allow":
        return list(params)
    raise expressions.ExpressionError("no params found for policy binding with `Deny` parameterNotFoundAction")
