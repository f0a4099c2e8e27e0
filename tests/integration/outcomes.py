"""What runs of a role leave as their outcomes, several of them in one play."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from convoy_sandbox.testing import Sandbox
from convoy_sandbox.writes import Write
from integration.playbooks import PATIENCE, Lab, Run, cheap, ended

CLUSTER = {"kubeconfig": "{{ kubeconfig }}"}


class Outcomes:
    """A play in which a role runs once for each dictionary of variables, whatever became of the run before.

    Of the variables `tasks_from` is another entry of the role.
    """

    def __init__(self, lab: Lab, folder: Path, role: str, *runs: dict[str, Any]) -> None:
        self.lab, self.role, self.patience = lab, role, PATIENCE * len(runs)
        self.play, self.kept = folder / "play.yml", folder / "outcomes.json"
        keep = {"outcomes": f"{{{{ outcomes | default([]) + [[rollout_result, {role}_result]] }}}}"}
        tasks: list[dict[str, Any]] = []
        for number, variables in enumerate(runs):
            entry = {key: value for key, value in variables.items() if key == "tasks_from"}
            variables = {key: value for key, value in variables.items() if key not in entry}
            include = {"name": f"convoy.rollout.{role}", **entry}
            tasks += [
                {
                    "name": f"Run {number}",
                    "block": [{"name": "Run it", "ansible.builtin.include_role": include, "vars": variables}],
                    "rescue": [{"name": "Go on", "ansible.builtin.debug": {"msg": f"run {number} failed"}}],
                },
                {"name": "Keep the outcome", "ansible.builtin.set_fact": keep},
            ]
        written = {"content": "{{ outcomes | to_json }}", "dest": str(self.kept), "mode": "0600"}
        tasks.append({"name": "Write the outcomes", "ansible.builtin.copy": written, "check_mode": False})
        play = {
            "name": "Runs",
            "hosts": "clusters",
            "gather_facts": False,
            "vars": cheap() if lab.quick else {},
            "module_defaults": {"group/kubernetes.core.k8s": CLUSTER, "group/convoy.rollout.all": CLUSTER},
            "tasks": tasks,
        }
        self.play.write_text(yaml.safe_dump([play], sort_keys=False))

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Begin the play."""
        return self.lab.start(self.play, *options)

    def read(self) -> list[dict[str, Any]]:
        """The outcomes, one a run; each is under the role's own name too."""
        both = json.loads(self.kept.read_text())
        assert all(outcome == named for outcome, named in both)
        return [outcome for outcome, _named in both]

    def run(self, *options: str) -> tuple[list[dict[str, Any]], Run]:
        """The outcomes, and the play that they are of."""
        run = ended(self.start(*options), self.patience)
        assert run.code == 0, run.output
        return self.read(), run

    def met(self, cluster: Sandbox, counts: Callable[[Write], bool], act: Callable[[], Any], number: int = 1) -> Any:
        """The outcome of a run during which somebody acted, right after its `number`th write of those that count."""
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(self.start())
            # Let go before the run is waited for, also where the test fails.
            held = stack.enter_context(cluster.hold(number, "after", counts))
            assert held.wait(PATIENCE) is not None
            act()
            held.release()
            output = running.communicate(timeout=PATIENCE)[0]
        assert running.returncode == 0, output
        (outcome,) = self.read()
        return outcome


@contextlib.contextmanager
def gateway(version: Callable[[], str | None]) -> Iterator[str]:
    """The URL of what stands in front of an application: it answers a version, or 502 where `version` gives none."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server looks for
            found = version()
            body = json.dumps({"version": found} if found else {"error": "no upstream"}).encode()
            self.send_response(200 if found else 502)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_line: Any) -> None:
            """Say nothing."""

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128  # room for clients that a busy machine takes in later

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/version"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def refuses(lab: Lab, folder: Path, role: str, *cases: tuple[dict[str, Any], str]) -> None:
    """Assert that a role refuses each set of variables with its sentence, and that no object was touched."""
    before = lab.spec_versions()
    outcomes, _run = Outcomes(lab, folder, role, *(variables for variables, _sentence in cases)).run()
    for outcome, (variables, sentence) in zip(outcomes, cases, strict=True):
        assert (outcome["ending"], outcome["changed"]) == ("refused", False), (variables, outcome)
        assert sentence in outcome["message"], variables
    assert lab.spec_versions() == before


def watched_well(outcome: dict[str, Any], then: str) -> None:
    """Assert the line of a watch that lost nobody: what it goes on with is the regular expression `then`.

    On a busy machine an answer may be long in coming, of which the line speaks too.
    """
    line = re.compile(rf"watched: \d+ requests, 0 lost(, longest time without a good answer [\d.]+ s)?; {then}")
    assert any(line.match(each) for each in outcome["lines"]), outcome["lines"]


def said(outcome: dict[str, Any]) -> tuple[Any, ...]:
    """What an outcome comes to."""
    return tuple(outcome[key] for key in ("ending", "verdict", "before", "after", "changed", "failed"))
