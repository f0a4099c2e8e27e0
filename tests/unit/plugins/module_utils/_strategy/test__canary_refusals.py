"""What keeps a canary from getting its share is refused before anything is changed."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._canary_state import Seen
from unit.plugins.module_utils._strategy.canaries import (
    STEPS,
    WIDE,
    Object,
    canary,
    deployment,
    planned,
    scaler,
    seen,
    service,
    weights,
)


@pytest.mark.parametrize(
    ("state", "asked", "said"),
    [
        (
            seen(beside=canary()),
            {"version": "3.0.0"},
            r"canary of hello 2\.0\.0 is already running.*so 3\.0\.0 cannot start",
        ),
        (seen(), {"promote": True, "abort": True}, "not both"),
        (seen(), {"promote": True}, "no canary of hello to promote"),
        (seen(), {"steps": [{"weight": 101.0}]}, "The weight of a step is 101; it must be above 0 and at most 100"),
        (seen(), {"steps": [{"weight": 0.0}]}, "must be above 0"),
        (seen(), {"steps": [{"weight": 50.0}, {"weight": 25.0}]}, "go from 50% to 25%"),
        (seen(), {"steps": [{"weight": 25.0, "pause": "soon"}]}, "'soon' cannot be read"),
        (seen(beside=canary(weight="50")), {"steps": STEPS[:1]}, "already has 50%, so it cannot go down to 25%"),
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
        (seen(deployment(replicas=0)), {}, "has no replicas for a canary to run beside"),
        (seen(deployment(paused=True)), {}, "is paused; resume it first"),
        (seen(deployment() | {"status": {"observedGeneration": 1}}), {}, r"not complete \(0 of 3 new pods exist\)"),
        (
            seen(deployment(labels={"app": "hello", "track": "canary"})),
            {},
            "track=canary themselves, so it is not the stable",
        ),
        (seen(beside=deployment("hello-canary", labels={"app": "bird"})), {}, "is not a canary of hello"),
        (seen(deployment(replicas=5), canary(weight="75")), {"steps": WIDE}, "has 5 replicas, but .* should have 1"),
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
