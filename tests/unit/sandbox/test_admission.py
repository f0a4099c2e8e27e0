"""What a namespace lets in: accounts, classes, limits, quotas, PodSecurity; and what a client is warned of."""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import patch, resources
from convoy_sandbox.admission import context, security
from convoy_sandbox.errors import ApiError
from convoy_sandbox.registry import Registry
from convoy_sandbox.resources import Resource
from convoy_sandbox.store import Store
from convoy_sandbox.users import User

Object = dict[str, Any]


@pytest.fixture
def registry() -> Registry:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    return registry


def create(registry: Registry, resource: Resource, name: str = "a", **body: Any) -> Object:
    return registry.create(resource, "lab" if resource.namespaced else "", {"metadata": {"name": name}, **body})


def pod(registry: Registry, name: str = "a", own: Object | None = None, **spec: Any) -> Object:
    container = {"name": "main", "image": "hello:1", **(own or {})}
    return create(registry, resources.PODS, name, spec={"containers": [container], **spec})


def needs(requests: Object | None = None, limits: Object | None = None) -> Object:
    named = {"requests": requests, "limits": limits}
    return {"resources": {key: value for key, value in named.items() if value}}


def refused(call: Any, *arguments: Any, code: int = 403, **named: Any) -> str:
    with pytest.raises(ApiError) as caught:
        call(*arguments, **named)
    assert caught.value.code == code
    return caught.value.message


# -- accounts and classes ------------------------------------------------------------------------


def test_a_pod_of_an_account_that_is_not_there_is_refused(registry: Registry) -> None:
    assert refused(pod, registry, serviceAccountName="nobody") == (
        'pods "a" is forbidden: error looking up service account lab/nobody: serviceaccount "nobody" not found'
    )
    assert pod(registry)["spec"]["serviceAccountName"] == "default"


def test_an_account_gives_its_pull_secrets_and_may_keep_its_token(registry: Registry) -> None:
    create(
        registry, resources.SERVICEACCOUNTS, "robot", imagePullSecrets=[{"name": "key"}],
        automountServiceAccountToken=False,
    )  # fmt: skip
    spec = pod(registry, serviceAccountName="robot")["spec"]
    assert spec["imagePullSecrets"] == [{"name": "key"}]
    assert "volumes" not in spec
    assert pod(registry, "b", serviceAccountName="robot", automountServiceAccountToken=True)["spec"]["volumes"]


def test_a_priority_class_gives_its_number(registry: Registry) -> None:
    assert refused(pod, registry, priorityClassName="none") == (
        'pods "a" is forbidden: no PriorityClass with name none was found'
    )
    create(registry, resources.PRIORITYCLASSES, "high", value=7, preemptionPolicy="Never")
    spec = pod(registry, priorityClassName="high")["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (7, "Never")
    assert "must not be provided in pod spec" in refused(pod, registry, "b", priorityClassName="high", priority=8)
    create(registry, resources.PRIORITYCLASSES, "usual", value=3, globalDefault=True)
    assert pod(registry, "c")["spec"]["priorityClassName"] == "usual"


def test_a_runtime_class_has_to_be_there(registry: Registry) -> None:
    assert refused(pod, registry, runtimeClassName="none") == (
        'pods "a" is forbidden: pod rejected: RuntimeClass "none" not found'
    )
    create(registry, resources.RUNTIMECLASSES, "kata", handler="kata", scheduling={"nodeSelector": {"kata": "yes"}})
    assert pod(registry, runtimeClassName="kata")["spec"]["nodeSelector"] == {"kata": "yes"}


# -- LimitRanges ---------------------------------------------------------------------------------


@pytest.fixture
def limited(registry: Registry) -> Registry:
    """The recorded LimitRange."""
    container = {
        "type": "Container", "default": {"cpu": "200m", "memory": "64Mi"}, "defaultRequest": {"cpu": "100m"},
        "max": {"cpu": "500m", "memory": "256Mi"}, "min": {"cpu": "50m"}, "maxLimitRequestRatio": {"cpu": "4"},
    }  # fmt: skip
    claim = {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}
    limits = [container, {"type": "Pod", "max": {"cpu": "800m"}}, claim]
    create(registry, resources.LIMITRANGES, "limits", spec={"limits": limits})
    return registry


@pytest.mark.parametrize(
    ("own", "expected", "said"),
    [
        (
            {"resources": {}},
            {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}},
            "cpu, memory request for container main; cpu, memory limit for container main",
        ),
        (
            needs({"cpu": "60m"}),
            {"requests": {"cpu": "60m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}},
            "memory request for container main; cpu, memory limit for container main",
        ),
        (
            needs(None, {"cpu": "300m"}),
            {"requests": {"cpu": "300m", "memory": "64Mi"}, "limits": {"cpu": "300m", "memory": "64Mi"}},
            "memory request for container main; memory limit for container main",
        ),
    ],
)
def test_containers_are_given_what_they_do_not_name(
    limited: Registry, own: Object, expected: Object, said: str
) -> None:
    made = pod(limited, own=own)
    assert made["spec"]["containers"][0]["resources"] == expected
    assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == f"LimitRanger plugin set: {said}"
    # What was given counts for the quality of service as well.
    assert made["status"]["qosClass"] == ("Guaranteed" if "limits" in own["resources"] else "Burstable")


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (needs(None, {"cpu": "600m"}), "maximum cpu usage per Container is 500m, but limit is 600m"),
        (
            needs({"cpu": "10m"}),
            "[minimum cpu usage per Container is 50m, but request is 10m, cpu max limit to request ratio per "
            "Container is 4, but provided ratio is 20.000000]",
        ),
    ],
)
def test_containers_out_of_bounds_are_refused(limited: Registry, own: Object, why: str) -> None:
    assert refused(pod, limited, own=own) == f'pods "a" is forbidden: {why}'


def test_the_sum_of_containers_is_bounded_too(limited: Registry) -> None:
    containers = [{"name": name, "image": "i", **needs(None, {"cpu": "450m"})} for name in "xy"]
    message = refused(create, limited, resources.PODS, spec={"containers": containers})
    assert message == 'pods "a" is forbidden: maximum cpu usage per Pod is 800m, but limit is 900m'


def test_claims_are_bounded(limited: Registry) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    assert refused(create, limited, resources.PERSISTENTVOLUMECLAIMS, spec=spec) == (
        'persistentvolumeclaims "a" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request '
        "is 1Mi"
    )


# -- quotas --------------------------------------------------------------------------------------


def test_a_quota_asks_each_container_that_says_nothing(registry: Registry) -> None:
    create(registry, resources.RESOURCEQUOTAS, "cpu", spec={"hard": {"requests.cpu": "1", "limits.memory": "1Gi"}})
    assert refused(pod, registry) == (
        'pods "a" is forbidden: failed quota: cpu: must specify limits.memory for: main; requests.cpu for: main'
    )
    containers = [
        {"name": "one", "image": "i", **needs({"cpu": "1m"}, {"memory": "1Mi"})},
        {"name": "two", "image": "i", **needs(None, {"memory": "1Mi"})},
    ]
    assert refused(create, registry, resources.PODS, spec={"containers": containers}) == (
        'pods "a" is forbidden: failed quota: cpu: must specify requests.cpu for: two'
    )


@pytest.mark.parametrize(
    ("scope", "own", "spec", "counted"),
    [
        ({"scopes": ["BestEffort"]}, needs(), {}, True),
        ({"scopes": ["BestEffort"]}, needs({"cpu": "1m"}), {}, False),
        ({"scopes": ["NotBestEffort"]}, needs(), {}, False),
        ({"scopes": ["Terminating"]}, needs(), {"activeDeadlineSeconds": 9}, True),
        ({"scopes": ["NotTerminating"]}, needs(), {"activeDeadlineSeconds": 9}, False),
        ({"scopes": ["BestEffort", "NotTerminating"]}, needs(), {"activeDeadlineSeconds": 9}, False),
        (
            {"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
            ]}},
            needs(), {"priorityClassName": "high"}, True,
        ),
        (
            {"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
            ]}},
            needs(), {}, False,
        ),
    ],
)  # fmt: skip
def test_a_quota_with_scopes_counts_some_pods_only(
    registry: Registry, scope: Object, own: Object, spec: Object, counted: bool
) -> None:
    create(registry, resources.PRIORITYCLASSES, "high", value=7)
    create(registry, resources.RESOURCEQUOTAS, "none", spec={"hard": {"pods": "0"}, **scope})
    if counted:
        assert "exceeded quota: none, requested: pods=1, used: pods=0" in refused(pod, registry, own=own, **spec)
    else:
        pod(registry, own=own, **spec)


def test_an_update_may_be_too_much_as_well(registry: Registry) -> None:
    create(registry, resources.RESOURCEQUOTAS, "few", spec={"hard": {"services.nodeports": "1"}})
    create(registry, resources.SERVICES, spec={"ports": [{"name": "x", "port": 1}, {"name": "y", "port": 2}]})
    change = {"spec": {"type": "NodePort"}}
    message = refused(registry.patch, resources.SERVICES, "lab", "a", patch.MERGE, change)
    assert "exceeded quota: few, requested: services.nodeports=2" in message


# -- PodSecurity ---------------------------------------------------------------------------------

GOOD = {
    "securityContext": {
        "allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
}  # fmt: skip
EVERYTHING = (
    'allowPrivilegeEscalation != false (container "main" must set securityContext.allowPrivilegeEscalation=false), '
    'unrestricted capabilities (container "main" must set securityContext.capabilities.drop=["ALL"]), '
    'runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true), '
    'seccompProfile (pod or container "main" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
    '"Localhost")'
)


def ask(registry: Registry, **labels: str) -> None:
    named = {f"{security.PREFIX}{key.replace('_', '-')}": value for key, value in labels.items()}
    registry.patch(resources.NAMESPACES, "", "lab", patch.MERGE, {"metadata": {"labels": named}})


def test_a_restricted_namespace_refuses_a_plain_pod(registry: Registry) -> None:
    ask(registry, enforce="restricted")
    assert refused(pod, registry) == (f'pods "a" is forbidden: violates PodSecurity "restricted:latest": {EVERYTHING}')
    pod(registry, own=GOOD)


def test_a_baseline_refuses_what_reaches_the_node(registry: Registry) -> None:
    ask(registry, enforce="baseline")
    own = {"securityContext": {"privileged": True}, "ports": [{"containerPort": 80, "hostPort": 80}]}
    assert refused(pod, registry, own=own) == (
        'pods "a" is forbidden: violates PodSecurity "baseline:latest": hostPort (container "main" uses hostPort 80), '
        'privileged (container "main" must not set securityContext.privileged=true)'
    )
    pod(registry)


@pytest.mark.parametrize(
    ("level", "spec", "found"),
    [
        ("baseline", {"hostNetwork": True, "hostPID": True}, "host namespaces (hostNetwork=true, hostPID=true)"),
        (
            "baseline",
            {"volumes": [{"name": "x", "hostPath": {"path": "/"}}, {"name": "y", "hostPath": {"path": "/"}}]},
            'hostPath volumes (volumes "x", "y")',
        ),
        (
            "restricted",
            {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]},
            'restricted volume types (volume "x" uses restricted volume type "hostPath")',
        ),
        ("restricted", {"securityContext": {"runAsUser": 0}}, "runAsUser=0 (pod must not set runAsUser=0)"),
        (
            "baseline",
            {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
            'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            "baseline",
            {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
            "forbidden sysctls (kernel.msgmax)",
        ),
        ("privileged", {"hostNetwork": True}, ""),
    ],
)
def test_what_each_level_forbids(level: str, spec: Object, found: str) -> None:
    container = {"name": "main", "image": "i", **GOOD}
    assert security.sentence(security.violations({"containers": [container], **spec}, level)) == found


def test_pods_and_templates_are_warned_of(registry: Registry) -> None:
    ask(registry, warn="restricted", warn_version="v1.30")
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main", "image": "i"}]}}
    with context.request_of(User("jane")) as request:
        pod(registry)
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        create(registry, resources.DEPLOYMENTS, spec=spec)
    assert request.warnings == [f'would violate PodSecurity "restricted:v1.30": {EVERYTHING}']


def test_a_stricter_label_names_the_pods_that_are_there(registry: Registry) -> None:
    pod(registry, "plain")
    pod(registry, "plain-2")
    pod(registry, "good", own=GOOD)
    with context.request_of(User("jane")) as request:
        ask(registry, enforce="restricted")
    assert request.warnings == [
        'existing pods in namespace "lab" violate the new PodSecurity enforce level "restricted:latest"',
        "plain (and 1 other pod): allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, "
        "seccompProfile",
    ]


def test_a_level_that_is_none_is_refused(registry: Registry) -> None:
    with pytest.raises(ApiError) as caught:
        ask(registry, enforce="tight")
    assert caught.value.code == 422
    assert caught.value.message == (
        'Namespace "lab" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "tight": must '
        "be one of privileged, baseline, restricted"
    )


def test_what_controllers_write_afterwards_warns_nobody() -> None:
    with context.request_of(User("jane")) as request:
        assert context.current() is request
    assert context.current() is None
    context.warn("nobody hears this")
    assert request.warnings == []
