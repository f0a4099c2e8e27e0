"""convoy-sandbox as a user types it."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from convoy_sandbox import cli
from kubernetes import client, config


def typed(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What comes of a command line, as a program."""
    env = {**os.environ, "CONVOY_SANDBOX_DIR": str(directory)}
    return subprocess.run(
        [sys.executable, "-m", "convoy_sandbox.cli", *arguments],
        env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def command(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What comes of it in this process: the sandbox that it starts is a program all the same."""
    printed, said = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("CONVOY_SANDBOX_DIR", str(directory))
        changed.setattr(sys, "argv", ["convoy-sandbox", *arguments])
        changed.setattr(sys, "stdout", printed)
        changed.setattr(sys, "stderr", said)
        with pytest.raises(SystemExit) as end:
            cli.main()
    return subprocess.CompletedProcess(arguments, int(end.value.code or 0), printed.getvalue(), said.getvalue())


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for home in cli.homes(tmp_path):
        command(tmp_path, "down", "--name", home.name)


def _described(directory: Path, run: t.Any = command) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run(directory, "status", "--json").stdout)
    return found


def test_up_status_down(directory: Path) -> None:
    up = typed(directory, "up", "--name", "blue", "--nodes", "2", "--node-cpu", "500m", "--node-memory", "1Gi")
    assert up.returncode == 0, up.stderr
    kubeconfig = directory / "blue" / "kubeconfig"
    assert f"export KUBECONFIG={kubeconfig}" in up.stdout
    core = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
    assert [node.status.allocatable["cpu"] for node in core.list_node().items] == ["500m", "500m"]
    for path in (kubeconfig, directory / "blue" / "state.json"):
        assert path.stat().st_mode & 0o777 == 0o600

    again = typed(directory, "up", "--name", "blue")
    assert (again.returncode, "is already running" in again.stdout) == (0, True)

    assert typed(directory, "up", "--name", "green").returncode == 0
    described = _described(directory, typed)
    assert [entry["name"] for entry in described] == ["blue", "green"]
    assert [entry["nodes"] for entry in described] == [2, 5]
    table = typed(directory, "status").stdout.splitlines()
    assert table[0].split() == ["NAME", "SERVER", "NODES", "PODS", "EXTERNAL", "ADDRESSES", "KUBECONFIG"]
    assert table[1].split()[:4] == ["blue", str(described[0]["server"]), "2", "0"]
    assert len(typed(directory, "status", "--name", "green").stdout.splitlines()) == 2

    down = typed(directory, "down", "--name", "blue")
    assert (down.returncode, down.stdout) == (0, "Sandbox blue is stopped.\n")
    assert not kubeconfig.exists()
    assert [entry["name"] for entry in _described(directory, typed)] == ["green"]
    assert typed(directory, "down", "--name", "blue").stdout == "Sandbox blue is not running.\n"


def test_where_the_environment_names_a_proxy_it_is_reached_directly(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # where nothing listens
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert command(directory, "up", "--nodes", "1").returncode == 0
    [described] = _described(directory)
    core = client.CoreV1Api(config.new_client_from_config(str(described["kubeconfig"])))
    assert len(core.list_node().items) == described["nodes"] == 1


def test_a_sandbox_that_was_killed_can_be_started_again(directory: Path) -> None:
    assert command(directory, "up").returncode == 0
    pid = int(str(_described(directory)[0]["pid"]))
    os.kill(pid, signal.SIGKILL)
    while cli.start_time(pid) is not None:
        pass
    assert command(directory, "status").stdout == f"No sandbox is running in {directory}.\n"
    again = command(directory, "up")
    assert again.returncode == 0, again.stderr
    assert int(str(_described(directory)[0]["pid"])) != pid


def test_another_process_with_the_old_number_is_left_alone(directory: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        home = cli.Home(directory, "convoy")
        home.path.mkdir()
        home.write({"name": "convoy", "pid": other.pid, "started": 1})
        assert command(directory, "down").stdout == "Sandbox convoy is not running.\n"
        assert other.poll() is None
        other.kill()


def test_programs_of_a_killed_sandbox_end_with_it(directory: Path) -> None:
    image = f"example/sleep={sys.executable} -c 'import time; print(1, flush=True); time.sleep(600)'"
    assert command(directory, "up", "--nodes", "1", "--image", image).returncode == 0
    core = client.CoreV1Api(config.new_client_from_config(str(directory / "convoy" / "kubeconfig")))
    pod = {
        "metadata": {"name": "sleep"},
        "spec": {"containers": [{"name": "main", "image": "example/sleep"}]},
    }
    core.create_namespaced_pod("default", pod)
    pid = int(str(_described(directory)[0]["pid"]))
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found: list[str] = []
    while not found:
        found = children.read_text().split()
    os.kill(pid, signal.SIGKILL)
    command(directory, "down")
    while any(cli.start_time(int(child)) is not None for child in found):
        pass


def test_the_foreground_ends_with_sigterm(directory: Path) -> None:
    env = {**os.environ, "CONVOY_SANDBOX_DIR": str(directory), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "convoy_sandbox.cli", "up", "--foreground"],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "is up: https://127.0.0.1:" in process.stdout.readline()
        assert (directory / "convoy" / "kubeconfig").exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0
    assert not (directory / "convoy" / "kubeconfig").exists()


def test_a_taken_port_is_told(directory: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        up = command(directory, "up", "--port", str(other.getsockname()[1]))
    assert up.returncode == 1
    assert "is taken or not permitted" in up.stderr
    assert up.stderr.count("\n") == 1
    assert _described(directory) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--nodes", "0"], "--nodes 0: must be a number between"),
        (["--port", "70000"], "--port 70000: must be a number between"),
        (["--pod-start", "-1"], "--pod-start -1.0: must be a number of seconds"),
        (["--node-cpu", "many"], "--node-cpu many: must be a quantity"),
        (["--node-memory", "0"], "--node-memory 0: must be a quantity"),
        (["--name", "No Name"], "--name No Name: must consist of lower-case"),
        (["--name", "../up"], "--name ../up: must consist of lower-case"),
        (["--image", "x"], "--image x: must be the image"),
        (["--catalog", "/no/such/file"], "the catalog /no/such/file cannot be read"),
    ],
)
def test_bad_options_get_one_sentence_before_anything_starts(
    directory: Path, arguments: list[str], sentence: str
) -> None:
    up = command(directory, "up", *arguments)
    assert up.returncode == 1
    assert up.stderr.startswith(f"convoy-sandbox: {sentence}")
    assert up.stderr.count("\n") == 1
    assert list(directory.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    up = command(tmp_path / "file", "up")
    assert up.returncode == 1
    assert up.stderr.startswith("convoy-sandbox: sandbox convoy cannot be started: ")


def test_a_gateway_without_its_program_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convoy_sandbox.network.traefik.program", lambda: None)
    options = cli._parser().parse_args(["up", "--gateway"])
    with pytest.raises(cli.UsageError, match=r"no program traefik .* pip install 'convoy-sandbox\[gateway\]'$"):
        cli._settings(options)
    with pytest.raises(cli.UsageError, match="remove --no-load-balancer"):
        cli._settings(cli._parser().parse_args(["up", "--gateway", "--no-load-balancer"]))
