"""What is to be done for a cluster to be there, or to be gone."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _clusters

Object = dict[str, t.Any]
DEFAULTS = {name: option.get("default") for name, option in _clusters.REQUEST.items()}
OK: Object = {"rc": 0, "stdout": "", "stderr": "", "stdout_lines": []}
GKE: Object = {"gke_project": "shop", "gke_location": "us-central1-a"}
POOL: Object = {"name": "convoy", "initialNodeCount": 5, "config": {"machineType": "n1-standard-1"}}
RUNS: Object = {"nodes": 5, "node_cpu": "1", "node_memory": "3.75Gi"}


def asked(provider: str, **more: t.Any) -> Object:
    """A request."""
    return {**DEFAULTS, "provider": provider, "name": "lab", "kubeconfig": "/home/me/lab/kubeconfig", **more}


def lines(*names: str, **more: t.Any) -> Object:
    """What a command printed."""
    return {**OK, "stdout_lines": list(names), **more}


def planned(request: Object, check_mode: bool = False, **seen: t.Any) -> _clusters.Plan:
    return _clusters.plan(request, seen, check_mode=check_mode)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (asked("existing", state="absent"), "lab was created elsewhere"),
        (asked("existing", nodes=0), "cluster_nodes is 0; a cluster has at least one node."),
        (asked("kind", kubeconfig=""), "Set cluster_kubeconfig of lab"),
        (
            asked("sandbox", kubeconfig="kubeconfig"),
            "sandbox is <directory>/<name>/kubeconfig, not kubeconfig",
        ),
        (asked("gke"), "Set cluster_gke_project and cluster_gke_location of lab"),
        (
            asked("gke", **GKE, gke_auth_kind="serviceaccount", gke_service_account_file="/no"),
            "account file /no",
        ),
        (asked("gke", **GKE, gke_auth_kind="accesstoken"), "Set cluster_gke_access_token"),
    ],
)
def test_what_cannot_be_asked_for(request_: Object, said: str) -> None:
    with pytest.raises(Failure, match=said):
        planned(request_)


def test_all_that_stands_against_a_request_is_said_at_once() -> None:
    with pytest.raises(Failure, match=r"cluster_nodes is 0; .*\. Set cluster_kubeconfig of lab"):
        planned(asked("kind", kubeconfig="", nodes=0))


SIZES = {"sandbox": {"status": {**OK, "stdout": json.dumps([RUNS])}}, "kind": {"clusters": lines("lab"), "docker": OK}}
NONE = {"sandbox": {"status": {**OK, "stdout": "[]"}}, "kind": {"clusters": lines("other"), "docker": OK}}


@pytest.mark.parametrize("provider", ["sandbox", "kind"])
@pytest.mark.parametrize(
    ("there", "state", "check_mode", "create", "remove", "ends_there", "words"),
    [
        (False, "present", False, True, False, True, 0),
        (False, "present", True, False, False, False, 1),
        (True, "present", False, False, False, True, 0),
        (True, "present", True, False, False, True, 0),
        (True, "absent", False, False, True, False, 0),
        (True, "absent", True, False, False, False, 1),
        (False, "absent", True, False, False, False, 0),
    ],
)
def test_what_is_done(
    provider: str, there: bool, state: str, check_mode: bool, create: bool, remove: bool, ends_there: bool, words: int
) -> None:
    seen = (SIZES if there else NONE)[provider]
    plan = planned(asked(provider, state=state), check_mode, **seen)
    assert (plan.create, plan.remove, plan.ends_there, len(plan.changes)) == (create, remove, ends_there, words)


def test_a_sandbox_says_where_it_is_and_what_is_wrong_with_it() -> None:
    assert planned(asked("sandbox")).facts == {"directory": "/home/me", "name": "lab"}
    for status, said in (
        ({"rc": 2}, "convoy-sandbox was not found; install it with pip install"),
        ({"rc": 1, "stderr": "Its folder is not ours.\n"}, r"^Its folder is not ours\.$"),
        (
            {**OK, "stdout": json.dumps([{**RUNS, "node_cpu": "2"}])},
            "of 2 cpu .* not 5 nodes of 1 cpu .* remove it",
        ),
    ):
        with pytest.raises(Failure, match=said):
            planned(asked("sandbox"), status=status)
    bigger = planned(asked("sandbox", state="absent", nodes=7), status={**OK, "stdout": json.dumps([RUNS])})
    assert bigger.remove


def test_kind_has_one_control_plane_and_the_image_that_is_asked_for() -> None:
    config = json.loads(planned(asked("kind", nodes=3, kind_image="kindest/node:v1.36.2")).facts["config"])
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
    assert {node["image"] for node in config["nodes"]} == {"kindest/node:v1.36.2"}
    assert json.loads(planned(asked("kind", nodes=1)).facts["config"])["nodes"] == [{"role": "control-plane"}]


def test_kind_needs_an_engine_its_program_and_the_right_size() -> None:
    skipped, missing = {"skipped": True}, {"rc": 2}
    for seen, said in (
        ({"docker": missing, "podman": missing, "clusters": lines()}, "needs Docker or Podman"),
        ({"docker": OK, "podman": skipped, "clusters": missing}, "does not work here: the program was not found"),
        (
            {"docker": OK, "clusters": lines("lab"), "nodes": lines("a", "b")},
            "has 2 nodes, not 5, and kind cannot",
        ),
        (
            {"docker": OK, "clusters": lines("lab"), "nodes": {"rc": 1, "stderr": "gone"}},
            "list the nodes of its cluster lab: gone",
        ),
    ):
        with pytest.raises(Failure, match=said):
            planned(asked("kind"), **seen)
    assert planned(asked("kind"), docker={"rc": 1}, podman=OK, clusters=lines(), nodes=skipped).create


def gke(check_mode: bool = False, clusters: t.Sequence[Object] = (), **more: t.Any) -> _clusters.Plan:
    return planned(asked("gke", **GKE, **more), check_mode, clusters=list(clusters))


def test_gke_goes_on_where_a_creation_was_cut_off() -> None:
    made = gke()
    assert (made.create, made.facts["create_pool"], made.facts["remove_first_pool"]) == (True, True, False)
    cut = gke(clusters=[{"name": "lab", "nodePools": [{"name": "default-pool"}]}, {"name": "other"}])
    assert (cut.create, cut.facts["create_pool"], cut.facts["remove_first_pool"]) == (False, True, True)
    done = gke(clusters=[{"name": "lab", "nodePools": [POOL], "endpoint": "192.0.2.1"}])
    assert (done.create, done.facts["create_pool"], done.facts["remove_first_pool"]) == (False, False, False)
    assert (done.ends_there, done.facts["endpoint"]) == (True, "192.0.2.1")
    own = gke(clusters=[{"name": "lab", "nodePools": [{**POOL, "name": "default-pool"}]}], gke_node_pool="default-pool")
    assert not own.facts["remove_first_pool"]


def test_gke_in_check_mode_does_nothing_and_says_each_thing() -> None:
    plan = gke(check_mode=True)
    assert (plan.create, plan.facts["create_pool"], plan.ends_there) == (False, False, False)
    assert plan.changes == [
        "GKE cluster lab would be created.",
        "Node pool convoy would be created with 5 nodes of n1-standard-1.",
    ]
    gone = gke(check_mode=True, clusters=[{"name": "lab"}], state="absent")
    assert (gone.remove, gone.changes) == (False, ["GKE cluster lab would be deleted."])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"status": "ERROR", "statusMessage": "no quota"}, "GKE cluster lab is in state ERROR: no quota; remove it"),
        ({"status": "DEGRADED"}, "Google gives no reason"),
        ({"nodePools": [{**POOL, "status": "ERROR"}]}, "Node pool convoy of GKE cluster lab is in state ERROR"),
        ({"nodePools": [{**POOL, "initialNodeCount": 3}]}, "with 3 nodes of n1-standard-1, not 5 of n1-standard-1"),
    ],
)
def test_a_gke_cluster_that_does_not_work_or_has_another_size_is_refused_but_can_be_removed(
    found: Object, said: str
) -> None:
    with pytest.raises(Failure, match=said):
        gke(clusters=[{"name": "lab", **found}])
    assert gke(clusters=[{"name": "lab", **found}], state="absent").remove


def test_the_result_has_what_was_read_and_the_lines_say_it() -> None:
    read = ("context", "server_version", "nodes", "ready", "allocatable", "missing", "message")
    info = {**dict.fromkeys(read), "context": "", "message": "Kubernetes v1.36.2.", "failed": False}
    result = _clusters.result(asked("kind"), info)
    assert set(result) == {"provider", "name", "kubeconfig", *read}
    assert _clusters.lines(asked("kind"), info) == [
        "lab (kind): Kubernetes v1.36.2.",
        "kubeconfig: /home/me/lab/kubeconfig",
    ]
    assert _clusters.lines(asked("kind"), {**info, "context": "me"})[1].endswith(", context me")
