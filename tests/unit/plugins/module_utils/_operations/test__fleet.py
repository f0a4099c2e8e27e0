"""What the states of a fleet's rollout read of its clusters."""

from __future__ import annotations

import typing as t
from collections import Counter
from types import SimpleNamespace

import pytest
from ansible_collections.convoy.rollout.plugins.action.fleet import ActionModule
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _fleet, _version_distribution

GOOD = {"wave": 1, "verdict": "pass", "after": "2.0.0", "samples": 500, "lost": 0, "verified_by": "versions"}
BAD = {**GOOD, "verdict": "fail"}
NAMES = [f"cluster-{number}" for number in range(20)]
FLEET = {"plan": [{"number": 1, "name": "all", "clusters": NAMES}], "family": 60, "stopped": 0, "begun": 0.0}


def options(state: str) -> dict[str, t.Any]:
    """The options of a task with the defaults of the others."""
    defaults = {name: option.get("default") for name, option in _fleet.ARGUMENTS.items()}
    return {**defaults, "state": state, "application": "hello", "namespace": "default", "fleet": FLEET}


class Variables:
    """The variables of all hosts, and how often those of each were put together."""

    def __init__(self, results: t.Mapping[str, t.Any]) -> None:
        self.read: Counter[str] = Counter()
        self._results = results

    def __getitem__(self, host: str) -> dict[str, t.Any]:
        self.read[host] += 1
        return {"fleet_result": self._results.get(host), "__fleet_start": {"known": "1.0.0", "service": "hello"}}


def done(state: str, results: t.Mapping[str, t.Any]) -> tuple[dict[str, t.Any], Counter[str]]:
    """What the action returns for the first host, and how often each host's variables were put together."""
    variables = Variables(results)
    known = {
        "inventory_hostname": NAMES[0],
        "ansible_play_hosts_all": NAMES,
        "groups": {},
        "hostvars": variables,
    }
    action = t.cast(ActionModule, SimpleNamespace(_task_vars=known))
    return ActionModule.operation(action, options(state), Task()), variables.read


@pytest.mark.parametrize(
    ("results", "failed"),
    [
        (dict.fromkeys(NAMES, GOOD), []),
        ({**dict.fromkeys(NAMES, GOOD), NAMES[3]: BAD, NAMES[7]: {**BAD, "verdict": "lost"}}, [NAMES[3], NAMES[7]]),
        ({NAMES[0]: GOOD}, []),  # the others come with later waves
    ],
)
def test_those_that_failed_are_named_once_for_all(results: dict[str, t.Any], failed: list[str]) -> None:
    result, read = done("surveyed", results)

    assert result["ansible_facts"]["__fleet"] == {**FLEET, "failed": failed}
    assert set(read.values()) == {1}  # each costs a third of a millisecond, and more with its facts


def test_one_clusters_verification_reads_no_other_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {"verdict": "pass", "samples": 100, "counts": {"2.0.0": 100}, "errors": {}, "message": "all"}
    monkeypatch.setattr(_version_distribution, "looked", lambda *_given: seen)

    result, read = done("verified", dict.fromkeys(NAMES, GOOD))

    assert result["ansible_facts"]["fleet_result"]["samples"] == 600
    assert set(read) == {NAMES[0]}
