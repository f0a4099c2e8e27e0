"""How a sandbox is made: its nodes, its images, and how long things take in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .faults import Fault
    from .network.images import Image


@dataclass(frozen=True)
class Timing:
    """Durations, in seconds, where a real node's would only make people wait."""

    pull: float = 0.05  #: to pull an image that is not on the node yet
    start: float = 0.02  #: from image to a running container
    stop: float = 0.0  #: from a container's end to its pod's
    autoscaler_period: float = 15.0  #: how often a HorizontalPodAutoscaler looks at its target
    node_grace: float = 40.0  #: how long a node may be silent before it counts as lost
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
    port: int = 0  #: the API server's; 0 takes a free one
    images: Mapping[str, Image] = field(default_factory=dict)  #: besides the sandbox's own, by reference
    load_balancer: bool = True  #: whether Services of type LoadBalancer get an external address
    faults: Sequence[Fault] = ()  #: what goes wrong at the API server; can be changed later
    faults_seed: int = 0
    real_nginx: bool = True  #: whether an nginx of this machine runs the nginx image, where there is one
