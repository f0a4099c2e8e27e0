"""How far a canary is and what is left to do, and with which words its run begins, case by case."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _canary
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import Seen
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan
from unit.plugins.module_utils._strategy.canaries import (
    PROMOTED,
    STEPS,
    Object,
    canary,
    deployment,
    planned,
    seen,
    weights,
)

REQUEST: Object = {name: option.get("default") for name, option in _canary.REQUEST.items()} | {
    "version": "2.0.0",
    "steps": [{"weight": 25.0, "pause": "0"}],
}


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


def test_what_is_found_of_a_canary_that_is_yet_to_be_created() -> None:
    found = planned(seen(), version="2.0.0", steps=STEPS)
    assert found["steps"][0] == {
        "weight": 25,
        "pause": 300,
        "canary": 1,
        "stable": 3,
        "share": 0.25,
        "message": "weight 25%: 1 of 4 pods gives 25%",
    }
    assert found["canary"] == {
        "deployment": "hello-canary",
        "exists": False,
        "version": "2.0.0",
        "tag": "2.0.0",
        "replicas": 0,
        "complete": False,
        "weight": 0,
    }


def test_a_template_that_is_yet_to_be_rendered_is_not_looked_at() -> None:
    stable = deployment(labels={"app": "hello"})
    stable["spec"]["template"]["spec"]["containers"].append({"name": "log", "image": "log:7"})
    found = planned(seen(stable), version="2.0.0", steps=STEPS, templated=True)
    assert (found["template"], weights(found)) == ({}, [25, 50])


def begun(state: Seen, described: Object | None = None, **request: t.Any) -> Plan:
    """The plan of a run."""
    asked = _canary.asked(REQUEST | request, described=bool(described))
    return _canary.begin(_canary.plan(state, asked), "1.0.0", described or {}, REQUEST | request)


@pytest.mark.parametrize(
    ("state", "request_", "headline", "target", "way_back", "advances", "ends"),
    [
        (
            seen(),
            {},
            "hello 2.0.0 (canary, Deployment hello-canary) now receives its share beside 1.0.0; weight 25%: 1 of 4 "
            "pods gives 25%",
            "2.0.0", "-e abort=true", True, False,
        ),
        (
            seen(beside=canary()),
            {"promote": True},
            "hello 2.0.0 now receives all traffic: the canary was promoted",
            "2.0.0", "-e version=1.0.0 -e promote=true", True, True,
        ),
        (
            seen(beside=canary()),
            {"abort": True},
            "hello 1.0.0 now receives all traffic; its canary 2.0.0 was removed",
            "1.0.0", "", False, True,
        ),
        (
            seen(),
            {"version": "1.0.0"},
            "hello 1.0.0 receives all traffic; there is no canary",
            "1.0.0", "", False, False,
        ),
    ],
)  # fmt: skip
def test_a_run_begins_with_what_it_will_say(
    state: Seen, request_: Object, headline: str, target: str, way_back: str, advances: bool, ends: bool
) -> None:
    plan = begun(state, **request_)
    assert (plan.headline, plan.target, plan.way_back) == (headline, target, way_back)
    assert (plan.changes, plan.facts["advances"], plan.facts["ends"]) == (advances or ends, advances, ends)
    assert plan.service == "hello"


def test_an_abort_of_nothing_names_the_way_back() -> None:
    assert begun(seen(), version="", abort=True).hints == ["nothing to abort; to go back from 1.0.0: rollback.yml"]


def test_only_a_canary_that_is_yet_to_be_created_is_rendered() -> None:
    described = {"image": "kelseyhightower/hello", "version": "1.0.0"}
    new = begun(seen(), described).facts
    assert (new["templated"], new["manifests"]) == (
        True,
        {"deployments": {"hello": {"image": "kelseyhightower/hello", "version": "2.0.0"}}},
    )
    for facts in (begun(seen(beside=canary()), described).facts, begun(seen(), {}).facts):
        assert (facts["templated"], facts["manifests"]) == (False, {})
    done = begun(seen(PROMOTED), described).facts
    assert (done["templated"], done["advances"]) == (False, False)


@pytest.mark.parametrize(
    ("application", "applications", "request_", "sentence"),
    [
        ("hello", [], {}, 'canary_application is "hello"; set it to the name of an application'),
        (["hello"], {}, {}, 'canary_application is ["hello"]'),
        ("a" * 57, {}, {}, "of at most 56 characters"),
        ("hello", {"hello": {"image": "x"}}, {}, "Application hello cannot be deployed: it has no version."),
        ("hello", {}, {"promote": True, "abort": True}, "not both"),
        ("hello", {}, {"version": ""}, 'canary_version is ""; set the version of the canary'),
        (
            "hello",
            {},
            {"version": 2.0},
            'canary_version is 2.0; set the version of the canary, a label such as "2.0.0"',
        ),
        ("hello", {}, {"version": 2.0, "promote": True}, "canary_version is 2.0"),
        ("hello", {}, {"steps": []}, "canary_steps is empty"),
        ("hello", {}, {"weight": -1.0}, "canary_weight is -1.0; it must be at least 0."),
        ("hello", {}, {"weight": float("nan")}, "canary_weight is nan"),
        ("hello", {}, {"weight": float("inf")}, "The weight of a step is inf; it must be above 0"),
        ("hello", {}, {"weight": 101.0}, "at most 100"),
        ("hello", {}, {"steps": [{"weight": 25.0, "pause": "soon"}]}, "'soon' cannot be read"),
        ("hello", {}, {"weight_tolerance": -1.0}, "canary_weight_tolerance is -1.0"),
        ("hello", {}, {"timeout": 0}, "canary_timeout is 0; it must be at least 1."),
        ("hello", {}, {"samples": -1}, "canary_samples is -1"),
        ("hello", {}, {"settle": -1}, "canary_settle is -1"),
    ],
)
def test_what_cannot_work_is_refused_before_the_cluster_is_touched(
    application: t.Any, applications: t.Any, request_: Object, sentence: str
) -> None:
    with pytest.raises(Failure) as raised:
        _canary.check(application, applications, REQUEST | request_)
    assert sentence in raised.value.message


@pytest.mark.parametrize(
    "request_", [{}, {"version": "", "promote": True}, {"version": "", "abort": True}, {"weight": 50.0}]
)
def test_what_can_work_is_not_refused(request_: Object) -> None:
    described = {"hello": {"image": "kelseyhightower/hello", "version": "1.0.0"}}
    _canary.check("hello", described, REQUEST | request_)
    _canary.check("hello", {}, REQUEST | request_)


def test_one_weight_takes_the_place_of_the_steps_and_no_tolerance_is_beyond_all_of_the_traffic() -> None:
    asked = _canary.asked(REQUEST | {"weight": 50.0, "weight_tolerance": float("inf")}, described=False)
    assert (asked.steps, asked.tolerance) == ([{"weight": 50.0}], 100.0)


def test_a_canary_that_was_given_another_image_is_still_held_to_what_was_asked() -> None:
    changed = canary()
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "kelseyhightower/hello:broken"
    found = planned(seen(beside=changed), version="2.0.0", steps=STEPS)
    assert (found["canary"]["version"], found["phase"]) == ("2.0.0", "canary")
    assert planned(seen(beside=changed), abort=True)["canary"]["version"] == "broken"
    changed["spec"]["template"]["metadata"]["labels"]["version"] = "v1"  # somebody else's, which says nothing
    with pytest.raises(Failure, match=r"canary of hello broken is already running"):
        planned(seen(beside=changed), version="2.0.0", steps=STEPS)
    assert planned(seen(beside=changed), version="2.0.0", abort=True)["abort"] is True


def test_what_answers_comes_from_the_tag_by_a_rule_and_what_is_typed_is_the_tag() -> None:
    request = {**REQUEST, "version": "v2.0.0", "version_of": {"prefix": "v"}, "steps": STEPS}
    stable = deployment(version="v1.0.0")
    found = _canary.plan(seen(stable), _canary.asked(request, described=False))
    assert (found["stable"]["version"], found["stable"]["tag"]) == ("1.0.0", "v1.0.0")
    assert (found["canary"]["version"], found["canary"]["tag"]) == ("2.0.0", "v2.0.0")
    assert found["template"]["spec"]["containers"][0]["image"].endswith(":v2.0.0")
    begun = _canary.begin(found, "1.0.0", {}, request, {})
    assert (begun.before, begun.target) == ("1.0.0", "2.0.0")
    assert "-e version=v2.0.0" in begun.hints[0]
    promoted = _canary.begin({**found, "promote": True}, "1.0.0", {}, request, {})
    assert promoted.way_back == "-e version=v1.0.0 -e promote=true"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"version_of": {"replace": "x"}}, "version_of has replace without a pattern"),
        ({"image": "shop:1.0.0"}, "canary_image is shop:1.0.0; set it without a tag"),
        ({"image": "reg:5000/shop@sha256:1"}, "without a tag or a digest \\(reg:5000/shop\\)"),
    ],
)
def test_a_rule_or_an_image_that_cannot_work_is_refused_before_the_cluster_is_touched(more: Object, said: str) -> None:
    with pytest.raises(Failure, match=said):
        _canary.check("hello", {}, {**REQUEST, "version": "2.0.0", "steps": STEPS, **more})


@pytest.mark.parametrize(
    ("described", "image", "said"),
    [
        ({"image": "kelseyhightower/hello"}, "", True),
        ({}, "reg/hello", True),
        ({}, "", False),
    ],
)
def test_that_an_image_was_pinned_by_a_digest_is_said(described: Object, image: str, said: bool) -> None:
    stable = deployment()
    pinned = f"kelseyhightower/hello:1.0.0{'@sha256:12' if said else ''}"
    stable["spec"]["template"]["spec"]["containers"][0]["image"] = pinned
    request = {**REQUEST, "image": image}
    found = _canary.plan(seen(stable), _canary.asked(request, described=bool(described)))
    hints = _canary.begin(found, "1.0.0", described, request, {}).hints
    assert ("kelseyhightower/hello was pinned by sha256:12, and is by tag 2.0.0 now" in hints) is said
