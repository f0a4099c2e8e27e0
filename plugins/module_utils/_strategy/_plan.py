# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a strategy makes of a request and of what the cluster has, in the shape that every run begins with."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._strategy._drain import Ending

#: The share of requests that must be answered, where a role is not told another one.
MIN_SUCCESS = 0.999


@dataclass(frozen=True)
class Plan:
    """What is to be done, and the words for it."""

    before: t.Any  #: what users get now: a version, or a number of replicas
    target: t.Any  #: what they are to get
    changes: bool  #: whether anything is left to do
    headline: str  #: the run in one sentence, once it has succeeded
    would: str  #: the same in check mode
    way_back: str = ""  #: what to type to have `before` again
    hints: t.Sequence[str] = ()  #: what a person may want to know beside it
    endings: t.Sequence[Ending] = ()  #: the pods that it ends
    warnings: t.Sequence[str] = ()  #: what a person is told before anything is changed
    service: str = ""  #: the Service that users come in by, where no entry says another
    subject: str = ""  #: what is changed, in words, such as `Deployment hello`
    serves: bool = False  #: whether pods of it are ready now, so that users have to get an answer
    #: The versions that these pods have by their images; empty where that says nothing of what answers.
    running: t.Sequence[str] = ()
    named_by_others: t.Sequence[str] = ()  #: the versions of containers beside the one that is changed
    idle: str = ""  #: why nothing answers, before and after, such as that there are 0 replicas
    countable: bool = False  #: whether the number of ready pods proves what is asked for, where there is no Service
    shares: bool = False  #: whether what runs now is to keep a share of the traffic, and is known by what it answers
    needs_answers: bool = False  #: whether nothing may be begun while users get errors
    services: t.Sequence[str] = ()  #: those that are asked, each by itself, where no entry says where users come in
    repairs: bool = False  #: whether the change may be what makes the entry answer, whatever that answers now
    #: How many requests were made (`samples`) and lost (`errors`) before what is to be judged had any of the traffic,
    #: where it has some by now, as where a run goes on: an earlier one has noted that, else it is empty. None where it
    #: has none yet, so that what is lost now is known not to be lost by it.
    alone: t.Mapping[str, t.Any] | None = None
    facts: t.Mapping[str, t.Any] = field(default_factory=dict)  #: what the strategy's tasks pick from


#: Of a request: over how many runs that belong together, as those of a fleet, the probability of error is shared out.
FAMILY: dict[str, t.Any] = {"family_size": {"type": "int", "default": 1}}


def check_least(role: str, request: t.Mapping[str, t.Any], least: t.Mapping[str, float]) -> None:
    """Raise Failure for a number below the least that works, by its name as the role's variable."""
    for name, limit in least.items():
        if not request[name] >= limit:  # so that what is no number is refused too
            raise Failure(f"{role}_{name} is {request[name]}; it must be at least {limit}.")


def check_share(role: str, name: str, request: t.Mapping[str, t.Any]) -> None:
    """Raise Failure for what is not a share, by its name as the role's variable."""
    if not 0 <= request[name] <= 1:
        raise Failure(f"{role}_{name} is {request[name]}; set a share from 0 to 1.")
