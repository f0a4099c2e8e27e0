"""Clients: their addresses, and which versions each of them got."""

from __future__ import annotations

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._clients import addresses, by_client, said
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._sampler import Sample


def test_networks_are_their_hosts_each_address_once_and_no_more_than_wanted() -> None:
    assert addresses(["10.0.0.9", "10.0.0.8/30", "10.0.0.16/31"], 100) == [
        "10.0.0.9",
        "10.0.0.10",
        "10.0.0.16",
        "10.0.0.17",
    ]
    assert addresses(["127.0.0.0/8"], 3) == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert addresses(["fd00::7"], 3) == ["fd00::7"]
    assert addresses([], 3) == []


@pytest.mark.parametrize("wrong", ["me", "10.0.0.1/8", "10.0.0.300"])
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(Failure, match="neither an address nor a network"):
        addresses(["10.0.0.1", wrong], 10)


def test_a_client_got_the_versions_of_its_good_answers() -> None:
    taken = [
        Sample(0, 0.1, "1", source="a"),
        Sample(0, 0.1, "2", source="b"),
        Sample(0, 0.1, "1", source="a"),
        Sample(0, 0.1, "2", "HTTP 500", source="a"),
        Sample(0, 0.1, "1", source="b"),
        Sample(0, 0.1, None, "timeout", source="c"),
    ]
    assert by_client(taken) == {"a": ["1"], "b": ["2", "1"], "c": []}


def test_it_is_said_who_got_several() -> None:
    assert said({}, 9, 3) == "each client got one version in 3 requests"
    several = {f"10.0.0.{number}": ["1", "2"] for number in range(5)}
    assert said(several, 9, 3) == (
        "5 of 9 clients got several versions in 3 requests, such as "
        "10.0.0.0 (1 and 2), 10.0.0.1 (1 and 2), 10.0.0.2 (1 and 2)"
    )
