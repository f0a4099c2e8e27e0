# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a sandbox is made: its nodes, its images, and how long things take in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .faults import Fault
    from .network.images import Image
    from .store import Object


@dataclass(frozen=True)
class Timing:
    """Durations, in seconds: what loses requests is as long as on a quiet node of a real cluster."""

    pull: float = 0.05  #: to pull an image that is not on the node yet
    start: float = 0.7  #: from image to a running container
    signal: float = 0.12  #: from a pod's deletion to the SIGTERM of its containers, or their preStop hooks
    unreachable: float = 0.2  #: from the end of its last container to the end of the pod's address
    stop: float = 0.1  #: from there to the status that says so
    removal: float = 0.5  #: from there to the end of the pod
    autoscaler_period: float = 15.0  #: how often a HorizontalPodAutoscaler looks at its target
    node_grace: float = 40.0  #: how long a node may be silent before it counts as lost
    relist: float = (
        0.0  #: seconds that a container counts as running at least, as the kubelet looks at them now and then
    )
    crash_backoff: float = 10.0  #: the first CrashLoopBackOff and ErrImagePull delay; it doubles up to 300 s


#: Stands for what fits the data plane.
AS_DATA_PLANE = Timing()
#: As nowhere: for tests of something else.
INSTANT = Timing(start=0.02, signal=0.0, unreachable=0.0, stop=0.0, removal=0.0)


#: How users get to pods by default, one of network.data_plane.DATA_PLANES: as on a cluster without a cloud.
DATA_PLANE = "kube-proxy"


def timing_of(data_plane: str) -> Timing:
    """How long things take in a sandbox of this data plane, where nobody says otherwise."""
    return INSTANT if data_plane == "instant" else Timing()


@dataclass(frozen=True)
class Settings:
    """One sandbox cluster."""

    name: str = "convoy"
    nodes: int = 5
    node_cpu: str = "1"
    node_memory: str = "3.75Gi"
    node_pods: int = 110
    #: How users get to pods, one of network.data_plane.DATA_PLANES.
    data_plane: str = DATA_PLANE
    data_plane_seed: int = 0
    timing: Timing = AS_DATA_PLANE
    pace: Callable[[Object], Timing] | None = None  #: how long things take for a pod, where not all are alike
    port: int = 0  #: the API server's; 0 takes a free one
    images: Mapping[str, Image] = field(default_factory=dict)  #: besides the sandbox's own, by reference
    load_balancer: bool = True  #: whether Services of type LoadBalancer get an external address
    faults: Sequence[Fault] = ()  #: what goes wrong at the API server; can be changed later
    faults_seed: int = 0
    gateway: bool = False  #: whether there are Gateway API's kinds and a Traefik that serves them

    def __post_init__(self) -> None:
        if self.timing is AS_DATA_PLANE:
            object.__setattr__(self, "timing", timing_of(self.data_plane))

    def timing_of_pod(self, pod: Object) -> Timing:
        """How long things take for a pod that is new on its node."""
        return self.timing if self.pace is None else self.pace(pod)
