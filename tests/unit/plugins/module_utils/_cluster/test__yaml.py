"""YAML as manifests and kubeconfigs have it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import yaml
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _yaml


@pytest.mark.parametrize("value", [{"a": "\U0001f600"}, {"a": ["é", "\u2028", 1.5, None]}, []])
def test_json_is_read_whatever_characters_it_escapes(value: Any) -> None:
    text = json.dumps(value)
    assert json.loads(json.dumps(_yaml.document(text))) == value
    assert json.loads(json.dumps(_yaml.documents(io.StringIO(f"{text}\n---\n{text}")))) == [value, value]


def test_nothing_is_no_document() -> None:
    assert (_yaml.document(""), _yaml.documents("")) == (None, [])


def test_what_is_no_yaml_is_refused() -> None:
    with pytest.raises(yaml.YAMLError):
        _yaml.document("a: [")
