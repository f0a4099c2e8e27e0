"""HorizontalPodAutoscalers of autoscaling/v1 and v2 are one."""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import patch, resources
from convoy_sandbox.api import lists
from convoy_sandbox.conversion import AUTOSCALERS_V1
from convoy_sandbox.registry import Registry
from convoy_sandbox.store import Store
from multidict import MultiDict

V2 = resources.HORIZONTALPODAUTOSCALERS
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}


def cpu(percent: int) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "500Mi"}},
}


@pytest.fixture
def registry() -> Registry:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    return registry


def create(registry: Registry, resource: resources.Resource, name: str, **spec: Any) -> dict[str, Any]:
    body = {"metadata": {"name": name}, "spec": {"scaleTargetRef": TARGET, "maxReplicas": 5, **spec}}
    return registry.create(resource, "lab", body)


def test_one_made_as_v1_is_read_as_v2(registry: Registry) -> None:
    made = create(registry, AUTOSCALERS_V1, "one", targetCPUUtilizationPercentage=80)
    assert made["apiVersion"] == "autoscaling/v1"
    assert made["spec"]["targetCPUUtilizationPercentage"] == 80
    assert registry.get(V2, "lab", "one")["spec"]["metrics"] == [cpu(80)]
    assert made["metadata"]["managedFields"][0]["apiVersion"] == "autoscaling/v1"


def test_one_made_as_v2_is_read_as_v1_with_the_rest_in_annotations(registry: Registry) -> None:
    policies = [{"type": "Pods", "value": 1, "periodSeconds": 30}]
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60, "policies": policies}}
    create(registry, V2, "two", metrics=[cpu(70), MEMORY], behavior=behavior)
    v1 = registry.get(AUTOSCALERS_V1, "lab", "two")
    assert v1["spec"]["targetCPUUtilizationPercentage"] == 70
    assert v1["metadata"]["annotations"] == {
        "autoscaling.alpha.kubernetes.io/metrics": (
            '[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"500Mi"}}]'
        ),
        "autoscaling.alpha.kubernetes.io/behavior": (
            '{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,'
            '"PeriodSeconds":15},{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null},"ScaleDown":'
            '{"StabilizationWindowSeconds":60,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":1,'
            '"PeriodSeconds":30}],"Tolerance":null}}'
        ),
    }
    registry.patch(AUTOSCALERS_V1, "lab", "two", patch.MERGE, {"spec": {"targetCPUUtilizationPercentage": 50}})
    v2 = registry.get(V2, "lab", "two")
    assert v2["spec"]["metrics"] == [MEMORY, cpu(50)]
    assert v2["spec"]["behavior"]["scaleDown"]["policies"] == policies
    assert "annotations" not in v2["metadata"]


def test_both_versions_list_all_of_them(registry: Registry) -> None:
    create(registry, AUTOSCALERS_V1, "one")
    create(registry, V2, "two")
    for resource in (AUTOSCALERS_V1, V2):
        items, meta = lists.page(registry.store, resource, "lab", MultiDict())
        found = lists.listed(resource, items, meta)
        assert [item["metadata"]["name"] for item in found["items"]] == ["one", "two"]
        assert ("targetCPUUtilizationPercentage" in found["items"][0]["spec"]) == (resource == AUTOSCALERS_V1)


def test_one_is_deleted_in_either_version(registry: Registry) -> None:
    create(registry, V2, "two")
    registry.delete(AUTOSCALERS_V1, "lab", "two")
    assert not registry.store.list(V2)
