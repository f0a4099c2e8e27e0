"""How a sandbox is made: its nodes and how long things take in it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Timing:
    """Durations, in seconds, where a real node's would only make people wait."""

    pull: float = 0.05  #: to pull an image that is not on the node yet
    start: float = 0.02  #: from image to a running container
    crash_backoff: float = 10.0  #: the first CrashLoopBackOff and ErrImagePull delay; it doubles up to 300 s


@dataclass(frozen=True)
class Settings:
    """One sandbox cluster."""

    name: str = "convoy"
    nodes: int = 5
    node_cpu: str = "1"
    node_memory: str = "3.75Gi"
    node_pods: int = 110
    timing: Timing = field(default_factory=Timing)
