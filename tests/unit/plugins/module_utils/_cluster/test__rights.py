"""_rights: what strategies need, alone and together."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._rights import RIGHTS, Right, needed

ALL = ("get", "list", "watch", "create", "update", "patch", "delete")


@pytest.mark.parametrize("strategy", RIGHTS)
def test_each_resource_is_listed_once_with_verbs_that_exist(strategy: str) -> None:
    rights = needed([strategy])
    places = [(right.group, right.resource, right.cluster) for right in rights]
    assert len(places) == len(set(places))
    assert all(set(right.verbs) <= set(ALL) and len(set(right.verbs)) == len(right.verbs) for right in rights)


def test_strategies_together_need_the_verbs_of_each() -> None:
    together = needed(["scale", "bluegreen"])
    assert Right("", "services", ("get", "list", "create", "patch", "delete")) in together
    assert Right("apps", "deployments", ("get", "list", "watch", "patch", "create", "delete")) in together


def test_nothing_but_what_a_rollout_created_is_deleted() -> None:
    delete = {strategy for strategy in RIGHTS for right in needed([strategy]) if "delete" in right.verbs}
    assert delete == {"lock", *(each for each in RIGHTS if each.startswith(("canary", "bluegreen")))}


def test_only_room_is_looked_for_in_all_namespaces() -> None:
    wide = {right for strategy in RIGHTS for right in needed([strategy]) if right.cluster}
    assert wide == {Right("", "nodes", ("list",), True), Right("", "pods", ("list",), True)}


def test_an_unknown_strategy_is_an_error() -> None:
    with pytest.raises(KeyError):
        needed(["magic"])
