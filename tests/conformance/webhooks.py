"""The webhooks of the recording `policy`, which answer here as they did there."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from conformance import recordings
from convoy_sandbox import certificates

#: Where they were recorded, and how long the slow one takes: longer than it is waited for.
RECORDED = "127.0.0.1:18443"
_SLOW_SECONDS = 2.0


@dataclass(frozen=True)
class Webhooks:
    """Where they are, the authority that they are to be trusted by (base64), and how to end them."""

    address: str
    authority: str
    stop: Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def serve() -> AsyncIterator[Webhooks]:
    """All of them, until they are stopped."""
    answers = {line["path"]: line["response"] for line in recordings.read("policy.webhook")}

    async def answer(request: web.Request) -> web.Response:
        review = await request.json()
        if request.path == "/slow":
            await asyncio.sleep(_SLOW_SECONDS)
        if answers[request.path] is None:
            return web.Response(body=b"broken", status=500)
        response = dict(answers[request.path]["response"])
        if request.path != "/no-uid":
            response["uid"] = review["request"]["uid"]
        return web.json_response({**answers[request.path], "response": response})

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    made = certificates.make()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=made.server_context()).start()
        host, port = runner.addresses[0][:2]
        yield Webhooks(f"{host}:{port}", base64.b64encode(made.ca).decode(), runner.cleanup)
    finally:
        await runner.cleanup()
