"""Roles run by ansible-playbook with one set of variables a host: what refuses it, and what was touched before.

A play costs what ansible-playbook costs to start, a host a few hundredths of a second more; so one play has many
cases. Each has a name of its own at the API server, which refuses whatever it is asked, and no module is run.
"""

from __future__ import annotations

import atexit
import functools
import http.server
import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from integration import warm

ROOT = Path(__file__).resolve().parents[3]
RECORDERS = Path(__file__).with_name("recorders")
DESCRIPTION: dict[str, Any] = yaml.safe_load(
    (ROOT / "inventories/sandbox/group_vars/clusters/application.yml").read_text()
)
#: What is decided once for all hosts of a play: a case needs a play of its own.
ALONE = frozenset(["fleet"])


class Template(str):
    """A variable that Ansible may evaluate, as all text of a user's own inventory; that of others stays text."""


@dataclass(frozen=True)
class Request:
    """What an API server was asked."""

    user: str
    method: str
    path: str
    body: Any


@dataclass(frozen=True)
class Ending:
    """What became of one host."""

    messages: tuple[str, ...]  #: of its failed tasks, in their order
    requests: tuple[str, ...]  #: to the API server
    modules: tuple[str, ...]  #: and programs that were to be run

    @property
    def touched(self) -> tuple[str, ...]:
        """What a refusal has to come before."""
        return self.requests + self.modules

    @property
    def refusal(self) -> str:
        """Why it was refused before anything was touched; nothing where it was not."""
        return "" if self.touched else next(iter(self.messages), "")


class Server(http.server.ThreadingHTTPServer):
    """An API server on 127.0.0.1 that knows users by their tokens, remembers each request and refuses it."""

    daemon_threads = True
    request_queue_size = 128  # room for clients that a busy machine takes in later

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Request] = []

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        """The status and the object that a request is answered with."""
        message = f"{request.method} {request.path} is refused, as this is a test"
        return 403, {"kind": "Status", "apiVersion": "v1", "code": 403, "reason": "Forbidden", "message": message}

    def kubeconfig(self, path: Path, user: str) -> Path:
        """Write a kubeconfig that leads here."""
        named = {
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{self.server_port}"}}],
            "users": [{"name": user, "user": {"token": user}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": user}}],
        }
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "here", **named}))
        return path


class Handler(http.server.BaseHTTPRequestHandler):
    """Of one connection."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_any(self) -> None:
        """Answer as the server says."""
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        user = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        request = Request(user, self.command, self.path, json.loads(sent) if sent else None)
        self.server.requests.append(request)
        status, answer = self.server.answer(request)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any

    def log_message(self, *_args: object) -> None:
        """Quiet."""


@contextmanager
def served(server: Server) -> Iterator[Server]:
    """Have a server answer, for as long as it is used."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def endings(
    folder: Path,
    role: str,
    cases: Mapping[str, Mapping[str, Any]],
    entry: str = "main",
    extra_vars: Mapping[str, Any] | None = None,
) -> dict[str, Ending]:
    """What becomes of a role with each of these sets of variables, beside the description of the lab's application."""
    with served(Server()) as server:
        hosts = {f"host-{number}": case for number, case in enumerate(cases)}
        variables = {
            host: {"kubeconfig": str(server.kubeconfig(folder / f"{host}.kubeconfig", host)), **cases[case]}
            for host, case in hosts.items()
        }
        played(folder, role, entry, variables, {"ansible_connection": "recorded"}, extra_vars or {})
    assert {each.user for each in server.requests} <= hosts.keys()
    failures = [json.loads(line) for line in lines(folder / "failures")]
    modules = [line.split(" ", 1) for line in lines(folder / "modules")]
    return {
        case: Ending(
            messages=tuple(failure["message"] for failure in failures if failure["host"] == host),
            requests=tuple(f"{each.method} {each.path}" for each in server.requests if each.user == host),
            modules=tuple(what for name, what in modules if name == host),
        )
        for host, case in hosts.items()
    }


def played(
    folder: Path,
    role: str,
    entry: str,
    hosts: Mapping[str, Mapping[str, Any]],
    common: Mapping[str, Any],
    extra_vars: Mapping[str, Any],
) -> str:
    """Run a role on hosts as a play has it, and return what was printed."""
    everywhere = {**DESCRIPTION, "ansible_python_interpreter": sys.executable, **common}
    (folder / "hosts.json").write_text(
        json.dumps({host: separated({**everywhere, **own}) for host, own in hosts.items()})
    )
    cluster = {"kubeconfig": "{{ kubeconfig }}"}
    play = {
        "gather_facts": False,
        "module_defaults": {"group/kubernetes.core.k8s": cluster, "group/convoy.rollout.all": cluster},
        "tasks": [
            {
                "block": [{"import_role": {"name": f"convoy.rollout.{role}", "tasks_from": entry}}],
                "rescue": [{"meta": "noop"}],  # a play whose hosts have all failed would be the last one
            }
        ],
    }
    plays = [{"hosts": pattern, **play} for pattern in (hosts if role in ALONE else ["all"])]
    (folder / "play.yml").write_text(json.dumps(plays))
    # A caller's Ansible settings must not decide what is tested, and nothing may lead to a cluster of theirs.
    kept = {name: text for name, text in warm.environment().items() if not name.startswith("KUBE")}
    settings = {
        "ANSIBLE_CALLBACK_PLUGINS": str(RECORDERS / "callback"),
        "ANSIBLE_CONNECTION_PLUGINS": str(RECORDERS / "connection"),
        "ANSIBLE_FORKS": "2",
        "ANSIBLE_INVENTORY_ENABLED": "cases",
        "ANSIBLE_INVENTORY_PLUGINS": str(RECORDERS / "inventory"),
        "HOME": home(),
        "RECORDED_FAILURES": str(folder / "failures"),
        "RECORDED_MODULES": str(folder / "modules"),
        "TMPDIR": home(),
    }
    args = [str(folder / "play.yml"), "-i", str(folder / "hosts.json"), "--extra-vars", json.dumps(extra_vars)]
    with warm.start(args, kept | settings) as run:
        output, _ = run.communicate(timeout=900)
    missing = [host for host in hosts if f"\n{host} " not in output.rpartition("PLAY RECAP")[2]]
    assert not missing, output
    return output


@functools.cache
def home() -> str:
    """A home for all plays, with nothing in it that leads to a cluster; it goes with the tests."""
    path = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def separated(variables: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A host's variables and templates."""
    templates = {name: value for name, value in variables.items() if isinstance(value, Template)}
    return {
        "variables": {name: value for name, value in variables.items() if name not in templates},
        "templates": templates,
    }


def lines(path: Path) -> list[str]:
    """The lines of a file, none where it was never written."""
    return path.read_text().splitlines() if path.exists() else []
