"""The webhooks of the recording `policy`, which answer here as they did there."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import https
from conformance import recordings

#: Where they were recorded, and how long the slow one takes: longer than it is waited for.
RECORDED = "127.0.0.1:18443"
_SLOW_SECONDS = 2.0


@dataclass(frozen=True)
class Webhooks:
    """Where they are, the authority that they are to be trusted by (base64), and how to end them."""

    address: str
    authority: str
    stop: Callable[[], None]


@contextlib.contextmanager
def serve() -> Iterator[Webhooks]:
    """All of them, until they are stopped."""
    answers = {line["path"]: line["response"] for line in recordings.read("policy.webhook")}

    class Recorded(https.Handler):
        def do_POST(self) -> None:
            path = self.path.partition("?")[0]
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if path == "/slow":
                time.sleep(_SLOW_SECONDS)
            body, status = b"broken", 500
            if answers[path] is not None:
                response = dict(answers[path]["response"])
                if path != "/no-uid":
                    response["uid"] = review["request"]["uid"]
                body, status = json.dumps({**answers[path], "response": response}).encode(), 200
            with contextlib.suppress(OSError):  # nobody waits for the slow one
                self.answer(status, body)

    with https.served(Recorded) as (server, authority):

        def stop() -> None:
            server.shutdown()
            server.server_close()

        yield Webhooks(f"127.0.0.1:{server.server_port}", authority, stop)
