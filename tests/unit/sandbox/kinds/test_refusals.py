"""Objects that a cluster refuses though their fields have the right types."""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import resources
from convoy_sandbox.errors import ApiError
from convoy_sandbox.kinds.batch import schedule
from convoy_sandbox.registry import Registry
from convoy_sandbox.resources import Resource
from convoy_sandbox.store import Store

CONTAINERS = [{"name": "c", "image": "i"}]


@pytest.fixture
def registry() -> Registry:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    return registry


def job(policy: str = "Never", **spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": CONTAINERS, "restartPolicy": policy}}, **spec}}


def ingress(**path: Any) -> dict[str, Any]:
    return {"spec": {"rules": [{"http": {"paths": [path]}}]}}


def claim(**spec: Any) -> dict[str, Any]:
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"spec": {**body, **spec}}


BACKEND = {"service": {"name": "web", "port": {"number": 80}}}


@pytest.mark.parametrize(
    ("resource", "body", "message"),
    [
        (
            resources.JOBS,
            job("Always"),
            'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
        ),
        (
            resources.JOBS,
            job(parallelism=-1),
            "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            resources.JOBS,
            job(completionMode="Indexed", parallelism=1),
            "spec.completions: Required value: when completion mode is Indexed",
        ),
        (
            resources.CRONJOBS,
            {"spec": {"schedule": "nope", "jobTemplate": job()}},
            'spec.schedule: Invalid value: "nope": expected exactly 5 fields, found 1: [nope]',
        ),
        (
            resources.CRONJOBS,
            {"spec": {"schedule": "61 * * * *", "jobTemplate": job()}},
            'spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61',
        ),
        (
            resources.INGRESSES,
            ingress(path="a", pathType="Prefix", backend=BACKEND),
            'spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path',
        ),
        (
            resources.INGRESSES,
            ingress(path="/", pathType="Prefix", backend={"service": {"name": "web"}}),
            "spec.rules[0].http.paths[0].backend.service.port: Required value: port name or number is required",
        ),
        (
            resources.INGRESSES,
            ingress(path="/", backend=BACKEND),
            "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
        ),
        (
            resources.PERSISTENTVOLUMECLAIMS,
            claim(accessModes=["Nope"]),
            'spec.accessModes: Unsupported value: "Nope": supported values: "ReadOnlyMany", "ReadWriteMany", '
            '"ReadWriteOnce", "ReadWriteOncePod"',
        ),
        (resources.PERSISTENTVOLUMECLAIMS, claim(resources={}), "spec.resources[storage]: Required value"),
        (
            resources.PODDISRUPTIONBUDGETS,
            {"spec": {"minAvailable": -1}},
            "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            resources.PODDISRUPTIONBUDGETS,
            {"spec": {"maxUnavailable": "101%"}},
            'spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
        ),
        (
            resources.PRIORITYCLASSES,
            {"value": 2000000001},
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
        ),
        (
            resources.LEASES,
            {"spec": {"leaseTransitions": -1}},
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            resources.LIMITRANGES,
            {"spec": {"limits": [{"type": "Container", "default": {"cpu": 1}, "max": {"cpu": "500m"},
                                  "min": {"cpu": "600m"}}]}},
            '[spec.limits[0].min[cpu]: Invalid value: "600m": min value 600m is greater than max value 500m, '
            'spec.limits[0].defaultRequest[cpu]: Invalid value: "1": default request value 1 is greater than max value '
            '500m, spec.limits[0].default[cpu]: Invalid value: "500m": default value 1 is greater than max value 500m]',
        ),
        (
            resources.RESOURCEQUOTAS,
            {"spec": {"hard": {"nonsense": "1"}}},
            '[spec.hard[nonsense]: Invalid value: "nonsense": must be a standard resource type or fully qualified, '
            'spec.hard[nonsense]: Invalid value: "nonsense": must be a standard resource for quota]',
        ),
    ],
)  # fmt: skip
def test_an_object_that_is_refused(registry: Registry, resource: Resource, body: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as caught:
        registry.create(resource, "lab" if resource.namespaced else "", {"metadata": {"name": "a"}, **body})
    assert caught.value.code == 422
    assert caught.value.message.partition(" is invalid: ")[2] == message


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        (resources.JOBS, job()),
        (resources.JOBS, job("OnFailure", completions=2)),
        (resources.CRONJOBS, {"spec": {"schedule": "*/5 9-17 * jan mon-fri", "jobTemplate": job()}}),
        (resources.INGRESSES, ingress(path="/", pathType="Exact", backend=BACKEND)),
        (resources.PERSISTENTVOLUMECLAIMS, claim()),
        (resources.PODDISRUPTIONBUDGETS, {"spec": {"maxUnavailable": "50%"}}),
    ],
)
def test_an_object_that_is_taken(registry: Registry, resource: Resource, body: dict[str, Any]) -> None:
    registry.create(resource, "lab", {"metadata": {"name": "a"}, **body})


def test_a_job_is_given_a_selector_of_its_own(registry: Registry) -> None:
    made = registry.create(resources.JOBS, "lab", {"metadata": {"name": "a"}, **job()})
    uid = made["metadata"]["uid"]
    labels = {
        "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": "a", "controller-uid": uid,
        "job-name": "a",
    }  # fmt: skip
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert made["spec"]["template"]["metadata"]["labels"] == labels == made["metadata"]["labels"]
    assert (made["spec"]["completions"], made["spec"]["parallelism"], made["spec"]["backoffLimit"]) == (1, 1, 6)


def test_a_schedule_is_a_set_of_numbers_for_each_field() -> None:
    minutes, hours, days, months, weekdays = schedule("*/20 1,3 1-2 feb 7")
    assert (minutes, hours, days, months, weekdays) == ({0, 20, 40}, {1, 3}, {1, 2}, {2}, {0})
    assert schedule("@hourly")[0] == {0}
