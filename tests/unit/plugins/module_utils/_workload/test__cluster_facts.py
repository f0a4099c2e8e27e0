"""_cluster: versions, nodes and the sentence about what is missing."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._rights import Right
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _cluster_facts


def node(cpu: str, memory: str, ready: str = "True", **spec: bool) -> dict[str, object]:
    return {
        "spec": spec,
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory, "pods": "110"},
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}],
        },
    }


@pytest.mark.parametrize(
    ("version", "supported"),
    [
        ("v1.36.2", True),
        ("v1.22.0", True),
        ("v1.30.5-gke.1443001", True),
        ("v2.0.0", True),
        ("v1.21.14", False),
        ("v1.9.7", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_versions_are_compared_as_numbers(version: str, supported: bool) -> None:
    assert _cluster_facts.supported(version) is supported


def test_only_nodes_that_take_pods_count() -> None:
    nodes = [
        node("940m", "2Gi"),
        node("1", "1024Mi"),
        node("8", "32Gi", ready="Unknown"),
        node("8", "32Gi", unschedulable=True),
    ]
    found = _cluster_facts.capacity(nodes)
    assert found == _cluster_facts.Capacity(nodes=4, ready=2, allocatable={"cpu": "1940m", "memory": "3Gi"})


def test_nodes_that_may_not_be_listed_are_unknown_and_none_is_none() -> None:
    assert _cluster_facts.capacity(None) is None
    assert _cluster_facts.capacity([]) == _cluster_facts.Capacity(0, 0, {"cpu": "0", "memory": "0"})


def test_a_right_is_asked_for_verb_by_verb() -> None:
    rights = [Right("", "pods/log", ("get",)), Right("", "nodes", ("list", "watch"), cluster=True)]
    assert list(_cluster_facts.asked(rights, "shop")) == [
        {"group": "", "resource": "pods", "verb": "get", "subresource": "log", "namespace": "shop"},
        {"group": "", "resource": "nodes", "verb": "list"},
        {"group": "", "resource": "nodes", "verb": "watch"},
    ]


def test_the_sentence_names_version_nodes_and_what_is_missing() -> None:
    missing = [
        {"verb": "patch", "resource": "deployments.apps", "namespace": "shop"},
        {"verb": "create", "resource": "deployments.apps", "namespace": "shop"},
        {"verb": "list", "resource": "nodes", "namespace": "*"},
    ]
    assert _cluster_facts.message(
        "v1.36.2", True, _cluster_facts.Capacity(2, 1, {"cpu": "1", "memory": "2Gi"}), missing
    ) == (
        "Kubernetes v1.36.2, 1 of 2 nodes ready with 1 cpu and 2Gi memory. This user may not "
        "patch/create deployments.apps in namespace shop; list nodes in all namespaces: have these rights granted."
    )
    assert _cluster_facts.message("v1.20.0", False, None, []) == (
        "Kubernetes v1.20.0. The roles need 1.22 or newer; upgrade the cluster."
    )
