# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalog: which images exist in a sandbox and what a container of each does."""

from __future__ import annotations

import dataclasses
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import quantities
from .containers import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .addresses import Ports
    from .containers import Container

PROGRAMS = ("hello", "auth", "nginx", "traefik")


#: What a program does on SIGTERM: it answers what is under way and ends, it ends at once, or it does nothing.
STOPS = ("drains", "drops", "ignores")


class CatalogError(ValueError):
    """A catalog entry that makes no sense."""


@dataclass(frozen=True)
class Image:
    """What containers of one image do.

    Either `program` is one of the sandbox's own (`hello`, `auth`) or one of this machine that it knows (`nginx`,
    `traefik`), or `command` is a command line that is run on this machine, or `start` is a program in Python that
    runs on the sandbox's own event loop. The other fields make the sandbox's hello and auth fail as real versions do.
    """

    program: str = ""
    command: tuple[str, ...] = ()
    version: str = ""  #: what /version answers; by default the image's tag
    ready: bool = True  #: whether /readiness ever succeeds
    ready_after: float = 0.0  #: seconds until /readiness succeeds
    error_share: float = 0.0  #: share (0..1) of the requests that are answered with 500
    delay: float = 0.0  #: seconds that an answer takes
    delay_share: float = 1.0  #: share (0..1) of the answers that take so long
    stops: str = "drains"  #: what it does on SIGTERM, one of STOPS
    crash_after: float | None = None  #: seconds until the container ends
    exit_code: int = 1  #: ... and with which exit code
    memory: str = ""  #: what it comes to need, as 512Mi; over the container's limit it is OOMKilled
    memory_after: float = 1.0  #: seconds until it needs that
    #: Starts a container with an address, the ports of the cluster, arguments, and a limit of memory in bytes if it has
    #: one. Raises StartError.
    start: Callable[[str, Ports, list[str], int | None], Container] | None = None


_LAB = {
    f"kelseyhightower/{program}:{version}": Image(program, version=version)
    for program in ("hello", "auth")
    for version in ("1.0.0", "2.0.0")
}
_GATEWAY = {f"traefik:{tag}": Image("traefik") for tag in ("v3.7", "v3.7.15")}
#: Versions of hello that go wrong, each in the way its tag says.
_FAULTS = {
    "kelseyhightower/hello:crash": Image("hello", crash_after=0.0),
    "sandbox/hello:crash": Image("hello", crash_after=0.0),
    "sandbox/hello:done": Image("hello", crash_after=0.5, exit_code=0),
    "sandbox/hello:crash-later": Image("hello", crash_after=20.0),
    "sandbox/hello:hungry": Image("hello", memory="1Gi"),
    "sandbox/hello:unready": Image("hello", ready=False),
    "sandbox/hello:slow-start": Image("hello", ready_after=5.0),
    "sandbox/hello:broken": Image("hello", error_share=1.0),
    "sandbox/hello:flaky": Image("hello", error_share=0.2),
    "sandbox/hello:slow": Image("hello", delay=1.0),
    "sandbox/hello:slow-tail": Image("hello", delay=1.0, delay_share=0.02),
    "sandbox/hello:stubborn": Image("hello", stops="ignores"),
    "sandbox/hello:abrupt": Image("hello", stops="drops"),
    "sandbox/hello:liar": Image("hello", version="1.0.0"),
}


#: The newest release of each minor version of nginx that its image has been published for.
_NGINX = {
    "1.7": 12, "1.8": 1, "1.9": 15, "1.10": 3, "1.11": 13, "1.12": 2, "1.13": 12, "1.14": 2, "1.15": 12, "1.16": 1,
    "1.17": 10, "1.18": 0, "1.19": 10, "1.20": 2, "1.21": 6, "1.22": 1, "1.23": 4, "1.24": 0, "1.25": 5, "1.26": 3,
    "1.27": 5, "1.28": 3, "1.29": 8, "1.30": 1, "1.31": 2,
}  # fmt: skip
_NGINX_NAMES = frozenset({"latest", "stable", "mainline", "1"})
_NGINX_ALONE = frozenset({"alpine", "alpine-slim", "alpine-perl", "perl"})
_NGINX_VARIANTS = r"(?:-(?:alpine|alpine-slim|alpine-perl|perl|otel|bullseye|bookworm|trixie))?"


def is_nginx_tag(tag: str) -> bool:
    """Whether the image nginx has a tag: releases and their variants, `latest` and the like, or a digest."""
    if re.fullmatch(r"@sha256:[0-9a-f]{64}", tag):
        return True
    found = re.fullmatch(rf"([a-z]+|\d+(?:\.\d+){{0,2}}){_NGINX_VARIANTS}", tag)
    if found is None or tag in _NGINX_ALONE:
        return tag in _NGINX_ALONE
    minor, _, patch = found[1].rpartition(".") if found[1].count(".") == 2 else (found[1], "", "0")
    return found[1] in _NGINX_NAMES or (minor in _NGINX and patch == str(int(patch)) and int(patch) <= _NGINX[minor])


def nginx_release(tag: str) -> tuple[int, ...]:
    """The release that a tag of the image nginx stands for; the newest, where it does not say."""
    found = re.match(r"(\d+\.\d+)(?:\.(\d+))?(?![.\d])", tag)
    minor = found[1] if found and found[1] in _NGINX else max(_NGINX, key=_numbers)
    patch = found[2] if found and found[2] else str(_NGINX[minor])
    return _numbers(f"{minor}.{patch}")


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in release.split("."))


@dataclass(frozen=True)
class Reference:
    """An image reference in full: `docker.io/library/nginx:latest`."""

    registry: str
    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}{'' if self.tag.startswith('@') else ':'}{self.tag}"


def parse(image: str) -> Reference:
    """An image reference with what is left out filled in as container engines do."""
    name, at, digest = image.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        head, tag = name, "latest"
    first, slash, rest = head.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, rest
    else:
        registry, repository = "docker.io", head if slash else f"library/{head}"
    return Reference(registry, repository, f"@{digest}" if at else tag)


def _is_nginx(reference: Reference) -> bool:
    return reference.registry == "docker.io" and reference.repository == "library/nginx"


class Catalog:
    """The images of one sandbox: its own, and those that a user registers."""

    def __init__(self, images: Mapping[str, Image] | None = None) -> None:
        self._images = {
            str(parse(name)): image for name, image in {**_LAB, **_GATEWAY, **_FAULTS, **(images or {})}.items()
        }

    def find(self, image: str) -> Image | None:
        """What containers of an image do, or None if there is no such image."""
        reference = parse(image)
        found = self._images.get(str(reference))
        if found is None and _is_nginx(reference) and is_nginx_tag(reference.tag):
            return Image("nginx", version=reference.tag)
        if found is not None and found.program and not found.version:
            return dataclasses.replace(found, version=reference.tag)
        return found

    def pull(self, image: str) -> None:
        """Raises ImageError, in containerd's words, for an image that the catalog does not have."""
        if self.find(image) is not None:
            return
        reference = parse(image)
        if _is_nginx(reference):
            raise ImageError(
                f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": '
                f"{reference}: not found"
            )
        host = "registry-1.docker.io" if reference.registry == "docker.io" else reference.registry
        manifest = f"https://{host}/v2/{reference.repository}/manifests/{reference.tag.removeprefix('@')}"
        raise ImageError(
            f'failed to pull and unpack image "{reference}": failed to resolve image: failed to do request: '
            f'Head "{manifest}": dial tcp: lookup {host.partition(":")[0]} on 127.0.0.53:53: no such host'
        )


def from_argument(text: str) -> tuple[str, Image]:
    """An image given as NAME=COMMAND. Raises CatalogError."""
    name, equals, command = text.partition("=")
    try:
        words = tuple(shlex.split(command))
    except ValueError as problem:
        raise CatalogError(f"--image {text}: the command cannot be read: {problem}") from None
    if not (name and equals and words):
        raise CatalogError(f"--image {text}: must be the image and its command line, as NAME=COMMAND")
    return name, Image(command=words)


def from_file(path: Path) -> dict[str, Image]:
    """The images of a YAML file: a map `images` of image references to the fields of `Image`.

    Raises CatalogError.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
    except OSError as problem:
        raise CatalogError(f"the catalog {path} cannot be read: {problem.strerror}") from None
    except yaml.YAMLError as problem:
        raise CatalogError(f"the catalog {path} is not YAML: {' '.join(str(problem).split())}") from None
    images = document.get("images") if isinstance(document, dict) else None
    if not isinstance(images, dict):
        raise CatalogError(f"the catalog {path} has no map `images` of image names to what they do")
    return {str(name): _entry(f"{path}: {name}", entry) for name, entry in images.items()}


def _entry(where: str, entry: Any) -> Image:
    if not isinstance(entry, dict):
        raise CatalogError(f"{where}: an image is a map with `program` or `command`")
    known = {field.name for field in dataclasses.fields(Image)} - {"start"}  # which no file can hold
    unknown = sorted(str(key) for key in set(entry) - known)
    if unknown:
        raise CatalogError(
            f"{where}: there is no field {', '.join(unknown)}; the fields are {', '.join(sorted(known))}"
        )
    entry = dict(entry)
    if bool(entry.get("program")) == bool(entry.get("command")):
        raise CatalogError(f"{where}: set either `program` or `command`")
    if entry.get("program") and entry["program"] not in PROGRAMS:
        raise CatalogError(f"{where}: `program` is one of {', '.join(PROGRAMS)}")
    command = entry.get("command")
    if isinstance(command, str):
        entry["command"] = tuple(shlex.split(command))
    elif command:
        entry["command"] = tuple(str(word) for word in command)
    if entry.get("stops", "drains") not in STOPS:
        raise CatalogError(f"{where}: `stops` is one of {', '.join(STOPS)}")
    for key in ("ready_after", "error_share", "delay", "delay_share", "crash_after", "memory_after"):
        value = entry.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise CatalogError(f"{where}: `{key}` is a number, 0 or more")
    for key in ("error_share", "delay_share"):
        if not entry.get(key, 0) <= 1:
            raise CatalogError(f"{where}: `{key}` is a share between 0 and 1")
    try:
        quantities.parse(entry.get("memory") or "0")
    except (TypeError, ValueError, AttributeError):
        raise CatalogError(f"{where}: `memory` is a quantity as Kubernetes writes it, such as 512Mi") from None
    if not isinstance(entry.get("ready", True), bool):
        raise CatalogError(f"{where}: `ready` is true or false")
    if "version" in entry and not isinstance(entry["version"], str):
        raise CatalogError(f"{where}: `version` is a string; put it in quotes")
    return Image(**entry)
