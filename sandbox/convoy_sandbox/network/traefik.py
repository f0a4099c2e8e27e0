# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers of the Traefik image: the real program of this machine, at the pod's address and as its ServiceAccount.

There is no stand-in for it. Only what a machine without containers cannot have is changed: entry points listen on the
pod's address, and the credentials that a pod finds in files below /var/run come from a kubeconfig.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .addresses import PortTakenError
from .containers import StartError
from .processes import Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from .addresses import Ports
    from .containers import Container

#: What is told to whoever wants a gateway on a machine without the program.
MISSING = "there is no program traefik on this machine; install it with: pip install 'convoy-sandbox[gateway]'"
_ADDRESS = re.compile(r"(--entrypoints\.[^.=]+\.address=)[^:]*:(\d+)(/tcp)?", re.IGNORECASE)
#: What Traefik listens on where nothing else is said.
_DEFAULTS = {"--entrypoints.web.address=": 80}


def program() -> str | None:
    """The Traefik of this machine, beside this Python or on the path; None where there is none."""
    return shutil.which("traefik", path=str(Path(sys.executable).parent)) or shutil.which("traefik")


def localized(arguments: list[str], listen: Callable[[int], str]) -> list[str]:
    """The command line with its entry points where `listen` says that a port of the pod is. Raises PortTakenError."""
    found, changed = False, []
    for argument in arguments:
        match = _ADDRESS.fullmatch(argument)
        found = found or match is not None
        changed.append(f"{match[1]}{listen(int(match[2]))}" if match else argument)
    if not found:
        changed += [f"{option}{listen(port)}" for option, port in _DEFAULTS.items()]
    return changed


async def start(
    executable: str | None,
    arguments: list[str],
    *,
    ip: str,
    ports: Ports,
    env: dict[str, str],
    write_kubeconfig: Callable[[Path], None],
) -> Container:
    """Start Traefik on the pod's address. Raises StartError."""
    if executable is None:
        raise StartError("CreateContainerError", MISSING)
    reserved: list[int] = []
    folder = Path(tempfile.mkdtemp(prefix="convoy-traefik-"))

    def listen(port: int) -> str:
        real = ports.reserve(ip, port)
        reserved.append(port)
        return f"{ip}:{real}"

    def end() -> None:
        for port in reserved:
            ports.release(ip, port)
        shutil.rmtree(folder, ignore_errors=True)

    try:
        command = [executable, *localized(arguments, listen)]
        write_kubeconfig(folder / "kubeconfig")
        # With these it would look for its token in /var/run, where a container has it.
        own = {key: value for key, value in env.items() if not key.startswith("KUBERNETES_SERVICE_")}
        return await Process.start(
            command, env={**own, "KUBECONFIG": str(folder / "kubeconfig")}, cwd=str(folder), ended=end
        )
    except PortTakenError as problem:
        end()
        raise StartError("StartError", f"listen {problem.strerror}") from None
    except BaseException:
        end()
        raise
