"""Fields that become ours while their object changes all the time."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import ApiError
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _looking


class Server:
    """An object of which another version is there at the next looks."""

    def __init__(self, changes: int) -> None:
        self.version, self.changes, self.looks = 0, changes, 0

    def look(self) -> list[_looking.Adoption]:
        self.looks += 1
        live = {"kind": "Deployment", "metadata": {"name": "hello", "resourceVersion": str(self.version)}}
        return [("/hello", live, [])]

    def patch(self, _path: str, steps: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        if self.changes:
            self.changes, self.version = self.changes - 1, self.version + 1
        if steps[0]["value"] != str(self.version):
            raise ApiError(422, "Invalid", "the test failed")


def test_an_object_that_rolls_out_meanwhile_is_looked_at_again() -> None:
    server = Server(changes=3)
    _looking.adopt_at_last(t.cast("t.Any", server), server.look(), lambda: None, server.look)
    assert server.looks == 4


def test_one_that_never_stays_as_it_was_read_is_left_alone() -> None:
    server = Server(changes=100)
    with pytest.raises(_looking.Moved, match="Deployment hello was changed by somebody else during this run"):
        _looking.adopt_at_last(t.cast("t.Any", server), server.look(), lambda: None, server.look)
    assert server.looks == _looking.LOOKS
