# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kubelet asks of whatever runs containers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import asyncio

    from ..store import Object


class ImageError(Exception):
    """An image that cannot be had; `reason` is ErrImagePull's cause in words."""


class StartError(Exception):
    """A container that cannot be started (RunContainerError, CreateContainerConfigError)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Mount:
    """A volume of the pod at a path of the container: file names to content; "" where the path is a file."""

    path: str
    files: dict[str, bytes] = field(default_factory=dict)


class LogLine(NamedTuple):
    """A line a container has printed: its number from 0 on, when (seconds since the epoch), and its text."""

    number: int
    time: float
    text: str


class Container(Protocol):
    """A container that runs."""

    container_id: str
    exited: asyncio.Future[int]  # the exit code
    end_reason: str  # why it has ended where the code alone does not say: OOMKilled
    end_message: str  # what it left in the file for its last words

    def logs(self) -> str:
        """Everything it has printed, newest last (bounded)."""

    def log_lines(self) -> list[LogLine]:
        """The same, line by line."""

    async def stop(self, grace_seconds: float) -> None:
        """SIGTERM, then SIGKILL after the grace period; returns when it has ended."""


class ContainerRuntime(Protocol):
    """Pulls images and starts containers (network/images.py has the sandbox's own)."""

    def has_image(self, image: str) -> bool:
        """Whether the image is on the node already."""

    async def pull(self, image: str) -> None:
        """Bring an image to the node. Raises ImageError."""

    async def start(
        self, pod: Object, container: Object, *, ip: str, env: dict[str, str], mounts: list[Mount]
    ) -> Container:
        """Start one container of a pod on its address. Raises StartError."""

    async def probe(self, pod: Object, container: Object, probe: Object, *, ip: str) -> str:
        """Run an httpGet, tcpSocket or exec probe once; "" is success, else the kubelet's own words."""
