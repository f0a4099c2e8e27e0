"""_gke: kubeconfigs for GKE, and how long their tokens stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _gke

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLACE = _gke.Place("lab", "192.0.2.1", "Q0E=", "deployer@example.com")


def written(minutes: float) -> dict[str, object]:
    return _gke.with_token(PLACE, _gke.Token("ya29", NOW + timedelta(minutes=minutes)))


@pytest.mark.parametrize(("minutes", "kept"), [(59, True), (31, True), (30, False), (5, False), (-5, False)])
def test_a_token_stays_while_it_has_more_than_half_an_hour(minutes: float, kept: bool) -> None:
    token = _gke.kept(written(minutes), PLACE, NOW)
    assert (token is not None) is kept
    if token:
        assert _gke.with_token(PLACE, token) == written(minutes)


@pytest.mark.parametrize(
    "other",
    [
        _gke.Place("lab", "192.0.2.2", "Q0E=", "deployer@example.com"),
        _gke.Place("lab", "192.0.2.1", "Q0I=", "deployer@example.com"),
        _gke.Place("new", "192.0.2.1", "Q0E=", "deployer@example.com"),
        _gke.Place("lab", "192.0.2.1", "Q0E=", "someone@example.com"),
    ],
)
def test_a_token_for_another_cluster_or_of_somebody_else_does_not_stay(other: _gke.Place) -> None:
    assert _gke.kept(written(59), other, NOW) is None


@pytest.mark.parametrize("present", [None, [], "text", {}, {"users": []}, {"users": [{"user": {"token": "x"}}]}])
def test_a_file_of_another_kind_is_written_anew(present: object) -> None:
    assert _gke.kept(present, PLACE, NOW) is None


def test_a_token_of_unknown_lifetime_does_not_stay() -> None:
    assert _gke.kept(_gke.with_token(PLACE, _gke.Token("ya29", None)), PLACE, NOW) is None


def test_the_plugin_is_told_whose_credentials_to_use() -> None:
    user = _gke.with_plugin(PLACE, "/etc/key.json")["users"][0]["user"]
    assert user["exec"]["command"] == "gke-gcloud-auth-plugin"
    assert user["exec"]["args"] == ["--use_application_default_credentials"]
    assert user["exec"]["env"] == [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/etc/key.json"}]
    assert "env" not in _gke.with_plugin(PLACE, None)["users"][0]["user"]["exec"]
