# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What each strategy brings to the beginning of a run."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._plan import Plan
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _cluster_facts, _description


@dataclass(frozen=True)
class Begin:
    """What a run is begun with."""

    namespace: str
    application: t.Any  #: its name, once it was checked
    applications: t.Any  #: the described ones by name, once they were checked
    request: t.Mapping[str, t.Any]
    entry: t.Mapping[str, t.Any] = field(default_factory=dict)  #: where users come in, as far as it is said
    check_mode: bool = False

    def drained(self, api: _api.Api) -> t.Mapping[str, t.Any]:
        """The application's description with its drain as this cluster can have it, empty where there is none.

        Raises ApiError.
        """
        return _description.drained(self.described, sleeps=sleeps(api)) if self.described else {}

    @property
    def described(self) -> t.Mapping[str, t.Any]:
        """The application's description, empty where there is none."""
        return t.cast("t.Mapping[str, t.Any]", self.applications.get(self.application) or {})


@dataclass(frozen=True)
class Planning:
    """How a strategy begins."""

    arguments: t.Mapping[str, t.Any]  #: what its request consists of, as an argument spec
    check: t.Callable[[Begin], None]  #: raises Failure for what cannot work, before the cluster is touched
    purpose: t.Callable[[Begin], str]  #: what others are told that the lock is held for
    plan: t.Callable[[_api.Api, Begin], Plan]  #: reads the cluster; raises Failure for what cannot be done
    role: str = ""  #: the role whose result a run's outcome is, where it is not called as the strategy
    locks: t.Callable[[Begin], t.Sequence[str]] = lambda begin: [begin.application]  #: the applications to lock
    #: Makes what has to be there before anything can be locked, in check mode tries to, and says what it made.
    prepare: t.Callable[[_api.Api, Begin], t.Sequence[str]] = lambda _api, _begin: ()


def sleeps(api: _api.Api) -> bool:
    """Whether a cluster knows the preStop hook `sleep`; who may not read its version has a new one. Raises ApiError."""
    try:
        version = str(api.get("/version").get("gitVersion") or "")
    except _api.ApiError as error:
        if error.status not in (401, 403, 404):
            raise
        return True
    return not version or _cluster_facts.is_at_least(version, _cluster_facts.SLEEPS)
