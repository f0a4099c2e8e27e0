"""Which colour is active and what is left to do."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._bluegreen import (
    PREVIOUS,
    REQUEST,
    begin,
    following,
    plan,
    template_of,
)
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._unfinished import (
    UNFINISHED,
    Unfinished,
    begun,
    removal,
    unfinished_of,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._images import Rule
from ansible_collections.convoy.rollout.plugins.module_utils._workload._subject import Namespace, subject

Object = dict[str, t.Any]


def service(previous: str = "", **selector: str) -> Object:
    """The Service hello."""
    annotations = {PREVIOUS: previous} if previous else {}
    return {"metadata": {"name": "hello", "annotations": annotations}, "spec": {"selector": selector}}


def deployment(
    name: str, version: str, replicas: int = 3, *, complete: bool = True, color: str = "", image: str = ""
) -> Object:
    """A Deployment of hello."""
    labels = {"app": "hello", **({"version": version} if version else {}), **({"color": color} if color else {})}
    ready = replicas if complete else 0
    return {
        "metadata": {"name": name, "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {k: v for k, v in labels.items() if k != "version"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "hello", "image": f"kelseyhightower/hello:{image or version}"}]},
            },
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "availableReplicas": ready,
        },
    }


BLUE = deployment("hello", "1.0.0")
DESCRIBED = {"image": "kelseyhightower/hello", "version": "1.0.0", "service": {"ports": [{"port": 80}]}}
REQUESTED = {name: option.get("default") for name, option in REQUEST.items()}
GREEN = deployment("hello-green", "2.0.0", color="green")


def test_the_first_time() -> None:
    found = plan(service(app="hello"), [BLUE], version="2.0.0", rollback=False)
    assert (found["phase"], found["pinned"], found["version"], found["previous_version"]) == (
        "preview",
        False,
        "2.0.0",
        "",
    )
    assert (found["active"]["color"], found["active"]["deployment"]) == ("blue", "hello")
    # Pinning takes no live traffic from anyone: the active pods have both labels.
    assert found["active"]["selector"] == {"app": "hello", "version": "1.0.0", "color": None}
    assert (found["preview"]["deployment"], found["preview"]["exists"]) == ("hello-green", False)
    assert found["preview"]["selector"] == {"app": "hello", "version": "2.0.0", "color": "green"}


def test_blue_may_be_named_so() -> None:
    found = plan(service(app="hello"), [deployment("hello-blue", "1.0.0")], version="2.0.0", rollback=False)
    assert found["active"]["deployment"] == "hello-blue"


def test_a_version_that_is_active_is_done() -> None:
    assert plan(service(app="hello"), [BLUE], version="1.0.0", rollback=False)["phase"] == "done"


def test_after_a_switch_green_is_active_and_the_way_back_is_the_switch_alone() -> None:
    live = service("1.0.0", app="hello", version="2.0.0", color="green")
    found = plan(live, [BLUE, GREEN], version="1.0.0", rollback=False)
    assert (found["phase"], found["active"]["color"], found["preview"]["color"]) == ("switch", "green", "blue")
    # The colour of blue, which has none, is taken away.
    assert found["preview"]["selector"] == {"app": "hello", "version": "1.0.0", "color": None}
    assert plan(live, [BLUE, GREEN], version="", rollback=True)["version"] == "1.0.0"


@pytest.mark.parametrize(
    "blue",
    [
        deployment("hello", "1.0.0", 0),
        deployment("hello", "1.0.0", complete=False),
        deployment("hello", "0.9.0"),
    ],
    ids=["scaled away", "not complete", "another version"],
)
def test_an_idle_colour_that_cannot_take_traffic_is_brought_up_first(blue: Object) -> None:
    live = service("1.0.0", app="hello", version="2.0.0", color="green")
    assert plan(live, [blue, GREEN], version="1.0.0", rollback=False)["phase"] == "preview"


def test_a_run_cut_off_before_the_switch_is_verified_again() -> None:
    found = plan(service(app="hello", version="1.0.0"), [BLUE, GREEN], version="2.0.0", rollback=False)
    assert (found["phase"], found["pinned"], found["preview"]["exists"]) == ("preview", True, True)


def prepared(live: Object, to: str = "2.0.0", creates: t.Sequence[str] = ("Deployment hello-green",)) -> Object:
    """A Service that a rollout has pinned and that selected app=hello before, while the other colour comes up."""
    noted = begun(service(app="hello"), {"to": to, "creates": tuple(creates)})
    live["metadata"]["annotations"].update(noted)
    return live


def test_a_rollback_of_what_was_cut_off_before_the_switch_takes_it_back() -> None:
    live = prepared(service(app="hello", version="1.0.0"))
    found = plan(live, [BLUE, GREEN], version="", rollback=True)
    assert (found["version"], found["phase"], found["unfinished"]) == ("1.0.0", "done", True)
    # And so does going to the version that never lost the traffic.
    assert plan(live, [BLUE, GREEN], version="1.0.0", rollback=False)["unfinished"]


def test_what_somebody_gave_the_traffic_to_meanwhile_is_not_taken_back() -> None:
    live = prepared(service(app="hello", version="2.0.0", color="green"))
    assert not plan(live, [BLUE, GREEN], version="2.0.0", rollback=False)["unfinished"]


def test_a_rollback_that_was_cut_off_before_its_switch_goes_on() -> None:
    live = prepared(service("1.0.0", app="hello", version="2.0.0", color="green"), to="1.0.0", creates=())
    idle = deployment("hello", "1.0.0", 0)
    found = plan(live, [idle, GREEN], version="", rollback=True)
    assert (found["version"], found["phase"]) == ("1.0.0", "preview")
    # Of a third version it is given up.
    third = prepared(service("1.0.0", app="hello", version="2.0.0", color="green"), to="3.0.0", creates=())
    found = plan(third, [deployment("hello", "3.0.0"), GREEN], version="", rollback=True)
    assert (found["version"], found["phase"], found["unfinished"]) == ("2.0.0", "done", True)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "{}", '{"to": "", "selector": 1, "creates": [], "deployment": "", "replicas": 0}']
)
def test_a_note_that_is_nobodys_is_none(text: str) -> None:
    live = service(app="hello", version="1.0.0")
    live["metadata"]["annotations"][UNFINISHED] = text
    assert not plan(live, [BLUE, GREEN], version="2.0.0", rollback=False)["unfinished"]


def test_what_is_taken_back_is_what_was_there_first() -> None:
    changes = {"deployment": "hello-green", "replica_set": "hello-green-7d9", "replicas": 2}
    before = service(app="hello")
    before["metadata"]["annotations"].update(begun(before, {"to": "2.0.0", **changes}))
    found = unfinished_of(before)
    assert found == Unfinished("2.0.0", {"app": "hello"}, (), "hello-green", "hello-green-7d9", 2)
    # A run that goes on finds the Service pinned and another version in green, and does not take that for how it was.
    before["spec"]["selector"] = {"app": "hello", "version": "1.0.0"}
    before["metadata"]["annotations"].update(begun(before, {"to": "3.0.0", **changes, "replica_set": "another"}))
    assert unfinished_of(before) == replace(found, to="3.0.0")


def test_what_is_left_by_hand_is_removed_by_commands() -> None:
    created = Unfinished("2", {}, ("Deployment hello-green", "Service hello-preview"))
    given = Unfinished("2", {}, (), "hello", "hello-7d9", 3)
    assert removal("shop", [created]) == (
        "kubectl -n shop delete deployment/hello-green; kubectl -n shop delete service/hello-preview"
    )
    assert removal("shop", [given]) == (
        "kubectl -n shop rollout undo deployment/hello; kubectl -n shop scale deployment/hello --replicas=3"
    )


def test_a_rollback_that_was_cut_off_after_its_switch_is_verified() -> None:
    live = service("1.0.0", app="hello", version="1.0.0")
    found = plan(live, [BLUE, GREEN], version="", rollback=True)
    assert (found["phase"], found["rolls_back"]) == ("done", True)
    assert not plan(live, [BLUE, GREEN], version="1.0.0", rollback=False)["rolls_back"]


@pytest.mark.parametrize(
    ("previous", "deployments", "said"),
    [
        (
            "",
            [BLUE, GREEN],
            "the last switch was rolled back already. hello 1.0.0 .Deployment hello. keeps all traffic",
        ),
        (
            "0.9.0",
            [BLUE, GREEN],
            "users got hello 0.9.0 before .* hello-green, which had it, now has 2.0.0.*-e version=0.9",
        ),
        ("0.9.0", [BLUE], "Deployment hello-green, which had it, is gone"),
    ],
    ids=["done before", "overwritten", "deleted"],
)
def test_a_rollback_that_would_change_nothing_fails_and_says_why(
    previous: str, deployments: list[Object], said: str
) -> None:
    live = service(previous, app="hello", version="1.0.0")
    with pytest.raises(Failure, match=f"There is nothing to roll back to: .*{said}"):
        plan(live, deployments, version="", rollback=True)


def test_other_services_go_with_the_traffic_each_by_its_own_selector() -> None:
    admin = {"metadata": {"name": "hello-admin"}, "spec": {"selector": {"app": "hello"}}}
    found = plan(service(app="hello"), [BLUE], version="2.0.0", rollback=False, others=[admin])
    assert [item["name"] for item in found["services"]] == ["hello", "hello-admin"]
    # It is pinned as well, else it would lead to the preview before the switch.
    assert found["services"][1] == {
        "name": "hello-admin",
        "selector": {"app": "hello"},
        "active": {"app": "hello", "version": "1.0.0", "color": None},
        "preview": {"app": "hello", "version": "2.0.0", "color": "green"},
    }


def test_the_service_may_be_called_otherwise() -> None:
    live = service(app="hello")
    live["metadata"]["name"] = "public"
    found = plan(live, [BLUE], version="2.0.0", rollback=False, application="hello")
    assert (found["service"], found["preview"]["deployment"]) == ("public", "hello-green")


def there(*services: Object, deployments: t.Sequence[Object] = (BLUE,)) -> Namespace:
    """A namespace."""
    return Namespace("shop", deployments=deployments, services=services)


def named(name: str, **selector: str) -> Object:
    """A Service of another name."""
    return {"metadata": {"name": name}, "spec": {"selector": selector}}


def test_services_are_followed_by_what_they_select_but_not_those_of_one_colour() -> None:
    services = [
        named("hello-preview", app="hello", version="1.0.0"),  # as it is left by the rollout before
        named("hello-blue", app="hello", version="1.0.0"),
        named("hello-1-0-0", app="hello", version="1.0.0"),
        named("metrics", app="hello"),
        named("hello", app="hello"),
    ]
    found, others = following(subject(there(*services), "hello"), services)
    assert (found["metadata"]["name"], [item["metadata"]["name"] for item in others]) == ("hello", ["metrics"])


def test_where_no_service_leads_there_is_nothing_to_switch() -> None:
    with pytest.raises(Failure, match="no Service that leads to Deployment hello"):
        following(subject(there(named("auth", app="auth")), "hello"), [])


def test_a_service_that_leads_to_none_of_the_colours_names_what_has_the_traffic() -> None:
    legacy = deployment("legacy", "0.1.0")
    legacy["spec"]["template"]["metadata"]["labels"] = {"app": "legacy", "version": "0.1.0"}
    services = [named("hello", app="legacy")]
    found = subject(there(*services, deployments=[BLUE, legacy]), "hello")
    with pytest.raises(
        Failure, match="Service hello leads to Deployment legacy, which has the traffic of hello and is"
    ):
        following(found, services)


def test_a_preview_has_no_port_of_the_node() -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web", "nodePort": 30001, "appProtocol": "http"}]
    described = {"image": "hello", "version": "1.0.0", "service": {"type": "NodePort", "ports": ports}}
    found = plan(service(app="hello"), [BLUE], version="2.0.0", rollback=False)
    request = {"replicas": 0, "keep_previous": True, "preview_path": ""}
    made = begin(found, "hello", described, request, {}).facts["manifests"]["services"]["hello-preview"]
    assert made["service"] == {"ports": [{"name": "http", "port": 80, "targetPort": "web", "appProtocol": "http"}]}


@pytest.mark.parametrize(
    ("live", "deployments", "rollback", "said"),
    [
        (service(), [BLUE], False, "has no selector"),
        (service(app="other"), [BLUE, GREEN], False, "selects neither of hello and hello-green"),
        (service(app="hello"), [], False, "selects neither of hello-blue and hello-green"),
        (service(app="hello"), [BLUE, GREEN], False, "selects Deployment hello and Deployment hello-green"),
        (service(app="hello"), [deployment("hello", "")], False, "have no label version"),
        (service(app="hello"), [BLUE], True, "nothing to roll back to"),
        (service("0.9.0", app="hello"), [BLUE], True, "nothing to roll back to"),
    ],
)
def test_what_is_refused(live: Object, deployments: list[Object], rollback: bool, said: str) -> None:
    with pytest.raises(Failure, match=said):
        plan(live, deployments, version="" if rollback else "2.0.0", rollback=rollback)


def test_of_two_colours_that_are_picked_the_one_with_copies_is_active() -> None:
    gone = deployment("hello-green", "2.0.0", 0, color="green")
    assert plan(service(app="hello"), [BLUE, gone], version="3", rollback=False)["active"]["color"] == "blue"


# -- tag and answer ----------------------------------------------------------------------------------------------------

V = Rule(prefix="v")


def test_what_answers_comes_from_the_tag_by_a_rule_and_what_is_typed_is_the_tag() -> None:
    there = [deployment("hello", "v1.0.0"), deployment("hello-green", "v0.9.0", color="green")]
    found = plan(service(app="hello", version="v1.0.0"), there, version="v2.0.0", rollback=False, rule=V)
    assert (found["version"], found["tag"], found["phase"]) == ("2.0.0", "v2.0.0", "preview")
    assert (found["active"]["version"], found["active"]["tag"]) == ("1.0.0", "v1.0.0")
    # Traffic is led by labels, which have the tag.
    assert found["active"]["selector"]["version"] == "v1.0.0"
    assert found["preview"]["selector"]["version"] == "v2.0.0"
    planned = begin(found, "hello", DESCRIBED, REQUESTED, {})
    assert (planned.before, planned.target, planned.way_back) == ("1.0.0", "2.0.0", "-e version=v1.0.0")
    made = planned.facts["manifests"]
    assert made["deployments"]["hello-green"]["version"] == "v2.0.0"
    assert made["selectors"]["hello-preview"]["version"] == "v2.0.0"
    assert "-e version=v0.9.0" not in "".join(planned.hints)
    again = plan(service(app="hello", version="v1.0.0"), there, version="v1.0.0", rollback=False, rule=V)
    assert again["phase"] == "done"
    # A version that has the traffic already is not excused by what it loses itself.
    assert (planned.alone, begin(again, "hello", DESCRIBED, REQUESTED, {}).alone) == (None, {})


def test_going_back_brings_a_colour_that_was_scaled_away_up_with_its_tag() -> None:
    blue, green = deployment("hello", "v1.0.0", 0), deployment("hello-green", "v2.0.0", color="green")
    live = service("1.0.0", app="hello", version="v2.0.0", color="green")
    found = plan(live, [blue, green], version="", rollback=True, rule=V)
    assert (found["version"], found["tag"], found["phase"]) == ("1.0.0", "v1.0.0", "preview")
    assert found["preview"]["selector"]["version"] == "v1.0.0"


def test_a_label_that_is_somebody_elses_leads_the_traffic_and_is_no_version() -> None:
    blue = deployment("hello", "v1", image="1.20.1")  # a mesh's subset
    found = plan(service(app="hello"), [blue], version="1.20.2", rollback=False)
    assert (found["active"]["version"], found["active"]["selector"]["version"]) == ("1.20.1", "v1")


def test_of_several_containers_the_version_is_that_of_the_one_that_is_named_or_it_is_refused() -> None:
    blue = deployment("hello", "1.0.0", image="9")
    pod = blue["spec"]["template"]["spec"]
    pod["containers"] = [{"name": "proxy", "image": "nginx:9"}, {"name": "backend", "image": "shop:3"}]
    found = plan(service(app="hello"), [blue], version="4", rollback=False, container="backend")
    assert found["active"]["version"] == "3"
    with pytest.raises(Failure, match="has several containers \\(proxy, backend\\); name the one"):
        plan(service(app="hello"), [blue], version="4", rollback=False)


def test_that_a_colour_was_pinned_by_a_digest_is_said_where_the_description_takes_its_place() -> None:
    green = deployment("hello-green", "0.9.0", color="green", image="0.9.0@sha256:12")
    found = plan(service(app="hello", version="1.0.0"), [BLUE, green], version="2.0.0", rollback=False)
    hints = begin(found, "hello", DESCRIBED, REQUESTED, {}).hints
    assert "kelseyhightower/hello was pinned by sha256:12, and is by tag 2.0.0 now" in hints


# -- the preview's Service ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "owned",
    [
        {"nodePort": 30001},
        {"nodePort": 30001, "name": "web", "targetPort": "http", "protocol": "TCP", "appProtocol": "http"},
    ],
)
def test_a_preview_service_has_what_a_preview_needs_and_nothing_of_one_service_alone(owned: Object) -> None:
    described = {
        **DESCRIBED,
        "service_session_affinity": "ClientIP",
        "service": {
            "type": "LoadBalancer",
            "clusterIP": "10.0.0.1",
            "clusterIPs": ["10.0.0.1"],
            "healthCheckNodePort": 30002,
            "loadBalancerIP": "192.0.2.1",
            "loadBalancerClass": "x",
            "externalIPs": ["192.0.2.2"],
            "externalTrafficPolicy": "Local",
            "selector": {"app": "hello"},
            "ports": [{"port": 80, **owned}],
            "publishNotReadyAddresses": True,
        },
    }
    found = plan(service(app="hello"), [BLUE], version="2.0.0", rollback=False)
    made = begin(found, "hello", described, REQUESTED, {}).facts["manifests"]["services"]["hello-preview"]
    kept = {key: value for key, value in owned.items() if key != "nodePort"}
    assert made == {"labels": {"app": "hello"}, "service": {"ports": [{"port": 80, **kept}]}}


@pytest.mark.parametrize(
    "own",
    [
        # What a cloud's load balancer is made by, and what others rely on in the application's own Service.
        {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"}, "finalizers": ["example.com/lb"]},
        {"labels": {"tier": "front", "monitored": "yes"}},
        {"service_labels": {"x": "y"}},
    ],
)
def test_a_preview_service_has_no_metadata_of_the_applications_own(own: Object) -> None:
    ports = [{"port": 80, "name": "http"}, {"port": 9090, "name": "metrics", "nodePort": 30090}]
    described = {**DESCRIBED, **own, "service": {"type": "NodePort", "ports": ports, **own}}
    found = plan(service(app="hello"), [BLUE], version="2.0.0", rollback=False)
    made = begin(found, "hello", described, REQUESTED, {}).facts["manifests"]["services"]["hello-preview"]
    assert made["labels"] == {"app": "hello"}
    assert made["service"] == {"ports": [{"port": 80, "name": "http"}, {"port": 9090, "name": "metrics"}]}


@pytest.mark.parametrize("paused", [True, False])
def test_a_colour_with_the_traffic_that_is_in_the_middle_of_a_rollout_is_not_pinned_to_what_few_pods_have(
    paused: bool,
) -> None:
    """The Service would be pinned to the label of its template, which the pods that users get do not have."""
    blue = deployment("hello", "9.9.9")
    blue["spec"]["paused"] = paused
    blue["status"] |= {"replicas": 4, "updatedReplicas": 1}
    live = service(app="hello")
    with pytest.raises(
        Failure, match=r"Deployment hello, which has the traffic, is in the middle of a rollout to 9\.9\.9"
    ):
        plan(live, [blue], version="2.0.0", rollback=False)
    # The way back to the other colour pins nothing to it.
    switched = service("2.0.0", app="hello", version="9.9.9")
    assert plan(switched, [blue, GREEN], version="", rollback=True)["phase"] == "switch"
    blue["status"] |= {"replicas": 3, "updatedReplicas": 3}
    assert plan(live, [blue], version="2.0.0", rollback=False)["phase"] == "preview"


def test_a_colour_keeps_the_whole_selector_that_it_has() -> None:
    rules = [{"key": "app", "operator": "In", "values": ["hello"]}]
    green = deployment("hello-green", "0.9.0", color="green")
    green["spec"]["selector"] = {"matchExpressions": rules, "matchLabels": {"color": "green"}}
    found = plan(service(app="hello", version="1.0.0"), [BLUE, green], version="2.0.0", rollback=False)
    made = begin(found, "hello", DESCRIBED, REQUESTED, {}).facts["manifests"]["deployments"]["hello-green"]
    assert made["label_selector"] == green["spec"]["selector"]
    assert made["selector"] == {"color": "green"}


def test_the_pod_template_is_the_one_of_the_other_colour() -> None:
    template = {"spec": {"nodeName": "a"}}
    green = {"kind": "Deployment", "metadata": {"name": "hello-green"}, "spec": {"template": template}}
    others: list[Object] = [{"kind": "Service", "metadata": {"name": "hello-green"}}, {"kind": "Deployment"}]

    assert template_of([*others, green], "hello-green") == template
    assert template_of([{**green, "spec": None}], "hello-green") == {}
    with pytest.raises(Failure, match="no Deployment hello-green, which is the other colour"):
        template_of(others, "hello-green")
