"""What of a described application is to be applied, and what runs of it."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _app_deploy, _plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _description
from ansible_collections.convoy.rollout.plugins.module_utils._workload._images import Rule

Object = dict[str, t.Any]
HELLO: Object = {
    "image": "hello",
    "version": "2.0.0",
    "service": {"ports": [{"port": 80}]},
    "config_maps": {"words": {"greeting": "hello"}},
    "secrets": {
        "token": {"data": {"token": "planted-token"}},
        "certs": {"self_signed": {"common_name": "hello.test", "names": ["www.hello.test"]}},
    },
}
AUTH: Object = {"image": "auth", "version": "1.0.0"}
APPLICATIONS: Object = {"hello": HELLO, "auth": AUTH}


def service(name: str, **selector: str) -> Object:
    """A Service."""
    return {"metadata": {"name": name}, "spec": {"selector": selector}}


def deployment(name: str, version: str) -> Object:
    """A Deployment."""
    containers = [{"name": name, "image": f"{name}:{version}"}]
    spec = {"selector": {"matchLabels": {"app": name}}, "template": {"spec": {"containers": containers}}}
    return {"metadata": {"name": name}, "spec": spec}


def begun(*services: Object, certificates: t.Container[str] = ()) -> _plan.Plan:
    """The plan of a run."""
    there = [deployment("hello", "1.0.0"), deployment("other", "9.0.0")]
    return _app_deploy.begin(APPLICATIONS, "shop", services, there, certificates)


def signed(name: str) -> Object:
    """A certificate as module self_signed returns it."""
    return {"name": name, "certificate": f"the certificate of {name}", "private_key": f"the key of {name}"}


@pytest.mark.parametrize(
    ("applications", "request_", "sentence"),
    [
        ({}, {}, "describes no application"),
        ("hello", {}, "must be a dictionary of descriptions by name"),
        (
            {"hello": {**HELLO, "version": 2.0}},
            {},
            "Application hello cannot be deployed: version must be a quoted string",
        ),
        (APPLICATIONS, {"timeout": 0}, "app_deploy_timeout is 0; it must be at least 1"),
        (APPLICATIONS, {"samples": 0}, "app_deploy_samples is 0; it must be at least 1"),
        (APPLICATIONS, {"min_success": 99.9}, "app_deploy_min_success is 99.9; set a share from 0 to 1"),
    ],
)
def test_what_cannot_work_is_refused_before_the_cluster_is_touched(
    applications: t.Any, request_: Object, sentence: str
) -> None:
    with pytest.raises(Failure, match=sentence) as refusal:
        _app_deploy.check(applications, {"timeout": 600, "samples": 1, **request_})
    assert "planted" not in refusal.value.message


def test_the_plan_says_what_runs_and_shows_no_secret() -> None:
    plan = begun()
    assert (plan.before, plan.target) == ({"hello": "1.0.0"}, {"hello": "2.0.0", "auth": "1.0.0"})
    assert plan.facts["deployments"] == ["auth", "hello"]
    assert plan.facts["services"] == ["hello"]
    assert plan.headline == "auth, hello in namespace shop run as described"
    assert "planted" not in json.dumps(vars(plan), default=str)


def scaler(name: str, kind: str = "Deployment") -> Object:
    """A HorizontalPodAutoscaler."""
    return {"metadata": {"name": name}, "spec": {"scaleTargetRef": {"kind": kind, "name": name}, "maxReplicas": 9}}


@pytest.mark.parametrize(
    ("described", "there", "scalers", "applied"),
    [
        (3, 7, [scaler("auth")], 7),
        (3, 7, [scaler("hello"), scaler("auth", "StatefulSet")], 3),  # nobody's
        (3, 0, [scaler("auth")], 3),  # an autoscaler leaves what has 0 alone
        (None, 7, [scaler("auth")], None),
        (3, 3, [scaler("auth")], 3),
    ],
)
def test_a_number_that_an_autoscaler_decides_on_stays(
    described: int | None, there: int, scalers: list[Object], applied: int | None
) -> None:
    applications = {"auth": AUTH | ({"replicas": described} if described is not None else {})}
    live = deployment("auth", "1.0.0")
    live["spec"]["replicas"] = there
    plan = _app_deploy.begin(applications, "shop", [], [live], (), autoscalers=scalers)
    made = _app_deploy.manifests(applications, {**plan.facts})["deployments"]["auth"]
    assert made.get("replicas") == applied
    said = [hint for hint in plan.hints if "keeps its 7 replicas, as HorizontalPodAutoscaler auth sets them" in hint]
    assert bool(said) is (applied == 7)


def test_what_belongs_to_a_blue_green_rollout_stays_as_it_is() -> None:
    pinned = service("hello", app="hello", version="1.0.0")
    plan = begun(pinned, service("auth", app="auth", version="1.0.0"))  # auth has no Service that is described
    assert plan.facts["selectors"] == {"hello": {"app": "hello", "version": "1.0.0"}}
    assert (plan.facts["deployments"], plan.target) == (["auth"], {"auth": "1.0.0"})
    given = _app_deploy.manifests(APPLICATIONS, plan.facts)
    assert given["selectors"] == plan.facts["selectors"]
    assert (list(given["deployments"]), list(given["services"])) == (["auth"], ["hello"])


def test_a_certificate_is_made_once() -> None:
    (missing,) = begun().facts["certificates"]
    assert missing == {
        "name": "certs",
        "common_name": "hello.test",
        "names": ["www.hello.test"],
        "days": 365,
    }
    assert begun(certificates={"certs"}).facts["certificates"] == []


def test_templates_are_given_the_secrets_and_the_certificates_that_were_made() -> None:
    given = _app_deploy.manifests(APPLICATIONS, begun().facts, [signed("certs"), signed("of-an-earlier-run")])
    assert given["secrets"] == {
        "token": {"data": {"token": "planted-token"}},
        "certs": {
            "type": "kubernetes.io/tls",
            "data": {"tls.crt": "the certificate of certs", "tls.key": "the key of certs"},
        },
    }
    assert given["config_maps"] == {"words": {"greeting": "hello"}}
    drained = {name: _description.drained(item, sleeps=True) for name, item in APPLICATIONS.items()}
    assert given["deployments"] == drained
    there = _app_deploy.manifests(APPLICATIONS, begun(certificates={"certs"}).facts, [signed("certs")])
    assert set(there["secrets"]) == {"token"}


def test_in_check_mode_no_certificate_is_made() -> None:
    given = _app_deploy.manifests(APPLICATIONS, begun().facts)
    assert given["secrets"]["certs"]["data"]["tls.crt"] == "not made in check mode"


def test_services_of_what_has_no_replicas_are_not_asked() -> None:
    assert begun().facts["asked"] == ["hello"]
    idle = {**APPLICATIONS, "hello": {**APPLICATIONS["hello"], "replicas": 0}}
    assert _app_deploy.begin(idle, "shop", [], [], ()).facts["asked"] == []


def test_what_is_shown_is_described_or_behind_a_described_service() -> None:
    rows = [
        {"deployment": "auth", "services": ["auth"], "version": "1.0.0", "ready": "1/1"},
        {"deployment": "hello-green", "services": ["hello"], "version": "2.0.0", "ready": "3/3"},
        {"deployment": "other", "services": ["other"], "version": "", "ready": "1/1"},
    ]
    found = _app_deploy.shown(rows, ["auth", "hello"], ["hello"])
    assert _app_deploy.ready(found) == "auth 1.0.0 1/1, hello-green 2.0.0 3/3"
    assert _app_deploy.ready(rows[2:]) == "other 1/1"


def colour(name: str, replicas: int = 2) -> Object:
    """A colour that a blue/green rollout left."""
    made = deployment(name, "2.0.0")
    made["spec"]["replicas"] = replicas
    made["spec"]["template"]["metadata"] = {"labels": {"app": "hello", "color": "green", "version": "2.0.0"}}
    return made


def planned(services: t.Sequence[Object], *deployments: Object, **described: t.Any) -> _plan.Plan:
    """The plan of a run that finds colours."""
    applications = {"hello": {**HELLO, **described}}
    return _app_deploy.begin(applications, "shop", services, deployments, ["certs"])


def test_a_service_that_names_another_colour_than_described_belongs_to_a_rollout() -> None:
    described = {"ports": [{"port": 80}], "selector": {"app": "hello", "color": "blue"}}
    live = service("hello", app="hello", color="green")
    facts = planned([live], colour("hello-green"), service=described).facts
    assert facts["selectors"] == {"hello": {"app": "hello", "color": "green"}}
    assert facts["deployments"] == []
    same = service("hello", app="hello", color="blue")
    assert planned([same], colour("hello-green"), service=described).facts["selectors"] == {}


def test_a_service_that_would_lead_to_both_colours_is_refused() -> None:
    # Whoever deleted the Service, or took its pin away, finds the other colour still there.
    for services in ([], [service("hello", app="hello", track="stable")]):
        with pytest.raises(Failure, match="also lead to the 2 replicas of Deployment hello-green, which"):
            planned(services, deployment("hello", "1.0.0"), colour("hello-green"))
    assert planned([], deployment("hello", "1.0.0"), colour("hello-green", 0)).changes
    # It does already: that is no change of this run.
    assert planned([service("hello", app="hello")], colour("hello-green")).changes


def test_what_a_failed_run_leaves_is_named_with_what_removes_it() -> None:
    changes = ["Namespace shop was created", "Service hello was applied", "Deployment hello was applied"]
    said = _app_deploy.left("shop", changes, {})
    assert "Service hello was applied; Deployment hello was applied, which kubectl -n shop delete" in said
    assert "kubectl -n shop rollout undo deployment/hello undoes." in _app_deploy.left(
        "shop", changes, {"hello": "1.0.0"}
    )


# -- what is there already ---------------------------------------------------------------------------------------------


def selecting(described: Object, live: Object) -> Object:
    """What gives way to the selector of a Deployment that is there."""
    return _app_deploy.selecting("web", {"version": "1.0.0", **described}, {"spec": {"selector": live}})


def test_a_label_that_is_added_later_leaves_the_selector_as_it_is() -> None:
    live = {"matchLabels": {"app": "web"}}
    kept = selecting({"labels": {"team": "red"}}, live)
    assert (kept["label_selector"], kept["selector"], kept["labels"]) == (live, {"app": "web"}, {"team": "red"})
    assert kept["hints"] == ["Deployment web keeps its selector app=web, which is immutable"]


@pytest.mark.parametrize(
    ("described", "live"),
    [
        ({}, {"matchLabels": {"app": "web"}}),  # as it would be made
        ({"selector": {"app": "web", "team": "red"}}, {"matchLabels": {"app": "web"}}),  # another one is asked for
        ({"labels": {"app": "shop"}}, {"matchLabels": {"app": "web"}}),  # pods would not be found any more
        ({}, {"matchLabels": {"app": "web", "version": "0.9.0"}}),
    ],
)
def test_nothing_gives_way_where_it_fits_or_cannot(described: Object, live: Object) -> None:
    assert selecting(described, live) == {"hints": []}


def test_a_label_that_leaves_the_description_stays_where_the_selector_needs_it() -> None:
    kept = selecting({}, {"matchLabels": {"app": "web", "team": "red"}})
    assert kept["labels"] == {"team": "red"}
    assert "and so the labels team=red" in kept["hints"][0]


def test_a_selector_of_expressions_is_kept_whole() -> None:
    live = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "shop"]}]}
    kept = selecting({}, live)
    assert kept["label_selector"] == live
    assert "selector" not in kept


def renamed(others: str = "refuse", replicas: int = 2, name: str = "greeter", **labels: str) -> _plan.Plan:
    """The plan of a run that finds a Deployment which is not described."""
    left = deployment(name, "1.0.0")
    left["spec"]["replicas"] = replicas
    left["spec"]["template"]["metadata"] = {"labels": labels or {"app": "hello"}}
    return _app_deploy.begin(APPLICATIONS, "shop", [], [left], (), others=others)


def test_a_deployment_that_was_renamed_is_not_left_behind_the_same_service() -> None:
    with pytest.raises(
        Failure, match=r"Deployment greeter is not described, and Service hello would select its pods too .app=hello."
    ):
        renamed()
    assert "greeter" in renamed("keep").hints[0]


def test_what_takes_no_traffic_or_is_known_is_left() -> None:
    assert not renamed(replicas=0).hints
    assert not renamed(app="other").hints
    assert not renamed(name="hello-canary").hints


def test_that_an_image_was_pinned_by_a_digest_is_said() -> None:
    there = deployment("hello", "1.0.0@sha256:12")
    plan = _app_deploy.begin(APPLICATIONS, "shop", [], [there], ())
    assert "hello was pinned by sha256:12, and is by tag 2.0.0 now" in plan.hints
    assert not begun().hints


@pytest.mark.parametrize(
    ("there", "alone"),
    [
        ([], None),
        ([("hello", "1.0.0"), ("auth", "1.0.0")], None),
        # One that failed stays; deployed once more, it is not excused by what it loses itself.
        ([("hello", "2.0.0"), ("auth", "1.0.0")], {}),
    ],
)
def test_what_a_version_loses_itself_excuses_nothing(there: list[tuple[str, str]], alone: Object | None) -> None:
    deployments = [deployment(*each) for each in there]
    assert _app_deploy.begin(APPLICATIONS, "shop", [], deployments, ["certs"]).alone == alone


def test_what_answers_comes_from_the_tags_by_a_rule() -> None:
    applications = {"hello": {**HELLO, "version": "v2.0.0"}}
    there = [deployment("hello", "v1.0.0")]
    plan = _app_deploy.begin(applications, "shop", [], there, (), rule=Rule(prefix="v"))
    assert (plan.before, plan.target) == ({"hello": "1.0.0"}, {"hello": "2.0.0"})


@pytest.mark.parametrize(
    ("there", "refused", "told"),
    [
        ([service("greeter", app="hello")], False, True),  # somebody else's, which stays useful
        ([service("greeter", app="other")], False, False),
        ([service("hello-preview", app="hello")], False, False),
        ([service("greeter", app="hello"), service("hello", app="hello")], False, False),  # nothing is created
    ],
)
def test_a_service_that_finds_the_same_pods_is_told(there: list[Object], refused: bool, told: bool) -> None:
    ours, others = _app_deploy.beside_services(APPLICATIONS, there)
    assert (bool(ours), bool(others)) == (refused, told)


def test_a_service_that_was_renamed_in_the_description_is_not_left_beside_the_new_one() -> None:
    left = service("greeter", app="hello")
    left["metadata"]["managedFields"] = [{"manager": "convoy.rollout", "operation": "Apply"}]
    with pytest.raises(
        Failure, match="Service greeter is not described and selects the same pods as the new Service hello"
    ):
        begun(left)
    plan = _app_deploy.begin(APPLICATIONS, "shop", [left], [], (), others="keep")
    assert "greeter" in plan.hints[0]


@pytest.mark.parametrize(
    ("before", "target", "service", "replaced"),
    [
        ({"hello": "1.0.0"}, {"hello": "2.0.0"}, "", {"1.0.0": "2.0.0"}),
        ({"hello": "1.0.0"}, {"hello": "2.0.0"}, "hello", {"1.0.0": ""}),
        ({"hello": "1.0.0"}, {"hello": "2.0.0"}, "auth", {"1.0.0": "2.0.0"}),
        ({"hello": "1.0.0"}, {"hello": "1.0.0"}, "hello", {}),
        ({}, {"hello": "2.0.0"}, "hello", {}),
        ({"hello": "1.0.0", "auth": "1.0.0"}, {"hello": "2.0.0", "auth": "1.0.0"}, "hello", {}),  # auth may answer
        ({"hello": "1.0.0", "auth": "1.0.0"}, {"hello": "2.0.0", "auth": "3.0.0"}, "", {}),  # which of them answered?
        ({"hello": "1.0.0", "auth": "1.0.0"}, {"hello": "2.0.0", "auth": "2.0.0"}, "", {"1.0.0": "2.0.0"}),
        ({"hello": "1.0.0", "auth": "2.0.0"}, {"hello": "2.0.0", "auth": "1.0.0"}, "", {}),
        ({"hello": "1.0.0", "auth": "1.0.0"}, {"hello": "2.0.0"}, "", {}),  # auth belongs to a blue/green rollout
    ],
)
def test_what_was_replaced_is_known_where_nothing_else_has_that_version(
    before: dict[str, str], target: dict[str, str], service: str, replaced: dict[str, str]
) -> None:
    assert _app_deploy.replaced({"before": before, "target": target}, service) == replaced


def test_nothing_is_replaced_where_nothing_was_planned() -> None:
    assert _app_deploy.replaced({}) == {}
