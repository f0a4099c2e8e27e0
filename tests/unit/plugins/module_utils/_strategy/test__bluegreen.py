"""Which colour is active and what is left to do."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._bluegreen import (
    PREVIOUS,
    UNFINISHED,
    Unfinished,
    begin,
    begun,
    following,
    plan,
    removal,
    unfinished_of,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._subject import Namespace, subject

Object = dict[str, t.Any]


def service(previous: str = "", **selector: str) -> Object:
    """The Service hello."""
    annotations = {PREVIOUS: previous} if previous else {}
    return {"metadata": {"name": "hello", "annotations": annotations}, "spec": {"selector": selector}}


def deployment(name: str, version: str, replicas: int = 3, *, complete: bool = True, color: str = "") -> Object:
    """A Deployment of hello."""
    labels = {"app": "hello", **({"version": version} if version else {}), **({"color": color} if color else {})}
    ready = replicas if complete else 0
    return {
        "metadata": {"name": name, "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {k: v for k, v in labels.items() if k != "version"}},
            "template": {"metadata": {"labels": labels}},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "availableReplicas": ready,
        },
    }


BLUE = deployment("hello", "1.0.0")
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
            "users got hello 0.9.0 before .* hello-green, which had it, has 2.0.0 by now.*-e version=0.9",
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
        (service(app="other"), [BLUE, GREEN], False, "picks neither of hello and hello-green"),
        (service(app="hello"), [], False, "picks neither of hello-blue and hello-green"),
        (service(app="hello"), [BLUE, GREEN], False, "picks Deployment hello and Deployment hello-green"),
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
