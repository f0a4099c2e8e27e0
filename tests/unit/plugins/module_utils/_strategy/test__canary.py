"""How far a canary is and what is left to do, case by case."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary import (
    BESIDE,
    CAUSE,
    FAILED,
    HELD,
    PREVIOUS,
    WEIGHT,
    Asked,
    Seen,
    merge_patch,
    plan,
    seconds,
)
from hypothesis import given
from hypothesis import strategies as st

Object = dict[str, t.Any]
STEPS = [{"weight": 25.0, "pause": "5m"}, {"weight": 50.0, "pause": "0"}]
WIDE = [*STEPS, {"weight": 75.0, "pause": "0"}, {"weight": 100.0, "pause": "0"}]


def deployment(
    name: str = "hello",
    version: str = "1.0.0",
    replicas: int = 3,
    *,
    labels: Object | None = None,
    selector: Object | None = None,
    annotations: Object | None = None,
    **spec: t.Any,
) -> Object:
    """A Deployment of hello whose rollout is complete."""
    labels = {"app": "hello", "track": "stable", "version": version} if labels is None else labels
    counted = {"replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}
    return {
        "metadata": {"name": name, "uid": name, "namespace": "default", "generation": 1, "annotations": annotations},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selector or {k: v for k, v in labels.items() if k != "version"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "hello", "image": f"kelseyhightower/hello:{version}"}]},
            },
            **spec,
        },
        "status": {"observedGeneration": 1, **counted},
    }


PROMOTED = deployment(version="2.0.0", annotations={PREVIOUS: "1.0.0"})


def canary(version: str = "2.0.0", replicas: int = 1, weight: str = "25", **annotations: str) -> Object:
    """Its canary, begun beside three copies."""
    return deployment(
        "hello-canary",
        version,
        replicas,
        labels={"app": "hello", "track": "canary", "version": version},
        annotations={WEIGHT: weight, BESIDE: "3", **annotations},
    )


def service(**selector: str) -> Object:
    """The Service hello."""
    return {"metadata": {"name": "hello"}, "spec": {"selector": selector or {"app": "hello"}}}


def seen(stable: Object | None = None, beside: Object | None = None, **more: t.Any) -> Seen:
    """What a cluster has."""
    stable = stable or deployment()
    more.setdefault("service", service())
    more.setdefault("deployments", [stable, *([beside] if beside else [])])
    return Seen(stable=stable, canary=beside, **more)


def planned(state: Seen, **asked: t.Any) -> Object:
    """The plan for a state."""
    return plan(state, Asked(**asked))


def weights(found: Object) -> list[float]:
    """The weights that are left."""
    return [step["weight"] for step in found["steps"]]


@pytest.mark.parametrize(
    ("state", "asked", "phase", "left", "promote", "abort"),
    [
        (seen(), {"version": "2.0.0", "steps": STEPS}, "stable", [25, 50], False, False),
        (seen(), {"version": "2.0.0", "steps": STEPS, "promote": True}, "stable", [25, 50], True, False),
        (seen(), {"version": "1.0.0", "steps": STEPS}, "stable", [], False, False),
        (seen(), {"version": "1.0.0", "steps": STEPS, "promote": True}, "stable", [], False, False),
        (seen(), {"abort": True, "steps": STEPS}, "stable", [], False, False),
        (seen(), {}, "stable", [], False, False),
        (seen(beside=canary()), {"version": "2.0.0", "steps": STEPS}, "canary", [25, 50], False, False),
        (seen(beside=canary(replicas=3, weight="50")), {"steps": STEPS}, "canary", [50], False, False),
        (seen(beside=canary(replicas=3, weight="50")), {"steps": STEPS, "promote": True}, "canary", [50], True, False),
        # a canary that was taken further than the steps say is promoted from there
        (seen(beside=canary(weight="50")), {"steps": STEPS[:1], "promote": True}, "canary", [50], True, False),
        # what kubectl made has had no weight yet
        (seen(beside=canary(weight="none")), {"steps": STEPS}, "canary", [25, 50], False, False),
        (seen(beside=canary()), {"abort": True, "steps": STEPS}, "canary", [], False, True),
        # a promotion that was cut off goes on, whoever asks
        (seen(PROMOTED, canary()), {"version": "2.0.0", "steps": STEPS}, "promoting", [], True, False),
        (seen(PROMOTED, canary()), {}, "promoting", [], True, False),
        # one that is over stays so
        (seen(PROMOTED), {"promote": True}, "stable", [], False, False),
    ],
)  # fmt: skip
def test_phases(state: Seen, asked: Object, phase: str, left: list[float], promote: bool, abort: bool) -> None:
    found = planned(state, **asked)
    assert (found["phase"], weights(found), found["promote"], found["abort"]) == (phase, left, promote, abort)


def test_a_canary_that_is_yet_to_be_made() -> None:
    found = planned(seen(), version="2.0.0", steps=STEPS)
    assert found["steps"][0] == {
        "weight": 25,
        "pause": 300,
        "canary": 1,
        "stable": 3,
        "share": 0.25,
        "message": "asked 25%: 1 of 4 pods gives 25%",
    }
    made = found["definition"]
    assert (made["kind"], made["metadata"]["name"]) == ("Deployment", "hello-canary")
    assert made["metadata"]["annotations"] == {BESIDE: "3", CAUSE: "canary 2.0.0 beside 1.0.0"}
    assert made["spec"]["selector"] == {"matchLabels": {"app": "hello", "track": "canary"}}
    template = made["spec"]["template"]
    assert template["metadata"]["labels"] == {"app": "hello", "track": "canary", "version": "2.0.0"}
    assert template["spec"]["containers"] == [{"name": "hello", "image": "kelseyhightower/hello:2.0.0"}]
    assert found["canary"] == {
        "deployment": "hello-canary",
        "exists": False,
        "version": "2.0.0",
        "replicas": 0,
        "complete": False,
        "weight": 0,
    }


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


def test_a_canary_that_exists_keeps_its_template() -> None:
    found = planned(seen(beside=canary()), version="2.0.0", steps=STEPS, template={"spec": {"containers": []}})
    assert found["template"]["spec"]["containers"]
    assert set(found["definition"]) == {"apiVersion", "kind", "metadata", "spec"}
    assert found["definition"]["spec"] == {}


def test_a_pause_that_was_held_is_not_repeated() -> None:
    found = planned(seen(beside=canary(**{HELD: "25"})), version="2.0.0", steps=STEPS)
    assert [step["pause"] for step in found["steps"]] == [0, 0]
    assert planned(seen(beside=canary()), version="2.0.0", steps=STEPS)["steps"][0]["pause"] == 300


def test_beyond_half_stable_shrinks_and_what_it_had_is_remembered() -> None:
    shrunk = seen(deployment(replicas=1), canary(replicas=3, weight="75"))
    found = planned(shrunk, version="2.0.0", steps=WIDE)
    assert found["stable"]["copies"] == 3
    assert [(step["canary"], step["stable"]) for step in found["steps"]] == [(3, 1), (3, 0)]
    assert planned(shrunk, abort=True)["restoration"] == {"spec": {"replicas": 3}}
    assert found["definition"]["metadata"]["annotations"][BESIDE] == "3"


def test_stable_that_is_scaled_meanwhile_changes_what_a_weight_means() -> None:
    found = planned(seen(deployment(replicas=6), canary()), version="2.0.0", steps=STEPS)
    assert (found["steps"][0]["canary"], found["steps"][0]["stable"]) == (2, 6)


def test_a_promotion_is_the_canarys_template_under_stables_labels() -> None:
    beside = canary(replicas=3, weight="100")
    beside["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "b"}]
    found = planned(seen(deployment(replicas=0), beside), promote=True, steps=[{"weight": 100.0}])
    assert found["promotion"] == {
        "metadata": {"annotations": {CAUSE: "canary 2.0.0 promoted, before it 1.0.0", PREVIOUS: "1.0.0"}},
        "spec": {
            "replicas": 3,
            "template": {
                "metadata": {"labels": {"version": "2.0.0"}},
                "spec": {"containers": beside["spec"]["template"]["spec"]["containers"]},
            },
        },
    }


def test_a_promotion_that_was_made_is_not_made_again() -> None:
    found = planned(seen(PROMOTED, canary()), promote=True)
    assert (found["phase"], found["promotion"]) == ("promoting", {})


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
    found = planned(seen(stable, canary(), replica_sets=sets), abort=True)
    assert found["restoration"] == {
        "metadata": {"annotations": {PREVIOUS: None, CAUSE: "cause 9", FAILED: "11"}},
        "spec": {
            "template": {
                "metadata": {"labels": {"version": "1.0.0"}},
                "spec": {"containers": [{"name": "hello", "image": "kelseyhightower/hello:1.0.0"}]},
            }
        },
    }
    with pytest.raises(Failure, match=r"no ReplicaSet of 1\.0\.0 left"):
        planned(seen(stable, canary(), replica_sets=sets[2:]), abort=True)


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
    stable = deployment(labels=labels, selector=selector)
    found = planned(seen(stable), version="2.0.0", steps=STEPS, promote=True)
    assert found["stable"]["version"] == "1.0.0"
    version = "v1" if labels.get("version") == "v1" else "2.0.0"
    assert found["template"]["metadata"]["labels"] == {"app": "hello", "track": "canary", "version": version}
    assert found["definition"]["spec"]["selector"]["matchLabels"] == {"app": "hello", "track": "canary"}
    patched = labels | found["promotion"]["spec"]["template"].get("metadata", {}).get("labels", {})
    assert patched == after


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


def scaler(name: str = "hello") -> Object:
    """An autoscaler of a Deployment."""
    return {"metadata": {"name": "auto"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": name}}}


@pytest.mark.parametrize(
    ("state", "asked", "said"),
    [
        (seen(beside=canary()), {"version": "3.0.0"}, r"canary of hello 2\.0\.0 runs already.*so 3\.0\.0 cannot start"),
        (seen(), {"promote": True, "abort": True}, "not both"),
        (seen(), {"promote": True}, "no canary of hello to promote"),
        (seen(), {"steps": [{"weight": 101.0}]}, "The weight of a step is 101; it must be above 0 and at most 100"),
        (seen(), {"steps": [{"weight": 0.0}]}, "must be above 0"),
        (seen(), {"steps": [{"weight": 50.0}, {"weight": 25.0}]}, "go from 50% to 25%"),
        (seen(), {"steps": [{"weight": 25.0, "pause": "soon"}]}, "'soon' is none"),
        (seen(beside=canary(weight="50")), {"steps": STEPS[:1]}, "has 50% already, so it cannot go down to 25%"),
        (
            seen(),
            {"steps": [{"weight": 10.0}]},
            r"1 of 4 pods gives 25%; 10% needs 9 stable and 1 canary, 6 more stable pods.*tolerance of 15",
        ),
        (seen(service=service(app="hello", version="1.0.0")), {}, "pinned to version 1.0.0"),
        (seen(service=service(app="hello", track="stable")), {}, "selects track=stable, which a canary's pods do not"),
        (seen(service=service(app="other")), {}, "does not lead to Deployment hello"),
        (seen(service={"metadata": {"name": "hello"}, "spec": {}}), {}, "has no selector"),
        (seen(deployments=[deployment("hello-green", labels={"app": "hello"})]), {}, "hello-green is behind Service"),
        (seen(deployment(replicas=0)), {}, "has no copies for a canary to stand beside"),
        (seen(deployment(paused=True)), {}, "is paused; resume it first"),
        (seen(deployment() | {"status": {"observedGeneration": 1}}), {}, r"not complete \(0 of 3 new pods exist\)"),
        (seen(deployment(labels={"app": "hello", "track": "canary"})), {}, "track=canary themselves"),
        (seen(beside=deployment("hello-canary", labels={"app": "bird"})), {}, "is not a canary of hello"),
        (seen(deployment(replicas=5), canary(weight="75")), {"steps": WIDE}, "has 5 copies, but .* should have 1"),
        (seen(scalers=[scaler()]), {"steps": WIDE}, "HorizontalPodAutoscaler auto owns .* 50% at most"),
        (seen(deployment(labels={"app": "hello"}), scalers=[scaler()]), {}, "would count them as its own"),
        (seen(deployment(strategy={"type": "Recreate"})), {"promote": True, "steps": STEPS[:1]}, "strategy Recreate"),
    ],
)
def test_what_is_refused(state: Seen, asked: Object, said: str) -> None:
    if state.canary is None and ("promote" not in asked or "steps" in asked):
        asked = {"version": "2.0.0", **asked}
    with pytest.raises(Failure, match=said):
        planned(state, **{"steps": STEPS, **asked})


def test_an_autoscaler_of_something_else_does_not_matter_and_up_to_half_its_own_does_not_either() -> None:
    assert planned(seen(scalers=[scaler("auth")]), version="2.0.0", steps=WIDE)["scaler"] == ""
    found = planned(seen(scalers=[scaler()]), version="2.0.0", steps=STEPS)
    assert (found["scaler"], weights(found)) == ("auto", [25, 50])


def test_a_weight_that_is_out_of_reach_is_accepted_by_a_tolerance() -> None:
    found = planned(seen(), version="2.0.0", steps=[{"weight": 10.0}], tolerance=15)
    assert found["steps"][0]["message"] == "asked 10%: 1 of 4 pods gives 25%"


def ends(**tracks: bool) -> tuple[list[Object], list[Object]]:
    """Pods by name, and an EndpointSlice with those of them that have an endpoint, ready or not."""
    pods = [
        {"metadata": {"name": name, "labels": {"track": "canary" if name.startswith("c") else "stable"}}}
        for name in tracks
    ]
    endpoints = [
        {"targetRef": {"kind": "Pod", "name": name}, "conditions": {"ready": ready}} for name, ready in tracks.items()
    ]
    return pods, [{"endpoints": endpoints}]


@pytest.mark.parametrize(
    ("tracks", "ready", "settled", "shares"),
    [
        ({"s1": True, "s2": True, "s3": True, "c1": True}, (3, 1), True, {"1.0.0": 0.75, "2.0.0": 0.25}),
        ({"s1": True, "s2": True, "s3": False, "c1": True}, (2, 1), False, {"1.0.0": 2 / 3, "2.0.0": 1 / 3}),
        ({"s1": True, "s2": True, "s3": True}, (3, 0), False, {"1.0.0": 1.0}),
        ({}, (0, 0), False, {}),
    ],
)
def test_shares_are_those_of_the_ready_endpoints(
    tracks: dict[str, bool], ready: tuple[int, int], settled: bool, shares: Object
) -> None:
    pods, slices = ends(**tracks)
    found = planned(seen(beside=canary(), pods=pods, slices=slices), version="2.0.0")
    assert (found["ready"]["stable"], found["ready"]["canary"]) == ready
    assert found["settled"] is settled
    assert found["shares"] == shares


def test_a_pod_with_addresses_of_both_families_is_one_endpoint() -> None:
    pods, slices = ends(s1=True, s2=True, s3=True, c1=True)
    found = planned(seen(beside=canary(), pods=pods, slices=[*slices, *slices]))
    assert (found["ready"], found["settled"]) == ({"stable": 3, "canary": 1}, True)


def test_an_endpoint_of_a_pod_that_is_gone_is_not_settled() -> None:
    pods, slices = ends(s1=True, s2=True, s3=True, c1=True)
    slices[0]["endpoints"].append({"targetRef": {"name": "x"}})
    assert not planned(seen(beside=canary(), pods=pods, slices=slices))["settled"]


@pytest.mark.parametrize(
    ("steps", "promote", "spec", "needed"),
    [
        (STEPS[:1], False, {}, 1),
        (STEPS, False, {}, 3),
        (WIDE, False, {}, 3),
        (STEPS[:1], True, {}, 2),  # one of the canary and one of the rolling update
        (STEPS, True, {"strategy": {"rollingUpdate": {"maxSurge": 2}}}, 5),
        (STEPS, True, {"strategy": {"rollingUpdate": {"maxSurge": "100%"}}}, 6),
        (STEPS, True, {"strategy": {"type": "Recreate"}}, 3),
    ],
)
def test_how_many_more_pods_there_will_be(steps: list[Object], promote: bool, spec: Object, needed: int) -> None:
    pods, slices = ends(s1=True, s2=True, s3=True)
    state = seen(deployment(**spec), pods=pods, slices=slices)
    assert planned(state, version="2.0.0", steps=steps, promote=promote)["needed"] == needed


def test_the_service_is_the_one_that_leads_to_the_deployment() -> None:
    other = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "hello"}}}
    foreign = {"metadata": {"name": "auth"}, "spec": {"selector": {"app": "auth"}}}
    stable = deployment()
    assert _canary.service_of([foreign, other], stable, "")["metadata"]["name"] == "web"
    assert _canary.service_of([other, service()], stable, "")["metadata"]["name"] == "hello"
    assert _canary.service_of([other, service()], stable, "web")["metadata"]["name"] == "web"
    third = {"metadata": {"name": "api"}, "spec": {"selector": {"app": "hello"}}}
    for services, asked, said in (
        ([foreign], "", "no Service that leads to Deployment hello"),
        ([other, third], "", r"Several Services lead to Deployment hello \(api, web\)"),
        ([service()], "web", "no Service web in namespace default"),
    ):
        with pytest.raises(Failure, match=said):
            _canary.service_of(services, stable, asked)


@pytest.mark.parametrize(
    ("pause", "count"), [(0, 0), ("90", 90), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2m5", 125)]
)
def test_pauses(pause: object, count: int) -> None:
    assert seconds(pause) == count


KEYS = st.sampled_from("abc")
FLAT = st.dictionaries(KEYS, st.integers(0, 2), max_size=3)
OBJECTS = st.dictionaries(KEYS, st.integers(0, 2) | st.lists(FLAT, max_size=2) | FLAT, max_size=3)


def patched(target: t.Any, patch: t.Any) -> t.Any:
    """A JSON merge patch applied, word for word as RFC 7396 has it."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = patched(target.get(name), value)
    return target


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_makes_the_one_of_the_other(before: Object, after: Object) -> None:
    patch = merge_patch(before, after)
    assert patched(before, patch) == after
    assert merge_patch(after, after) == {}
