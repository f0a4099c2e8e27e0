# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every operation of this collection shares: how it is called, and the one way in which it ends badly."""

from __future__ import annotations

import os
import traceback
import typing as t
from dataclasses import dataclass, field


class Failure(Exception):
    """What went wrong in one sentence, and the facts that the task returns beside it."""

    def __init__(self, message: str, facts: t.Mapping[str, t.Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.facts = dict(facts or {})


@dataclass(frozen=True)
class Task:
    """What an operation knows of the task that it runs in."""

    check_mode: bool = False
    tell: t.Callable[[str], None] = lambda _line: None  #: shows one line while the task still runs
    owner: int | None = None  #: the id of the run's process, where it is on this machine
    host: str = ""  #: the host of the inventory that it is a task of
    #: The task's environment: the process's, with what play, block and task say of it.
    environ: t.Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)


Operation = t.Callable[[t.Mapping[str, t.Any], Task], "dict[str, t.Any]"]


def attempt(operation: Operation, options: t.Mapping[str, t.Any], task: Task) -> dict[str, t.Any]:
    """What the operation returns. Raises Failure, and nothing else.

    An answer of the API server that lacks what every object of its kind has is met where it is used.
    """
    try:
        return operation(options, task)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise Failure(
            f"An object that the API server answered cannot be understood ({type(error).__name__} {error} at "
            f"{where.filename.rsplit('/', 1)[-1]}:{where.lineno}); see that it is a Kubernetes API server of a "
            "supported version, and report this line if it is."
        ) from error
