"""What cannot work is refused in words that name it, before a cluster is touched: by role, with which variables.

One play a role has all of its cases. That a whole run ends so, is what the integration tests have one example of a role
for; what is refused by what the cluster says is theirs, too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from unit.plugins.plays import DESCRIPTION, Ending, endings

TO = {"version": "2.0.0"}
HELLO = DESCRIPTION["applications"]["hello"]

#: By role and its entry, each with what its refusal says.
REFUSED: dict[tuple[str, str], dict[str, tuple[dict[str, Any], str]]] = {
    ("app_deploy", "main"): {
        "a version that is a number": (
            {"applications": {"hello": HELLO | {"version": 2.0}}},
            "Application hello cannot be deployed",
        ),
    },
    ("bluegreen", "main"): {
        "no version": ({}, "bluegreen_version"),
        "an empty version": ({"version": ""}, "bluegreen_version"),
        "a version that is a number": ({"version": 2.0}, "quote"),
        "a version of two words": ({"version": "two words"}, "label"),
        "forward and back": (TO | {"rollback": True}, "not both"),
        "an application that is not described": (TO | {"application": "goodbye"}, "goodbye"),
        "samples that are no number": (TO | {"bluegreen_samples": "many"}, "bluegreen_samples"),
        "no samples": (TO | {"bluegreen_samples": 0}, "bluegreen_samples"),
        "fewer replicas than none": (TO | {"bluegreen_replicas": -1}, "bluegreen_replicas"),
        "a delay that is negative": (TO | {"bluegreen_previous_delay": -1}, "bluegreen_previous_delay"),
    },
    ("canary", "main"): {
        "no version": ({}, "canary_version"),
        "a version that is a number": ({"version": 2.0}, "quote"),
        "promoted and aborted": ({"promote": True, "abort": True}, "not both"),
    },
    ("rolling_update", "main"): {
        "no version": ({}, "give the version to go to"),
        "a version that is a number": ({"version": 2.0}, "in quotes"),
        "a resume that there is not": (TO | {"rolling_update_resume": "later"}, "must be one of: auto, next_run"),
    },
    ("scale", "main"): {
        "no number": ({}, "Give the number of replicas or a step for hello"),
    },
    ("fleet", "main"): {
        "a soak that is negative": (TO | {"fleet_soak": -1}, "fleet_soak is -1; the least that works is 0."),
        "a wave that there is not": (TO | {"waves": ["moon"]}, "moon"),
    },
}
#: What is not refused, so that it is seen when it goes to the cluster.
GOOD: dict[str, dict[str, Any]] = {"app_deploy": {}, "scale": {"replicas": 5}}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Mapping[str, Ending]]:
    """What became of each case of a role, and of one that is good."""

    @functools.cache
    def play(role: str, entry: str) -> Mapping[str, Ending]:
        cases = {name: variables for name, (variables, _sentence) in REFUSED[role, entry].items()}
        return endings(tmp_path_factory.mktemp(role), role, cases | {"good": GOOD.get(role, TO)}, entry)

    return play


@pytest.mark.parametrize(
    ("role", "entry", "case"),
    [pytest.param(*key, case, id=f"{key[0]}-{case}") for key, cases in REFUSED.items() for case in cases],
)
def test_what_cannot_work_is_refused(
    role: str, entry: str, case: str, ended: Callable[[str, str], Mapping[str, Ending]]
) -> None:
    ending, (_variables, sentence) = ended(role, entry)[case], REFUSED[role, entry][case]
    assert not ending.touched
    assert sentence in " ".join(ending.refusal.split())


@pytest.mark.parametrize(("role", "entry"), REFUSED)
def test_what_can_work_goes_to_the_cluster(
    role: str, entry: str, ended: Callable[[str, str], Mapping[str, Ending]]
) -> None:
    assert ended(role, entry)["good"].requests


def test_a_program_that_is_to_be_run_is_noticed(tmp_path: Path) -> None:
    """Otherwise a role that runs one before it refuses would look as if it had touched nothing."""
    kind = {"cluster_provider": "kind", "kubeconfig": str(tmp_path / "kubeconfig")}
    cases = {"runs": kind, "refuses": kind | {"cluster_nodes": 0}}
    run = endings(tmp_path, "cluster", cases)
    assert run["runs"].modules
    assert not run["refuses"].touched
    assert run["refuses"].refusal == "cluster_nodes is 0; a cluster has at least one node."
