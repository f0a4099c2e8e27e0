"""The rules every write goes by."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from convoy_sandbox import patch, resources
from convoy_sandbox.errors import ApiError
from convoy_sandbox.registry import Registry
from convoy_sandbox.store import Store

TEMPLATE = {
    "metadata": {"labels": {"app": "hello"}},
    "spec": {"containers": [{"name": "hello", "image": "kelseyhightower/hello:1.0.0"}]},
}


@pytest.fixture
def registry() -> Registry:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    return registry


def deployment(name: str = "hello", **spec: Any) -> dict[str, Any]:
    body = {"selector": {"matchLabels": {"app": "hello"}}, "template": copy.deepcopy(TEMPLATE), **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def refused(code: int) -> Any:
    class Refused:
        def __enter__(self) -> Refused:
            self._raises = pytest.raises(ApiError)
            self._caught = self._raises.__enter__()
            return self

        def __exit__(self, *error: Any) -> bool:
            result = bool(self._raises.__exit__(*error))
            assert self._caught.value.code == code, self._caught.value.message
            return result

        @property
        def message(self) -> str:
            return str(self._caught.value)

    return Refused()


def test_defaults_of_a_deployment(registry: Registry) -> None:
    spec = registry.create(resources.DEPLOYMENTS, "lab", deployment())["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    assert spec["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    # a template's requests stay as they are; a pod's default to its limits
    limited = copy.deepcopy(TEMPLATE["spec"])
    limited["containers"][0]["resources"] = {"limits": {"cpu": "200m"}}
    pod = registry.create(resources.PODS, "lab", {"metadata": {"name": "a"}, "spec": limited})
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "200m"}
    assert pod["status"] == {"phase": "Pending", "qosClass": "Burstable"}


@pytest.mark.parametrize(
    ("image", "policy"), [("a", "Always"), ("a:latest", "Always"), ("a:1", "IfNotPresent"), ("r:5000/a", "Always")]
)
def test_the_pull_policy_follows_the_tag(registry: Registry, image: str, policy: str) -> None:
    pod = {"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "a", "image": image}]}}
    stored = registry.create(resources.PODS, "lab", pod)
    assert stored["spec"]["containers"][0]["imagePullPolicy"] == policy
    assert stored["metadata"]["name"].startswith("p-")


def test_generation_counts_what_was_asked_for(registry: Registry) -> None:
    registry.create(resources.DEPLOYMENTS, "lab", deployment())

    def generation(change: dict[str, Any], subresource: str = "") -> int:
        stored, _ = registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, change, subresource=subresource)
        return int(stored["metadata"]["generation"])

    assert generation({"spec": {"replicas": 2}}) == 2
    assert generation({"metadata": {"labels": {"a": "b"}}}) == 2
    assert generation({"metadata": {"annotations": {"a": "b"}}}) == 3
    assert generation({"status": {"replicas": 2}}, "status") == 3
    assert generation({"status": {"replicas": 9}}) == 3
    assert registry.get(resources.DEPLOYMENTS, "lab", "hello")["status"] == {"replicas": 2}


def test_a_write_that_changes_nothing_is_not_stored(registry: Registry) -> None:
    before = registry.create(resources.DEPLOYMENTS, "lab", deployment())
    after, _ = registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"replicas": 1}})
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_stale_update_is_a_conflict(registry: Registry) -> None:
    stale = registry.create(resources.DEPLOYMENTS, "lab", deployment())
    registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"replicas": 2}})
    with refused(409) as error:
        registry.update(resources.DEPLOYMENTS, "lab", "hello", stale)
    assert "the object has been modified" in error.message


def test_dry_run_stores_nothing(registry: Registry) -> None:
    answer = registry.create(resources.DEPLOYMENTS, "lab", deployment(), dry_run=True)
    assert answer["spec"]["replicas"] == 1
    with refused(404):
        registry.get(resources.DEPLOYMENTS, "lab", "hello")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        ({"selector": {"matchLabels": {"app": "x"}}}, "`selector` does not match template `labels`"),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "may not be specified when strategy `type` is 'Recreate'",
        ),
        ({"strategy": {"type": "Fast"}}, 'Unsupported value: "Fast": supported values: "Recreate", "RollingUpdate"'),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            "may not be 0 when `maxSurge` is 0",
        ),
        ({"progressDeadlineSeconds": 5, "minReadySeconds": 5}, "must be greater than minReadySeconds"),
        ({"template": {"metadata": {"labels": {"app": "hello"}}}}, "spec.template.spec.containers: Required value"),
    ],
)
def test_an_invalid_deployment_is_refused(registry: Registry, change: dict[str, Any], message: str) -> None:
    with refused(422) as error:
        registry.create(resources.DEPLOYMENTS, "lab", deployment(**change))
    assert message in error.message


def test_every_cause_of_an_invalid_object_is_named(registry: Registry) -> None:
    with pytest.raises(ApiError) as caught:
        registry.create(resources.DEPLOYMENTS, "lab", {"metadata": {"name": "Bad_Name"}, "spec": {}})
    assert caught.value.details is not None
    assert [cause["field"] for cause in caught.value.details["causes"]] == [
        "metadata.name",
        "spec.selector",
        "spec.template.metadata.labels",
        "spec.template.spec.containers",
    ]


def test_a_selector_is_immutable(registry: Registry) -> None:
    registry.create(resources.DEPLOYMENTS, "lab", deployment())
    with refused(422) as error:
        registry.patch(
            resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"selector": {"matchLabels": {"x": "y"}}}}
        )
    assert "field is immutable" in error.message


def test_strict_validation_names_unknown_fields(registry: Registry) -> None:
    body = deployment(replica=3)
    with refused(400) as error:
        registry.create(resources.DEPLOYMENTS, "lab", body, validation="Strict")
    assert 'strict decoding error: unknown field "spec.replica"' in error.message
    assert "replica" not in registry.create(resources.DEPLOYMENTS, "lab", body)["spec"]


def test_a_service_keeps_what_it_was_given(registry: Registry) -> None:
    service = {"metadata": {"name": "hello"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}
    created = registry.create(resources.SERVICES, "lab", service)["spec"]
    assert created["ports"][0]["targetPort"] == 80
    assert 30000 <= created["ports"][0]["nodePort"] < 32768
    replaced = registry.update(resources.SERVICES, "lab", "hello", service)["spec"]
    assert (replaced["clusterIP"], replaced["ports"]) == (created["clusterIP"], created["ports"])
    inner, _ = registry.patch(resources.SERVICES, "lab", "hello", patch.MERGE, {"spec": {"type": "ClusterIP"}})
    assert "nodePort" not in inner["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in inner["spec"]
    with refused(422) as error:
        registry.patch(
            resources.SERVICES, "lab", "hello", patch.MERGE,
            {"spec": {"clusterIP": "127.96.9.9", "clusterIPs": ["127.96.9.9"]}},
        )  # fmt: skip
    assert "may not change once set" in error.message


def test_a_secret_takes_plain_text(registry: Registry) -> None:
    stored = registry.create(resources.SECRETS, "lab", {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
    assert (stored["data"], stored["type"]) == ({"a": "Yg=="}, "Opaque")
    assert "stringData" not in stored
    with refused(422):
        registry.create(resources.SECRETS, "lab", {"metadata": {"name": "t"}, "type": "kubernetes.io/tls"})


def test_where_objects_go(registry: Registry) -> None:
    with refused(404) as error:
        registry.create(resources.DEPLOYMENTS, "nowhere", deployment())
    assert error.message == 'namespaces "nowhere" not found'
    registry.create(resources.DEPLOYMENTS, "lab", deployment())
    with refused(409) as error:
        registry.create(resources.DEPLOYMENTS, "lab", deployment())
    assert error.message == 'deployments.apps "hello" already exists'
    registry.delete(resources.NAMESPACES, "", "lab")
    with refused(403) as error:
        registry.create(resources.DEPLOYMENTS, "lab", deployment("late"))
    assert "because it is being terminated" in error.message


def test_a_pod_on_a_node_is_stopped_before_it_goes(registry: Registry) -> None:
    registry.create(resources.PODS, "lab", {"metadata": {"name": "a"}, "spec": TEMPLATE["spec"]})
    registry.bind("lab", "a", "node1", {"type": "PodScheduled", "status": "True"})
    pod, gone = registry.delete(resources.PODS, "lab", "a")
    assert (gone, pod["metadata"]["deletionGracePeriodSeconds"]) == (False, 30)
    assert registry.delete(resources.PODS, "lab", "a", grace_period_seconds=0)[1]
    with refused(404):
        registry.get(resources.PODS, "lab", "a")


def test_finalizers_hold_an_object_that_is_deleted(registry: Registry) -> None:
    body = deployment()
    body["metadata"]["finalizers"] = ["example.com/wait"]
    registry.create(resources.DEPLOYMENTS, "lab", body)
    assert not registry.delete(resources.DEPLOYMENTS, "lab", "hello")[1]
    registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"metadata": {"finalizers": None}})
    with refused(404):
        registry.get(resources.DEPLOYMENTS, "lab", "hello")


def test_preconditions_of_a_deletion(registry: Registry) -> None:
    registry.create(resources.DEPLOYMENTS, "lab", deployment())
    with refused(409) as error:
        registry.delete(resources.DEPLOYMENTS, "lab", "hello", preconditions={"uid": "other"})
    assert "the UID in the precondition (other) does not match the UID in record" in error.message


def test_scale(registry: Registry) -> None:
    registry.create(resources.DEPLOYMENTS, "lab", deployment(replicas=3))
    scale, _ = registry.patch(
        resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"replicas": 5}}, subresource="scale"
    )
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {"replicas": 5}, "app=hello")
    with refused(422):
        registry.patch(
            resources.DEPLOYMENTS, "lab", "hello", patch.MERGE, {"spec": {"replicas": -1}}, subresource="scale"
        )


def test_a_quota_refuses_what_is_over_it(registry: Registry) -> None:
    registry.create(resources.RESOURCEQUOTAS, "lab", {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}})
    registry.create(resources.PODS, "lab", {"metadata": {"name": "a"}, "spec": TEMPLATE["spec"]})
    with refused(403) as error:
        registry.create(resources.PODS, "lab", {"metadata": {"name": "b"}, "spec": TEMPLATE["spec"]})
    assert error.message == (
        'pods "b" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
    )


def test_a_quota_of_requests_wants_them_said(registry: Registry) -> None:
    registry.create(
        resources.RESOURCEQUOTAS, "lab", {"metadata": {"name": "q"}, "spec": {"hard": {"requests.memory": "64Mi"}}}
    )
    with refused(403) as error:
        registry.create(resources.PODS, "lab", {"metadata": {"name": "a"}, "spec": TEMPLATE["spec"]})
    assert "failed quota: q: must specify requests.memory for: hello" in error.message


def test_what_was_defaulted_belongs_to_who_made_the_object(registry: Registry) -> None:
    registry.create(resources.DEPLOYMENTS, "lab", deployment("hello"), manager="kubectl-create")
    config = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello"}}
    body = {**config, "spec": {"revisionHistoryLimit": 5}}
    with pytest.raises(ApiError) as caught:
        registry.patch(resources.DEPLOYMENTS, "lab", "hello", patch.APPLY, body, manager="argocd")
    assert 'conflict with "kubectl-create" using apps/v1: .spec.revisionHistoryLimit' in caught.value.message


def test_an_owner_who_has_lost_every_entry_of_a_map_is_gone(registry: Registry) -> None:
    def put(manager: str, value: str) -> dict[str, Any]:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}, "data": {"key": value}}
        stored, _ = registry.patch(
            resources.CONFIGMAPS, "lab", "ssa", patch.APPLY, body, manager=manager, force=manager == "m2"
        )
        return stored

    put("m1", "0")
    stored = put("m2", "1")
    owners = [(entry["manager"], entry["fieldsV1"]) for entry in stored["metadata"]["managedFields"]]
    assert owners == [("m2", {"f:data": {"f:key": {}}})]
    with pytest.raises(ApiError, match=r'conflict with "m2": \.data\.key'):
        put("m1", "2")


def test_a_secret_written_twice_from_text_does_not_change(registry: Registry) -> None:
    body = {"metadata": {"name": "key"}, "stringData": {"a": "b"}}
    made = registry.create(resources.SECRETS, "lab", body)
    assert made["metadata"]["managedFields"][0]["fieldsV1"] == {"f:data": {".": {}, "f:a": {}}, "f:type": {}}
    again, _ = registry.patch(resources.SECRETS, "lab", "key", patch.MERGE, {"stringData": {"a": "b"}})
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
