"""What is killed: each strategy's playbook, from where, and how its user goes back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from integration.playbooks import description

ROLES = Path(__file__).resolve().parents[2] / "roles"

Play = tuple[str, dict[str, Any]]  #: a playbook and its variables

DEPLOY: Play = ("app_deploy", {})  #: what all of them begin with


@dataclass(frozen=True)
class Scenario:
    """One command of a strategy, run by an application that serves `old`."""

    strategy: str
    play: Play
    back: Play
    old: str = "1.0.0"
    new: str = "2.0.0"
    before: tuple[Play, ...] = ()  #: what was run earlier, after the application was deployed as 1.0.0
    #: What may serve when the way back is taken though the killed run had changed nothing yet.
    earlier: str = ""
    #: What `back` says to run where the killed run had ended its work.
    undo: Play | None = None
    drains: bool = True  #: whether the application's pods go on listening for a while once they are told to end

    @property
    def group(self) -> str:
        """What it is counted with."""
        return self.strategy if self.drains else f"{self.strategy}, pods without a drain"

    @property
    def deploy(self) -> Play:
        """What its application is deployed with."""
        if self.drains:
            return DEPLOY
        applications = description()
        applications["hello"]["drain"] = 0
        return DEPLOY[0], {"applications": applications}


@cache
def phases(role: str) -> dict[str, list[str]]:
    """The names of a role's tasks: in the block of its run, in its rescue and in its always.

    Files that the block includes count to it.
    """

    def names(tasks: list[dict[str, Any]]) -> list[str]:
        found = []
        for task in tasks:
            found.append(str(task["name"]).rpartition(" | ")[2])
            included = task.get("ansible.builtin.include_tasks")
            found += names(_read(role, str(included))) if included else []
        return found

    (run,) = (task for task in _read(role, "main.yml") if "rescue" in task)
    return {phase: names(run[phase]) for phase in ("block", "rescue", "always")}


def _read(role: str, file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load((ROLES / role / "tasks" / file).read_text()))


STEPS: dict[str, Any] = {"canary_steps": [{"weight": 25}, {"weight": 50, "pause": "1s"}]}
ROLLBACK: Play = ("rollback", {"revision": 1})

SCENARIOS = {
    "first": Scenario("bluegreen", ("bluegreen", {"version": "2.0.0"}), ("bluegreen", {"rollback": True})),
    "next": Scenario(
        "bluegreen",
        (
            "bluegreen",
            {"version": "3.0.0", "bluegreen_keep_previous": False, "bluegreen_previous_delay": 1},
        ),
        ("bluegreen", {"rollback": True}),
        old="2.0.0",
        new="3.0.0",
        before=(("bluegreen", {"version": "2.0.0"}),),
        earlier="1.0.0",
    ),
    "steps": Scenario(
        "canary", ("canary", {"version": "2.0.0", "promote": True, **STEPS}), ("canary", {"abort": True}), undo=ROLLBACK
    ),
    "quarter": Scenario("canary", ("canary", {"version": "2.0.0"}), ("canary", {"abort": True})),
    "whole": Scenario("rolling_update", ("rolling_update", {"version": "2.0.0"}), ROLLBACK),
    "halves": Scenario(
        "rolling_update", ("rolling_update", {"version": "2.0.0", "rolling_update_pause_at": "50%"}), ROLLBACK
    ),
    "undrained": Scenario("rolling_update", ("rolling_update", {"version": "2.0.0"}), ROLLBACK, drains=False),
    "up": Scenario("scale", ("scale", {"replicas": 5}), ("scale", {"replicas": 3}), new="1.0.0"),
    "one": Scenario("scale", ("scale", {"replicas": 1}), ("scale", {"replicas": 3}), new="1.0.0"),
    "down": Scenario(
        "scale",
        ("scale", {"replicas": 2}),
        ("scale", {"replicas": 5}),
        new="1.0.0",
        before=(("scale", {"replicas": 5}),),
    ),
}
