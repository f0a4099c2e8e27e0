"""Room is what the sandbox's scheduler makes of it, one pod after the other, and what its quotas admit."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._workload._amounts import requests
from ansible_collections.convoy.rollout.plugins.module_utils._workload._capacity import Scene, room
from ansible_collections.convoy.rollout.plugins.module_utils._workload._quotas import lacking
from convoy_sandbox import quantities, quota
from convoy_sandbox.controllers import scheduler
from hypothesis import given
from hypothesis import strategies as st

Object = dict[str, t.Any]
CPU = st.sampled_from(["0", "50m", "0.1", "250m", "1"])
MEMORY = st.sampled_from(["0", "32Mi", "100M", "0.25Gi"])
AMOUNTS = st.fixed_dictionaries(
    {}, optional={"cpu": CPU, "memory": MEMORY, "ephemeral-storage": MEMORY, "example.com/gpu": st.just("1")}
)
CONTAINER = st.builds(lambda amounts: {"name": "c", "resources": {"requests": amounts}}, AMOUNTS)
INIT = st.builds(
    lambda made, sidecar: made | ({"restartPolicy": "Always"} if sidecar else {}), CONTAINER, st.booleans()
)
KEYS, VALUES = st.sampled_from(["zone", "cores"]), st.sampled_from(["a", "b", "2", "8"])
EFFECTS = st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"])
TAINT = st.fixed_dictionaries({"key": KEYS, "value": VALUES, "effect": EFFECTS})
TOLERATION = st.one_of(
    st.fixed_dictionaries({"key": KEYS, "value": VALUES}, optional={"effect": EFFECTS}),
    st.fixed_dictionaries({"operator": st.just("Exists")}, optional={"key": KEYS, "effect": EFFECTS}),
)
RULE = st.one_of(
    st.fixed_dictionaries(
        {"key": KEYS, "operator": st.sampled_from(["In", "NotIn"]), "values": st.lists(VALUES, min_size=1, max_size=2)}
    ),
    st.fixed_dictionaries({"key": KEYS, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
    st.fixed_dictionaries(
        {"key": KEYS, "operator": st.sampled_from(["Gt", "Lt"]), "values": st.sampled_from([["2"], ["4"]])}
    ),
)
NAMED = st.builds(
    lambda operator, name: {"key": "metadata.name", "operator": operator, "values": [name]},
    st.sampled_from(["In", "NotIn"]),
    st.sampled_from(["node-0", "node-1"]),
)
TERM = st.fixed_dictionaries(
    {}, optional={"matchExpressions": st.lists(RULE, max_size=2), "matchFields": st.lists(NAMED, max_size=1)}
)
AFFINITY = st.builds(
    lambda terms: {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}},
    st.lists(TERM, min_size=1, max_size=2),
)
SPEC = st.fixed_dictionaries(
    {"containers": st.lists(CONTAINER, min_size=1, max_size=2)},
    optional={
        "initContainers": st.lists(INIT, max_size=3),
        "tolerations": st.lists(TOLERATION, max_size=2),
        "nodeSelector": st.dictionaries(KEYS, VALUES, max_size=1),
        "affinity": AFFINITY,
    },
)


@st.composite
def nodes(draw: st.DrawFn) -> list[Object]:
    """A few small nodes, some of them no place for most pods."""
    made = []
    for number in range(draw(st.integers(0, 3))):
        allocatable = {
            "cpu": draw(st.sampled_from(["500m", "1", "2"])),
            "memory": draw(st.sampled_from(["256Mi", "1Gi"])),
            "ephemeral-storage": "1Gi",
            "pods": draw(st.sampled_from(["2", "5"])),
        } | draw(st.fixed_dictionaries({}, optional={"example.com/gpu": st.just("3")}))
        made.append(
            {
                "metadata": {"name": f"node-{number}", "labels": draw(st.dictionaries(KEYS, VALUES, max_size=2))},
                "spec": draw(
                    st.fixed_dictionaries(
                        {}, optional={"unschedulable": st.booleans(), "taints": st.lists(TAINT, max_size=2)}
                    )
                ),
                "status": {
                    "allocatable": allocatable,
                    "conditions": [{"type": "Ready", "status": draw(st.sampled_from(["True", "True", "Unknown"]))}],
                },
            }
        )
    return made


def pod(spec: Object, on: str = "") -> Object:
    """A pod, on a node or about to be placed."""
    return {"metadata": {"name": "p"}, "spec": spec | ({"nodeName": on} if on else {}), "status": {"phase": "Running"}}


def placed_one_by_one(spec: Object, where: list[Object], running: list[Object]) -> int:
    """How many replicas the scheduler's own rules bind until it finds no node for the next."""
    there, replicas = list(running), 0
    while True:
        for node in where:
            name = node["metadata"]["name"]
            left = scheduler.free(node, [item for item in there if item["spec"].get("nodeName") == name])
            if not scheduler.obstacle(pod(spec), node) and not scheduler.shortage(scheduler.requests(pod(spec)), left):
                there.append(pod(spec, name))
                replicas += 1
                break
        else:
            return replicas


@given(SPEC, nodes(), st.lists(SPEC, max_size=3), st.integers(0, 12))
def test_as_many_fit_as_the_scheduler_places(
    spec: Object, where: list[Object], others: list[Object], replicas: int
) -> None:
    running = [
        pod(other, where[number % len(where)]["metadata"]["name"]) for number, other in enumerate(others) if where
    ]
    said = room({"spec": spec}, replicas, Scene(nodes=where, pods=running))
    assert said.most == placed_one_by_one(spec, where, running)
    assert (said.missing is None) == (replicas <= said.most)


@given(SPEC)
def test_a_pod_requests_what_the_scheduler_counts(spec: Object) -> None:
    counted = {name: amount for name, amount in scheduler.requests(pod(spec)).items() if name != "pods" and amount}
    assert {name: amount for name, amount in requests(spec).items() if amount} == counted


@given(
    st.lists(CONTAINER, min_size=1, max_size=2),
    st.dictionaries(
        st.sampled_from(["pods", "requests.cpu", "memory", "requests.memory", "requests.example.com/gpu"]),
        CPU,
        min_size=1,
    ),
)
def test_as_many_fit_as_quotas_admit(containers: list[Object], hard: dict[str, str]) -> None:
    spec = {"containers": containers}
    usage = quota.pod_usage(pod(spec))
    fits = [
        replicas
        for replicas in range(30)
        if all(replicas * usage.get(name, 0) <= quantities.parse(most) for name, most in hard.items())
    ]
    node = {
        "metadata": {"name": "a"},
        "status": {
            "allocatable": {"cpu": "99", "memory": "99Gi", "ephemeral-storage": "99Gi", "example.com/gpu": "99"}
            | {"pods": "29"}
        },
    }
    asked = {"metadata": {"name": "q"}, "status": {"hard": hard}}
    # A quota on requests has every container name one.
    lacks = any(lacking(asked, spec))
    assert room({"spec": spec}, 1, Scene(nodes=[node], quotas=[asked])).most == (0 if lacks else max(fits))
