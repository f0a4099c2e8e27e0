"""What is written of a canary and of stable, case by case."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary_manifests
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_manifests import Change
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import (
    ALONE,
    BESIDE,
    PREVIOUS,
    WEIGHT,
    Asked,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _selectors
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import CHANGE_CAUSE as CAUSE
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import FAILED
from unit.plugins.module_utils._strategy.canaries import (
    PROMOTED,
    STEPS,
    Object,
    canary,
    deployment,
    planned,
    seen,
)


def test_a_canary_that_is_yet_to_be_created() -> None:
    found = planned(seen(), version="2.0.0", steps=STEPS)
    new = _canary_manifests.made(seen(), Asked(version="2.0.0"))
    made = _canary_manifests.definition(new, found["steps"][0], 3, {"samples": 500, "errors": {}, "by": "versions"})
    assert (made["kind"], made["metadata"]["name"]) == ("Deployment", "hello-canary")
    noted = {BESIDE: "3", WEIGHT: "25", CAUSE: "canary 2.0.0 beside 1.0.0"}
    assert made["metadata"]["annotations"] == {**noted, ALONE: '{"errors": {}, "samples": 500}'}
    assert _canary_manifests.definition(new, found["steps"][0], 3)["metadata"]["annotations"] == noted
    assert made["spec"]["replicas"] == 1
    assert made["spec"]["selector"] == {"matchLabels": {"app": "hello", "track": "canary"}}
    template = made["spec"]["template"]
    assert template["metadata"]["labels"] == {"app": "hello", "track": "canary", "version": "2.0.0"}
    assert template["spec"]["containers"] == [{"name": "hello", "image": "kelseyhightower/hello:2.0.0"}]


def test_a_described_canary_takes_the_description_and_the_labels_that_stable_selects_by() -> None:
    described = {"metadata": {"labels": {"app": "hello", "track": "stable"}}, "spec": {"containers": [{"image": "x"}]}}
    stable = deployment(labels={"app": "hello", "team": "a", "version": "1.0.0"})
    found = planned(seen(stable), version="2.0.0", steps=STEPS, template=described)
    assert found["template"]["spec"] == described["spec"]
    assert found["template"]["metadata"]["labels"] == {
        "app": "hello",
        "team": "a",
        "track": "canary",
        "version": "2.0.0",
    }


def test_a_canary_that_exists_keeps_its_template_and_gets_replicas_and_a_weight() -> None:
    found = planned(seen(beside=canary()), version="2.0.0", steps=STEPS, template={"spec": {"containers": []}})
    assert found["template"]["spec"]["containers"]
    given = _canary_manifests.given({"weight": 50, "canary": 3, "stable": 3}, 3)
    assert given.patch(canary()) == [
        {"op": "add", "path": "/metadata/annotations/convoy.rollout~1weight", "value": "50"},
        {"op": "add", "path": "/spec/replicas", "value": 3},
    ]
    assert given.patch(canary(replicas=3, weight="50")) == []


def test_beyond_half_stable_gets_back_what_it_had() -> None:
    shrunk = seen(deployment(replicas=1), canary(replicas=3, weight="75"))
    assert _canary_manifests.restoration(shrunk, 3, False, Asked()) == Change(replicas=3)


def test_a_promotion_is_the_canarys_template_under_stables_labels() -> None:
    beside = canary(replicas=3, weight="100")
    beside["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "b"}]
    stable = deployment(replicas=0)
    change = _canary_manifests.promotion(seen(stable, beside), beside, 3, "2.0.0", "1.0.0")
    labels = {"app": "hello", "track": "stable", "version": "2.0.0"}
    assert change == Change(
        template={"metadata": {"labels": labels}, "spec": beside["spec"]["template"]["spec"]},
        replicas=3,
        annotations={CAUSE: "canary 2.0.0 promoted, before it 1.0.0", PREVIOUS: "1.0.0"},
    )
    assert [step["path"] for step in change.patch(stable)] == [
        "/metadata/annotations",
        "/metadata/annotations/kubernetes.io~1change-cause",
        "/metadata/annotations/convoy.rollout~1previous-version",
        "/spec/template",
        "/spec/replicas",
    ]


def test_a_promotion_that_was_made_is_not_made_again() -> None:
    beside = canary()
    change = _canary_manifests.promotion(seen(PROMOTED, beside), beside, 3, "2.0.0", "2.0.0")
    assert change.patch(PROMOTED) == []


def test_an_abort_in_the_middle_of_a_promotion_takes_stable_back() -> None:
    stable = deployment(version="2.0.0", annotations={PREVIOUS: "1.0.0", CAUSE: "canary"})

    def replica_set(version: str, revision: str, owner: str = "hello") -> Object:
        template = copy.deepcopy(deployment(version=version)["spec"]["template"])
        template["metadata"]["labels"]["pod-template-hash"] = revision
        annotations = {"deployment.kubernetes.io/revision": revision, CAUSE: f"cause {revision}"}
        owners = [{"uid": owner, "controller": True}]
        return {
            "metadata": {"annotations": annotations, "ownerReferences": owners},
            "spec": {"template": template},
        }

    sets = [
        replica_set("1.0.0", "3"),
        replica_set("1.0.0", "9"),
        replica_set("0.9.0", "10"),
        replica_set("2.0.0", "11"),
        replica_set("1.0.0", "12", "hello-green"),
    ]
    change = _canary_manifests.restoration(seen(stable, canary(), replica_sets=sets), 3, True, Asked())
    assert change == Change(
        template=deployment(version="1.0.0")["spec"]["template"],
        replicas=3,
        annotations={PREVIOUS: None, CAUSE: "cause 9", FAILED: "11"},
    )
    with pytest.raises(Failure, match=r"no ReplicaSet of 1\.0\.0 left"):
        _canary_manifests.restoration(seen(stable, canary(), replica_sets=sets[2:]), 3, True, Asked())


@pytest.mark.parametrize(
    ("labels", "selector", "after"),
    [
        ({"app": "hello"}, None, {"app": "hello"}),
        ({"app": "hello", "version": "1.0.0"}, None, {"app": "hello", "version": "2.0.0"}),
        # a label that is not the tag is somebody else's, and stays
        ({"app": "hello", "version": "v1"}, {"app": "hello", "version": "v1"}, {"app": "hello", "version": "v1"}),
    ],
)
def test_a_users_own_deployment(labels: Object, selector: Object | None, after: Object) -> None:
    state = seen(deployment(labels=labels, selector=selector))
    assert planned(state, version="2.0.0", steps=STEPS, promote=True)["stable"]["version"] == "1.0.0"
    new = _canary_manifests.made(state, Asked(version="2.0.0"))
    version = "v1" if labels.get("version") == "v1" else "2.0.0"
    assert new["spec"]["template"]["metadata"]["labels"] == {"app": "hello", "track": "canary", "version": version}
    assert new["spec"]["selector"]["matchLabels"] == {"app": "hello", "track": "canary"}
    promotion = _canary_manifests.promotion(state, new, 3, "2.0.0", "1.0.0")
    assert promotion.template is not None
    assert promotion.template["metadata"]["labels"] == after


def test_of_several_containers_the_one_that_is_named_gets_the_version() -> None:
    stable = deployment(labels={"app": "hello"})
    stable["spec"]["template"]["spec"]["containers"].append({"name": "log", "image": "log:7"})
    found = planned(seen(stable), version="2.0.0", steps=STEPS, container="hello")
    images = [item["image"] for item in found["template"]["spec"]["containers"]]
    assert images == ["kelseyhightower/hello:2.0.0", "log:7"]
    by_itself = planned(seen(stable), version="2.0.0", steps=STEPS)  # it has the Deployment's name
    assert by_itself["template"] == found["template"]
    stable["spec"]["template"]["spec"]["containers"][0]["name"] = "web"
    with pytest.raises(Failure, match=r"several containers \(web, log\)"):
        planned(seen(stable), version="2.0.0", steps=STEPS)
    stable["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": "web"}
    annotated = planned(seen(stable), version="2.0.0", steps=STEPS)
    assert annotated["template"]["spec"]["containers"][0] == {"name": "web", "image": "kelseyhightower/hello:2.0.0"}


def test_what_another_tool_finds_its_own_by_is_not_copied_to_the_canarys_deployment_but_its_pods_keep_it() -> None:
    labels = {"app": "hello", "app.kubernetes.io/instance": "shop", "track": "stable", "version": "1.0.0"}
    stable = deployment(labels=labels, selector={"app": "hello", "track": "stable"})
    stable["metadata"]["labels"] = {
        **labels,
        "team": "red",
        "helm.sh/chart": "shop-1",
        "app.kubernetes.io/managed-by": "Helm",
        "kustomize.toolkit.fluxcd.io/name": "apps",
        "tanka.dev/environment": "x",
    }
    stable["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:default/hello",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "deployment.kubernetes.io/revision": "7",
    }
    stable["metadata"]["ownerReferences"] = [{"kind": "Rollout", "name": "x", "uid": "1"}]
    stable["metadata"]["finalizers"] = ["example.com/x"]
    new = _canary_manifests.made(seen(stable), Asked(version="2.0.0"))
    assert new["metadata"]["labels"] == {"app": "hello", "track": "canary", "version": "1.0.0", "team": "red"}
    assert set(new["metadata"]) == {"name", "labels", "annotations"}
    assert list(new["metadata"]["annotations"]) == ["kubernetes.io/change-cause"]
    assert new["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/instance"] == "shop"


@pytest.mark.parametrize(
    ("image", "given", "expected"),
    [
        ("reg:5000/team/hello:v1.0.0", "", "reg:5000/team/hello:v2.0.0"),
        ("reg:5000/team/hello", "", "reg:5000/team/hello:v2.0.0"),
        ("reg/hello:v1.0.0@sha256:12", "reg/other", "reg/other:v2.0.0"),
    ],
)
def test_the_image_of_a_canary(image: str, given: str, expected: str) -> None:
    stable = deployment()
    stable["spec"]["template"]["spec"]["containers"][0]["image"] = image
    new = _canary_manifests.made(seen(stable), Asked(version="v2.0.0", image=given))
    assert new["spec"]["template"]["spec"]["containers"][0]["image"] == expected


def test_an_image_that_is_pinned_by_a_digest_takes_no_version_unless_the_image_is_given() -> None:
    stable = deployment()
    stable["spec"]["template"]["spec"]["containers"][0]["image"] = "reg/hello@sha256:12"
    with pytest.raises(Failure, match=r"pinned by its digest.*set canary_image to its name without tag and digest"):
        _canary_manifests.made(seen(stable), Asked(version="2.0.0"))


@pytest.mark.parametrize(
    "rule",
    [
        {"key": "app", "operator": "In", "values": ["hello", "other"]},
        {"key": "legacy", "operator": "DoesNotExist"},
        {"key": "tier", "operator": "NotIn", "values": ["batch"]},
    ],
)
def test_a_canary_selects_its_own_pods_by_expressions_too(rule: Object) -> None:
    stable = deployment(selector={"app": "hello"})
    stable["spec"]["selector"] = {"matchExpressions": [rule, {"key": "track", "operator": "NotIn", "values": ["x"]}]}
    new = _canary_manifests.made(seen(stable), Asked(version="2.0.0"))
    selector, labels = new["spec"]["selector"], new["spec"]["template"]["metadata"]["labels"]
    assert selector == {"matchLabels": {"track": "canary"}, "matchExpressions": [rule]}
    assert _selectors.matches(selector, labels)
    assert not _selectors.matches(selector, stable["spec"]["template"]["metadata"]["labels"])
