"""ValidatingAdmissionPolicies deny, warn and are refused as recorded."""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import patch, resources
from convoy_sandbox.admission import context
from convoy_sandbox.admission.policies import BINDINGS, POLICIES
from convoy_sandbox.errors import ApiError
from convoy_sandbox.registry import Registry
from convoy_sandbox.store import Store
from convoy_sandbox.users import User

Object = dict[str, Any]
FEW = {
    "expression": "object.spec.replicas <= variables.most",
    "messageExpression": "'at most ' + string(variables.most) + ' replicas, not ' + string(object.spec.replicas)",
}
LABEL = {"expression": "has(object.metadata.labels) && 'app' in object.metadata.labels", "message": "an app label"}
RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main", "image": "i"}]}}


@pytest.fixture
def registry() -> Registry:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    return registry


def policy(registry: Registry, *validations: Object, rule: Object | None = None, **spec: Any) -> None:
    body = {
        "matchConstraints": {"resourceRules": [rule or RULE]}, "validations": list(validations),
        "variables": [{"name": "most", "expression": "5"}], **spec,
    }  # fmt: skip
    registry.create(POLICIES, "", {"metadata": {"name": "few"}, "spec": body})


def bind(registry: Registry, *actions: str, **spec: Any) -> None:
    body = {"policyName": "few", "validationActions": list(actions or ["Deny"]), **spec}
    registry.create(BINDINGS, "", {"metadata": {"name": "bound"}, "spec": body})


def deployment(registry: Registry, replicas: int = 6, name: str = "hello", **meta: Any) -> Object:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
    return registry.create(resources.DEPLOYMENTS, "lab", {"metadata": {"name": name, **meta}, "spec": spec})


def scale(registry: Registry, replicas: int) -> None:
    change = {"spec": {"replicas": replicas}}
    registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, change, subresource="scale")


def test_the_first_validation_that_fails_is_the_message(registry: Registry) -> None:
    policy(registry, FEW, LABEL)
    deployment(registry, name="unbound")
    bind(registry)
    with pytest.raises(ApiError) as caught:
        deployment(registry)
    text = "ValidatingAdmissionPolicy 'few' with binding 'bound' denied request: at most 5 replicas, not 6"
    assert caught.value.message == f'deployments.apps "hello" is forbidden: {text}'
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.details == {
        "name": "hello", "group": "apps", "kind": "deployments", "causes": [{"message": text}],
    }  # fmt: skip
    with pytest.raises(ApiError, match="denied request: an app label"):
        deployment(registry, 5)
    deployment(registry, 5, labels={"app": "x"})


def test_warnings_name_every_validation_that_fails(registry: Registry) -> None:
    policy(registry, FEW, LABEL)
    bind(registry, "Warn")
    with context.request_of(User("jane")) as request:
        deployment(registry)
    start = "Validation failed for ValidatingAdmissionPolicy 'few' with binding 'bound': "
    assert request.warnings == [f"{start}at most 5 replicas, not 6", f"{start}an app label"]


def test_scale_is_a_resource_of_its_own(registry: Registry) -> None:
    policy(registry, FEW)
    bind(registry)
    deployment(registry, 1)
    scale(registry, 6)
    registry.delete(POLICIES, "", "few")
    policy(registry, FEW, rule={**RULE, "resources": ["deployments/scale"]})
    with pytest.raises(ApiError, match="not 7"):
        scale(registry, 7)


@pytest.mark.parametrize(
    ("failure_policy", "is_refused"),
    [("Fail", True), ("Ignore", False)],
)
def test_an_expression_that_cannot_be_evaluated_is_the_failure_policys(
    registry: Registry, failure_policy: str, is_refused: bool
) -> None:
    policy(registry, {"expression": "object.spec.nope > 1"}, failurePolicy=failure_policy)
    bind(registry)
    if is_refused:
        with pytest.raises(ApiError, match="resulted in error: no such key: nope"):
            deployment(registry)
    else:
        deployment(registry)


def test_conditions_and_selectors_say_what_a_policy_is_about(registry: Registry) -> None:
    conditions = [{"name": "not-free", "expression": "!object.metadata.name.startsWith('free')"}]
    policy(registry, FEW, matchConditions=conditions)
    bind(registry, matchResources={"namespaceSelector": {"matchLabels": {"strict": "yes"}}})
    deployment(registry, name="elsewhere")
    labels = {"metadata": {"labels": {"strict": "yes"}}}
    registry.patch(resources.NAMESPACES, "", "lab", patch.MERGE, labels)
    deployment(registry, name="free")
    with pytest.raises(ApiError):
        deployment(registry, name="bound")


def test_parameters_come_from_an_object_that_has_to_be_there(registry: Registry) -> None:
    validation = {
        "expression": "object == null || object.spec.replicas <= int(params.data.replicas)",
        "message": "more",
    }
    policy(
        registry, validation, rule={**RULE, "operations": ["*"]}, paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
    )  # fmt: skip
    deployment(registry, 1)
    bind(registry, paramRef={"name": "most", "namespace": "lab", "parameterNotFoundAction": "Deny"})
    with pytest.raises(ApiError, match="failed to configure binding: no params found for policy binding with `Deny`"):
        registry.delete(resources.DEPLOYMENTS, "lab", "hello")
    registry.create(resources.CONFIGMAPS, "lab", {"metadata": {"name": "most"}, "data": {"replicas": "2"}})
    with pytest.raises(ApiError, match="denied request: more"):
        deployment(registry, 3, name="three")
    registry.delete(resources.DEPLOYMENTS, "lab", "hello")


def test_the_user_is_known(registry: Registry) -> None:
    policy(
        registry, {"expression": "request.userInfo.username == 'jane'", "message": "only jane", "reason": "Forbidden"}
    )
    bind(registry)
    with context.request_of(User("joe")), pytest.raises(ApiError, match="only jane") as caught:
        deployment(registry)
    assert caught.value.code == 403
    with context.request_of(User("jane")):
        deployment(registry)


def test_what_cannot_be_read_is_refused(registry: Registry) -> None:
    with pytest.raises(ApiError) as caught:
        policy(registry, {"expression": "object.spec.replicas >"})
    assert caught.value.code == 422
    assert caught.value.message.startswith(
        'ValidatingAdmissionPolicy.admissionregistration.k8s.io "few" is invalid: spec.validations[0].expression: '
        'Invalid value: "object.spec.replicas >": compilation failed: ERROR: <input>:1:23: Syntax error: mismatched'
    )
    policy(registry, FEW)
    with pytest.raises(ApiError, match="must not contain both Deny and Warn"):
        bind(registry, "Deny", "Warn")
