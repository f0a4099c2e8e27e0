# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose write is being admitted, and what it is to be warned of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..users import User
    from .answers import Answers


@dataclass
class Request:
    """A client's write: who makes it, and the texts of the Warning headers of its answer."""

    user: User
    warnings: list[str] = field(default_factory=list)
    over: bool = False
    answers: Answers | None = None


_current: ContextVar[Request | None] = ContextVar("request", default=None)


@dataclass
class _Controller:
    answers: Answers
    over: bool = False


_controllers: ContextVar[_Controller | None] = ContextVar("controllers", default=None)


@contextlib.contextmanager
def controller(answers: Answers) -> Iterator[None]:
    """What is written within is a controller's, which makes it again once webhooks have answered."""
    writing = _Controller(answers)
    token = _controllers.set(writing)
    try:
        yield
    finally:
        writing.over = True
        _controllers.reset(token)


def answers() -> Answers | None:
    """What webhooks have answered to the present write so far; None where nobody could wait for them."""
    request = current()
    if request is not None:
        return request.answers
    writing = _controllers.get()
    return None if writing is None or writing.over else writing.answers


@contextlib.contextmanager
def request_of(user: User, answers: Answers | None = None) -> Iterator[Request]:
    """What is written within is this user's; whatever controllers do afterwards is not."""
    request = Request(user, answers=answers)
    token = _current.set(request)
    try:
        yield request
    finally:
        request.over = True  # callbacks that were scheduled meanwhile have inherited it
        _current.reset(token)


def current() -> Request | None:
    """The client's write that is going on; None where the sandbox itself writes."""
    request = _current.get()
    return None if request is None or request.over else request


def warn(text: str) -> None:
    """Have a client warned, once; a controller's write warns nobody."""
    request = current()
    if request is not None and text not in request.warnings:
        request.warnings.append(text)
