"""A Python for Ansible's modules that has imported what they need: each module is a fork of one process.

To a module as a program of its own, most of its time is imports, the same ones for each task on each host. What a play
names as `ansible_python_interpreter` here is a program that hands its input, output, folder and environment over to a
fork and ends as that does.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import marshal
import os
import signal
import socket
import subprocess
import sys
import traceback
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

#: What every module imports.
ALWAYS = ("ansible.module_utils._internal._ansiballz._loader", "base64", "shutil", "tempfile", "zipfile")
MOST = 128 * 1024  #: bytes of a module's environment
#: It imports as little as it can, as it is begun for each task.
PROGRAM = """#!{python} -IS
import _socket, marshal, os, sys
told = marshal.dumps((os.getcwdb(), sys.argv[1:], dict(os.environb)))
handed = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
server.connect({server!r})
server.sendmsg([told], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, handed)])
os._exit((server.recv(1) or b"\\1")[0])
"""


@contextlib.contextmanager
def interpreter(folder: Path, *imported: str) -> Iterator[Path]:
    """The path of such a Python, for as long as it is used, whose modules find these imported.

    Where there is no Linux it is that of the tests.
    """
    if sys.platform != "linux":
        yield Path(sys.executable)
        return
    program = folder / "python"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind("")  # to a name of Linux's choice, as paths of sockets are short
        listening.listen(128)
        program.write_text(PROGRAM.format(python=sys.executable, server=listening.getsockname()))
        program.chmod(0o755)
        number = str(listening.fileno())
        server = subprocess.Popen([sys.executable, __file__, number, *imported], pass_fds=[listening.fileno()])
    try:
        yield program
    finally:
        server.kill()
        server.wait()


def serve(listening: socket.socket, imported: Sequence[str]) -> NoReturn:
    """Fork a module for each program that asks, until this process is killed."""
    for name in (*ALWAYS, *imported):
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that nobody has to wait for those that end
    while True:
        asking, _address = listening.accept()
        with asking:
            if os.fork() == 0:
                listening.close()
                _run(asking)


def _run(asking: socket.socket) -> NoReturn:
    """Be the module: what Python does with a program from its standard input, or with one that it is named."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        told, handed, _flags, _address = socket.recv_fds(asking, MOST, 3)
        folder, arguments, environment = marshal.loads(told)
        for number, descriptor in enumerate(handed):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(folder)
        os.environ.clear()
        os.environb.update(environment)
        sys.argv = arguments or [""]
        source = Path(arguments[0]).read_bytes() if arguments else sys.stdin.buffer.read()
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(source, sys.argv[0] or "<stdin>", "exec"), main.__dict__)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()  # the module's, as nothing else that is imported here has any
        sys.stdout.flush()
        sys.stderr.flush()
        asking.send(bytes([code & 0xFF]))
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
