"""Which colour is active and what is left to do."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._bluegreen import PREVIOUS, plan

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


@pytest.mark.parametrize("previous", ["", "0.9.0"], ids=["of the first rollout", "of a third version"])
def test_a_rollback_of_what_was_cut_off_before_the_switch_stays(previous: str) -> None:
    live = service(previous, app="hello", version="1.0.0")
    found = plan(live, [BLUE, GREEN], version="", rollback=True)
    assert (found["version"], found["phase"]) == ("1.0.0", "done")


def test_a_rollback_twice_is_done() -> None:
    live = service("1.0.0", app="hello", version="1.0.0")
    assert plan(live, [BLUE, GREEN], version="", rollback=True)["phase"] == "done"


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
