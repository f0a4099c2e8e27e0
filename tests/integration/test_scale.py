"""playbooks/scale.yml: to a number or by a step, where there is room and nobody else decides."""

from __future__ import annotations

import re
from typing import Any

import pytest
from integration.playbooks import Lab


def test_to_five_and_back_and_by_a_step(lab: Lab) -> None:
    up = lab.play("scale", replicas=5)
    assert (up.code, up.changed) == (0, 1), up.output
    assert "is scaled from 3 to 5 replicas. 5 of 5 pods are ready." in up.output
    assert re.search(r"watched: \d+ requests, 0 lost; all answers from 1\.0\.0", up.output), up.output
    again = lab.play("scale", replicas=5)
    assert (again.code, again.changed) == (0, 0), again.output
    down = lab.play("scale", replicas="-2")
    assert "is scaled from 5 to 3 replicas. 3 of 3 pods are ready." in down.output, down.output
    assert lab.replicas("hello") == 3


def test_check_mode_tells_and_changes_nothing(bad_lab: Lab) -> None:
    dry = bad_lab.play("scale", "--check", "--diff", replicas="+1")
    assert (dry.code, dry.changed) == (0, 1), dry.output
    assert "is scaled from 3 to 4 replicas" in dry.output
    assert re.search(r'^\+ +"?replicas"?: 4', dry.output, re.MULTILINE), dry.output
    assert bad_lab.replicas("hello") == 3


@pytest.mark.parametrize(
    ("extra_vars", "sentence"),
    [
        ({}, "Give the number of replicas or a step for hello"),
        ({"replicas": "many"}, "give a number as 5"),
        ({"replicas": "-4"}, "fewer than none"),
        ({"replicas": 500}, "Deployment hello cannot have 500 replicas, it keeps its 3"),
        ({"replicas": 5, "application": "goodbye"}, "There is no Deployment goodbye in namespace"),
        ({"replicas": 5, "application_namespace": "nowhere"}, "There is no namespace nowhere"),
    ],
)
def test_what_cannot_be_is_refused_and_touches_nothing(bad_lab: Lab, extra_vars: dict[str, Any], sentence: str) -> None:
    before = bad_lab.spec_versions()
    run = bad_lab.play("scale", **extra_vars)
    assert run.code != 0, run.output
    assert sentence in " ".join(run.output.split()), run.output
    assert bad_lab.spec_versions() == before
