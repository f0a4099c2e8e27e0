# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`convoy-sandbox up`, `down` and `status`: sandboxes that live on in the background."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .settings import Settings

DEFAULT_NAME = "convoy"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
#: How long `down` waits for a clean end before it kills, and how long `up` waits for a start.
_END_SECONDS = 10.0
_START_SECONDS = 120.0
_FORGET_SECONDS = 30.0


class UsageError(Exception):
    """What a user is told, in one sentence; the command ends with exit code 1."""


@dataclass(frozen=True)
class Home:
    """The files of one sandbox: kubeconfig, log, and who runs it."""

    directory: Path
    name: str

    @property
    def path(self) -> Path:
        """The sandbox's own folder."""
        return self.directory / self.name

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def scratch(self) -> Path:
        """What containers need on disk while they run."""
        return self.path / "tmp"

    def read(self) -> dict[str, Any] | None:
        """What the running sandbox has written about itself; None if none runs."""
        try:
            state = json.loads(self.state.read_text())
        except (OSError, ValueError):
            return None
        if not isinstance(state, dict) or not isinstance(state.get("pid"), int):
            return None
        return state if state.get("started") == start_time(state["pid"]) else None

    def write(self, state: dict[str, Any]) -> None:
        """Write it, in one step and for nobody else: it holds the administrator's token."""
        partial = self.state.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(state))
        partial.replace(self.state)

    def clear(self) -> None:
        """Take away what would let the sandbox look alive; the log stays."""
        for path in (self.state, self.kubeconfig):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)


def start_time(pid: int) -> int | None:
    """When a process was started, in the kernel's ticks, so that another one with its number is told apart.

    None for one that has ended.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def homes(directory: Path) -> list[Home]:
    """The sandboxes of a directory, whether they run or not."""
    if not directory.is_dir():
        return []
    return [Home(directory, path.parent.name) for path in sorted(directory.glob("*/state.json"))]


# -- up ------------------------------------------------------------------------------------------


def up(home: Home, settings: Callable[[], Settings], arguments: Sequence[str], *, foreground: bool) -> None:
    """Start a sandbox and return when it serves; with `foreground` when it has ended."""
    running = home.read()
    if running:
        print(f"Sandbox {home.name} is already running: {running['server']}")
        _say_next(home)
        return
    settings()  # a mistake in an image or catalog is told here, not in a log
    _sweep(home)
    home.clear()
    home.scratch.mkdir(parents=True, mode=0o700)
    if foreground:
        _serve(home, settings(), None)
        return
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "convoy_sandbox.cli", "--serve", str(writer), *arguments]
    started = time.monotonic()
    with home.log.open("wb") as log, os.fdopen(reader, "rb", buffering=0) as ready:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writer],
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, _python_path()))},
            )
        finally:
            os.close(writer)
        answer = _answer(ready)
    if answer != "up":
        if not answer:
            _kill_group(process.pid)
        process.wait(_FORGET_SECONDS)
        raise UsageError(answer or f"sandbox {home.name} did not start; see its log, {home.log}")
    state = home.read() or {}
    print(f"Sandbox {home.name} is up after {time.monotonic() - started:.1f} s: {state.get('server')}")
    _say_next(home)


def _python_path() -> list[str]:
    # The package's own parent comes first, so that an uninstalled checkout runs itself.
    return [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]


def _say_next(home: Home) -> None:
    print(f"export KUBECONFIG={home.kubeconfig}")


def _answer(ready: Any) -> str:
    """What the new process says about its start: "up", an error, or "" if it ended without a word."""
    import select

    deadline = time.monotonic() + _START_SECONDS
    said = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([ready], [], [], left)[0]:
            break
        data = ready.read(4096)
        if not data:
            break
        said += data
    return said.decode(errors="replace").strip()


def _serve(home: Home, settings: Settings, ready: int | None) -> None:
    """Run a sandbox in this process until SIGTERM or SIGINT."""
    import asyncio
    import logging
    import tempfile

    from .cluster import Cluster, PortInUseError
    from .gateway.installation import GatewayError
    from .network.addresses import NoFreeBlockError

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # The API server logs its own failures; aiohttp's are clients that went away in the middle of a watch.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    _allow_many_files()
    tempfile.tempdir = str(home.scratch)

    async def live() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with Cluster(settings) as cluster:
            cluster.write_kubeconfig(home.kubeconfig)
            home.write(
                {
                    "name": home.name,
                    "pid": os.getpid(),
                    "started": start_time(os.getpid()),
                    "server": cluster.server,
                    "node_cpu": settings.node_cpu,
                    "node_memory": settings.node_memory,
                    "kubeconfig": str(home.kubeconfig),
                    "token": cluster.certificates.token,
                }
            )
            if ready is None:
                print(f"Sandbox {home.name} is up: {cluster.server}; Ctrl-C stops it")
                _say_next(home)
                sys.stdout.flush()
            else:
                os.write(ready, b"up")
                os.close(ready)
            await stop.wait()

    try:
        asyncio.run(live())
    except (PortInUseError, NoFreeBlockError, GatewayError) as problem:
        if ready is None:
            raise UsageError(str(problem)) from None
        os.write(ready, str(problem).encode())
        sys.exit(1)
    finally:
        home.clear()


def _allow_many_files() -> None:
    """Every connection is two open files; take as many as the machine lets this user have."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


# -- down ----------------------------------------------------------------------------------------


def down(home: Home) -> None:
    """End a sandbox. One that does not run is fine."""
    state = home.read()
    if state is None:
        _sweep(home)
        home.clear()
        print(f"Sandbox {home.name} is not running.")
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(state["pid"], signal.SIGTERM)
    if not _ends(state, _END_SECONDS):
        _kill_group(state["pid"])
        _ends(state, _FORGET_SECONDS)
    home.clear()
    print(f"Sandbox {home.name} is stopped.")


def _ends(state: dict[str, Any], seconds: float) -> bool:
    """Wait until a process has ended; False if it has not within a time."""
    import select

    try:
        handle = os.pidfd_open(state["pid"])
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):
        deadline = time.monotonic() + seconds
        while start_time(state["pid"]) == state["started"]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
    try:
        return start_time(state["pid"]) != state["started"] or bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def _sweep(home: Home) -> None:
    """End what a sandbox that was killed has left running: the programs of its containers."""
    try:
        pid = json.loads(home.state.read_text())["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if isinstance(pid, int) and start_time(pid) is None:
        # The number stays taken for as long as the group has members, so these are the sandbox's own.
        _kill_group(pid)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


# -- status --------------------------------------------------------------------------------------


def status(directory: Path, name: str | None, *, as_json: bool) -> None:
    """Print the sandboxes of a directory that run."""
    found = [
        _describe(state)
        for home in homes(directory)
        if name in (None, home.name) and (state := home.read()) is not None
    ]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    if not found:
        print(f"No sandbox is running in {directory}." if name is None else f"Sandbox {name} is not running.")
        return
    rows = [("NAME", "SERVER", "NODES", "PODS", "EXTERNAL ADDRESSES", "KUBECONFIG")]
    for entry in found:
        rows.append(
            (
                entry["name"], entry["server"], str(entry["nodes"]), str(entry["pods"]),
                ", ".join(entry["external"]) or "-", entry["kubeconfig"],
            )
        )  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _describe(state: dict[str, Any]) -> dict[str, Any]:
    nodes = _list(state, "nodes")
    pods = _list(state, "pods")
    external = [
        f"{service['metadata']['namespace']}/{service['metadata']['name']} {address}"
        for service in _list(state, "services")
        for address in _external(service)
    ]
    return {
        "name": state["name"], "server": state["server"], "nodes": len(nodes), "pods": len(pods),
        "node_cpu": state["node_cpu"], "node_memory": state["node_memory"],
        "external": external, "kubeconfig": state["kubeconfig"], "pid": state["pid"],
    }  # fmt: skip


def _external(service: dict[str, Any]) -> Iterator[str]:
    annotations = service["metadata"].get("annotations") or {}
    for ingress in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
        for port in service["spec"].get("ports") or ():
            real = annotations.get(f"sandbox.convoy.rollout/port-{port['port']}", port["port"])
            yield f"{ingress['ip']}:{real}"


def _list(state: dict[str, Any], plural: str) -> list[dict[str, Any]]:
    import base64
    import ssl
    import urllib.request

    import yaml

    try:
        config = yaml.safe_load(Path(state["kubeconfig"]).read_text())
        ca = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        request = urllib.request.Request(  # noqa: S310 - https, by our own state file
            f"{state['server']}/api/v1/{plural}", headers={"Authorization": f"Bearer {state['token']}"}
        )
        context = ssl.create_default_context(cadata=ca)
        directly = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with directly.open(request, timeout=5) as answer:
            return list(json.load(answer)["items"])
    except (OSError, ValueError, KeyError) as problem:
        raise UsageError(
            f"sandbox {state['name']} is running (process {state['pid']}) but does not answer: {problem}; stop it "
            f"with: convoy-sandbox down --name {state['name']}"
        ) from None


# -- the command ---------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    from .network.data_plane import DATA_PLANES
    from .settings import DATA_PLANE

    parser = argparse.ArgumentParser(
        prog="convoy-sandbox", description="Kubernetes-compatible clusters, each in one process."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {metadata.version('convoy-sandbox')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    start = commands.add_parser("up", help="start a sandbox in the background")
    stop = commands.add_parser("down", help="stop a sandbox")
    show = commands.add_parser("status", help="list the running sandboxes")
    for command in (start, stop, show):
        command.add_argument(
            "--name",
            default=None if command is show else DEFAULT_NAME,
            help=f"its name (default: {DEFAULT_NAME})",
        )
        command.add_argument(
            "--directory", type=Path, default=Path(os.environ.get("CONVOY_SANDBOX_DIR") or ".sandbox"),
            help="where sandboxes keep their kubeconfigs and logs (default: $CONVOY_SANDBOX_DIR or .sandbox)",
        )  # fmt: skip
    start.add_argument("--nodes", type=int, default=5, help="how many nodes (default: 5)")
    start.add_argument("--node-cpu", default="1", help="CPU of each node (default: 1)")
    start.add_argument("--node-memory", default="3.75Gi", help="memory of each node (default: 3.75Gi)")
    start.add_argument("--port", type=int, default=0, help="port of the API server (default: a free one)")
    start.add_argument(
        "--pod-start", type=float, default=None, metavar="SECONDS", help="how long a container takes to start"
    )
    start.add_argument(
        "--data-plane",
        choices=DATA_PLANES,
        default=DATA_PLANE,
        help="how soon users are led to new pods and away from pods that end: like a node's proxy, at most once a "
        "second; like a cloud's load balancer, after 5 to 20 s; or at once, like no real cluster (default: "
        "%(default)s)",
    )
    start.add_argument("--data-plane-seed", type=int, default=0, help="seed of its random delays (default: 0)")
    start.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="an image whose containers run this command line, with POD_IP, PORT and PORT_<containerPort> in its "
        "environment",
    )
    start.add_argument("--catalog", type=Path, help="a YAML file of more images")
    start.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[:KEY=VALUE,...]",
        help="a fault of the API server, such as 500:share=0.1,verbs=get+list,resources=deployments",
    )
    start.add_argument("--faults-seed", type=int, default=0, help="seed of random faults (default: 0)")
    start.add_argument(
        "--no-load-balancer",
        action="store_true",
        help="give Services of type LoadBalancer no external address",
    )
    start.add_argument(
        "--gateway",
        action="store_true",
        help="serve the kinds of the Gateway API, with a real Traefik in front of the cluster: Gateway web in "
        "namespace gateway",
    )
    start.add_argument("--foreground", action="store_true", help="stay in the foreground; Ctrl-C stops the sandbox")
    show.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    """Raises UsageError where an option makes no sense."""
    from . import faults, quantities
    from .network import images, traefik
    from .settings import Settings, timing_of

    if not 0 < options.nodes <= 1000:
        raise UsageError(f"--nodes {options.nodes}: must be a number between 1 and 1000")
    if not 0 <= options.port < 65536:
        raise UsageError(f"--port {options.port}: must be a number between 1 and 65535, or 0 for a free one")
    if options.gateway and options.no_load_balancer:
        raise UsageError("--gateway needs an external address for the gateway; remove --no-load-balancer")
    if options.gateway and traefik.program() is None:
        raise UsageError(f"--gateway: {traefik.MISSING}")
    if options.pod_start is not None and not options.pod_start >= 0:
        raise UsageError(f"--pod-start {options.pod_start}: must be a number of seconds, 0 or more")
    for option, value in (("--node-cpu", options.node_cpu), ("--node-memory", options.node_memory)):
        try:
            positive = quantities.parse(value) > 0
        except ValueError:
            positive = False
        if not positive:
            raise UsageError(f"{option} {value}: must be a quantity as Kubernetes writes it, such as 500m or 4Gi")
    try:
        catalog = images.from_file(options.catalog) if options.catalog else {}
        catalog.update(images.from_argument(text) for text in options.image)
    except images.CatalogError as problem:
        raise UsageError(str(problem)) from None
    try:
        asked = [faults.from_text(text) for text in options.fault]
    except faults.FaultError as problem:
        raise UsageError(f"--fault: {problem}") from None
    timing = timing_of(options.data_plane)
    return Settings(
        name=options.name,
        nodes=options.nodes,
        node_cpu=options.node_cpu,
        node_memory=options.node_memory,
        data_plane=options.data_plane,
        data_plane_seed=options.data_plane_seed,
        timing=timing if options.pod_start is None else dataclasses.replace(timing, start=options.pod_start),
        port=options.port,
        images=catalog,
        faults=asked,
        faults_seed=options.faults_seed,
        load_balancer=not options.no_load_balancer,
        gateway=options.gateway,
    )


def _run(arguments: Sequence[str], ready: int | None) -> None:
    options = _parser().parse_args(arguments)
    directory = options.directory.expanduser().absolute()
    if options.name is not None and not _NAME.fullmatch(options.name):
        raise UsageError(f"--name {options.name}: must consist of lower-case letters, digits and dashes, at most 63")
    if options.command == "status":
        status(directory, options.name, as_json=options.json)
        return
    home = Home(directory, options.name)
    if ready is not None:
        _serve(home, _settings(options), ready)
    elif options.command == "down":
        down(home)
    else:
        try:
            up(home, lambda: _settings(options), arguments, foreground=options.foreground)
        except OSError as problem:
            raise UsageError(f"sandbox {home.name} cannot be started: {problem}") from None


def main() -> NoReturn:
    """The command line; ends with 0, or 1 after a sentence about what is wrong."""
    arguments = sys.argv[1:]
    ready = None
    if arguments[:1] == ["--serve"]:  # `up`'s own child, with the pipe to report on
        ready, arguments = int(arguments[1]), arguments[2:]
    try:
        _run(arguments, ready)
    except UsageError as failure:
        print(f"convoy-sandbox: {failure}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    main()
