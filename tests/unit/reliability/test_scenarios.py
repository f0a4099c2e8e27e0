"""What `make faults` knows of the roles is as the roles are."""

from __future__ import annotations

import pytest
from integration.playbooks import Run
from reliability import application_faults, kills, operators
from reliability.scenarios import SCENARIOS, phases


@pytest.mark.parametrize("role", sorted({scenario.strategy for scenario in SCENARIOS.values()}))
def test_a_run_has_its_phases(role: str) -> None:
    found = phases(role)
    assert len(found["block"]) > 1
    assert len(found["rescue"]) == len(found["always"]) == 1


@pytest.mark.parametrize("strategy", list(application_faults.STRATEGIES))
def test_the_task_that_brings_the_version_is_one_of_the_role(strategy: str) -> None:
    playbook, _options, brings = application_faults.STRATEGIES[strategy]
    assert len([name for name in phases(playbook)["block"] if brings in name]) == 1


def test_why_a_run_failed_is_read_from_its_screen() -> None:
    screen = """
PLAY [Scale a Deployment] ****
changed: [sandbox] convoy.rollout.scale : Scale it
failed: [sandbox] convoy.rollout.scale : Wait until as many pods are ready as were requested
failed: [sandbox] convoy.rollout.scale : Say why it failed, and what users get now
  Deployment hello did not complete its rollout: no room.
  the last line of its log

PLAY RECAP ****
sandbox                    : ok=7    changed=0    unreachable=0    failed=1
"""
    assert (
        kills.said(Run(2, screen)) == "Deployment hello did not complete its rollout: no room. the last line of its log"
    )
    assert kills.said(Run(4, "[ERROR]: no inventory\nmore\n")) == "[ERROR]: no inventory"
    assert operators._why(Run(2, "x is being changed by y; wait")) == "refused"
    assert operators._why(Run(2, "The lock was taken over by y, so\nthis run stops; ...")) == "taken over"
