"""A whole cluster in this process: store, registry, controllers, network and API server put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .settings import Settings


class Cluster:
    """`async with Cluster(settings)`: up on entry, every listener and task gone on exit."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
