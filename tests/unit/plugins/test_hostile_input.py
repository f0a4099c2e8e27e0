"""Whatever a kubeconfig or an API server says: one clear sentence, never a traceback, never a change."""

from __future__ import annotations

import importlib
import json
import string
import typing as t
from collections.abc import Callable

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure, Task, attempt
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _version_distribution
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.plugins import cluster

PLUGINS = "ansible_collections.convoy.rollout.plugins"

#: The options with which each operation goes to the API server.
ASKED: dict[str, dict[str, t.Any]] = {
    "application_info": {"application": "hello"},
    "bluegreen_info": {"name": "hello", "version": "2.0.0"},
    "canary_info": {"name": "hello", "version": "2.0.0"},
    "capacity": {"replicas": 3, "deployment": "hello"},
    "cluster_info": {},
    "explain": {"field": "deployment.spec"},
    "rollout": {"name": "hello", "timeout": 1},
    "scale": {"name": "hello", "replicas": "3"},
    "version_distribution": {"name": "hello", "source": "pods", "agree": ["endpoints"]},
}


def cases(number: int) -> settings:
    """So many cases, the same ones in every run."""
    return settings(max_examples=number, suppress_health_check=list(HealthCheck), database=None, derandomize=True)


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20))
FIELDS = ["metadata", "spec", "status", "items", "name", "labels", "selector", "template", "uid", "replicas", "ports"]


def nested(keys: st.SearchStrategy[str]) -> st.SearchStrategy[t.Any]:
    """Anything that JSON can say."""
    return st.recursive(
        LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
        max_leaves=6,
    )


ANYTHING = nested(st.text(max_size=5))
ODD = st.sampled_from(
    ["", "-1", "1.5", "25%", "x", "10Mi", -1, 10**30, 1.5, True, None, [], {}, [None], [{}], {"": None}]
)


def some_of(**fields: st.SearchStrategy[t.Any]) -> st.SearchStrategy[dict[str, t.Any]]:
    """A dictionary in which any of the fields may be missing, or be anything."""
    return st.fixed_dictionaries(
        {}, optional={key.replace("_", "-"): st.one_of(kind, ANYTHING) for key, kind in fields.items()}
    )


def entries(kind: str, content: st.SearchStrategy[t.Any]) -> st.SearchStrategy[t.Any]:
    """One of a kubeconfig's lists."""
    named = st.fixed_dictionaries({"name": st.sampled_from(["one", "two"]), kind: st.one_of(content, ANYTHING)})
    return st.lists(st.one_of(named, ANYTHING), max_size=2)


BASE64 = st.sampled_from(["aGVsbG8=", "not base64", ""])
WORDS = st.text(string.ascii_letters + "/:.[]{}%\n ", max_size=12)
KUBECONFIGS = st.one_of(
    ANYTHING,
    some_of(
        current_context=st.just("one"),
        contexts=entries("context", some_of(cluster=st.just("one"), user=st.just("one"), namespace=WORDS)),
        clusters=entries(
            "cluster",
            some_of(
                server=st.one_of(st.sampled_from(["https://127.0.0.1:1", "http://[::1", "https://a:b"]), WORDS),
                certificate_authority_data=BASE64,
                certificate_authority=WORDS,
                tls_server_name=WORDS,
                proxy_url=WORDS,
            ),
        ),
        users=entries(
            "user", some_of(token=WORDS, client_certificate_data=BASE64, client_key_data=BASE64, username=WORDS)
        ),
    ),
)


def ends_well(operation: Callable[[], t.Any]) -> bool:
    """With a result, or with one line of text that blames nothing on this collection; anything else ends the test."""
    try:
        return bool(operation())
    except Failure as failure:
        if "exception" in failure.facts:
            pytest.fail(failure.facts["exception"])
        return bool(failure.message.strip()) and "\n" not in failure.message


@cases(250)
@given(KUBECONFIGS)
def test_kubeconfigs(kubeconfig: t.Any) -> None:
    assert ends_well(lambda: _api.api({"kubeconfig": kubeconfig}, {}))


ANSWERS = st.one_of(
    st.binary(max_size=30),
    st.just(b"<html>\nlog in\n</html>"),
    nested(st.sampled_from(FIELDS)).map(lambda answer: json.dumps(answer).encode()),
)


class Operation:
    """An operation that only reads, and what the API server answers it."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = importlib.import_module(f"{PLUGINS}.module_utils._operations._{name}")
        options = {
            **({} if name == "explain" else {"namespace": "default"}),
            **ASKED[name],
            "host": "http://127.0.0.1:1",
            "api_key": "key",
        }
        checked = ArgumentSpecValidator(self.module.ARGUMENTS).validate(options)
        assert not checked.error_messages
        self.options = checked.validated_parameters
        self.answer: Callable[[str], bytes] = lambda _path: b""
        self.events: list[t.Any] = []
        monkeypatch.setattr(_api.Api, "request", lambda _api, path, *_query, **_how: self.answer(path))
        monkeypatch.setattr(_api.Api, "watch", lambda *_args: iter([]))

        def no_change(*_args: t.Any, **_options: t.Any) -> t.NoReturn:
            pytest.fail("an operation that only reads must not write")

        for write in ("create", "replace", "patch", "delete"):
            monkeypatch.setattr(_api.Api, write, no_change)

    def __call__(self) -> dict[str, t.Any]:
        return attempt(self.module.run, self.options, Task(check_mode=True, environ={}))


@pytest.mark.parametrize("name", ASKED)
def test_answers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = Operation(name, monkeypatch)

    @cases(120)
    @given(st.lists(ANSWERS, min_size=1, max_size=4))
    def asked(answers: list[bytes]) -> None:
        left = list(answers)
        operation.answer = lambda _path: left.pop(0) if len(left) > 1 else left[0]
        assert ends_well(operation)

    asked()


@pytest.mark.parametrize("name", [name for name in ASKED if name != "scale"])
def test_answers_with_one_thing_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = Operation(name, monkeypatch)
    operation.answer = lambda path: json.dumps(cluster.answered(path)).encode()
    assert operation()  # with nothing wrong
    monkeypatch.setattr(_version_distribution, "_sampled", lambda *_args: pytest.fail("nothing is to be sampled"))

    @cases(80)
    @given(st.data())
    def asked(data: st.DataObject) -> None:
        answers: dict[str, bytes] = {}

        def answer(path: str) -> bytes:
            if path not in answers:
                found = cluster.answered(path)
                if data.draw(st.booleans()):
                    place = data.draw(st.sampled_from(list(cluster.places(found))))
                    found = cluster.changed(found, place, data.draw(st.one_of(ODD, ANYTHING)))
                answers[path] = json.dumps(found).encode()
            return answers[path]

        operation.answer = answer
        assert ends_well(operation)

    asked()
