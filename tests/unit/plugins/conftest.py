"""An API server on 127.0.0.1 that answers by a script."""

from __future__ import annotations

import http.server
import json
import threading
import typing as t
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _retries

Object = dict[str, t.Any]


class Ask(t.NamedTuple):
    """A request that came in."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    method: str = "GET"
    body: t.Any = None


class Answer(t.NamedTuple):
    """What is answered: an object, or the events of a watch; `cut` ends in the middle of an event.

    `drop` closes the connection without an answer.
    """

    status: int = 200
    body: Object | None = None
    events: tuple[Object, ...] = ()
    hold: bool = False  #: keep a watch open after its events, until the test ends
    cut: bool = False
    drop: bool = False
    headers: tuple[tuple[str, str], ...] = ()


class Script:
    """Answers by path, each given once, the last one again and again; remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self.connections = 0
        self.ended = threading.Event()
        self.url = ""
        self._answers: dict[tuple[str, bool], list[Answer]] = {}
        self._lock = threading.Lock()

    def on(self, path: str, *answers: Answer) -> None:
        """What a request of this path, but no watch, is answered."""
        self._answers[path, False] = list(answers)

    def on_watch(self, path: str, *answers: Answer) -> None:
        """What a watch of this path is answered."""
        self._answers[path, True] = list(answers)

    def take(self, ask: Ask) -> Answer:
        """The next answer."""
        with self._lock:
            self.asked.append(ask)
            answers = self._answers.get((ask.path, "watch" in ask.query))
            if not answers:
                return status(404, "NotFound", f"nothing at {ask.path}")
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def paths(self) -> list[str]:
        """What was asked for, watches marked."""
        return [ask.path + ("?watch" if "watch" in ask.query else "") for ask in self.asked]


def status(code: int, reason: str, message: str) -> Answer:
    """A Status."""
    return Answer(code, {"kind": "Status", "code": code, "reason": reason, "message": message})


def _handler(script: Script) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            script.connections += 1

        def do_any(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = json.loads(sent) if sent else None
            answer = script.take(Ask(parts.path, query, dict(self.headers), self.command, asked))
            if answer.drop:
                self.close_connection = True
                return
            if answer.body is not None:
                body = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_response(answer.status)
            self.send_header("Connection", "close")
            self.end_headers()
            for event in answer.events:
                self.wfile.write(json.dumps(event).encode() + b"\n")
                self.wfile.flush()
            if answer.cut:
                self.wfile.write(b'{"type": "MODIFIED", "obj')
            if answer.hold:
                script.ended.wait()
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    return Handler


class Server(http.server.ThreadingHTTPServer):
    """With room for clients that a busy machine takes in later."""

    daemon_threads = True
    request_queue_size = 128


@pytest.fixture
def api_server() -> Iterator[Script]:
    """A scripted API server over plain HTTP; its address is `.url`."""
    script = Script()
    server = Server(("127.0.0.1", 0), _handler(script))
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield script
    script.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def answer() -> Callable[..., Answer]:
    """An answer of the script."""
    return Answer


@pytest.fixture
def refusal() -> Callable[[int, str, str], Answer]:
    """A Status that is answered."""
    return status


@pytest.fixture(autouse=True)
def no_cluster_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Nothing of the user's own settings may reach a test."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried at once."""
    monkeypatch.setattr(_retries, "FIRST_PAUSE", 0.001)
