# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers that are a program of this machine: nginx, and the command lines that users register."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from .containers import StartError
from .patience import Patience
from .programs import Base

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_LINE = 16384
_MEMORY_SECONDS = 0.2
#: Has a program end with the sandbox, whatever ends that: where nothing runs on, the next one finds its ports free.
_WITH_SANDBOX = ("setpriv", "--pdeathsig", "TERM")


class Process(Base):
    """A child process; what it prints is its log."""

    def __init__(
        self, process: asyncio.subprocess.Process, *, hide: str, stop_signal: str, memory_limit: int | None
    ) -> None:
        super().__init__()
        self._memory_limit = memory_limit
        self._process = process
        self._hide = hide
        self._stop_signal = signal.Signals[stop_signal]
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        command: list[str],
        *,
        env: dict[str, str],
        cwd: str | None = None,
        hide: str = "",
        stop_signal: str = "SIGTERM",
        ended: Callable[[], None] | None = None,
        memory_limit: int | None = None,
    ) -> Process:
        """Start a command line. `hide` is taken out of what it prints, `ended` is called at its end.

        One that takes more than `memory_limit` bytes is killed (where the machine tells what it takes: on Linux).
        Raises StartError where there is no such program.
        """
        found = shutil.which(command[0], path=env.get("PATH"))
        if found is None:
            raise not_started(command[0], "no such file or directory")
        with_sandbox = _WITH_SANDBOX if shutil.which(_WITH_SANDBOX[0]) else ()
        try:
            child = await asyncio.create_subprocess_exec(
                *with_sandbox,
                *command,
                env=env,
                cwd=cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # so that what it starts can be killed with it
            )
        except OSError as problem:
            raise not_started(command[0], (problem.strerror or "").lower()) from None
        process = cls(child, hide=hide, stop_signal=stop_signal, memory_limit=memory_limit)
        process._task = asyncio.create_task(process._follow(ended))
        if memory_limit is not None:
            process._look_at_memory()
        return process

    def _look_at_memory(self) -> None:
        """Kill the process once it has more memory than its limit; look again soon, while it runs."""
        if self.exited.done():
            return
        if self._memory_limit is not None and _memory(self._process.pid) > self._memory_limit:
            self.end_reason = "OOMKilled"
            self._signal(signal.SIGKILL)
            return
        asyncio.get_running_loop().call_later(_MEMORY_SECONDS, self._look_at_memory)

    async def _follow(self, ended: Callable[[], None] | None) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            rest = b""
            while data := await self._process.stdout.read(65536):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._print(line)
                if len(rest) > _MAX_LINE:
                    self._print(rest)
                    rest = b""
            if rest:
                self._print(rest)
            code = await self._process.wait()
        finally:
            if ended is not None:
                ended()
        self.ended(code if code >= 0 else 128 - code)

    def _print(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r")
        self.log(text.replace(self._hide, "") if self._hide else text)

    async def stop(self, grace_seconds: float) -> None:
        """The image's stop signal, then SIGKILL after the grace period."""
        if self.exited.done():
            return
        self._signal(self._stop_signal)
        # Whoever gives up waiting must not have the exit look as given up for all others.
        over, _ = await asyncio.wait([self.exited], timeout=max(grace_seconds, 0.001))
        if not over:
            self._signal(signal.SIGKILL)
            await asyncio.wait([self.exited])

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:  # as a container's other processes end with its first one
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)


def _memory(pid: int) -> int:
    """The bytes of memory that a process has; 0 where nobody tells."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def not_started(program: str, why: str) -> StartError:
    """What containerd says of a program that it cannot start."""
    return StartError(
        "StartError",
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
        "create failed: unable to start container process: error during container init: exec: "
        f'"{program}": {why}',
    )


async def run(command: list[str], *, env: dict[str, str], timeout_seconds: float) -> tuple[int, str]:
    """The exit code of a command line and what it printed. Raises TimeoutError, OSError."""
    child = await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with Patience(timeout_seconds):
            output, _ = await child.communicate()
    except BaseException:  # its time is up, or nobody asks any more
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # what it has started would keep its output open
        await child.wait()
        raise
    return child.returncode or 0, output.decode("utf-8", "replace")


def machine_environment() -> dict[str, str]:
    """What a command line of this machine needs to run at all."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}
