"""Giving a Deployment a new version of its image."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _update
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._update import Wish
from ansible_collections.convoy.rollout.plugins.module_utils._workload._images import Rule

Object = dict[str, t.Any]


def deployment(*images: str, init: str = "", labels: Object | None = None, **spec: t.Any) -> Object:
    """A Deployment called shop with a container for each image, called c0, c1 and so on."""
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    template = {"metadata": {"labels": labels or {"app": "shop"}}, "spec": {"containers": containers}}
    if init:
        template["spec"]["initContainers"] = [{"name": "migrate", "image": init}]
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    selector = {"matchLabels": {"app": "shop"}}
    return {
        "metadata": {"name": "shop", "annotations": {}},
        "spec": {"replicas": 4, "selector": selector, "strategy": strategy, "template": template, **spec},
    }


def paths(patch: list[Object]) -> dict[str, t.Any]:
    """What a patch sets, by path."""
    return {step["path"]: step.get("value") for step in patch}


def test_the_image_and_its_like_get_the_tag() -> None:
    item = deployment("reg:5000/shop:1", "nginx:1.28", init="reg:5000/shop:1")
    assert paths(_update.template_patch(item, Wish("2", container="c0"))) == {
        "/spec/template/spec/containers/0/image": "reg:5000/shop:2",
        "/spec/template/spec/initContainers/0/image": "reg:5000/shop:2",
    }


def test_labels_that_say_the_version_follow() -> None:
    labels = {"app": "shop", "version": "one", "app.kubernetes.io/version": "1"}
    item = deployment("shop:1", labels=labels)
    assert _update.new_labels(item, _update.template_patch(item, Wish("2"))) == {
        "app": "shop",
        "version": "one",  # somebody else's: it is not the image's
        "app.kubernetes.io/version": "2",
    }
    labels["app.kubernetes.io/version"] = "chart-7"
    item = deployment("shop:1", labels=labels)
    assert _update.new_labels(item, _update.template_patch(item, Wish("2")))["app.kubernetes.io/version"] == "chart-7"


def test_nothing_to_change_is_nothing() -> None:
    assert _update.patch(deployment("shop:2"), Wish("2", change_cause="x", max_surge="25%")) == []


def test_a_patch_has_the_cause_and_the_settings() -> None:
    patch = _update.patch(deployment("shop:1"), Wish("2", change_cause="why", max_surge="2", max_unavailable="0"))
    found = paths(patch)
    assert found["/metadata/annotations/kubernetes.io~1change-cause"] == "why"
    assert found["/spec/strategy/rollingUpdate/maxSurge"] == 2
    assert found["/spec/strategy/rollingUpdate/maxUnavailable"] == 0
    assert "/spec/paused" not in found


def test_one_that_is_to_be_held_starts_paused_and_one_that_is_held_goes_on_elsewhere() -> None:
    assert paths(_update.patch(deployment("shop:1"), Wish("2", pause_at="50%")))["/spec/paused"] is True
    held = deployment("shop:2", paused=True)
    held["metadata"]["annotations"]["convoy.rollout/paused-at"] = "50%"
    steps = [(step["op"], step["path"]) for step in _update.patch(held, Wish("3"))]
    assert ("remove", "/spec/paused") in steps


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish("two words"), "version is 'two words'"),
        (Wish("2", image="shop:1"), "without a tag"),
        (Wish("2", image="reg:5000/shop@sha256:1"), "without a tag or a digest"),
        (Wish("2", max_surge="many"), "max_surge is 'many'"),
        (Wish("2", max_unavailable="-1"), "max_unavailable is '-1'"),
        (Wish("2", pause_at="half"), "cannot be paused at half"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(wish: Wish, said: str) -> None:
    with pytest.raises(Failure, match=said):
        _update.check(wish)


def test_a_registry_with_a_port_is_no_tag() -> None:
    _update.check(Wish("2", image="reg:5000/shop"))


@pytest.mark.parametrize(
    ("item", "wish", "said"),
    [
        (deployment("shop:1", paused=True), Wish("2"), "is paused, and not by this role; resume it"),
        (deployment("shop:1", strategy={"type": "Recreate"}), Wish("2", max_surge="1"), "has strategy Recreate"),
        (deployment("shop:1", replicas=1), Wish("2", pause_at="50%"), "nothing between old and new"),
        (deployment("a:1", "b:1"), Wish("2"), r"has several containers \(c0, c1\); name the one"),
        (deployment("a:1"), Wish("2", container="web"), "has no container web"),
        (
            deployment("a:1", labels={"version": "1"}, selector={"matchLabels": {"version": "1"}}),
            Wish("2"),
            "selects its pods by version=1",
        ),
    ],
)
def test_a_deployment_that_cannot_be_updated_is_refused(item: Object, wish: Wish, said: str) -> None:
    with pytest.raises(Failure, match=said):
        _update.check_deployment(item, wish)


def service(name: str, **selector: str) -> Object:
    """A Service."""
    return {"metadata": {"name": name}, "spec": {"selector": selector}}


def test_services_lead_there_before_and_after() -> None:
    item = deployment("shop:1", labels={"app": "shop", "version": "1"})
    found = [service("all", app="shop"), service("shop", app="shop"), service("other", app="x"), service("none")]
    assert _update.services(item, Wish("2"), found) == ["shop", "all"]
    with pytest.raises(Failure, match="Service pinned leads to version 1 of shop only"):
        _update.services(item, Wish("2"), [service("pinned", app="shop", version="1")])


# -- what a run plans --------------------------------------------------------------------------------------------------


def revision(number: int, *images: str, ready: int = 0) -> Object:
    """A ReplicaSet of shop."""
    template = deployment(*images)["spec"]["template"]
    return {
        "metadata": {
            "name": f"shop-{number}",
            "uid": f"r{number}",
            "ownerReferences": [{"uid": "d", "controller": True}],
            "annotations": {"deployment.kubernetes.io/revision": str(number)},
        },
        "spec": {"template": template, "replicas": ready},
        "status": {"replicas": ready, "readyReplicas": ready},
    }


def pods(replica_set: Object) -> list[Object]:
    """The ready pods of a ReplicaSet."""
    return [
        {
            "metadata": {
                "name": f"{replica_set['metadata']['name']}-{number}",
                "ownerReferences": [{"uid": replica_set["metadata"]["uid"], "controller": True}],
            },
            "spec": replica_set["spec"]["template"]["spec"],
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        for number in range(replica_set["status"]["readyReplicas"])
    ]


def found(*sets: Object, complete: bool = True, **more: t.Any) -> _update.Found:
    """Deployment shop at the newest of these revisions, with Service release in front of it."""
    images = [item["image"] for item in sets[-1]["spec"]["template"]["spec"]["containers"]]
    item = deployment(*images, **more)
    item["metadata"] |= {"uid": "d", "generation": 2}
    counted = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 4)
    item["status"] = {"observedGeneration": 2, **counted} if complete else {"observedGeneration": 1}
    leads = {"metadata": {"name": "release"}, "spec": {"selector": {"app": "shop"}}}
    return _update.Found(item, sets, [pod for each in sets for pod in pods(each)], [leads])


def plan_of(there: _update.Found, wish: Wish, resume: str = "auto") -> t.Any:
    """The plan of a rolling update."""
    return _update.begin(there, wish, resume, f"shop:{wish.version}")


def test_an_update_goes_back_to_what_it_leaves() -> None:
    plan = plan_of(found(revision(1, "shop:1", ready=4)), Wish("2"))
    assert (plan.before, plan.target, plan.changes, plan.service, plan.running) == ("1", "2", True, "release", ["1"])
    assert plan.facts["way_back"] == {"revision": 1, "version": "1", "replica_set": "r1"}
    assert (plan.facts["phase"], plan.way_back) == ("update", "rollback.yml -e revision=1")
    assert plan.alone is None  # what is lost before it is not lost by the new version


def test_an_update_after_versions_that_never_started_goes_back_to_what_serves() -> None:
    sets = revision(1, "shop:1", ready=4), revision(2, "shop:7"), revision(3, "shop:8")
    plan = plan_of(found(*sets, complete=False), Wish("9"))
    assert (plan.before, plan.facts["way_back"]) == ("1", {"revision": 1, "version": "1", "replica_set": "r1"})


def test_done_there_is_nothing_left_and_no_way_back_to_name() -> None:
    plan = plan_of(found(revision(1, "shop:1"), revision(2, "shop:2", ready=4)), Wish("2", pause_at="50%"))
    assert (plan.facts["phase"], plan.changes, plan.before, plan.way_back) == ("done", False, "2", "")
    assert not plan.facts["pauses"]


def test_what_is_complete_and_unverified_is_past_its_pause() -> None:
    """A run that was cut off behind its pause is gone on with, and its version is not taken back for want of one."""
    sets = revision(1, "shop:1"), revision(2, "shop:2", ready=4)
    noted = {"convoy.rollout/served": sets[0]["metadata"]["name"]}
    for complete, pauses in ((True, False), (False, True)):
        there = found(*sets, complete=complete)
        there.deployment["metadata"]["annotations"] |= noted
        plan = plan_of(there, Wish("2", pause_at="50%"))
        assert (plan.facts["phase"], plan.changes, plan.facts["pauses"]) == ("going", True, pauses)
        assert plan.alone == {}  # what is lost now excuses nothing, as it may be lost by the version that is judged


@pytest.mark.parametrize(
    ("resume", "pause_at", "pauses", "stays"),
    [
        ("auto", "50%", True, False),
        ("next_run", "50%", False, False),  # the second run with the same values goes on
        ("next_run", "75%", True, True),
        ("never", "50%", True, True),
        ("auto", "", False, False),
    ],
)
def test_a_paused_rollout_stays_or_goes_on(resume: str, pause_at: str, pauses: bool, stays: bool) -> None:
    sets = revision(1, "shop:1", ready=2), revision(2, "shop:2", ready=2)
    there = found(*sets, complete=False, paused=True)
    there.deployment["metadata"]["annotations"]["convoy.rollout/paused-at"] = "50%"
    plan = plan_of(there, Wish("2", pause_at=pause_at), resume)
    assert (plan.facts["phase"], plan.facts["pauses"], plan.facts["stays"]) == ("paused", pauses, stays)
    assert plan.alone == {}
    carrier = _update.carrier_of(plan.facts)
    assert carrier.shares(there) == {"1": 0.5, "2": 0.5}


def test_a_rollback_goes_by_the_container_that_becomes_another() -> None:
    sets = revision(1, "proxy:1.28", "shop:1"), revision(2, "proxy:1.28", "shop:2", ready=4)
    request = {"revision": 0, "container": "", "version_of": None}
    plan = _update.begin_rollback(found(*sets), request, "default")
    assert (plan.before, plan.target, plan.facts["image"], plan.running) == ("2", "1", "shop:1", ["2"])
    assert (plan.facts["revision"], plan.facts["way_back"]) == (1, {"revision": 2, "version": "2", "replica_set": "r2"})
    assert plan.service == "release"


def test_a_rollback_has_no_way_back_to_where_it_goes() -> None:
    stuck = found(revision(1, "shop:1", ready=4), revision(2, "shop:2"), complete=False)
    plan = _update.begin_rollback(stuck, {"revision": 0, "container": "", "version_of": None}, "default")
    assert (plan.before, plan.target, plan.facts["way_back"]) == ("1", "1", {})
    with pytest.raises(Failure, match="Revision 7 is not in the history of Deployment shop in namespace default"):
        _update.begin_rollback(stuck, {"revision": 7, "container": "", "version_of": None}, "default")


def test_the_version_that_answers_may_read_otherwise_than_the_tag() -> None:
    rule = Rule(prefix="v")
    plan = plan_of(found(revision(1, "shop:v1", ready=4)), Wish("v2", rule=rule))
    assert (plan.before, plan.target, plan.running) == ("1", "2", ["1"])
    assert _update.wish_in(plan.facts) == Wish("v2", rule=rule)


def test_what_somebody_else_puts_in_is_named_with_its_field_and_its_writer() -> None:
    there = found(revision(1, "shop:1", ready=4))
    plan = plan_of(there, Wish("2")).facts
    there.deployment["metadata"]["managedFields"] = [
        {
            "manager": "kubectl-set",
            "time": "2026-11-26T12:00:00Z",
            "fieldsV1": {
                "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"c0"}': {".": {}, "f:image": {}}}}}}
            },
        }
    ]
    assert _update.changed_by_others(there.deployment, plan) == (
        "spec.template.spec.containers[name=c0].image of Deployment shop was changed from shop:2 to shop:1 "
        "by kubectl-set"
    )
    there.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "shop:2"
    assert _update.changed_by_others(there.deployment, plan) == ""


@pytest.mark.parametrize(
    ("application", "applications", "request_", "said"),
    [
        ("", {}, {}, 'rolling_update_application is ""; set the name of the Deployment'),
        (["shop"], {}, {}, r'rolling_update_application is \["shop"\]'),
        ("shop", {"shop": "1.0.0"}, {}, "does not describe shop as role app_deploy reads it"),
        ("shop", {"shop": {"image": 1}}, {}, "does not describe shop"),
        ("shop", [], {}, "does not describe shop"),
        ("shop", {}, {"version": ""}, 'rolling_update_version is ""; set the version to go to'),
        ("shop", {}, {"version": 2.0}, "in quotes where it is YAML or JSON"),
        ("shop", {}, {"timeout": 0}, "rolling_update_timeout is 0; it must be at least 1"),
        ("shop", {}, {"settle": -1}, "rolling_update_settle is -1"),
        ("shop", {}, {"image": "shop:1"}, "without a tag"),
        ("shop", {}, {"version_of": {"replace": "x"}}, "version_of has replace without a pattern"),
    ],
)
def test_a_request_that_cannot_work_is_refused(
    application: t.Any, applications: t.Any, request_: Object, said: str
) -> None:
    asked = {name: spec.get("default") for name, spec in _update.REQUEST.items()} | {"version": "2"}
    _update.check_request("shop", {}, asked)
    with pytest.raises(Failure, match=said):
        _update.check_request(application, applications, asked | request_)


def test_a_rollback_to_a_number_that_is_none_is_refused() -> None:
    asked = {name: spec.get("default") for name, spec in _update.ROLLBACK_REQUEST.items()}
    _update.check_rollback("shop", {}, asked)
    with pytest.raises(Failure, match="rolling_update_revision is -1; it must be at least 0"):
        _update.check_rollback("shop", {}, asked | {"revision": -1})


ROLLBACK: Object = {"revision": 0, "container": "", "version_of": None}


def test_a_rollback_that_a_service_would_not_follow_is_refused() -> None:
    there = found(revision(1, "shop:1"), revision(2, "shop:2", ready=4), labels={"app": "shop", "version": "2"})
    sets = [
        {**item, "spec": {"template": {**item["spec"]["template"], "metadata": {"labels": {"app": "shop", **more}}}}}
        for item, more in zip(there.replica_sets, ({"version": "1"}, {"version": "2"}), strict=True)
    ]
    pinned = {"metadata": {"name": "green"}, "spec": {"selector": {"app": "shop", "version": "2"}}}
    there = there._replace(replica_sets=sets)
    assert _update.begin_rollback(there, ROLLBACK, "default").target == "1"
    with pytest.raises(
        Failure, match="Service green leads to pods of shop with version=2 only, and would lead nowhere"
    ):
        _update.begin_rollback(there._replace(services=[pinned]), ROLLBACK, "default")


def test_a_way_back_that_there_will_not_be_is_said_before() -> None:
    kept = found(revision(1, "shop:1", ready=4))
    assert (plan_of(kept, Wish("2")).warnings, plan_of(kept, Wish("2")).way_back) == ([], "rollback.yml -e revision=1")
    gone = plan_of(found(revision(1, "shop:1", ready=4), revisionHistoryLimit=0), Wish("2"))
    assert "revisionHistoryLimit 0" in gone.warnings[0]
    assert gone.way_back == "rolling_update.yml -e version=1"
    never = plan_of(found(revision(1, "shop:1"), complete=False), Wish("2"))
    assert "no revision that served, so 2 cannot be rolled back if it fails" in never.warnings[0]
    guessed = plan_of(found(revision(1, "shop:1"), revision(2, "shop:2"), complete=False), Wish("3"))
    assert "no revision of Deployment shop is known to have served; if 3 fails verification" in guessed.warnings[0]
    assert plan_of(kept, Wish("1")).warnings == ()  # nothing is changed


def test_what_served_before_what_runs_now_is_known_to_a_run() -> None:
    there = found(revision(1, "shop:1"), revision(2, "shop:2", ready=4))
    there.deployment["metadata"]["annotations"] = {"convoy.rollout/served": there.replica_sets[0]["metadata"]["name"]}
    facts = plan_of(there, Wish("3")).facts
    assert (facts["way_back"]["version"], facts["served_before"].get("version")) == ("2", "1")


def test_a_complete_version_that_a_cut_off_run_never_verified_is_not_done() -> None:
    there = found(revision(1, "shop:1"), revision(2, "shop:2", ready=4))
    assert plan_of(there, Wish("2")).facts["phase"] == "done"
    noted = there.deployment["metadata"]["annotations"]
    noted["convoy.rollout/served"] = "shop-1"
    plan = plan_of(there, Wish("2"))
    assert (plan.facts["phase"], plan.facts["way_back"]["version"]) == ("going", "1")
    noted["convoy.rollout/served"] = "shop-1,shop-2"
    assert plan_of(there, Wish("2")).facts["phase"] == "done"


# -- containers whose version answers do not name ----------------------------------------------------------------------


def with_sidecar(sidecar: str = "1.0.0", main: str = "shop", application: str = "1.0.0", **more: t.Any) -> Object:
    """A Deployment with a native sidecar."""
    found = deployment()
    found["spec"]["template"]["spec"] = {
        "containers": [{"name": main, "image": f"team/shop:{application}"}],
        "initContainers": [{"name": "mesh", "image": f"team/sidecar:{sidecar}", "restartPolicy": "Always"}],
        **more,
    }
    return found


@pytest.mark.parametrize(
    ("asked", "there", "answering"),
    [
        ("mesh", with_sidecar(), ["shop"]),
        ("shop", with_sidecar(), []),
        ("mesh", with_sidecar(main="web"), ["web"]),
        (
            "mesh",
            with_sidecar(containers=[{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]),
            ["a", "b"],
        ),
        ("b", with_sidecar(containers=[{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]), []),
        ("b", with_sidecar(containers=[{"name": "shop", "image": "a:1"}, {"name": "b", "image": "b:1"}]), ["shop"]),
    ],
)
def test_whose_version_answers_name(asked: str, there: Object, answering: list[str]) -> None:
    there["metadata"]["name"] = "shop"
    assert _update.Carrier(asked).answering(_update.Found(there, [], [], [])) == answering


def test_a_version_that_two_containers_have_does_not_tell_which_one_answered() -> None:
    there = with_sidecar("1.0.0")
    there["metadata"]["name"] = "shop"
    found = _update.Found(there, [], [], [])
    assert _update.Carrier("mesh").named_by_others(found) == {"1.0.0"}
    assert _update.Carrier("mesh").named(found) == "container mesh of shop"
    assert _update.Carrier("shop").named_by_others(found) == set()


def test_going_back_is_by_the_container_whose_image_differs_also_where_it_is_a_native_sidecar() -> None:
    one, other = (with_sidecar(version)["spec"]["template"] for version in ("2.0.0", "1.0.0"))
    assert _update._changed_container(one, other, "shop") == "mesh"
    assert _update._changed_container(one, with_sidecar("2.0.0", application="9")["spec"]["template"], "shop") == "shop"


def test_that_an_image_was_pinned_by_a_digest_is_said_where_it_is_replaced() -> None:
    there = with_sidecar(application="1.0.0@sha256:12")
    there["metadata"]["name"] = "shop"
    found = _update.Found(there, [], [], [])
    plan = _update.begin(found, Wish("2.0.0", image="team/shop"), "auto", "team/shop:2.0.0")
    assert plan.hints == ["team/shop was pinned by sha256:12, and is by tag 2.0.0 now"]
    kept = _update.begin(found, Wish("1.0.0", image="team/shop"), "auto", "team/shop:1.0.0@sha256:12")
    assert not kept.hints
