"""The program of the image `lab/tool:1` of the recordings: it does what its arguments say.

`exit CODE [AFTER]`, `serve PORT [GOOD_AFTER [BAD_AFTER]]`, `stubborn`, `hog MEBIBYTES`, `say CODE`; nothing: wait
for SIGTERM and end with 0.
"""

from __future__ import annotations

import http.server
import os
import signal
import sys
import time


def wait() -> None:
    """Until SIGTERM."""
    signal.sigwait({signal.SIGTERM})
    sys.exit(0)


def serve(port: int, good_after: float = 0, bad_after: float = float("inf")) -> None:
    """HTTP that is 200 for a while."""
    began = time.monotonic()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            good = good_after <= time.monotonic() - began < bad_after
            self.send_response(200 if good else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    http.server.ThreadingHTTPServer((os.environ.get("POD_IP", "127.0.0.1"), port), Handler).serve_forever()


def main(words: list[str]) -> None:
    """Do what the arguments say."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM} if words[:1] != ["serve"] else set())
    if words[:1] == ["exit"]:
        print("tool exit", flush=True)
        time.sleep(float(words[2]) if len(words) > 2 else 0)
        sys.exit(int(words[1]))
    if words[:1] == ["serve"]:
        serve(int(words[1]), *map(float, words[2:]))
    if words[:1] == ["stubborn"]:
        while True:
            time.sleep(60)
    if words[:1] == ["hog"]:
        held = bytearray(int(words[1]) << 20)
        held[::4096] = b"x" * len(held[::4096])
    if words[:1] == ["say"]:
        sys.exit(int(words[1]))
    wait()


if __name__ == "__main__":
    main(sys.argv[1:])
