"""What is made of what kubernetes.core.k8s returns: the API server's own words, and nothing of a Secret."""

from __future__ import annotations

import base64
import json
import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _apply
from ansible_collections.convoy.rollout.plugins.module_utils._run._run import Run

Object = dict[str, t.Any]
OPTIONS: Object = {"namespace": "shop", "definition": ""}
TOKEN = base64.b64encode(b"planted-token").decode()
SECRET: Object = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "token"},
    "data": {"token": TOKEN},
    "stringData": {"words": "first-word\nsecond-word"},
}
CONFIG: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"a": "b"}}


def no_run() -> Run:
    """A task of no run."""
    return Run(None, lambda: pytest.fail("no lock is looked at"))


def judged(result: Object, items: t.Sequence[Object] = (SECRET, CONFIG), **more: t.Any) -> Object:
    """What the task returns."""
    return _apply.judged(result, OPTIONS, items, no_run(), **more)


def changed(item: Object, before: Object, after: Object) -> Object:
    """What the module returns of an object that it changed."""
    return {"changed": True, "result": item, "diff": {"before": before, "after": after}}


def refused(message: str, **more: t.Any) -> Object:
    """A refusal, as kubernetes.core words it."""
    body = json.dumps({"kind": "Status", "message": message, "code": 422, "reason": "Invalid"} | more)
    return {"failed": True, "msg": f"Failed to patch object: {body}"}


def test_manifests_are_given_as_texts_as_dictionaries_or_as_lists_of_these() -> None:
    text = json.dumps(CONFIG)
    assert _apply.documents(_apply.text_of(text)) == [CONFIG]
    assert _apply.documents(_apply.text_of(CONFIG)) == [CONFIG]
    assert _apply.documents(_apply.text_of([f"---\n{text}\n---\n{text}\n", "", SECRET])) == [CONFIG, CONFIG, SECRET]
    assert _apply.documents(_apply.text_of({"kind": "List", "items": [SECRET, CONFIG]})) == [SECRET, CONFIG]
    assert _apply.documents(_apply.text_of(["", "\n"])) == []


@pytest.mark.parametrize("text", ["kind: Secret\ndata: {token: [planted-token", "planted-token", "- planted-token"])
def test_what_is_no_manifest_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(Failure) as refusal:
        _apply.documents(text)
    assert "planted" not in refusal.value.message


def test_what_changed_is_named_and_of_a_secret_only_which_values_did() -> None:
    before = {"data": {"token": TOKEN, "same": "c2FtZQ=="}}
    after = {"data": {"token": "bmV3", "same": "c2FtZQ==", "more": TOKEN}}
    words = changed(CONFIG, {"data": {"a": "a"}}, {"data": {"a": "b"}})
    results = [changed(SECRET, before, after), words, {"changed": False, "result": {**CONFIG, "kind": "Service"}}]
    assert "diff" not in judged({"changed": True, "result": {"results": results}})
    found = judged({"changed": True, "result": {"results": results}}, diff=True)
    assert found["changes"] == ["Secret token", "ConfigMap words"]
    assert found["objects"] == ["Secret token", "ConfigMap words", "Service words"]
    assert found["message"] == "applied: Secret token, ConfigMap words"
    hidden, shown = found["diff"]
    assert hidden["before"]["data"] == {"token": "*** (before)", "same": "***"}
    assert hidden["after"]["data"] == {"token": "*** (after)", "same": "***", "more": "***"}
    assert shown == {
        "before_header": "ConfigMap words",
        "after_header": "ConfigMap words",
        "before": {"data": {"a": "a"}},
        "after": {"data": {"a": "b"}},
    }
    assert TOKEN not in json.dumps(found)


def test_what_only_has_other_owners_of_its_fields_has_not_changed() -> None:
    found = judged(changed(CONFIG, {"metadata": {}}, {"metadata": {}}), diff=True)
    assert (found["changed"], found["changes"], "diff" in found) == (False, [], False)
    assert judged({"changed": True, "result": CONFIG})["changed"], "where it is not said how"


def test_an_annotation_that_has_the_whole_secret_in_it_is_not_shown() -> None:
    metadata = {"annotations": {_apply.LAST_APPLIED: json.dumps(SECRET), "team": "blue"}}
    found = judged(changed(SECRET, {"metadata": metadata}, {"metadata": {}}), [SECRET], diff=True)
    assert found["diff"][0]["before"] == {"metadata": {"annotations": {"team": "blue"}}}


def test_one_object_is_returned_without_a_list() -> None:
    assert judged(changed(CONFIG, {}, CONFIG), [CONFIG])["changes"] == ["ConfigMap words"]
    same = judged({"changed": False, "result": CONFIG}, [CONFIG], check_mode=True)
    assert (same["changed"], same["message"]) == (False, "nothing to apply: each object is as described")
    assert "diff" not in same
    tried = judged(changed(CONFIG, {}, CONFIG), [CONFIG], check_mode=True)
    assert tried["message"] == "would be applied: ConfigMap words"


def test_a_refusal_is_in_the_api_servers_own_words() -> None:
    said = 'Deployment.apps "hello" is invalid: spec.replicas: Invalid value: -1'
    with pytest.raises(Failure, match=r'^Deployment.apps "hello" is invalid: spec.replicas: Invalid value: -1\.$'):
        judged(refused(said))
    with pytest.raises(Failure, match=r"-1; the API server keeps failing: run the playbook again once it answers\.$"):
        judged(refused(said), again=True)
    with pytest.raises(Failure, match="There is no namespace shop; create it"):
        judged(refused('namespaces "shop" not found'))


@pytest.mark.parametrize(
    "message", [f'Secret "token" is invalid: data: {TOKEN}', "spec: planted-token is no number", "second-word: what?"]
)
def test_a_refusal_that_quotes_a_secret_is_not_shown(message: str) -> None:
    with pytest.raises(Failure) as refusal:
        judged(refused(message))
    for value in (TOKEN, "planted-token", "second-word"):
        assert value not in refusal.value.message


def test_short_values_of_secrets_stay_in_other_words() -> None:
    item = {**SECRET, "data": {}, "stringData": {"debug": "1", "mode": "on"}}
    with pytest.raises(Failure, match=r"replicas: 1 is wrong on hello\.$"):
        judged(refused("replicas: 1 is wrong on hello"), [item])


def test_warnings_are_passed_on_without_secrets() -> None:
    found = judged({**changed(CONFIG, {}, CONFIG), "warnings": ["planted-token is deprecated"]}, [SECRET])
    assert found["warnings"] == ["*** is deprecated"]


def test_what_cannot_be_tried_before_its_namespace_is_there_is_said_to_be_applied() -> None:
    namespace = {"kind": "Namespace", "metadata": {"name": "shop"}}
    missing = refused('namespaces "shop" not found', code=404)
    assert _apply.in_missing_namespace(missing, [namespace, SECRET], "shop")
    assert not _apply.in_missing_namespace(missing, [SECRET], "shop")
    assert not _apply.in_missing_namespace({"changed": True}, [namespace], "shop")
    found = _apply.untried([namespace, SECRET], "shop")
    assert (found["changed"], found["changes"]) == (True, ["Namespace shop", "Secret token"])
    assert TOKEN not in json.dumps(found)
    assert "second-word" not in json.dumps(found)


def test_the_module_gets_no_more_than_it_needs() -> None:
    arguments = _apply.module_args(OPTIONS, "kind: ConfigMap", {"kubeconfig": {"kind": "Config"}})
    assert arguments["server_side_apply"] == {"field_manager": "convoy.rollout", "force_conflicts": True}
    assert (arguments["namespace"], arguments["definition"]) == ("shop", "kind: ConfigMap")
