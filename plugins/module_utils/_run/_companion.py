# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A process that works beside a run, from one of its tasks to a later one, and never outlives it.

It is forked and nothing is executed anew: it starts in milliseconds, and what it knows, credentials
too, is in no argument, no environment and no file. All there is of it on disk is a socket in a
directory that only its user may enter.

Start it before any thread of the task: what another thread holds at the fork, a companion would wait for
without end. Ansible's own threads are in the process of the run, and not in those of its tasks.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import select
import shutil
import signal
import socket
import tempfile
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure

Handle = t.Dict[str, t.Any]

PREFIX = "convoy-"  #: of the names of companions' directories
LEFT = 86400.0  #: seconds after which the directory of one that was killed goes; until then its run may read it
PAUSE = 0.25  #: seconds between two looks at the run where the system cannot tell of its end
END = 60.0  #: seconds that its work may take to end: many times what it takes on a machine that is not busy


class Stop:
    """Whether the work is to end. Readable, for a selector, from then on."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self._set = threading.Event()

    def fileno(self) -> int:
        """What a selector waits for."""
        return self._reading

    def is_set(self) -> bool:
        """Whether it is to end."""
        return self._set.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until it is to end, or so long; whether it is."""
        return self._set.wait(seconds)

    def set(self) -> None:
        """Have it end."""
        if not self._set.is_set():
            self._set.set()
            os.close(self._writing)


Work = t.Callable[[Stop], t.Any]


def start(
    work: Work,
    *,
    name: str,
    owner: int | None,
    maximum: float,
    on_death: t.Callable[[], None] = lambda: None,
) -> Handle:
    """Have `work` done beside this process, until `finish` asks for what it returned. Raises Failure.

    `owner` is the id of the run's process. When that is gone, `on_death` is called and the companion
    ends, whatever the work is at: within a second, if `on_death` takes no longer. Without an owner (a
    module on another machine cannot see the run) it ends at twice `maximum`. `maximum` are the seconds
    after which the work is told to end; what it returned is kept for `finish` from then on.
    `name`, of 15 letters at most, is what the process is called.
    """
    # The path of a socket may have 107 bytes.
    place = "/tmp" if len(tempfile.gettempdir()) > 60 else tempfile.gettempdir()  # noqa: S108
    _sweep(Path(place))
    try:
        directory = tempfile.mkdtemp(prefix=PREFIX, dir=place)
    except OSError as error:
        raise Failure(f"The socket of the {name} could not be created: {error}.") from error
    ready, told = os.pipe()
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(f"{directory}/socket")
        os.chmod(f"{directory}/socket", 0o600)
        listener.listen(1)
        life = _Life(owner)
        with _held(directory) as held:
            child = os.fork()
            if child == 0:
                _detached(work, name, life, maximum, on_death, listener, directory, told, held)
    except OSError as error:
        os.close(told)
        os.close(ready)
        listener.close()
        shutil.rmtree(directory, ignore_errors=True)
        raise Failure(f"The {name} could not be started: {error}.") from error
    os.close(told)
    listener.close()
    life.close()
    os.waitpid(child, 0)
    with os.fdopen(ready, "rb") as stream:
        if stream.read() != b"ready":
            shutil.rmtree(directory, ignore_errors=True)
            raise Failure(f"The {name} could not be started.")
    return {"name": name, "directory": directory}


def _sweep(place: Path) -> None:
    """Remove what companions of this user left that were killed, which could not do it themselves."""
    for directory in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            about = directory.lstat()
            if about.st_uid != os.getuid() or time.time() - about.st_mtime < LEFT:
                continue
            if (directory / "socket").is_socket():
                with _held(directory):
                    shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _held(directory: str | Path) -> t.Iterator[int]:
    """Hold the lock of a directory, by a descriptor: a child that keeps it holds the lock on. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)


def lives(directory: str) -> bool:
    """Whether the companion that has this directory is still at work."""
    try:
        with _held(directory):
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False  # it is gone, and took its directory with it


def finish(handle: t.Mapping[str, t.Any], seconds: float = END) -> t.Any:
    """Have the work end, `seconds` at most, and return what it returned. Raises Failure."""
    name, directory = handle.get("name", "companion"), handle.get("directory")
    if not isinstance(directory, str):
        raise Failure(f"This is not a {name} that was started: it names no directory.")
    received = b""
    with socket.socket(socket.AF_UNIX) as asker:
        asker.settimeout(seconds)
        try:
            asker.connect(f"{directory}/socket")
            while True:
                part = asker.recv(65536)
                if not part:
                    break
                received += part
        except TimeoutError as error:
            raise Failure(f"The {name} did not end within {seconds:g} s.") from error
        except OSError as error:
            raise Failure(f"The {name} has ended, and what it knew is lost: it exited or was killed.") from error
    if not received:
        raise Failure(f"The {name} has ended, and what it knew is lost: it was killed.")
    answer = json.loads(received)
    if "error" in answer:
        raise Failure(f"The {name} failed: {answer['error']}.")
    return answer["result"]


class _Life:
    """Whether a process lives. A descriptor of it, where there is one, cannot mean a later process of its id."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._descriptor: int | None = None
        self._born = ""
        if pid is not None:
            try:
                self._descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                pass
            except (AttributeError, OSError):
                self._born = born(pid)

    @property
    def known(self) -> bool:
        """Whether there is a process to look at."""
        return self._pid is not None

    def descriptors(self) -> list[int]:
        """What becomes readable when it ends."""
        return [] if self._descriptor is None else [self._descriptor]

    def over(self) -> bool:
        """Whether it has ended."""
        if self._pid is None:
            return False
        if self._descriptor is not None:
            return bool(select.select([self._descriptor], [], [], 0)[0])
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return born(self._pid) != self._born

    def close(self) -> None:
        """Look no more."""
        if self._descriptor is not None:
            os.close(self._descriptor)


def born(pid: int) -> str:
    """When a process was started, in the system's own terms; nothing where that is not told."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _detached(
    work: Work,
    name: str,
    life: _Life,
    maximum: float,
    on_death: t.Callable[[], None],
    listener: socket.socket,
    directory: str,
    told: int,
    held: int,
) -> t.NoReturn:
    """What the child does: become a process of its own session that nobody waits for, and work."""
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        # What the run has open must not stay open because of this process, nor may what it leaves behind
        # be cleaned up here.
        gc.freeze()
        kept = sorted([listener.fileno(), told, held, *life.descriptors()])
        for low, high in zip([3, *(fd + 1 for fd in kept)], [*kept, os.sysconf("SC_OPEN_MAX")]):
            os.closerange(low, high)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        os.close(nothing)
        os.chdir("/")
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(name)

        def end() -> t.NoReturn:
            try:
                on_death()
            finally:
                shutil.rmtree(directory, ignore_errors=True)
                os._exit(0)

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda _number, _frame: end())
        os.write(told, b"ready")
        os.close(told)
        _work(work, life, maximum, end, listener, directory)
    finally:
        os._exit(0)


def _work(
    work: Work,
    life: _Life,
    maximum: float,
    end: t.Callable[[], t.NoReturn],
    listener: socket.socket,
    directory: str,
) -> None:
    """Work in a thread, until somebody asked and was answered."""
    stop, done = Stop(), Stop()
    answer: dict[str, t.Any] = {}

    def working() -> None:
        try:
            answer["result"] = work(stop)
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        done.set()

    threading.Thread(target=working, daemon=True).start()
    begun = time.monotonic()
    asker: socket.socket | None = None
    while asker is None or not done.is_set():
        wanted: t.Union[socket.socket, Stop] = listener if asker is None else done
        readable, _writable, _broken = select.select([wanted, *life.descriptors()], [], [], PAUSE)
        if life.over():
            end()
        if asker is None and wanted in readable:
            asker, _address = listener.accept()
            stop.set()
        lasted = time.monotonic() - begun
        if lasted >= maximum:
            stop.set()
        if lasted >= 2 * maximum and not life.known:
            end()
    shutil.rmtree(directory, ignore_errors=True)
    with contextlib.suppress(OSError):  # who asked may not have waited
        asker.sendall(json.dumps(answer).encode())
