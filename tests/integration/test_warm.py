"""Runs that are forked from a process that has imported what they need are as those that begin as a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
from integration import warm
from integration.interpreter import interpreter
from integration.playbooks import Lab

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="runs are forked on Linux only")
#: Says what its environment says, and waits where it is told to.
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - debug:
        msg: "{{ lookup('env', 'SAID') }}"
    - wait_for: {timeout: 300}
      when: waits is defined
"""


@pytest.fixture
def play(tmp_path: Path) -> Path:
    """The playbook."""
    (tmp_path / "play.yml").write_text(PLAY)
    return tmp_path / "play.yml"


def test_a_forked_run_prints_and_ends_as_a_program_does(kubeconfig: str) -> None:
    args = ["playbooks/bluegreen.yml", "--extra-vars", f"kubeconfig={kubeconfig}"]  # which lacks a version
    program = subprocess.run(
        ["ansible-playbook", *args], cwd=warm.ROOT, env=warm.environment(), capture_output=True, text=True
    )
    forked = warm.start(args, warm.environment())
    output, _ = forked.communicate(300)
    assert (forked.returncode, output) == (program.returncode, program.stdout)
    assert forked.returncode == 2
    assert "bluegreen_version" in output


def test_each_has_its_own_environment(play: Path) -> None:
    runs = [(said, warm.start([str(play)], warm.environment() | {"SAID": said})) for said in ("one", "other")]
    for said, run in runs:
        output, _ = run.communicate(300)
        assert run.returncode == 0, output
        assert f"localhost: {said}\n" in output


def test_one_is_known_by_its_mark_and_once_it_is_killed_says_by_what(play: Path) -> None:
    mark = uuid.uuid4().hex
    with warm.start([str(play), "-e", "waits=true", "-v"], warm.environment() | {warm.MARK: mark}) as run:
        assert "PLAY" in next(line for line in run.stdout if line.strip() and "config file" not in line)
        assert f"{warm.MARK}={mark}\0" in Path(f"/proc/{run.pid}/environ").read_text()
        os.killpg(run.pid, signal.SIGKILL)
        assert run.wait(60) == -signal.SIGKILL


def test_threads_that_ask_at_the_same_time_are_told_the_same() -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(100):
            output, printed = os.pipe()
            ended, ends = os.pipe()
            run, together = warm.Forked(0, output, ended, []), Barrier(9)

            def ask(run: warm.Forked = run, together: Barrier = together) -> int:
                together.wait(60)
                return run.wait(60)

            asked = [pool.submit(ask) for _ in range(8)]
            together.wait(60)
            os.write(ends, b"3")
            os.close(ends)
            os.close(printed)
            assert {one.result() for one in asked} == {3}
            run.stdout.close()


@pytest.mark.parametrize("name", ["ANSIBLE_FORKS", "HOME", "PYTHONPATH"])
def test_what_is_read_while_ansible_is_imported_makes_it_a_program(
    name: str, kubeconfig: str, play: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {name: "5" if name == "ANSIBLE_FORKS" else str(play.parent)}
    lab = Lab(kubeconfig, "default")
    assert warm.fits(warm.environment())
    assert not warm.fits(warm.environment() | environment)
    with replace(lab, environment=environment).start(play) as started:
        assert isinstance(started, subprocess.Popen)
        started.kill()
    monkeypatch.setenv("HOME", str(play.parent))  # for all runs of a test
    assert not warm.fits(warm.environment())


#: Says where it is, what it is given and whether something is imported already, and ends with a number.
MODULE = """
import atexit, os, sys
atexit.register(print, "at its end")
print(os.getcwd(), os.environ["SAID"], len(os.environ), __name__, sys.argv, "wave" in sys.modules)
print("aside", file=sys.stderr)
sys.exit(3)
"""


def test_a_forked_module_ends_as_a_program_does_and_finds_imported_what_it_needs(tmp_path: Path) -> None:
    def ran(python: str | Path, *args: str | Path, given: str = MODULE) -> tuple[int, str, str]:
        done = subprocess.run(
            [python, *args], cwd=tmp_path, env={"SAID": "hello"}, input=given, capture_output=True, text=True
        )
        return done.returncode, done.stdout, done.stderr

    (tmp_path / "module.py").write_text(MODULE)
    with interpreter(tmp_path, "wave") as forking:
        for args in ([], [tmp_path / "module.py"]):
            code, printed, aside = ran(sys.executable, *args)
            assert (code, aside) == (3, "aside\n")
            assert printed.endswith(" False\nat its end\n")
            assert ran(forking, *args) == (code, printed.replace(" False\n", " True\n"), aside)
        assert ran(forking, given="import os, signal; os.kill(os.getpid(), signal.SIGKILL)") == (1, "", "")
        code, _printed, aside = ran(forking, given="1 / 0")
        assert (code, aside.splitlines()[-1]) == (1, "ZeroDivisionError: division by zero")
