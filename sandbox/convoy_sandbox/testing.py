# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sandbox for tests, as a context manager; `pytest_plugin` makes a fixture of it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .cluster import Cluster
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .faults import Fault
    from .writes import Hold, Write

_T = TypeVar("_T")


@dataclass(frozen=True)
class Sandbox:
    """A cluster that runs in a thread of this process."""

    cluster: Cluster
    kubeconfig: Path
    _loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[[], _T]) -> _T:
        """Call a function on the cluster's own event loop, where its store may be read and written."""

        async def run() -> _T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def stop_node(self, name: str) -> None:
        """Take a node's power away; `Timing.node_grace` seconds later it counts as lost. Raises ApiError 404."""
        self.call(lambda: self.cluster.controllers.lifecycle.stop_node(name))

    def start_node(self, name: str) -> None:
        """Give a node its power back."""
        self.call(lambda: self.cluster.controllers.lifecycle.start_node(name))

    def set_faults(self, *faults: Fault, seed: int = 0) -> None:
        """Other faults of the API server from now on; without any it is sound again."""
        self.call(lambda: self.cluster.api.faults.set(faults, seed))

    @contextlib.contextmanager
    def hold(
        self,
        number: int,
        when: Literal["before", "after"] = "before",
        counts: Callable[[Write], bool] = lambda _write: True,
    ) -> Iterator[Hold]:
        """Stop at the `number`th changing request from now that `counts`; it is let go at the block's end."""
        held = self.call(lambda: self.cluster.api.writes.hold(number, when, counts))
        try:
            yield held
        finally:
            held.release()

    def writes(self) -> list[Write]:
        """The changing requests so far."""
        return self.call(lambda: list(self.cluster.api.writes.seen))

    def user(self, name: str, groups: Sequence[str] = ()) -> Path:
        """The kubeconfig of a user of these groups, who may do what RBAC says."""
        path = self.kubeconfig.with_name(f"user-{uuid.uuid4().hex}")
        self.call(lambda: self.cluster.write_user_kubeconfig(path, name, groups))
        return path

    def service_account(self, namespace: str, name: str) -> Path:
        """The kubeconfig of a ServiceAccount that is there, with a token for a day. Raises ApiError 404."""
        path = self.kubeconfig.with_name(f"service-account-{uuid.uuid4().hex}")
        self.call(lambda: self.cluster.write_service_account_kubeconfig(path, namespace, name))
        return path


@contextlib.contextmanager
def sandbox(*, name: str | None = None, **settings: Any) -> Iterator[Sandbox]:
    """A cluster that lives as long as the `with` block; `settings` are those of `Settings`."""
    name = name or f"test-{uuid.uuid4().hex[:8]}"
    cluster = Cluster(Settings(name=name, **settings))
    with tempfile.TemporaryDirectory(prefix="convoy-sandbox-") as directory:
        kubeconfig = Path(directory, "kubeconfig")
        up, stop = threading.Event(), asyncio.Event()
        loop = asyncio.new_event_loop()
        failures: list[BaseException] = []

        async def live() -> None:
            async with cluster:
                cluster.write_kubeconfig(kubeconfig)
                up.set()
                await stop.wait()

        def run() -> None:
            try:
                with asyncio.Runner(loop_factory=lambda: loop) as runner:
                    runner.run(live())
            except BaseException as failure:  # handed to the caller
                failures.append(failure)
            finally:
                up.set()

        thread = threading.Thread(target=run, name=f"sandbox-{name}", daemon=True)
        thread.start()
        up.wait()
        try:
            if failures:
                raise failures[0]
            yield Sandbox(cluster, kubeconfig, loop)
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed where the cluster has failed
                loop.call_soon_threadsafe(stop.set)
            thread.join()
