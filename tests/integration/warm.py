"""Runs of Ansible's programs that are forked from a process which has imported Ansible and the collection already.

Half of what a short run takes is imports, the same in each of some two hundred runs. One process beside the tests
imports once; each run is a fork of that: a process of its own, in a session of its own, with its own arguments,
environment and output, in which the command line's own `main` runs from its beginning to its exit code. What Ansible
reads of its environment while it is imported must be the same: runs for which it is another one are forks of another
process, which is worth it where there are several. `fits` tells whether a run is as most are; where it is not, and
where there is no Linux, it is begun as a program, as a user does.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
#: What Ansible, Python and the client of Kubernetes read of the environment while they are imported.
READ = ("ANSIBLE_", "HOME", "KUBECONFIG", "LANG", "LC_", "NO_COLOR", "PYTHON", "TERM", "TMPDIR")
#: What a run of a role imports of Ansible, beside what its command line does.
IMPORTED = (
    "ansible.executor.process.worker",
    "ansible.executor.task_executor",
    *(f"ansible.plugins.action.{name}" for name in ("debug", "fail", "include_vars", "validate_argument_spec")),
    "ansible.plugins.callback.default",
    "ansible.plugins.connection.local",
    *(f"ansible.plugins.filter.{name}" for name in ("core", "encryption", "mathstuff", "urls", "urlsplit")),
    *(f"ansible.plugins.inventory.{name}" for name in ("auto", "host_list", "ini", "script", "toml", "yaml")),
    *(f"ansible.plugins.lookup.{name}" for name in ("env", "template", "vars")),
    "ansible.plugins.shell.sh",
    "ansible.plugins.strategy.linear",
    *(f"ansible.plugins.test.{name}" for name in ("core", "files", "mathstuff", "uri")),
    "ansible.plugins.vars.host_group_vars",
)
OURS = ROOT / "plugins"
MOST = 1024 * 1024  #: bytes of what a run is given
#: Of a run's environment, by what its processes are known: Linux shows of a process those variables that its program
#: was begun with, so that of the process that forks is written over in the fork.
MARK, UNMARKED = "RELIABILITY_MARK", "0" * 32


def fits(env: Mapping[str, str]) -> bool:
    """Whether a run with this environment can be a fork of the process that most are forked from."""
    return read_of(env) == read_of(BEGUN)


def environment() -> dict[str, str]:
    """The environment of a run that says nothing of its own."""
    # A caller's Ansible settings must not decide what is tested.
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
    # Without bytecode each run would compile all that it imports.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env | {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "ANSIBLE_NOCOLOR": "1"}


def read_of(env: Mapping[str, str]) -> dict[str, str]:
    """What is read of an environment while Ansible is imported."""
    return {name: value for name, value in env.items() if name.startswith(READ)}


#: What the process that forks has, whatever a test changes later.
BEGUN = environment()


class Forked:
    """A run, with what of subprocess.Popen tests use. Its standard output has its standard error, too."""

    def __init__(self, pid: int, output: int, ended: int, args: Sequence[str]) -> None:
        self.pid, self.args = pid, args
        self.returncode: int | None = None
        self.stdout: io.TextIOWrapper = os.fdopen(output, encoding="utf-8")
        self._ended = ended  # is readable once it is known how the run ended, and stays so
        self._reading = threading.Lock()  # as threads of a test ask, and one of them reads
        weakref.finalize(self, os.close, ended)

    def poll(self) -> int | None:
        """The exit code, minus a signal's number, None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once there is one. Raises TimeoutExpired."""
        if self.returncode is None:
            self._await(self._ended, timeout)
            with self._reading:
                if self.returncode is None:
                    said = os.read(self._ended, 100)
                    self.returncode = json.loads(said or b"-9")  # nothing is said where all of this was killed
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """All that it prints, once it has ended. Raises TimeoutExpired."""
        until = None if timeout is None else time.monotonic() + timeout
        printed = []
        while True:
            self._await(self.stdout.fileno(), None if until is None else until - time.monotonic())
            part = self.stdout.buffer.read1(65536)
            if not part:
                break
            printed.append(part)
        self.stdout.close()
        self.wait(None if until is None else max(0.0, until - time.monotonic()))
        return b"".join(printed).decode().replace("\r\n", "\n"), None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdout.close()
        self.wait()

    def _await(self, descriptor: int, timeout: float | None) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            if not selector.select(None if timeout is None else max(0.0, timeout)):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)


_ASKING = threading.Lock()  #: as tests begin runs in threads, and an answer belongs to what was asked just before


@functools.cache
def _server(read: tuple[tuple[str, str], ...]) -> socket.socket:
    """The connection to the process that forks runs for which this is read; it ends with the connection."""
    others = {name: value for name, value in BEGUN.items() if not name.startswith(READ)}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST)
    with theirs:
        subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(theirs.fileno())],
            cwd=ROOT,
            env=others | dict(read) | {MARK: UNMARKED},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return ours


def program(args: Sequence[str], env: Mapping[str, str], name: str = "playbook") -> subprocess.Popen[str]:
    """Begin a run of one of Ansible's programs as a user does, in the root of this project."""
    return subprocess.Popen(
        [f"ansible-{name}", *args],
        cwd=ROOT,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def start(args: Sequence[str], env: Mapping[str, str], name: str = "playbook") -> Forked | subprocess.Popen[str]:
    """Fork a run of one of Ansible's programs with these arguments, in the root of this project."""
    if sys.platform != "linux":
        return program(args, env, name)
    output, printed = os.pipe()
    ended, ends = os.pipe()
    try:
        request = json.dumps({"name": name, "args": list(args), "env": dict(env)}).encode()
        with _ASKING:
            server = _server(tuple(sorted(read_of(env).items())))
            socket.send_fds(server, [request], [printed, ends])
            pid = json.loads(server.recv(MOST) or b"null")
    finally:
        os.close(printed)
        os.close(ends)
    if not isinstance(pid, int):
        raise RuntimeError(f"the process that runs ansible-{name} has ended: {pid}")
    return Forked(pid, output, ended, args)


# -- the process that forks --------------------------------------------------------------------------------------------


def serve(connection: socket.socket) -> None:
    """Fork a run for each request, and tell how it ended. Returns when nobody asks any more."""
    _import()
    gc.freeze()
    ends: dict[int, int] = {}
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _events in selector.select()]
            if woken in ready:
                os.read(woken, 1000)
                _tell(ends)
            if connection in ready:
                request, descriptors, _flags, _address = socket.recv_fds(connection, MOST, 2)
                if not request:
                    return
                pid = os.fork()
                if pid == 0:
                    os.setsid()
                    connection.send(json.dumps(os.getpid()).encode())
                    selector.close()
                    for descriptor in (connection.detach(), woken, wakes, *ends.values()):
                        os.close(descriptor)
                    _run(*descriptors, **json.loads(request))
                printed, ends[pid] = descriptors
                os.close(printed)


def _tell(ends: dict[int, int]) -> None:
    """Of each run that has ended, its exit code as subprocess has it."""
    for pid in list(ends):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with open(ends.pop(pid), "w") as end:
                end.write(json.dumps(os.waitstatus_to_exitcode(status)))


def _import() -> None:
    """Import what every run does."""
    import multiprocessing.util  # noqa: F401  # whose exit function runs after those of what is imported later

    from ansible.cli import playbook  # noqa: F401
    from ansible.plugins import loader

    # Each run does it again, for which there is a warning.
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
    loader.init_plugin_loader()
    collection = "ansible_collections.convoy.rollout.plugins"
    ours = [
        (kind, path.stem) for kind in ("action", "callback", "filter", "lookup") for path in (OURS / kind).glob("*.py")
    ]
    for name in (*IMPORTED, *(f"{collection}.{kind}.{name}" for kind, name in ours)):
        importlib.import_module(name)
    # Of these kinds each run looks at all that Ansible has: it imports them, and parses what options they document.
    for kind in ("become", "callback", "connection", "shell"):
        list(getattr(loader, f"{kind}_loader").all(class_only=True))


def _mark(text: str) -> None:
    """Show a mark of UNMARKED's length in /proc/PID/environ of this process, and of those that it forks."""
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    ctypes.memmove(libc.getenv(MARK.encode()), text.encode(), len(UNMARKED))


def _run(printed: int, ends: int, name: str, args: list[str], env: dict[str, str]) -> NoReturn:
    """Be the run: what its program does, from its beginning to its end."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(ends)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        os.close(printed)
        if MARK in env:
            _mark(env[MARK])
        os.environ.clear()
        os.environ.update(env)
        from ansible import constants
        from ansible.utils.path import cleanup_tmp_file

        # Its own folder for what is temporary, which it leaves as any run does; that of the one that forks stays.
        atexit.unregister(cleanup_tmp_file)
        folder = Path(constants.DEFAULT_LOCAL_TMP).parent
        constants.DEFAULT_LOCAL_TMP = tempfile.mkdtemp(prefix=f"ansible-local-{os.getpid()}", dir=folder)
        atexit.register(cleanup_tmp_file, constants.DEFAULT_LOCAL_TMP, warn=True)
        sys.argv = [str(Path(sys.executable).with_name(f"ansible-{name}")), *args]
        importlib.import_module(f"ansible.cli.{name}").main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
