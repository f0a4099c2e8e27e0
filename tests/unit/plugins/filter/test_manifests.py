"""What the templates are given: the plan, and the Secrets that are not in it."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.filter.manifests import FilterModule
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _description

SECRETS: dict[str, t.Any] = {"token": {"data": {"token": "planted-token"}}}
HELLO: dict[str, t.Any] = {"image": "hello", "version": "1.0.0", "service": {"ports": []}, "secrets": SECRETS}
manifests = FilterModule().filters()["manifests"]


def test_of_everything_that_is_described() -> None:
    assert manifests({"hello": HELLO}, {"selectors": {}, "certificates": []})["secrets"] == SECRETS


def test_another_strategys_own_get_their_secrets_back() -> None:
    made = {
        "deployments": {"hello-green": {**HELLO, "version": "2.0.0"}},
        "services": {"hello-preview": {"service": {"ports": []}}},
        "selectors": {"hello-preview": {"app": "hello"}},
    }
    shown = _description.without_secrets(made)
    assert "planted" not in str(shown)
    given = manifests({"hello": HELLO}, {"manifests": shown}, application="hello")
    assert given["deployments"] == made["deployments"]
    assert given["selectors"] == made["selectors"]
    assert manifests({}, {"manifests": {}}, application="hello") == {}
