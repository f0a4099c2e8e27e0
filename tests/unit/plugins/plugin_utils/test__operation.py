"""A task is a process of its own, which ends with its run."""

from __future__ import annotations

import gc
import subprocess
import sys
import typing as t
from pathlib import Path
from unittest import mock

import pytest
from ansible_collections.convoy.rollout.plugins.plugin_utils import _operation

COLLECTIONS = Path(__file__).resolve().parents[4] / ".collections"

#: A run and its task, both of which would wait for ever; the task does something first.
RUN = f"""
import multiprocessing, os, signal, sys, time
sys.path.insert(0, {str(COLLECTIONS)!r})
from ansible_collections.convoy.rollout.plugins.plugin_utils import _operation
run = os.getpid()
def task():
    os.setsid()
    %s
    os.write(1, str(_operation._ended_with_run() == run).encode())
    signal.pause()
multiprocessing.get_context("fork").Process(target=task).start()
signal.pause()
"""


#: Until the run is gone, and somebody else has taken its task in.
LATE = "os.write(1, b'late'); [time.sleep(0.01) for _ in iter(lambda: os.getppid() == run, False)]"


@pytest.mark.parametrize(("first", "said"), [("pass", b"True"), (LATE, b"late")], ids=["at work", "not yet at work"])
def test_a_task_knows_its_run_and_ends_when_that_is_killed(first: str, said: bytes) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN % first], stdout=subprocess.PIPE) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.read(4) == said
        finally:
            run.kill()
        # The end of what they print: neither of the two is there any more, and no other process was taken for the run.
        assert run.communicate(timeout=300)[0] == b""


def test_what_is_there_when_an_action_is_loaded_stays_shared_with_the_tasks_processes() -> None:
    gc.unfreeze()
    assert gc.get_freeze_count() == 0
    try:
        type("Action", (_operation.OperationAction,), {"arguments": {}})
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()


class Verified(_operation.OperationAction):
    """An action whose tasks have some options from their run."""

    arguments: t.ClassVar[dict[str, t.Any]] = {"run": {}, "plan": {}, "namespace": {}, "samples": {}, "replicas": {}}
    of_run = ("plan", "namespace", "samples", "timeout")


HANDLE = {"directory": "/run", "options": {"namespace": "shop", "samples": 50, "timeout": 9, "replicas": 7}}
BEGUN = {"changed": False, "run": HANDLE, "plan": {"phase": "switch"}}


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ({"run": BEGUN}, {"plan": {"phase": "switch"}, "namespace": "shop", "samples": 50}),
        ({"run": HANDLE}, {"namespace": "shop", "samples": 50}),
        ({"run": BEGUN, "samples": 20, "plan": {}}, {"plan": {}, "namespace": "shop", "samples": 20}),
        ({"run": {"run": {"refused": {}}, "failed": True}}, {}),
        ({"run": {"msg": "a variable is not defined", "failed": True}}, {}),
        ({"run": {"run": "what somebody typed"}}, {}),
        ({"run": "what somebody typed"}, {}),
        ({"samples": 5}, {"samples": 5}),
    ],
    ids=["registered", "handle", "given", "refused", "never begun", "no handle", "no run", "without one"],
)
def test_a_task_has_the_options_of_its_run_that_it_is_not_given(
    given: dict[str, t.Any], known: dict[str, t.Any]
) -> None:
    assert Verified.with_those_of_run(given) == {**given, **known}


def test_an_action_that_names_none_has_none_of_them() -> None:
    assert _operation.OperationAction.with_those_of_run({"run": BEGUN}) == {"run": BEGUN}


@pytest.mark.parametrize("transport", ["local", "ssh"])
def test_it_has_them_wherever_its_module_runs(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = mock.Mock(args={"run": BEGUN}, async_val=0, check_mode=False, diff=False, environment=[])
    action = Verified(task, mock.Mock(transport=transport), *[mock.Mock()] * 4)
    monkeypatch.setattr(action, "_execute_module", lambda **_: dict(task.args))
    monkeypatch.setattr(action, "validate_argument_spec", lambda **_: (None, dict(task.args)))
    monkeypatch.setattr(action, "operation", lambda options, _task: dict(options), raising=False)
    monkeypatch.setattr(_operation, "_ended_with_run", lambda: None)
    monkeypatch.setattr(_operation._access, "placed", lambda options, _environ: options)
    assert action.run(task_vars={})["namespace"] == "shop"
