# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""ValidatingAdmissionPolicies, their bindings, and the configurations of webhooks."""

from __future__ import annotations

import urllib.parse
from typing import Any

from .. import expressions
from ..errors import Cause
from ..store import Object
from .base import Kind, required, unsupported, wrong

_ACTIONS = ["Audit", "Deny", "Warn"]


def _default_rules(rules: list[Object] | None) -> None:
    for rule in rules or ():
        rule.setdefault("scope", "*")


def _default_match(match: Object) -> None:
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    for key in ("resourceRules", "excludeResourceRules"):
        _default_rules(match.get(key))


class PolicyKind(Kind):
    """ValidatingAdmissionPolicy."""

    has_generation = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("failurePolicy", "Fail")
        if spec.get("matchConstraints"):
            _default_match(spec["matchConstraints"])
        obj.setdefault("status", {})

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes: list[Cause] = []
        if not (spec.get("matchConstraints") or {}).get("resourceRules"):
            causes.append(required("spec.matchConstraints"))
        if spec["failurePolicy"] not in _FAILURE_POLICIES:
            causes.append(unsupported("spec.failurePolicy", spec["failurePolicy"], _FAILURE_POLICIES))
        rules = (spec.get("matchConstraints") or {}).get("resourceRules") or []
        causes += _rule_causes(rules, "spec.matchConstraints.resourceRules")
        if not spec.get("validations") and not spec.get("auditAnnotations"):
            causes.append(
                required("spec.validations", "validations or auditAnnotations must contain at least one item")
            )
        for key in ("variables", "matchConditions", "validations"):
            for index, item in enumerate(spec.get(key) or ()):
                causes += _expression_causes(item.get("expression", ""), f"spec.{key}[{index}].expression")
        for index, item in enumerate(spec.get("validations") or ()):
            if item.get("messageExpression"):
                where = f"spec.validations[{index}].messageExpression"
                causes += _expression_causes(item["messageExpression"], where)
        return causes


def _expression_causes(expression: str, field: str) -> list[Cause]:
    if not expression.strip():
        return [required(field, "expression is not specified")]
    try:
        unknown = [name for name in expressions.names(expression) if name not in _VARIABLES]
    except expressions.ExpressionError as error:
        return [wrong(field, expression, str(error))]
    if unknown:
        text = f"compilation failed: ERROR: <input>:1:1: undeclared reference to '{unknown[0]}' (in container '')"
        return [wrong(field, expression, text)]
    return []


#: What an expression about a request may name.
_VARIABLES = frozenset({"authorizer", "namespaceObject", "object", "oldObject", "params", "request", "variables"})


class PolicyBindingKind(Kind):
    """ValidatingAdmissionPolicyBinding."""

    has_generation = True

    def default(self, obj: Object) -> None:
        match = obj.setdefault("spec", {}).get("matchResources")
        if match:
            _default_match(match)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        causes: list[Cause] = []
        if not spec.get("policyName"):
            causes.append(required("spec.policyName"))
        actions: list[Any] = spec.get("validationActions") or []
        if not actions:
            causes.append(required("spec.validationActions", "at least one validation action is required"))
        causes += [unsupported("spec.validationActions", one, _ACTIONS) for one in actions if one not in _ACTIONS]
        if {"Deny", "Warn"} <= set(actions):
            message = (
                "must not contain both Deny and Warn (repeating the same validation failure information in the API "
                "response and headers serves no purpose)"
            )
            causes.append(wrong("spec.validationActions", actions, message))
        return causes


class WebhookKind(Kind):
    """Mutating and ValidatingWebhookConfiguration."""

    has_generation = True

    def __init__(self, *, mutates: bool) -> None:
        self._mutates = mutates

    def default(self, obj: Object) -> None:
        for webhook in obj.get("webhooks") or ():
            webhook.setdefault("failurePolicy", "Fail")
            webhook.setdefault("timeoutSeconds", 10)
            webhook.setdefault("matchPolicy", "Equivalent")
            webhook.setdefault("namespaceSelector", {})
            webhook.setdefault("objectSelector", {})
            if self._mutates:
                webhook.setdefault("reinvocationPolicy", "Never")
            _default_rules(webhook.get("rules"))
            service = (webhook.get("clientConfig") or {}).get("service")
            if service is not None:
                service.setdefault("port", 443)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        causes: list[Cause] = []
        for index, webhook in enumerate(obj.get("webhooks") or ()):
            where = f"webhooks[{index}]"
            client = webhook.get("clientConfig") or {}
            if webhook.get("name", "").count(".") < 2:
                message = "should be a domain with at least three segments separated by dots"
                causes.append(wrong(f"{where}.name", webhook.get("name", ""), message))
            if webhook.get("sideEffects") is None:
                causes.append(required(f"{where}.sideEffects", "must specify one of None, NoneOnDryRun"))
            elif webhook["sideEffects"] not in _SIDE_EFFECTS:
                causes.append(unsupported(f"{where}.sideEffects", webhook["sideEffects"], _SIDE_EFFECTS))
            if not 1 <= webhook["timeoutSeconds"] <= 30:
                message = "the timeout value must be between 1 and 30 seconds"
                causes.append(wrong(f"{where}.timeoutSeconds", webhook["timeoutSeconds"], message))
            if webhook["failurePolicy"] not in _FAILURE_POLICIES:
                causes.append(unsupported(f"{where}.failurePolicy", webhook["failurePolicy"], _FAILURE_POLICIES))
            causes += _rule_causes(webhook.get("rules") or [], f"{where}.rules")
            if bool(client.get("url")) == bool(client.get("service")):
                causes.append(required(f"{where}.clientConfig", "exactly one of url or service is required"))
            elif client.get("url"):
                causes += _url_causes(client["url"], f"{where}.clientConfig.url")
            if not webhook.get("admissionReviewVersions"):
                causes.append(required(f"{where}.admissionReviewVersions", "must specify one of v1, v1beta1"))
            elif not {"v1", "v1beta1"} & set(webhook["admissionReviewVersions"]):
                message = "must include at least one of v1, v1beta1"
                causes.append(wrong(f"{where}.admissionReviewVersions", webhook["admissionReviewVersions"], message))
            for number, condition in enumerate(webhook.get("matchConditions") or ()):
                field = f"{where}.matchConditions[{number}]"
                if not condition.get("name"):
                    causes.append(required(f"{field}.name"))
                causes += _expression_causes(condition.get("expression", ""), f"{field}.expression")
        return causes


_SIDE_EFFECTS = ["None", "NoneOnDryRun"]
_FAILURE_POLICIES = ["Fail", "Ignore"]
_OPERATIONS = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]


def _url_causes(url: str, field: str) -> list[Cause]:
    parts = urllib.parse.urlsplit(url)
    form = "; desired format: https://host[/path]"
    if parts.scheme != "https":
        return [wrong(field, parts.scheme, f"'https' is the only allowed URL scheme{form}")]
    if not parts.netloc:
        return [wrong(field, parts.netloc, f"host must be specified{form}")]
    return [
        wrong(field, value, f"{what} are not permitted in the URL")
        for value, what in ((parts.query, "query parameters"), (parts.fragment, "fragments"))
        if value
    ]


def _rule_causes(rules: list[Object], where: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, rule in enumerate(rules):
        field = f"{where}[{index}]"
        causes += [required(f"{field}.{key}") for key in ("apiGroups", "apiVersions", "resources") if not rule.get(key)]
        if not rule.get("operations"):
            causes.append(required(f"{field}.operations"))
        causes += [
            unsupported(f"{field}.operations[{number}]", one, _OPERATIONS)
            for number, one in enumerate(rule.get("operations") or ())
            if one not in _OPERATIONS
        ]
        if rule.get("scope") not in ("*", "Cluster", "Namespaced"):
            causes.append(unsupported(f"{field}.scope", rule["scope"], ["*", "Cluster", "Namespaced"]))
    return causes
